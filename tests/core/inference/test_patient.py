"""Several slides of a patient as one bag, and regions that the user draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bundle_fixtures import N_GENES, random_bag, random_bundle

from amkd_core.bag import FeatureBag, concatenate_bags
from amkd_core.bundle import Bundle
from amkd_core.errors import BagError, RegionError
from amkd_core.inference.maps import heatmap, top_patches
from amkd_core.inference.patient import on_slide, predict_patient
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.region import predict_patient_regions, predict_region, rests_on, rows_inside

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(N_GENES)}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle()


@pytest.fixture
def bags() -> list[FeatureBag]:
    second = replace(random_bag(20, seed=2, slide_id="second"), slide_fingerprint="2" * 16)
    return [random_bag(30, slide_id="first"), replace(second, patch_size_level0=(256, 256))]


def square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], dtype=np.float64)


def test_a_patients_slides_are_one_bag(bags: list[FeatureBag], bundle: Bundle) -> None:
    found = predict_patient(bags, bundle, patient_id="P", genes=GENES)
    joined = predict_bag(concatenate_bags(bags, patient_id="P"), bundle, genes=GENES)
    assert (found.risk, found.slide_id, len(found.patch_scores)) == (joined.risk, "P", 50)
    assert found.risk != predict_bag(bags[0], bundle).risk
    assert "no_map" in {notice.code for notice in found.notices}


def test_each_slide_shows_its_part_on_the_patients_scale(bags: list[FeatureBag], bundle: Bundle) -> None:
    found = predict_patient(bags, bundle, patient_id="P", genes=GENES)
    parts = [on_slide(found, bag, index) for index, bag in enumerate(bags)]
    raw = np.concatenate([part.patch_scores * len(part.patch_scores) for part in parts])
    np.testing.assert_allclose(raw, found.patch_scores * 50)
    assert [part.slide_id for part in parts] == ["first", "second"]
    assert all("no_map" not in {notice.code for notice in part.notices} for part in parts)
    assert parts[1].risk == found.risk
    image = heatmap(parts[1], "raw")
    assert image.cell_level0 == (256.0, 256.0) or image.image.size > 20  # drawn in its own slide's pixels
    assert top_patches(parts[1], 1)[0].size_level0 == (256, 256)
    pathway = found.teacher.pathways[0]
    np.testing.assert_array_equal(parts[1].teacher.coattention[0], found.teacher.coattention[0, 30:])
    assert heatmap(parts[0], source=pathway).image.shape == heatmap(parts[0]).image.shape


def test_a_part_of_another_slide_is_refused(bags: list[FeatureBag], bundle: Bundle) -> None:
    found = predict_patient(bags, bundle, patient_id="P")
    with pytest.raises(BagError, match="slide 0 of this prediction is not second"):
        on_slide(found, bags[1], 0)
    with pytest.raises(BagError, match="slide 1 of this prediction is not other"):
        on_slide(found, random_bag(20, seed=9, slide_id="other"), 1)


def test_the_same_slide_twice_is_refused(bags: list[FeatureBag], bundle: Bundle) -> None:
    with pytest.raises(BagError, match="P: first and copy are the same slide"):
        predict_patient([*bags, replace(bags[0], slide_id="copy")], bundle, patient_id="P")


def test_patches_belong_to_a_region_by_their_centre(bags: list[FeatureBag]) -> None:
    # Patches are 512 px wide from (100, 100); a square over the first column's centres, and one just beside.
    inside = rows_inside(bags[0], [square(300, 300, 100)])
    assert np.flatnonzero(inside).tolist() == [0]
    assert not rows_inside(bags[0], [square(100, 100, 255)]).any()
    both = rows_inside(bags[0], [square(0, 0, 600), square(600, 0, 600)])
    assert np.flatnonzero(both).tolist() == [0, 1]


def test_a_region_restricts_or_excludes(bags: list[FeatureBag], bundle: Bundle) -> None:
    whole = predict_bag(bags[0], bundle, genes=GENES)
    left_half = [square(0, 0, 100 + 5 * 512)]
    rows = rows_inside(bags[0], left_half)
    assert rows.sum() == 15
    inside = predict_region(whole, bundle, left_half, genes=GENES)
    outside = predict_region(whole, bundle, left_half, exclude=True)
    assert inside.risk == predict_bag(bags[0].subset(rows), bundle).risk
    assert outside.risk == predict_bag(bags[0].subset(~rows), bundle).risk
    assert inside.teacher is not None
    assert inside.notices[0].code == "research_only"
    assert inside.notices[1].sentence.startswith("Predicted from 15 of 30 tissue patches")
    assert outside.provenance["region"]["exclude"] is True
    assert rests_on(inside, [left_half])
    assert not rests_on(inside, [[left_half[0] + 1]])
    assert not rests_on(inside, [()])


def test_a_region_on_one_slide_leaves_the_others(bags: list[FeatureBag], bundle: Bundle) -> None:
    left_half = square(0, 0, 100 + 5 * 512)
    rows = rows_inside(bags[1], [left_half])
    assert 0 < rows.sum() < len(rows)
    for exclude, kept in ((False, rows), (True, ~rows)):
        parts = predict_patient_regions(
            bags, bundle, [(), (left_half,)], patient_id="P", exclude=exclude, genes=GENES
        )
        expected = predict_patient([bags[0], bags[1].subset(kept)], bundle, patient_id="P", genes=GENES)
        assert [part.risk for part in parts] == [expected.risk] * 2
        assert [len(part.patch_scores) for part in parts] == [30, kept.sum()]
        assert all(part.teacher is not None for part in parts)
        sentence = parts[0].notices[1].sentence
        assert sentence.startswith(f"Predicted from {30 + kept.sum()} of 50 tissue patches on 2 slides")
        assert parts[0].provenance["region"]["polygons_level0"] == [[], [left_half.tolist()]]
        assert all(rests_on(part, [(), (left_half,)]) for part in parts)
        assert not any(rests_on(part, [(left_half,), (left_half,)]) for part in parts)


def test_each_slides_region_belongs_to_that_slide(bags: list[FeatureBag], bundle: Bundle) -> None:
    first, second = square(0, 0, 100 + 5 * 512), square(100, 100, 2 * 512)
    parts = predict_patient_regions(bags, bundle, [(first,), (second,)], patient_id="P")
    own = [rows_inside(bag, [drawn]) for bag, drawn in zip(bags, (first, second), strict=True)]
    for part, bag, rows in zip(parts, bags, own, strict=True):
        assert part.bag.slide_fingerprint == bag.slide_fingerprint
        np.testing.assert_array_equal(part.bag.coords, bag.coords[rows])
    crossed = predict_patient_regions(bags, bundle, [(second,), (first,)], patient_id="P")
    assert crossed[0].risk != parts[0].risk
    with pytest.raises(RegionError, match="first and second: no region is drawn"):
        predict_patient_regions(bags, bundle, [(), ()], patient_id="P")
    with pytest.raises(RegionError, match="second: no tissue patch has its centre inside the region"):
        predict_patient_regions(bags, bundle, [(first,), (square(1e6, 1e6, 10),)], patient_id="P")


@pytest.mark.parametrize(
    ("polygons", "exclude", "sentence"),
    [
        ([], False, "no region is drawn"),
        ([square(1e6, 1e6, 10)], False, "no tissue patch has its centre inside the region"),
        ([square(0, 0, 1e6)], True, "no tissue patch has its centre outside the region"),
        ([np.zeros((2, 2))], False, r"at least three corners \(x, y\), found shape \(2, 2\)"),
        ([np.full((4, 2), np.nan)], False, "at least three corners"),
    ],
)
def test_regions_that_cannot_be_used(bags, bundle, polygons, exclude: bool, sentence: str) -> None:
    with pytest.raises(RegionError, match=sentence):
        predict_region(predict_bag(bags[0], bundle), bundle, polygons, exclude=exclude)


def test_a_bag_without_places_has_no_regions(bags: list[FeatureBag]) -> None:
    with pytest.raises(RegionError, match="records no places"):
        rows_inside(replace(bags[0], coords=None, patch_size_level0=None), [square(0, 0, 10)])
