"""Threshold, smoothing and source of a map."""

from __future__ import annotations

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle

from amkd_core.errors import ConfigError
from amkd_core.inference.map_style import MapStyle, highest_cells, smoothed, styled_heatmap
from amkd_core.inference.maps import heatmap, top_patches
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(12)}


@pytest.fixture(scope="module")
def example() -> Prediction:
    return predict_bag(random_bag(57), random_bundle(), genes=GENES)


def test_the_plain_style_is_the_plain_map(example: Prediction) -> None:
    np.testing.assert_array_equal(styled_heatmap(example, MapStyle()).image, heatmap(example).image)


def test_the_top_share_keeps_the_highest_patches_and_nothing_else(example: Prediction) -> None:
    shown = styled_heatmap(example, MapStyle(kind="raw", top_percent=10)).image
    assert np.isfinite(shown).sum() == 6  # of 57
    whole = heatmap(example, "raw").image
    highest = np.sort(whole[np.isfinite(whole)])[-6:]
    np.testing.assert_array_equal(np.sort(shown[np.isfinite(shown)]), highest)


def test_at_least_one_cell_stays_and_ties_stay_together() -> None:
    image = np.array([[1, 2, 2], [np.nan, 0, 0]], dtype=np.float32)
    assert np.isfinite(highest_cells(image, 1)).sum() == 2
    empty = np.full((2, 2), np.nan, dtype=np.float32)
    assert highest_cells(empty, 5) is empty


@pytest.mark.parametrize("percent", [0, -1, 100.5])
def test_absurd_shares_are_refused(percent: float) -> None:
    with pytest.raises(ConfigError, match=r"\(0, 100\]"):
        MapStyle(top_percent=percent)


def test_smoothing_leaves_constants_alone_and_glass_empty() -> None:
    image = np.full((9, 7), 3.0, dtype=np.float32)
    image[2:4, 1:5] = np.nan
    result = smoothed(image, (1.0, 1.0))
    np.testing.assert_array_equal(np.isnan(result), np.isnan(image))
    np.testing.assert_allclose(result[np.isfinite(result)], 3.0, rtol=1e-5)


def test_smoothing_spreads_a_peak_by_one_patch() -> None:
    image = np.zeros((15, 15), dtype=np.float32)
    image[7, 7] = 1
    result = smoothed(image, (1.0, 1.0))
    # A Gaussian of width 1, sampled at whole cells.
    line = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    np.testing.assert_allclose(result[7, 4:11], (line / line.sum()).max() * line / line.sum(), rtol=0.01)


def test_a_pathways_map_is_that_pathways(example: Prediction) -> None:
    assert example.teacher is not None
    name = example.teacher.pathways[2]
    shown = styled_heatmap(example, MapStyle(source=name, kind="raw"))
    assert shown.title == name
    assert float(np.nanmax(shown.image)) == pytest.approx(
        float(example.teacher.coattention[2].max()), rel=1e-3
    )


def test_labels_say_what_the_numbers_are() -> None:
    assert MapStyle().label == "percentile within the slide"
    assert MapStyle(kind="raw", smooth=True, top_percent=5).label == "weight / mean, smoothed, top 5 %"


def test_the_least_telling_patches_are_the_lowest(example: Prediction) -> None:
    least = top_patches(example, 3, least=True)
    lowest = np.argsort(example.patch_scores, kind="stable")[:3]
    assert [patch.row for patch in least] == lowest.tolist()
    assert [patch.rank for patch in least] == [1, 2, 3]
    assert least[0].percentile == 0
