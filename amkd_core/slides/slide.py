"""`open_slide`: one type for every slide format."""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from amkd_core.errors import SlideReadError
from amkd_core.slides.backends.base import Backend, Pixels, blank
from amkd_core.slides.info import Bounds, Level, Microns, SlideInfo
from amkd_core.slides.microns import missing_microns

__all__ = ["Bounds", "Level", "Microns", "Slide", "SlideInfo", "is_slide", "open_slide"]

LARGEST_REGION_PX = 1 << 29
"""Pixels that one call may ask for (1.6 GB as RGB); more is a mistake, and is refused before allocation."""

_BLOCK_PX = 2048
_log = logging.getLogger(__name__)


class Slide:
    """An open slide; use it as a context manager. All methods may be called from several threads at once.

    Parameters
    ----------
    info
        Facts about the slide.
    backend
        The reader of its pixels.
    """

    def __init__(self, info: SlideInfo, backend: Backend) -> None:
        self.info = info
        self._backend = backend

    def __repr__(self) -> str:
        width, height = self.size_px
        scale = "unknown scale" if self.info.microns is None else f"{self.info.microns.mean:.4g} um/px"
        levels = f"{len(self.info.levels)} level{'s' if len(self.info.levels) > 1 else ''}"
        return (
            f"<Slide {self.info.slide_id!r}: {width} x {height} px, {levels}, {scale}, {self.info.backend}>"
        )

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) at level 0."""
        return self.info.levels[0].size_px

    @property
    def microns(self) -> Microns:
        """Micrometres per level-0 pixel.

        Raises
        ------
        MissingMicronsError
            If nothing tells it and the caller gave none; the sentence names the ways to give it.
        """
        if self.info.microns is None:
            raise missing_microns(self.info.path)
        return self.info.microns

    def read_region(self, xy_level0: tuple[int, int], level: int, size_px: tuple[int, int]) -> Pixels:
        """Read a rectangle of one level.

        Parameters
        ----------
        xy_level0
            (x, y) of the upper left corner, in level-0 pixels; the nearest pixel of `level` is taken.
        level
            Index into ``info.levels``.
        size_px
            (width, height) in pixels of `level`.

        Returns
        -------
        ndarray of uint8, (height, width, 3)
            RGB; transparent pixels and those outside the slide are white.

        Raises
        ------
        SlideReadError
            If the pixels cannot be read. Other regions stay readable.
        ValueError
            If the level does not exist or the size is not sensible.
        """
        factor = self._level(level).downsample
        corner = (round(xy_level0[0] / factor[0]), round(xy_level0[1] / factor[1]))
        return self.read_level(level, corner, size_px)

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """Read a rectangle whose corner is given in pixels of `level` itself; else as `read_region`."""
        limits = self._level(level).size_px
        width, height = int(size_px[0]), int(size_px[1])
        if width < 1 or height < 1 or width * height > LARGEST_REGION_PX:
            raise ValueError(f"A region is 1 to {LARGEST_REGION_PX} pixels, not {width} x {height}.")
        x, y = int(xy_px[0]), int(xy_px[1])
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, limits[0]), min(y + height, limits[1])
        if left >= right or top >= bottom:
            return blank((width, height))
        inside = self._backend.read(level, (left, top), (right - left, bottom - top))
        if (right - left, bottom - top) == (width, height):
            return inside
        region = blank((width, height))
        region[top - y : bottom - y, left - x : right - x] = inside
        return region

    def thumbnail(self, max_side_px: int = 1024) -> Pixels:
        """Whole slide at low power, never enlarged; (height, width, 3) uint8.

        A coarse level is reduced block by block, so that memory stays bounded on a one-level slide too.

        Parameters
        ----------
        max_side_px
            Longer side of the result at most.
        """
        if max_side_px < 1:
            raise ValueError(f"max_side_px is at least 1, not {max_side_px}.")
        level = self._level_for(max_side_px)
        reduced = self._reduced_level(level, max(1, max(level.size_px) // max_side_px))
        scale = min(1.0, max_side_px / max(self.size_px))
        size = (max(1, round(self.size_px[0] * scale)), max(1, round(self.size_px[1] * scale)))
        return np.asarray(Image.fromarray(reduced).resize(size, Image.Resampling.BOX, reducing_gap=None))

    def associated_image(self, name: str) -> Pixels:
        """Pixels of the label, macro or thumbnail image, read only now; (height, width, 3) uint8.

        Raises
        ------
        SlideReadError
            If the slide has no such image or it is damaged.
        """
        if name not in self.info.associated:
            names = ", ".join(self.info.associated) or "none"
            raise SlideReadError(f"{self.info.path} has no associated image {name!r}; it has: {names}.")
        return self._backend.associated_image(name)

    def close(self) -> None:
        """Let go of the file; a later read raises `SlideReadError`."""
        self._backend.close()

    def _level(self, level: int) -> Level:
        if not 0 <= level < len(self.info.levels):
            raise ValueError(f"{self.info.path} has levels 0 to {len(self.info.levels) - 1}, not {level}.")
        return self.info.levels[level]

    def _level_for(self, max_side_px: int) -> Level:
        wanted = min(max_side_px, max(self.size_px))
        return [level for level in self.info.levels if max(level.size_px) >= wanted][-1]

    def _reduced_level(self, level: Level, factor: int) -> Pixels:
        width, height = level.size_px
        side = factor * max(1, _BLOCK_PX // factor)
        out = blank((-(-width // factor), -(-height // factor)))
        for y in range(0, height, side):
            for x in range(0, width, side):
                size = (min(side, width - x), min(side, height - y))
                block = Image.fromarray(self.read_level(level.index, (x, y), size)).reduce(factor)
                row, column = y // factor, x // factor
                out[row : row + block.height, column : column + block.width] = np.asarray(block)
        return out


def open_slide(
    path: Path | str,
    *,
    mpp: float | tuple[float, float] | None = None,
    scene: int = 0,
    isolated: bool = False,
) -> Slide:
    """Open a slide file, or a folder that is a slide.

    Parameters
    ----------
    path
        A slide of any scanner format that OpenSlide reads, a TIFF or OME-TIFF, any one file of a DICOM
        slide, or the folder that holds these.
    mpp
        Micrometres per pixel, one number or (x, y); overrides what the file tells.
    scene
        Which image of a file with several, from 0.
    isolated
        Run the native readers in a process of their own: a crash or hang in them becomes a
        `SlideReadError`, and a fresh process serves the next call.

    Raises
    ------
    SlideError
        If it is no slide, damaged, or truncated; one sentence says which.
    ConfigError
        If `mpp` is absurd.
    """
    from amkd_core.slides.opening import open_checked

    return Slide(*open_checked(Path(path), mpp=mpp, scene=scene, isolated=isolated))


def is_slide(path: Path | str) -> bool:
    """Tell cheaply whether `path` looks like a slide; no pixel is read and nothing is raised."""
    from amkd_core.slides.opening import looks_like_slide

    return looks_like_slide(Path(path))
