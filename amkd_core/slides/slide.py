"""`open_slide`: one type for every slide format."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from amkd_core.errors import SlideReadError
from amkd_core.freed_memory import give_back_freed_memory
from amkd_core.slides.backends.base import Backend, Pixels, blank
from amkd_core.slides.info import Bounds, Level, Microns, SlideInfo
from amkd_core.slides.microns import microns_of
from amkd_core.slides.scaling import scale_patch
from amkd_core.slides.thumbnail import make_thumbnail

__all__ = ["Bounds", "Level", "Microns", "Slide", "SlideInfo", "is_slide", "open_slide"]

LARGEST_REGION_PX = 1 << 29
"""Pixels that one call may ask for (1.6 GB as RGB); more is a mistake, and is refused before allocation."""


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
            If nothing tells it, or the file contradicts itself, and the caller gave none; the sentence names the ways
            to give it.
        """
        return microns_of(self.info)

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

    def read_patch(
        self, xy_level0: tuple[int, int], level: int, read_px: tuple[int, int], size_px: int
    ) -> Pixels:
        """Read a rectangle as `read_region`, scaled down to ``(size_px, size_px)`` as by `scale_patch`.

        Parameters
        ----------
        xy_level0, level
            As `read_region`.
        read_px
            (width, height) in pixels of `level`.
        size_px
            Side of the result.
        """
        whole = self._level(level)
        x, y = (round(place / factor) for place, factor in zip(xy_level0, whole.downsample, strict=True))
        inside = 0 <= x <= whole.size_px[0] - read_px[0] and 0 <= y <= whole.size_px[1] - read_px[1]
        if inside and tuple(read_px) == (2 * size_px, 2 * size_px):
            return self._backend.read_halved(int(level), (x, y), read_px)
        return scale_patch(self.read_level(level, (x, y), read_px), size_px)

    def read_halved(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """Read a rectangle of even size wholly inside a level at half its size: each pixel is the mean of four."""
        return self._backend.read_halved(level, xy_px, size_px)

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
        inside = self._backend.read(int(level), (left, top), (right - left, bottom - top))
        if (right - left, bottom - top) == (width, height):
            return inside
        region = blank((width, height))
        region[top - y : bottom - y, left - x : right - x] = inside
        return region

    def thumbnail(self, max_side_px: int = 1024, *, within: Bounds | None = None) -> Pixels:
        """Whole slide, or a part of it, at low power, never enlarged; (height, width, 3) uint8.

        Damaged places are white, and logged; `SlideReadError` is raised only where nothing can be read.

        Parameters
        ----------
        max_side_px
            Longer side of the result at most.
        within
            Part of level 0.
        """
        return make_thumbnail(self, max_side_px, within or Bounds(0, 0, *self.info.levels[0].size_px))

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
        """Let go of the file and of the memory that reading it took; a later read raises `SlideReadError`."""
        self._backend.close()
        give_back_freed_memory()

    def _level(self, level: int) -> Level:
        if not 0 <= level < len(self.info.levels):
            raise ValueError(f"{self.info.path} has levels 0 to {len(self.info.levels) - 1}, not {level}.")
        return self.info.levels[level]


def open_slide(
    path: Path | str,
    *,
    mpp: float | tuple[float, float] | None = None,
    default_mpp: float | tuple[float, float] | None = None,
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
    default_mpp
        The same, for a file that does not tell (its nominal magnification is a guess) or contradicts itself.
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
        If a given value is absurd.
    """
    from amkd_core.slides.opening import open_checked

    return Slide(*open_checked(Path(path), mpp=mpp, default_mpp=default_mpp, scene=scene, isolated=isolated))


def is_slide(path: Path | str) -> bool:
    """Tell cheaply whether `path` looks like a slide; no pixel is read and nothing is raised."""
    from amkd_core.slides.opening import looks_like_slide

    return looks_like_slide(Path(path))
