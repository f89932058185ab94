from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.errors import BagError, ModalityError
from amkd_core.inference.maps import agreement, heatmap, percentile_ranks, top_patches
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(12)}


@pytest.fixture(scope="module")
def example() -> Prediction:
    return predict_bag(random_bag(30), random_bundle(), genes=GENES)


def placed(
    example: Prediction, coords: object, scores: object, *, size: tuple[int, int] = (512, 512)
) -> Prediction:
    """The example with patches elsewhere and with other scores."""
    places = np.asarray(coords, dtype=np.int64)
    weights: NDArray[np.float64] = np.asarray(scores, dtype=np.float64)
    bag = dataclasses.replace(
        example.bag,
        features=np.ones((len(places), example.bag.encoder.dimension), dtype=np.float32),
        coords=places,
        patch_size_level0=size,
        slide_index=np.zeros(len(places), dtype=np.int32),
    )
    return dataclasses.replace(example, bag=bag, patch_scores=weights / weights.sum(), teacher=None)


def test_ranks_share_ties_and_span_0_to_100() -> None:
    np.testing.assert_allclose(
        percentile_ranks(np.array([3.0, 1.0, 3.0, 2.0, 9.0])), [62.5, 0, 62.5, 25, 100]
    )
    np.testing.assert_allclose(percentile_ranks(np.full(7, 0.2)), np.full(7, 50.0))
    np.testing.assert_array_equal(percentile_ranks(np.array([0.4])), [100.0])


@pytest.mark.parametrize("origin", [(0, 0), (1024, 300), (70_000, 12)])
@pytest.mark.parametrize("size", [(512, 512), (507, 1014), (1024, 1024)])
def test_each_score_lies_where_its_patch_lies(
    example: Prediction, origin: tuple[int, int], size: tuple[int, int]
) -> None:
    # (column, row) of three patches: x and y would be seen if swapped, since the map is 2 x 4.
    cells = np.array([(0, 0), (3, 0), (1, 1)])
    shown = heatmap(placed(example, origin + cells * np.array(size), [1, 2, 3], size=size), "raw")
    expected = np.full((2, 4), np.nan)
    expected[0, 0], expected[0, 3], expected[1, 1] = 0.5, 1.0, 1.5
    np.testing.assert_allclose(shown.image, expected)
    assert shown.image.dtype == np.float32
    assert shown.origin_level0 == origin
    assert shown.cell_level0 == size


def test_percentile_map_holds_the_ranks(example: Prediction) -> None:
    shown = heatmap(placed(example, [(0, 0), (512, 0), (0, 512)], [5, 1, 3]))
    np.testing.assert_allclose(shown.image, [[100, 0], [50, np.nan]])


def test_order_of_patches_does_not_matter(example: Prediction) -> None:
    shuffled = np.random.default_rng(3).permutation(30)
    assert example.bag.coords is not None
    other = placed(example, example.bag.coords[shuffled], example.patch_scores[shuffled])
    np.testing.assert_allclose(heatmap(other).image, heatmap(example).image)


def test_half_overlapping_patches_are_averaged(example: Prediction) -> None:
    # Two patches side by side, the second half a patch to the right: the shared half holds the mean.
    shown = heatmap(placed(example, [(0, 0), (256, 0)], [1, 3]), "raw")
    assert shown.cell_level0 == (128.0, 128.0)
    np.testing.assert_allclose(shown.image, np.tile([0.5, 0.5, 1.0, 1.0, 1.5, 1.5], (4, 1)))


def test_patches_of_two_grids_are_drawn_within_an_eighth_of_a_patch(example: Prediction) -> None:
    # CLAM lays a grid of its own on every piece of tissue.
    coords = np.array([(0, 0), (512, 0), (5190, 3333), (5702, 3333)])
    shown = heatmap(placed(example, coords, [1, 2, 3, 4]), "raw")
    for (x, y), value in zip(coords, [0.4, 0.8, 1.2, 1.6], strict=True):
        rows, columns = np.nonzero(np.isclose(shown.image, value))
        assert (rows.max() - rows.min(), columns.max() - columns.min()) == (3, 3)
        assert abs(columns.min() * shown.cell_level0[0] - x) <= 64
        assert abs(rows.min() * shown.cell_level0[1] - y) <= 64
    assert np.isfinite(shown.image).sum() == 4 * 16


def test_one_patch_makes_a_map_of_one_cell(example: Prediction) -> None:
    shown = heatmap(placed(example, [(40, 50)], [1]))
    np.testing.assert_array_equal(shown.image, [[100.0]])
    assert shown.origin_level0 == (40, 50)


def test_absurd_coordinates_are_refused(example: Prediction) -> None:
    far = placed(example, [(0, 0), (2**22, 2**22)], [1, 2], size=(128, 128))
    with pytest.raises(BagError, match="cells of a map, expected at most 64,000,000"):
        heatmap(far)


def test_patches_without_a_place_or_of_two_slides_have_no_map(example: Prediction) -> None:
    nowhere = dataclasses.replace(example, bag=dataclasses.replace(example.bag, coords=None))
    with pytest.raises(BagError, match="no places on one slide"):
        heatmap(nowhere)
    with pytest.raises(BagError, match="no coordinates"):
        top_patches(nowhere)
    index = np.repeat(np.array([0, 1], dtype=np.int32), 15)
    two = dataclasses.replace(example, bag=dataclasses.replace(example.bag, slide_index=index))
    assert not two.has_map
    with pytest.raises(BagError, match="no places on one slide"):
        heatmap(two)


def test_top_patches_are_the_highest_and_ties_keep_their_order(example: Prediction) -> None:
    coords = [(512 * column, 0) for column in range(6)]
    top = top_patches(placed(example, coords, [1, 5, 2, 5, 9, 2]), 5)
    assert [patch.row for patch in top] == [4, 1, 3, 2, 5]
    assert [patch.rank for patch in top] == [1, 2, 3, 4, 5]
    assert top[0].xy_level0 == (2048, 0)
    assert top[0].size_level0 == (512, 512)
    assert top[0].score == pytest.approx(9 / 24 * 6)
    assert top[1].percentile == top[2].percentile == pytest.approx(70)
    assert len(top_patches(placed(example, coords[:2], [1, 2]), 5)) == 2


def test_maps_by_teacher_and_by_pathway(example: Prediction) -> None:
    teacher = example.teacher
    assert teacher is not None
    shown = heatmap(example, "raw", source="teacher")
    np.testing.assert_allclose(shown.image.ravel(), teacher.patch_scores * 30, rtol=1e-6)
    single = heatmap(example, "raw", source=teacher.pathways[2])
    assert single.title == teacher.pathways[2]
    np.testing.assert_allclose(single.image.ravel(), teacher.coattention[2].astype(float), rtol=1e-6)


def test_maps_that_do_not_exist_are_refused(example: Prediction) -> None:
    with pytest.raises(ModalityError, match="no pathway 'HALLMARK_X'"):
        heatmap(example, source="HALLMARK_X")
    with pytest.raises(ModalityError, match="no teacher map without the tumour's expression"):
        heatmap(dataclasses.replace(example, teacher=None), source="teacher")


def test_agreement_by_hand() -> None:
    scores = np.arange(100.0)
    same = agreement(scores, scores)
    assert (same.spearman, same.top5, same.top5_percent) == (pytest.approx(1.0), 5, 1.0)
    opposite = agreement(scores, -scores)
    assert (opposite.spearman, opposite.top5, opposite.top5_percent) == (pytest.approx(-1.0), 0, 0.0)
    moved = scores.copy()
    moved[[0, 99]] = moved[[99, 0]]
    assert agreement(scores, moved).top5 == 4
    assert agreement(scores, moved).top5_percent == pytest.approx(0.8)
    assert np.isnan(agreement(scores, np.ones(100)).spearman)


def test_a_map_of_100_000_patches_takes_no_noticeable_time(example: Prediction) -> None:
    side = np.arange(317)
    coords = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)[:100_000] * 512
    large = placed(example, coords, np.random.default_rng(0).random(100_000) + 0.1)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        heatmap(large)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.2  # 20 ms where it was measured; the margin is for slow machines
    assert isinstance(large.bag, FeatureBag)
