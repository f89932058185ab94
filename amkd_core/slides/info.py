"""What is known about a slide without looking at its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amkd_core.file_names import without_ome

MicronsSource = Literal["vendor", "tiff_resolution", "objective_power", "user"]


@dataclass(frozen=True)
class Microns:
    """Micrometres per level-0 pixel, along x and y, and where the value comes from.

    Attributes
    ----------
    x, y
        Micrometres per pixel; they differ on scanners with non-square pixels.
    source
        "vendor" (the scanner's own metadata), "tiff_resolution" (TIFF resolution tags),
        "objective_power" (10 um divided by the nominal power: a guess good to about 20 %) or "user".
    contradicted_by
        Micrometres per pixel that the file's own objective power means, where they are far from these; else None.
        Taken so only where the format records the lens's power; see `amkd_core.slides.microns.LENS_POWER`.
    """

    x: float
    y: float
    source: MicronsSource
    contradicted_by: float | None = None

    @property
    def mean(self) -> float:
        """Geometric mean of x and y, in micrometres per pixel."""
        return float((self.x * self.y) ** 0.5)

    @property
    def text(self) -> str:
        """The number, or both where they differ: ``0.25 x 0.5``."""
        x, y = f"{self.x:.4g}", f"{self.y:.4g}"
        return x if x == y else f"{x} x {y}"


@dataclass(frozen=True)
class Level:
    """One stored resolution of a slide.

    Attributes
    ----------
    index
        0 for the finest.
    size_px
        (width, height) in pixels of this level.
    downsample
        (x, y) level-0 pixels per pixel of this level, each from its own side.
    """

    index: int
    size_px: tuple[int, int]
    downsample: tuple[float, float]


@dataclass(frozen=True)
class Bounds:
    """Rectangle of the scanned area in level-0 pixels; the whole of level 0 where the file tells none."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class SlideInfo:
    """Facts about an open slide.

    Attributes
    ----------
    path
        The file or folder as it was given.
    slide_id
        File name without its extension.
    fingerprint
        Content hash; see `amkd_core.slides.fingerprint`.
    backend
        "direct" (tiles decoded by ourselves, found identical to OpenSlide's), "openslide" or "tifffile".
    vendor
        OpenSlide's name of the format, or "ome-tiff" or "tiff".
    levels
        Stored resolutions, finest first.
    microns
        None where nothing tells, or the file contradicts itself; `Slide.microns` raises then.
    objective_power
        Nominal magnification (20, 40), or None.
    bounds
        Scanned area at level 0.
    tile_size_px
        (width, height) of the stored tiles of level 0, or None.
    compression
        Of level 0, in lower case ("jpeg"), or None where the format hides it.
    scene, n_scenes
        Which of how many separate images of the file this is.
    associated
        Names of the label, macro and thumbnail images; their pixels are read only on request.
    recorded
        What the file tells of its scale where that is not taken: the user's value holds instead, or it is in doubt
        and `microns` is None; else None.
    """

    path: Path
    slide_id: str
    fingerprint: str
    backend: str
    vendor: str
    levels: tuple[Level, ...]
    microns: Microns | None
    objective_power: float | None
    bounds: Bounds
    tile_size_px: tuple[int, int] | None = None
    compression: str | None = None
    scene: int = 0
    n_scenes: int = 1
    associated: tuple[str, ...] = ()
    recorded: Microns | None = None


def slide_id_of(path: Path) -> str:
    """Name of a slide, and of its bag: the file name without its extension (and without ``.ome``).

    A folder has its own name, also where it is given as ``.`` or ``..``.
    """
    path = named(path)
    return without_ome(path.name if path.is_dir() else path.stem)


def named(path: Path) -> Path:
    """The path itself, or the whole path of a folder that is given as ``.`` or ``..`` and so tells no name."""
    return path if path.name not in ("", "..") else path.resolve()
