from __future__ import annotations

import numpy as np
import pytest

from amkd_core.feature_range import MIN_SLIDES, FeatureRange

N_FACTORS = 12


def cohort(n_slides: int, dimension: int, *, seed: int, network: int = 0) -> list[np.ndarray]:
    """Slides whose features are correlated, vary between slides and within them, like an encoder's."""
    weights = np.random.default_rng(1000 + network)
    mixing = weights.normal(size=(N_FACTORS, dimension)) / np.sqrt(N_FACTORS)
    offset = weights.normal(size=dimension)
    scale = weights.lognormal(0, 0.7, size=dimension)
    rng = np.random.default_rng(seed)
    slides = []
    for _ in range(n_slides):
        n_patches = int(rng.integers(20, 600))
        slide_factor = rng.normal(size=N_FACTORS) * 0.6
        factors = slide_factor + rng.normal(size=(n_patches, N_FACTORS))
        noise = 0.3 * rng.normal(size=(n_patches, dimension))
        slides.append(((factors @ mixing + offset + noise) * scale).astype(np.float32))
    return slides


@pytest.mark.parametrize(("n_slides", "dimension"), [(40, 64), (150, 96), (100, 512)])
def test_held_out_slides_stay_inside_and_foreign_features_do_not(n_slides: int, dimension: int) -> None:
    fitted = FeatureRange.fit(cohort(n_slides, dimension, seed=1))
    held_out = cohort(200, dimension, seed=2)
    false_alarms = np.mean([fitted.is_outside(slide) for slide in held_out])
    assert false_alarms <= 0.01
    rng = np.random.default_rng(3)
    order = rng.permutation(dimension)
    foreign = {
        "permuted": [slide[:, order] for slide in held_out[:60]],
        "rescaled": [slide * 2 for slide in held_out[:60]],
        "normalised": [slide / np.linalg.norm(slide, axis=1, keepdims=True) for slide in held_out[:60]],
        "other network": cohort(60, dimension, seed=4, network=1),
    }
    for kind, slides in foreign.items():
        alarms = np.mean([fitted.is_outside(slide) for slide in slides])
        assert alarms >= 0.95, kind


def test_another_width_is_outside() -> None:
    fitted = FeatureRange.fit(cohort(20, 16, seed=0))
    assert fitted.is_outside(np.ones((5, 17), dtype=np.float32))


def test_round_trip_through_arrays_keeps_every_distance() -> None:
    fitted = FeatureRange.fit(cohort(20, 16, seed=0))
    again = FeatureRange.from_arrays(fitted.to_arrays())
    for slide in cohort(5, 16, seed=9):
        assert again.distance(slide) == fitted.distance(slide)


def test_one_patch_and_constant_features_have_a_defined_answer() -> None:
    slides = cohort(20, 16, seed=0)
    for slide in slides:
        slide[:, 3] = 0.5
    fitted = FeatureRange.fit(slides)
    assert np.isfinite(fitted.distance(slides[0][:1]))
    shifted = slides[0].copy()
    shifted[:, 3] = 5.0
    assert fitted.is_outside(shifted)


def test_too_few_slides_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least {MIN_SLIDES} slides, found 3"):
        FeatureRange.fit(cohort(3, 8, seed=0))
