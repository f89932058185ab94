"""Biopsies and regions of the training cohort's own kind are not foreign, and foreign features stay so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bundle_fixtures import random_bag
from scipy.ndimage import gaussian_filter

from amkd_core.bag import concatenate_bags
from amkd_core.feature_range import FeatureRange
from amkd_core.few_patches import N_NEAR, Pieces, Widening
from amkd_core.training.make_bundle import places_of

DIMENSION = 96
SIDE = 32
SIZES = (16, 25, 50, 100, 300)


def slides_of_tissue(n_slides: int, *, seed: int, network: int = 0) -> list[np.ndarray]:
    """Square slides in raster order whose tissues are smooth fields: a small region is mostly of one of them."""
    world = np.random.default_rng(500 + network)
    tissues = world.normal(size=(8, 24))
    mixing = world.normal(size=(24, DIMENSION)) / np.sqrt(24)
    offset, scale = world.normal(size=DIMENSION), world.lognormal(0, 0.6, size=DIMENSION)
    rng = np.random.default_rng(seed)
    slides = []
    for _ in range(n_slides):
        fields = gaussian_filter(rng.normal(size=(8, SIDE, SIDE)), (0, 4, 4), mode="wrap")
        fields = fields / fields.std(axis=(1, 2), keepdims=True) + 0.8 * rng.normal(size=(8, 1, 1))
        latent = tissues[fields.argmax(axis=0).ravel()] + 0.3 * rng.normal(size=24)
        latent += 0.8 * rng.standard_t(6, size=(SIDE**2, 24))
        noise = 0.3 * rng.normal(size=(SIDE**2, DIMENSION))
        slides.append(((latent @ mixing + offset + noise) * scale).astype(np.float32))
    return slides


PLACES = np.stack(np.divmod(np.arange(SIDE**2), SIDE), axis=1)


def region(slide: np.ndarray, n_patches: int, rng: np.random.Generator) -> np.ndarray:
    """A rectangle as high as wide, or nearly so."""
    side = int(np.ceil(np.sqrt(n_patches)))
    top, left = rng.integers(SIDE - side + 1, size=2)
    square = slide.reshape(SIDE, SIDE, -1)[top : top + side, left : left + side]
    return square.reshape(side * side, -1)[:n_patches]


def subset(slide: np.ndarray, n_patches: int, rng: np.random.Generator) -> np.ndarray:
    return slide[rng.choice(len(slide), n_patches, replace=False)]


@pytest.fixture(scope="module")
def fitted() -> FeatureRange:
    return FeatureRange.fit(slides_of_tissue(40, seed=1), [PLACES] * 40)


@pytest.fixture(scope="module")
def held_out() -> list[np.ndarray]:
    return slides_of_tissue(60, seed=2)


@pytest.fixture(scope="module")
def foreign(held_out: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    order = np.random.default_rng(3).permutation(DIMENSION)
    return {
        "permuted": [slide[:, order] for slide in held_out],
        "rescaled": [slide * 3 for slide in held_out],
        "other network": slides_of_tissue(40, seed=4, network=1),
    }


@pytest.mark.parametrize("n_patches", SIZES)
def test_pieces_of_held_out_slides_stay_inside_and_foreign_ones_do_not(
    fitted: FeatureRange, held_out: list[np.ndarray], foreign: dict[str, list[np.ndarray]], n_patches: int
) -> None:
    rng = np.random.default_rng(0)
    for cut in (subset, region):
        pieces = [cut(slide, n_patches, rng) for slide in held_out for _ in range(4)]
        assert np.mean([fitted.is_outside(piece) for piece in pieces]) <= 0.01, cut.__name__
        assert not any(fitted.has_too_few(piece) for piece in pieces)
        for kind, slides in foreign.items():
            alarms = [fitted.is_outside(cut(slide, n_patches, rng)) for slide in slides]
            assert np.mean(alarms) >= 0.95, (kind, cut.__name__)


def test_of_fewer_than_sixteen_patches_nothing_is_told(
    fitted: FeatureRange, held_out: list[np.ndarray]
) -> None:
    for n_patches in (1, 15):
        for slide in (held_out[0], held_out[0] * 3):
            assert fitted.has_too_few(slide[:n_patches])
            assert not fitted.is_outside(slide[:n_patches])
    assert not fitted.has_too_few(held_out[0][:16])


def test_a_range_that_does_not_tell_sizes_calls_no_small_piece_foreign(
    fitted: FeatureRange, held_out: list[np.ndarray], foreign: dict[str, list[np.ndarray]]
) -> None:
    older = replace(fitted, widening=None)
    rng = np.random.default_rng(0)
    small = [region(slide, 16, rng) for slide in held_out]
    assert np.mean([older.distance(piece) > 1 for piece in small]) > 0.1
    for n_patches in SIZES:
        pieces = [region(slide, n_patches, rng) for slide in held_out]
        assert not any(older.is_outside(piece) for piece in pieces)
        # What its limits call outside is said to be too little.
        assert all(older.has_too_few(piece) == (older.distance(piece) > 1) for piece in pieces)
    assert older.has_too_few(held_out[0][:15])
    for kind, slides in foreign.items():
        assert all(older.distance(region(slide, 16, rng)) > 1 for slide in slides), kind
        assert np.mean([older.is_outside(region(slide, 100, rng)) for slide in slides]) >= 0.95, kind


def test_whole_slides_are_held_to_the_limits_as_they_are(
    fitted: FeatureRange, held_out: list[np.ndarray]
) -> None:
    older = replace(fitted, widening=None)
    for slide in held_out[:5]:
        assert fitted.distance(slide) == older.distance(slide)
        assert fitted.distance(slide[:200]) < older.distance(slide[:200])


def test_the_same_slides_give_the_same_factors(fitted: FeatureRange) -> None:
    again = FeatureRange.fit(slides_of_tissue(40, seed=1), [PLACES] * 40)
    for name, array in fitted.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], array)


def test_pieces_lie_together_or_all_over_the_slide() -> None:
    rows = np.arange(SIDE**2, dtype=np.float32)[:, None]
    pieces = Pieces([rows] * 8, [PLACES] * 8, least_slides=8)
    assert (pieces.sizes, pieces.typical) == ([16, 32, 64, 128, 256, 512], SIDE**2)
    spans = pieces.measure(0, lambda part: np.ptp(PLACES[part[:, 0].astype(int)], axis=0))
    # Within 2 patches of the middle lie 25, fewer at a border, where the piece reaches further inwards.
    assert (spans[:N_NEAR, 0] <= 6).all()
    assert spans[N_NEAR, 0].min() > SIDE / 2
    runs = Pieces([rows] * 8, None, least_slides=8).measure(0, lambda part: np.full(2, np.ptp(part)))
    np.testing.assert_array_equal(runs[:N_NEAR, 0], 15)


def test_pieces_of_a_patient_lie_on_one_slide() -> None:
    slides = [replace(random_bag(100, slide_id=name), slide_fingerprint=name) for name in ("a", "b")]
    patient = concatenate_bags(slides, patient_id="p")
    places = places_of(patient)
    assert places_of(replace(slides[0], coords=None)) is None
    features = [np.arange(200, dtype=np.float32)[:, None]] * 8
    found = Pieces(features, [places] * 8, least_slides=8).measure(0, lambda part: part[[0, -1], 0] // 100)
    # Both slides have patches at the same places.
    assert (found[:N_NEAR, 0, 0] == found[:N_NEAR, 0, 1]).all()
    np.testing.assert_array_equal(found[N_NEAR, 0], [0, 1])


def test_sizes_end_where_too_few_slides_are_as_large() -> None:
    counts = [10, 20, 40, 70, 70, 70, 70, 70, 70, 300]
    pieces = Pieces([np.zeros((count, 1), dtype=np.float32) for count in counts], None, least_slides=8)
    assert (pieces.sizes, pieces.typical) == ([16, 32], 40)
    endless = Pieces([np.zeros((5000, 1), dtype=np.float32)] * 8, None, least_slides=8)
    assert (endless.sizes[-1], endless.typical) == (1024, 5000)
    found = pieces.measure(1, lambda part: np.full(2, len(part)))
    np.testing.assert_array_equal(found[0], [[16, 16], [np.nan, np.nan]])


def test_factors_between_two_sizes_lie_on_a_line_of_logarithms() -> None:
    widening = Widening(np.array([16.0, 64.0]), np.array([[4.0, 9.0, 1.0, 16.0], np.ones(4)]))
    np.testing.assert_allclose(widening.factors(32), [2, 3, 1, 4])
    np.testing.assert_array_equal(widening.factors(64), np.ones(4))
    np.testing.assert_array_equal(widening.factors(10**6), np.ones(4))
    assert widening.fewest == 16


@pytest.mark.parametrize(
    ("sizes", "factors", "sentence"),
    [
        (np.array(16.0), np.ones(4), "need 1 to 32 sizes and 4 factors for each"),
        (np.zeros(0), np.ones((0, 4)), "need 1 to 32 sizes"),
        (np.arange(1.0, 34), np.ones((33, 4)), r"need 1 to 32 sizes .* found shapes \(33,\) and \(33, 4\)"),
        (np.array([16.0, 32]), np.ones((2, 3)), "4 factors for each"),
        (np.array([16.0, 16]), np.ones((2, 4)), "sizes must be finite, at least 1 and rise"),
        (np.array([0.0, 16]), np.ones((2, 4)), "sizes must be finite, at least 1 and rise"),
        (np.array([16, np.inf]), np.ones((2, 4)), "sizes must be finite, at least 1 and rise"),
        (np.array([16.0, np.nan]), np.ones((2, 4)), "sizes must be finite, at least 1 and rise"),
        (np.array([16.0, 32]), np.array([[np.nan] * 4, [1] * 4]), "factors must be finite and fall to 1"),
        (np.array([16.0, 32]), np.array([[np.inf] * 4, [1] * 4]), "factors must be finite and fall to 1"),
        (np.array([16.0, 32]), np.array([[0.5] * 4, [1.0] * 4]), "factors must be finite and fall to 1"),
        (np.array([16.0, 32]), np.full((2, 4), 2.0), "factors must be finite and fall to 1"),
    ],
)
def test_hostile_arrays_are_refused(sizes: np.ndarray, factors: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Widening.from_arrays({"piece_sizes": sizes, "piece_factors": factors})
    with pytest.raises(ValueError, match="piece arrays missing or unknown: piece_factors"):
        Widening.from_arrays({"piece_sizes": sizes})
