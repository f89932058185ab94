"""Two maps beside one another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle

from amkd_core.inference.comparison import coinciding, compare_maps, same_patches
from amkd_core.inference.maps import agreement, heatmap, top_patches
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(12)}


@pytest.fixture(scope="module")
def example() -> Prediction:
    return predict_bag(random_bag(57), random_bundle(), genes=GENES)


def test_the_difference_is_of_ranks_and_lies_where_the_maps_lie(example: Prediction) -> None:
    found = compare_maps(example, example)
    taught, learnt = heatmap(example, source="teacher"), heatmap(example)
    np.testing.assert_allclose(found.difference.image, taught.image - learnt.image)
    assert found.difference.origin_level0 == learnt.origin_level0
    assert found.difference.title == "gene-guided attention (teacher) less gene-guided attention (student)"
    assert example.teacher is not None
    expected = agreement(example.teacher.patch_scores, example.patch_scores)
    assert found.agreement == expected


def test_a_map_beside_itself_agrees_wholly(example: Prediction) -> None:
    found = compare_maps(example, example, sources=("student", "student"))
    assert (found.agreement.spearman, found.agreement.top5, found.agreement.top5_percent) == (1, 5, 1)
    assert np.nanmax(np.abs(found.difference.image)) == 0


@pytest.mark.parametrize("change", ["places", "slide", "size"])
def test_other_patches_are_not_compared(example: Prediction, change: str) -> None:
    bag = example.bag
    assert bag.coords is not None
    other = {
        "places": dataclasses.replace(bag, coords=bag.coords + 1),
        "slide": dataclasses.replace(bag, slide_fingerprint="e" * 16),
        "size": dataclasses.replace(bag, patch_size_level0=(500, 500)),
    }[change]
    moved = dataclasses.replace(example, bag=other)
    assert same_patches(example, example)
    assert not same_patches(example, moved)
    with pytest.raises(ValueError, match="same patches"):
        compare_maps(example, moved)


def test_coinciding_patches_are_joined_by_their_row(example: Prediction) -> None:
    taught, learnt = top_patches(example, 20, source="teacher"), top_patches(example, 20)
    pairs = coinciding(taught, learnt)
    assert pairs
    assert all(left.row == right.row for left, right in pairs)
    assert {left.row for left, _ in pairs} == {p.row for p in taught} & {p.row for p in learnt}
    assert [left.rank for left, _ in pairs] == sorted(left.rank for left, _ in pairs)
