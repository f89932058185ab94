"""How much wider a range must be where a slide has few patches.

Means and spreads over a few patches scatter, and a small region is of one tissue. Neither makes a slide foreign.
Held-out training slides are therefore cut in pieces of 16, 32, 64 ... patches, of patches that lie together and of
patches from all over the slide, and limits fitted on each size as on whole slides; the wider of the two counts. Between
two sizes they are interpolated, both on a log scale, since scatter falls with a power of the number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

# Of fewer patches nothing is told.
SMALLEST = 16
# Larger pieces cost most of the time and hardly scatter; from 1,024 to a whole slide a line lies above what they show.
_SIZES = tuple(SMALLEST * 2**step for step in range(7))
# Places on each slide around which patches that lie together are taken.
N_NEAR = 2
# No bundle of ours holds more.
MOST_SIZES = 32


@dataclass(frozen=True, eq=False)
class Widening:
    """Factors on the limits of whole slides, by number of patches.

    Attributes
    ----------
    piece_sizes : array, shape (m,)
        Numbers of patches, rising.
    piece_factors : array, shape (m, 4)
        For the two limits of summaries and the two of patches; no larger for more patches, and 1 at the last size: from
        there on the limits are those of whole slides.

    Raises
    ------
    ValueError
        When these are no such numbers.
    """

    piece_sizes: Array
    piece_factors: Array

    def __post_init__(self) -> None:
        sizes, factors = self.piece_sizes, self.piece_factors
        if sizes.ndim != 1 or not 1 <= sizes.size <= MOST_SIZES or factors.shape != (sizes.size, 4):
            raise ValueError(
                f"the feature range's pieces need 1 to {MOST_SIZES} sizes and 4 factors for each, "
                f"found shapes {sizes.shape} and {factors.shape}"
            )
        if not (np.isfinite(sizes).all() and sizes[0] >= 1 and (np.diff(sizes) > 0).all()):
            raise ValueError("the feature range's piece sizes must be finite, at least 1 and rise")
        if not (
            np.isfinite(factors).all() and (np.diff(factors, axis=0) <= 0).all() and (factors[-1] == 1).all()
        ):
            raise ValueError("the feature range's piece factors must be finite and fall to 1")

    @property
    def fewest(self) -> int:
        """Fewest patches of which anything is told."""
        return math.ceil(float(self.piece_sizes[0]))

    def factors(self, n_patches: int) -> Array:
        """Factors on the four limits, shape (4,)."""
        size, logs = np.log(n_patches), np.log(self.piece_factors)
        return np.exp([np.interp(size, np.log(self.piece_sizes), column) for column in logs.T])

    def to_arrays(self) -> dict[str, Array]:
        """Return the numbers, for a bundle."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> Widening:
        """Read the numbers back.

        Raises
        ------
        ValueError
            When an array is missing, unknown, or holds what no widening does.
        """
        different = sorted({item.name for item in fields(cls)} ^ set(arrays))
        if different:
            raise ValueError(f"the feature range has piece arrays missing or unknown: {', '.join(different)}")
        return cls(**{item.name: np.asarray(arrays[item.name], dtype=np.float64) for item in fields(cls)})


class Pieces:
    """Pieces of training slides, the same ones whenever they are asked for.

    Parameters
    ----------
    slide_features : sequence of arrays, each (n_patches, d)
    places : sequence, for each slide an array (n_patches, k) or None
        Of each patch. Without them patches count as neighbours that follow each other: rows stand in raster order.
    least_slides
        So many slides at least are as large as the largest piece.
    """

    def __init__(
        self,
        slide_features: Sequence[NDArray[np.float32]],
        places: Sequence[NDArray[np.integer] | None] | None,
        *,
        least_slides: int,
    ) -> None:
        self._features = slide_features
        self._places = places or [None] * len(slide_features)
        self.counts = np.array([len(features) for features in slide_features])
        # Enough slides are this large, and at least half of them: their limits hold from here on.
        enough = max(least_slides, (len(self.counts) + 1) // 2)
        self.typical = int(np.sort(self.counts)[-enough])
        self.sizes = [size for size in _SIZES if size < self.typical]

    def measure(self, slide: int, measure: Callable[[NDArray[np.float32]], Array]) -> Array:
        """Two numbers of each piece of a slide, shape (N_NEAR + 1, sizes, 2); NaN where the slide is too small."""
        features = self._features[slide]
        found = np.full((N_NEAR + 1, len(self.sizes), 2), np.nan)
        for kind, order in enumerate(_orders(slide, len(features), self._places[slide])):
            for place, size in enumerate(self.sizes):
                if size <= len(features):
                    found[kind, place] = measure(features[np.sort(order[:size])])
        return found

    def limits(self, measured: Array, limit_of: Callable[[Array, int], Array]) -> Array:
        """Limits by size, shape (sizes, 2).

        Parameters
        ----------
        measured : array, shape (n_slides, N_NEAR + 1, sizes, 2)
            Of `measure`, slide by slide.
        limit_of
            From the numbers of pieces, shape (k, 2), and how many slides they are of.
        """
        found = np.zeros((len(self.sizes), 2))
        for place, size in enumerate(self.sizes):
            large = measured[self.counts >= size, :, place]
            near, scattered = large[:, :N_NEAR].reshape(-1, 2), large[:, N_NEAR]
            found[place] = np.maximum(limit_of(near, len(large)), limit_of(scattered, len(large)))
        return found

    def widening(self, by_size: Array, whole: Array) -> Widening:
        """Factors from limits by size, shape (sizes, 4), and those of whole slides, shape (4,)."""
        factors = np.concatenate([by_size / whole, np.ones((1, 4))])
        # The cohort's own small slides widen the limits of whole ones, which pieces of its large slides do not narrow.
        factors = np.maximum.accumulate(factors[::-1], axis=0)[::-1]
        return Widening(np.array([*self.sizes, self.typical], dtype=np.float64), factors)


def _orders(slide: int, n_patches: int, places: NDArray[np.integer] | None) -> list[Rows]:
    """Orders of a slide's rows whose beginnings are pieces: outwards from places on it, and at random."""
    rng = np.random.default_rng([slide, n_patches])
    where = np.arange(n_patches)[:, None] if places is None else places
    orders = []
    for middle in rng.integers(n_patches, size=N_NEAR):
        away = np.abs(where - where[middle]).max(axis=1)
        orders.append(np.argsort(away, kind="stable"))
    return [*orders, rng.permutation(n_patches)]
