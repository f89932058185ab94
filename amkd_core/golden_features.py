"""Features of the golden patches: how an encoder that was run right answers, kept with bags and bundles.

The patches are drawn by `amkd_core.slides.encoders.golden_patches`. Here is what their features are compared by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_PATCHES = 8
VERSION = 1
"""Of the drawn patches; features of another version are not compared."""

# Least cosine that counts as the same, in full precision and where either side computed in half precision.
FULL_AGREEMENT, HALF_AGREEMENT = 0.999, 0.995
# An encoder whose features differ between the patches by less than this share hardly tells patches apart.
_LEAST_SPREAD = 1e-3
_ARRAYS = ("features", "settings")


@dataclass(frozen=True, eq=False)
class GoldenFeatures:
    """What an encoder made of the golden patches.

    Attributes
    ----------
    features : array, shape (8, d), float32
    half : bool
        Whether the encoder computed in half precision.
    version : int
        Of the patches.

    Raises
    ------
    ValueError
        When the shape is another, or a row is all zero or not finite.
    """

    features: NDArray[np.float32]
    half: bool = False
    version: int = VERSION

    def __post_init__(self) -> None:
        rows = np.asarray(self.features, dtype=np.float32)
        object.__setattr__(self, "features", rows)
        if rows.ndim != 2 or len(rows) != N_PATCHES:
            raise ValueError(f"golden features must have shape ({N_PATCHES}, d), found {rows.shape}")
        if not (np.isfinite(rows).all() and rows.any(axis=1).all()):
            raise ValueError("golden features must be finite and no row of them all zero")

    @property
    def dimension(self) -> int:
        """Width of the features."""
        return int(self.features.shape[1])

    def cosine(self, other: GoldenFeatures) -> float:
        """Worst cosine between the two over the patches, in [-1, 1].

        Networks add much the same to every patch, and a cosine of that tells nothing: a Vision Transformer that was
        given 256 px instead of 224 px reaches 0.9992. So the features are compared as they are, and again without their
        mean over the patches; the worse of the two counts.
        """
        if other.dimension != self.dimension:
            return -1.0
        left, right = self.features.astype(np.float64), other.features.astype(np.float64)
        worst = _worst_cosine(left, right)
        mean = left.mean(axis=0)
        if np.linalg.norm(left - mean) > _LEAST_SPREAD * np.linalg.norm(left):
            worst = min(worst, _worst_cosine(left - mean, right - mean))
        return worst

    def least_cosine(self, other: GoldenFeatures) -> float:
        """Cosine that the two must reach."""
        return HALF_AGREEMENT if self.half or other.half else FULL_AGREEMENT

    def agrees(self, other: GoldenFeatures) -> bool:
        """Whether both encoders are run alike; true where the patches were others and nothing can be said."""
        return self.version != other.version or self.cosine(other) >= self.least_cosine(other)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the features and how they were made, for a bundle or a bag."""
        return {"features": self.features, "settings": np.array([self.version, self.half], dtype=np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> GoldenFeatures:
        """Read them back.

        Raises
        ------
        ValueError
            When an array is missing, unknown, or of another shape or kind.
        """
        if sorted(arrays) != sorted(_ARRAYS):
            raise ValueError(f"golden features consist of {' and '.join(_ARRAYS)}, found {sorted(arrays)}")
        features, settings = arrays["features"], arrays["settings"]
        if features.dtype.kind != "f" or settings.dtype.kind != "i" or settings.shape != (2,):
            raise ValueError(
                f"golden features must be floats and two whole settings, found {features.dtype} and "
                f"{settings.dtype} {settings.shape}"
            )
        return cls(features, bool(settings[1]), int(settings[0]))


def _worst_cosine(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / np.maximum(lengths, np.finfo(float).tiny)).min())
