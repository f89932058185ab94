"""Whether a slide's features lie in the range of the training cohort's.

A model answers for any numbers of the right width: those of another encoder, another stain or another
organ as well. What can be said cheaply is whether a slide's features look like the slides that the model
was trained on. Each slide is summarised by the mean and the spread (log standard deviation) of each
feature over its patches; the summary of a new slide is compared with those of the training slides in two
ways, in the subspace where the training slides vary (shrunk Mahalanobis distance) and outside it
(residual). The limits come from leaving each training slide out in turn, so that a held-out slide of the same
cohort stays inside with a stated margin. `PatchRange` adds what summaries do not see, and `Widening` how much further
off a small biopsy or a drawn region of the same cohort lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from amkd_core.few_patches import N_NEAR, SMALLEST, Pieces, Widening
from amkd_core.patch_range import PatchRange

Array = NDArray[np.float64]

# Fewer slides than this say little about a range.
MIN_SLIDES = 8
# Share of held-out slides of the same cohort that may be called outside.
FALSE_ALARM_RATE = 0.005
# The tail of held-out distances is heavier than normal where slides have few patches. On simulated cohorts of 40 to
# 150 slides held-out slides reach 1.25 times the bare limit, features of another network at least 3.6 times.
MARGIN = 1.5
# Small slides have noisy means; their summaries must not widen the range of large ones beyond use.
_FLOOR = 1e-4
# Without widening, so many patches and more are held to the limits, and fewer, n, may scatter by sqrt(_UNTOLD / n): on
# simulated cohorts of 900 to 4,096 patches a slide no piece of 16 or more was further off. Allowing for the variance of
# a bag's own mean instead called a third of the regions of 16 patches outside: patches that lie together are alike.
_UNTOLD = 512
_BLOCK = 4_096
_ARRAYS = ("center", "scale", "basis", "variances", "limits")
_PIECES = "piece_"


@dataclass(frozen=True, eq=False)
class FeatureRange:
    """Range of slide summaries in a training cohort.

    Attributes
    ----------
    center, scale : array, shape (2 d,)
        Median and robust spread of each summary number over the training slides.
    basis : array, shape (2 d, k)
        Orthonormal directions in which the training slides vary, in scaled summaries.
    variances : array, shape (k,)
        Variance of the training slides along them, shrunk.
    limits : array, shape (2,)
        Largest distance inside the subspace, and largest residual outside it, that count as in range.
    patches : PatchRange, optional
        How single patches vary; None in bundles written before it existed.
    widening : Widening, optional
        How much wider the limits are for few patches; None in bundles written before it existed.

    Raises
    ------
    ValueError
        When the arrays do not fit together.
    """

    center: Array
    scale: Array
    basis: Array
    variances: Array
    limits: Array
    patches: PatchRange | None = None
    widening: Widening | None = None

    def __post_init__(self) -> None:
        width, n_kept = self.center.size, self.variances.size
        found = (
            self.center.shape,
            self.scale.shape,
            self.basis.shape,
            self.variances.shape,
            self.limits.shape,
        )
        if width % 2 or found != ((width,), (width,), (width, n_kept), (n_kept,), (2,)):
            raise ValueError(f"the feature range's arrays do not fit together, found shapes {found}")
        if not ((self.scale > 0).all() and (self.variances > 0).all() and np.isfinite(self.limits).all()):
            raise ValueError("the feature range's scales and variances must be positive, its limits finite")
        if self.patches is not None and self.patches.patch_center.size != self.dimension:
            raise ValueError("the patch range has another width than the feature range")

    @property
    def dimension(self) -> int:
        """Width of the features."""
        return self.center.size // 2

    @classmethod
    def fit(
        cls,
        slide_features: Sequence[NDArray[np.float32]],
        places: Sequence[NDArray[np.integer] | None] | None = None,
    ) -> FeatureRange:
        """Learn the range from training slides.

        Parameters
        ----------
        slide_features : sequence of arrays, each (n_patches, d)
            Features of each training slide or patient.
        places : sequence, for each slide an array (n_patches, k) or None
            Where each patch lies, so that pieces of tissue can be cut; without them rows that follow each other lie
            together.

        Raises
        ------
        ValueError
            When there are fewer than `MIN_SLIDES` slides.
        """
        if len(slide_features) < MIN_SLIDES:
            raise ValueError(
                f"a feature range needs at least {MIN_SLIDES} slides, found {len(slide_features)}"
            )
        summaries = np.stack([summarise(features) for features in slide_features])
        fitted = cls._fit_summaries(summaries)
        pieces = Pieces(slide_features, places, least_slides=MIN_SLIDES)
        held_out, cut = _held_out_distances(summaries, pieces)
        limits = _limits(held_out, len(held_out))
        patches, patch_limits = PatchRange.fit(
            slide_features, pieces, alarm_rate=FALSE_ALARM_RATE / 2, margin=MARGIN
        )
        by_size = np.concatenate([pieces.limits(cut, _limits), patch_limits], axis=1)
        widening = pieces.widening(by_size, np.concatenate([limits, patches.patch_limits]))
        return cls(fitted.center, fitted.scale, fitted.basis, fitted.variances, limits, patches, widening)

    @classmethod
    def _fit_summaries(cls, summaries: Array) -> FeatureRange:
        center = np.median(summaries, axis=0)
        spread = 1.4826 * np.median(np.abs(summaries - center), axis=0)
        scale = np.maximum(spread, 0.1 * summaries.std(axis=0)) + _FLOOR
        scaled = (summaries - center) / scale
        _, singular, directions = np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)
        n_kept = max(1, min(len(summaries) // 4, int(np.count_nonzero(singular > 1e-8))))
        variances = singular[:n_kept] ** 2 / (len(summaries) - 1)
        # Shrinkage towards the mean variance: the small ones are underestimated from few slides.
        variances = 0.9 * variances + 0.1 * variances.mean()
        # One layout here and as read from a bundle, so that distances agree to the last bit.
        basis = np.ascontiguousarray(directions[:n_kept].T)
        return cls(center, scale, basis, variances, np.zeros(2))

    def distance(self, features: NDArray[np.float32]) -> float:
        """Distance of a slide, shape (n_patches, d), relative to the limit for as many patches; above 1 it is outside.

        Raises
        ------
        ValueError
            When the features have another width than the cohort's.
        """
        if features.shape[1] != self.dimension:
            raise ValueError(f"the range is of {self.dimension} features, found {features.shape[1]}")
        found = self._distances_of(features) / self.limits
        if self.patches is not None:
            found = np.concatenate([found, self.patches.departures(features)])
        if self.widening is not None:
            found = found / self.widening.factors(len(features))[: len(found)]
        return float(found.max())

    def has_too_few(self, features: NDArray[np.float32]) -> bool:
        """Whether the patches, shape (n_patches, d), are too few to tell whether the slide lies in the range."""
        n_patches = len(features)
        if features.shape[1] != self.dimension:
            return False
        if self.widening is not None:
            return n_patches < self.widening.fewest
        if n_patches < SMALLEST:
            return True
        return n_patches < _UNTOLD and 1.0 < self.distance(features) <= math.sqrt(_UNTOLD / n_patches)

    def is_outside(self, features: NDArray[np.float32]) -> bool:
        """Whether the features of a slide, shape (n_patches, d), lie outside the range; not where that cannot be told.

        A piece of a slide of the same cohort is as seldom outside as a whole one.
        """
        if features.shape[1] != self.dimension:
            return True
        return not self.has_too_few(features) and self.distance(features) > 1.0

    def _distances_of(self, features: NDArray[np.float32]) -> Array:
        found: Array = self._distances(summarise(features)[None])[0]
        return found

    def _distances(self, summaries: Array) -> Array:
        scaled = (summaries - self.center) / self.scale
        inside = scaled @ self.basis
        residual = scaled - inside @ self.basis.T
        return np.stack(
            [
                np.sqrt((inside**2 / self.variances).mean(axis=1)),
                np.sqrt((residual**2).mean(axis=1)),
            ],
            axis=1,
        )

    def to_arrays(self) -> dict[str, Array]:
        """Return the fitted numbers, for a bundle."""
        own = {name: getattr(self, name) for name in _ARRAYS}
        for part in (self.patches, self.widening):
            own |= {} if part is None else part.to_arrays()
        return own

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> FeatureRange:
        """Read the fitted numbers back.

        Raises
        ------
        ValueError
            When an array is missing, unknown, or of a shape that does not fit the others.
        """
        missing = [name for name in _ARRAYS if name not in arrays]
        if missing:
            raise ValueError(f"the feature range lacks {', '.join(missing)}")
        rest = {name: array for name, array in arrays.items() if name not in _ARRAYS}
        cut = {name: rest.pop(name) for name in tuple(rest) if name.startswith(_PIECES)}
        widening = Widening.from_arrays(cut) if cut else None
        patches = PatchRange.from_arrays(rest) if rest else None
        own = {name: np.asarray(arrays[name], dtype=np.float64) for name in _ARRAYS}
        return cls(**own, patches=patches, widening=widening)


def summarise(features: NDArray[np.float32]) -> Array:
    """Mean and log standard deviation of each feature over a slide's patches, shape (2 d,)."""
    mean = features.mean(axis=0, dtype=np.float64)
    # In blocks: a float64 copy of the largest slides would take a gigabyte.
    blocks = (features[start : start + _BLOCK] for start in range(0, len(features), _BLOCK))
    squares = sum(np.square(block - mean).sum(axis=0) for block in blocks)
    return np.concatenate([mean, np.log(np.sqrt(squares / len(features)) + _FLOOR)])


def _limits(distances: Array, n_slides: int) -> Array:
    """Limits from distances of held-out slides or their pieces, shape (k, 2), of so many slides; shape (2,)."""
    # Log-distances of held-out slides are close to normal; their upper tail is extrapolated from mean
    # and spread, since hardly any cohort has enough slides to read it off, and never below the worst seen.
    logs = np.log(distances + _FLOOR)
    tail = special.stdtrit(n_slides - 1, 1 - FALSE_ALARM_RATE / 2)
    bare = np.exp(logs.mean(axis=0) + tail * logs.std(axis=0, ddof=1))
    limits: Array = MARGIN * np.maximum(bare, distances.max(axis=0))
    return limits


def _held_out_distances(summaries: Array, pieces: Pieces, most_fits: int = 40) -> tuple[Array, Array]:
    """Distances of slides that the range was not fitted on, shape (n, 2), and of their pieces, slide by slide."""
    n_slides = len(summaries)
    held_out = np.zeros((n_slides, 2))
    cut = np.zeros((n_slides, N_NEAR + 1, len(pieces.sizes), 2))
    for fold in np.array_split(np.random.default_rng(0).permutation(n_slides), min(n_slides, most_fits)):
        fitted = FeatureRange._fit_summaries(np.delete(summaries, fold, axis=0))
        held_out[fold] = fitted._distances(summaries[fold])
        cut[fold] = [pieces.measure(slide, fitted._distances_of) for slide in fold]
    return held_out, cut
