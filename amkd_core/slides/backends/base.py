"""What every reader of slide files provides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from amkd_core.slides.info import Bounds, Level, Microns

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class BackendFacts:
    """What a reader knows of its file; the part of `SlideInfo` that needs the reader."""

    backend: str
    vendor: str
    sizes_px: tuple[tuple[int, int], ...]
    microns: Microns | None
    objective_power: float | None
    bounds: Bounds
    tile_size_px: tuple[int, int] | None = None
    compression: str | None = None
    scene: int = 0
    n_scenes: int = 1
    associated: tuple[str, ...] = ()

    def levels(self) -> tuple[Level, ...]:
        """Levels with their exact downsamples, each side for itself."""
        width, height = self.sizes_px[0]
        return tuple(
            Level(index, (w, h), (width / w, height / h)) for index, (w, h) in enumerate(self.sizes_px)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, for a reader in another process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BackendFacts:
        """Inverse of `to_dict` after a passage through JSON."""
        tile = values["tile_size_px"]
        return cls(
            **{
                **values,
                "sizes_px": tuple((int(w), int(h)) for w, h in values["sizes_px"]),
                "microns": None if values["microns"] is None else Microns(**values["microns"]),
                "bounds": Bounds(**values["bounds"]),
                "tile_size_px": None if tile is None else (int(tile[0]), int(tile[1])),
                "associated": tuple(values["associated"]),
            }
        )


class Backend(Protocol):
    """A reader of one open slide; every method may be called from several threads at once."""

    @property
    def facts(self) -> BackendFacts:
        """What the file tells without its pixels."""
        ...

    def read(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """Read a rectangle, given in pixels of `level`; what lies outside or is transparent is white.

        Returns
        -------
        ndarray of uint8, (height, width, 3)
            Read-only or not; the caller does not write to it.

        Raises
        ------
        SlideReadError
            If pixels cannot be read; the reader stays usable.
        """
        ...

    def read_halved(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """The mean of each 2 x 2 pixels of what `read` gives for the same arguments; sizes are even.

        Returns
        -------
        ndarray of uint8, (height / 2, width / 2, 3)
        """
        ...

    def associated_image(self, name: str) -> Pixels:
        """Pixels of the label, macro or thumbnail image, (height, width, 3) uint8."""
        ...

    def close(self) -> None:
        """Let go of the file; reads under way in other threads finish."""
        ...


def blank(size_px: tuple[int, int]) -> Pixels:
    """White pixels, (height, width, 3) uint8."""
    return np.full((size_px[1], size_px[0], 3), 255, dtype=np.uint8)
