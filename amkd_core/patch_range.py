"""Whether patches vary together as those of the training cohort do, and whether they are as large.

Slide summaries (`amkd_core.feature_range`) look at every feature by itself. Two things escape them where slides differ
much from one another: features in another order, and features on another scale. Patches of one encoder vary in few
directions together; shuffled or foreign features do not lie in these. And the length of a feature vector hardly differs
from slide to slide, so that a rescaled one stands out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.linalg import eigh

from amkd_core.few_patches import N_NEAR, Pieces

Array = NDArray[np.float64]

# Patches looked at, of one slide and of a cohort; evenly spaced over the slide.
SLIDE_ROWS = 1_000
COHORT_ROWS = 20_000
# The directions that hold this share of the variance are kept, at most half of them and at most `MAX_DIRECTIONS`.
KEPT_SHARE = 0.9
MAX_DIRECTIONS = 96
N_FOLDS = 5
_FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class PatchRange:
    """Directions in which the training patches vary, and how far a slide may depart.

    Attributes
    ----------
    patch_center, patch_scale : array, shape (d,)
        Mean and standard deviation of each feature over training patches, every slide counting alike.
    patch_basis : array, shape (d, k)
        Orthonormal directions in which scaled patches vary.
    patch_middle, patch_limits : array, shape (2,)
        Median over held-out training slides, and largest departure from it that counts as in range, of the two numbers
        of `measure`.
    """

    patch_center: Array
    patch_scale: Array
    patch_basis: Array
    patch_middle: Array
    patch_limits: Array

    def __post_init__(self) -> None:
        width = self.patch_center.size
        shapes = (
            self.patch_scale.shape,
            self.patch_basis.shape[:1],
            self.patch_middle.shape,
            self.patch_limits.shape,
        )
        if shapes != ((width,), (width,), (2,), (2,)) or self.patch_basis.ndim != 2:
            raise ValueError(f"the patch range's arrays do not fit together, found shapes {shapes}")
        if not (self.patch_limits > 0).all():
            raise ValueError("the patch range's limits must be positive")

    @classmethod
    def fit(
        cls,
        slide_features: Sequence[NDArray[np.float32]],
        pieces: Pieces,
        *,
        alarm_rate: float,
        margin: float,
    ) -> tuple[PatchRange, Array]:
        """Learn directions from training slides, and limits from slides left out in turn.

        Parameters
        ----------
        slide_features : sequence of arrays, each (n_patches, d)
        pieces
            Of these slides.
        alarm_rate
            Share of held-out slides beyond the bare limit.
        margin
            Factor on the bare limit.

        Returns
        -------
        PatchRange, array of shape (sizes, 2)
            The array holds the limits of pieces.
        """
        most = max(20, COHORT_ROWS // len(slide_features))
        chosen = [_evenly(features, most) for features in slide_features]
        center = np.mean([rows.mean(axis=0) for rows in chosen], axis=0)
        scale = np.sqrt(np.mean([np.square(rows - center).mean(axis=0) for rows in chosen], axis=0)) + _FLOOR
        folds = np.array_split(np.random.default_rng(0).permutation(len(chosen)), N_FOLDS)
        moments = [_pooled_moment([chosen[slide] for slide in fold], center, scale) for fold in folds]
        total: Array = np.sum(moments, axis=0)
        measured = np.zeros((len(chosen), 2))
        cut = np.zeros((len(chosen), N_NEAR + 1, len(pieces.sizes), 2))
        for fold, moment in zip(folds, moments, strict=True):
            held_out = cls(center, scale, _leading(total - moment), np.zeros(2), np.ones(2))
            measured[fold] = [held_out.measure(slide_features[slide]) for slide in fold]
            cut[fold] = [pieces.measure(slide, held_out.measure) for slide in fold]
        middle = np.median(measured, axis=0)

        def limit_of(numbers: Array, n_slides: int) -> Array:
            tail = special.stdtrit(n_slides - 1, 1 - alarm_rate / 2)
            spread = np.sqrt(np.square(numbers - middle).mean(axis=0))
            bare = np.maximum(tail * spread, _departure(numbers, middle).max(axis=0))
            found: Array = margin * bare + _FLOOR
            return found

        limits = limit_of(measured, len(measured))
        return cls(center, scale, _leading(total), middle, limits), pieces.limits(cut, limit_of)

    def measure(self, features: NDArray[np.float32]) -> Array:
        """Log share of variance outside the directions, and log median length of the vectors, shape (2,)."""
        rows = _evenly(features, SLIDE_ROWS)
        scaled = (rows - self.patch_center) / self.patch_scale
        energy = np.square(scaled).sum()
        inside = np.square(scaled @ self.patch_basis).sum()
        share = max(energy - inside, 0.0) / max(energy, _FLOOR)
        length = float(np.median(np.linalg.norm(rows, axis=1)))
        numbers: Array = np.log(np.array([share + _FLOOR, length + _FLOOR]))
        return numbers

    def departures(self, features: NDArray[np.float32]) -> Array:
        """Departures relative to the limits of whole slides, shape (2,)."""
        found: Array = _departure(self.measure(features)[None], self.patch_middle)[0] / self.patch_limits
        return found

    def to_arrays(self) -> dict[str, Array]:
        """Return the fitted numbers, for a bundle."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> PatchRange:
        """Read the fitted numbers back.

        Raises
        ------
        ValueError
            When an array is missing or has a shape that does not fit the others.
        """
        different = sorted({item.name for item in fields(cls)} ^ set(arrays))
        if different:
            raise ValueError(f"the patch range has arrays missing or unknown: {', '.join(different)}")
        return cls(**{item.name: np.asarray(arrays[item.name], dtype=np.float64) for item in fields(cls)})


def _evenly(features: NDArray[np.float32], most: int) -> Array:
    rows = features
    if len(features) > most:
        rows = features[np.linspace(0, len(features) - 1, most).round().astype(np.int64)]
    return rows.astype(np.float64)


def _pooled_moment(slides: Sequence[Array], center: Array, scale: Array) -> Array:
    """Sum over slides of each one's mean outer product of scaled rows, shape (d, d)."""
    pooled = np.zeros((center.size, center.size))
    for rows in slides:
        scaled = (rows - center) / scale
        pooled += scaled.T @ scaled / len(rows)
    return pooled


def _leading(moment: Array) -> Array:
    """Orthonormal directions of the largest variance, shape (d, k)."""
    width = len(moment)
    most = max(1, min(MAX_DIRECTIONS, width // 2))
    variances, directions = eigh(moment, subset_by_index=(width - most, width - 1))
    held = np.cumsum(variances[::-1]) / max(float(np.trace(moment)), _FLOOR)
    n_kept = min(most, int(np.searchsorted(held, KEPT_SHARE)) + 1)
    kept: Array = np.ascontiguousarray(directions[:, ::-1][:, :n_kept])
    return kept


def _departure(measured: Array, middle: Array) -> Array:
    """Less variance outside the directions than usual is no departure; a length may be off either way."""
    away = measured - middle
    return np.stack([np.maximum(away[:, 0], 0), np.abs(away[:, 1])], axis=1)
