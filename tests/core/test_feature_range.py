from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from amkd_core.feature_range import MIN_SLIDES, FeatureRange, summarise

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


@pytest.mark.parametrize(
    ("n_slides", "dimension"), [(40, 64), (150, 96), pytest.param(100, 512, marks=pytest.mark.slow)]
)
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


def mixed_cohort(prototypes: np.ndarray, n_slides: int, dimension: int, *, seed: int) -> list[np.ndarray]:
    """Slides as mixtures of real tissue prototypes: shares differ, stains shift, patches spread with heavy tails."""
    columns = np.random.default_rng(5).choice(prototypes.shape[1], dimension, replace=False)
    centers = prototypes[:, columns]
    spread = centers.std(axis=0)
    mixing = np.random.default_rng(6).normal(size=(24, dimension)) / np.sqrt(24) * spread
    rng = np.random.default_rng(seed)
    slides = []
    for _ in range(n_slides):
        n_patches = int(np.exp(rng.uniform(np.log(20), np.log(3000))))
        tissue = rng.choice(len(centers), n_patches, p=rng.dirichlet(np.full(len(centers), 0.35)))
        stain = 0.35 * rng.standard_t(4, size=24)
        heavy = rng.normal(size=(n_patches, 24)) * np.sqrt(5 / rng.chisquare(5, size=(n_patches, 1)))
        noise = 0.3 * rng.normal(size=(n_patches, dimension)) * spread
        slides.append((centers[tissue] + (stain + heavy) @ mixing + noise).astype(np.float32))
    return slides


@pytest.mark.parametrize(
    ("n_slides", "dimension"), [(40, 64), pytest.param(120, 256, marks=pytest.mark.slow)]
)
def test_slides_that_differ_much_hide_no_foreign_features(
    shared: Path, n_slides: int, dimension: int
) -> None:
    prototypes = np.load(shared / "data" / "bags" / "uni_prototypes_tcga_brca.npz")["prototypes"].astype(
        np.float64
    )
    fitted = FeatureRange.fit(mixed_cohort(prototypes, n_slides, dimension, seed=1))
    held_out = mixed_cohort(prototypes, 200, dimension, seed=2)
    assert np.mean([fitted.is_outside(slide) for slide in held_out]) <= 0.01
    rng = np.random.default_rng(3)
    order = rng.permutation(dimension)
    other = prototypes[:, rng.permutation(prototypes.shape[1])] * rng.choice([-1, 1], prototypes.shape[1])
    foreign = {
        "permuted": [slide[:, order] for slide in held_out[:60]],
        "doubled": [slide * 2 for slide in held_out[:60]],
        "halved": [slide / 2 for slide in held_out[:60]],
        "normalised": [slide / np.linalg.norm(slide, axis=1, keepdims=True) for slide in held_out[:60]],
        "other network": mixed_cohort(other, 60, dimension, seed=4),
    }
    for kind, slides in foreign.items():
        assert np.mean([fitted.is_outside(slide) for slide in slides]) >= 0.95, kind


def test_summaries_in_blocks_are_those_of_the_whole() -> None:
    features = np.random.default_rng(0).normal(3, 2, size=(9000, 5)).astype(np.float32)
    wide = features.astype(np.float64)
    expected = np.concatenate([wide.mean(axis=0), np.log(wide.std(axis=0) + 1e-4)])
    np.testing.assert_allclose(summarise(features), expected, rtol=1e-9)


def test_a_range_of_another_width_has_no_distance() -> None:
    fitted = FeatureRange.fit(cohort(20, 16, seed=0))
    with pytest.raises(ValueError, match="the range is of 16 features, found 17"):
        fitted.distance(np.ones((5, 17), dtype=np.float32))


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    arrays = FeatureRange.fit(cohort(20, 16, seed=0)).to_arrays()
    for name in arrays:
        with pytest.raises(ValueError, match=r"lacks|missing or unknown"):
            FeatureRange.from_arrays({key: array for key, array in arrays.items() if key != name})
    with pytest.raises(ValueError, match="do not fit together"):
        FeatureRange.from_arrays({**arrays, "limits": np.ones(3)})
    with pytest.raises(ValueError, match="do not fit together"):
        FeatureRange.from_arrays({**arrays, "patch_basis": np.ones((3, 2))})
    with pytest.raises(ValueError, match="must be positive"):
        FeatureRange.from_arrays({**arrays, "scale": np.zeros(32)})


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
