"""TIFF files that OpenSlide declines, or of which it sees only a part, by tifffile.

OME-TIFF keeps its pyramid in SubIFDs, where OpenSlide sees the first level only; plain TIFFs come in strips, with
one level, or in compressions that OpenSlide does not know.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from amkd_core.errors import SlideError, SlideReadError
from amkd_core.private_names import private_logger
from amkd_core.slides.backends.base import BackendFacts, Pixels
from amkd_core.slides.backends.tiff_segments import SegmentGrid, segment_grid, to_rgb
from amkd_core.slides.info import Bounds, Microns
from amkd_core.slides.microns import choose_microns, microns_from_resolution
from amkd_core.slides.ome import image_of_page, read_ome
from amkd_core.slides.positioned_file import PositionedFile
from amkd_core.slides.scaling import halved
from amkd_core.slides.tile_cache import TileCache, TilePart, compose

_ASIDE = re.compile(r"\b(label|macro|thumbnail|overview|barcode|map)\b", re.IGNORECASE)
_NOTHING_ELSE = re.compile(r"\W*(image|series)?\W*\d*\W*", re.IGNORECASE)
_SMALL_SHARE = 0.25
_LARGEST_ASSOCIATED_PX = 1 << 26
_MOST_PLANES = 100_000
_PHOTOMETRIC = (2, 6)
_JPEG_LIKE = frozenset({6, 7, 33003, 33005, 33007, 34712, 34892})
_log = private_logger(__name__)


class TiffBackend:
    """A slide read by tifffile, tile by tile.

    Parameters
    ----------
    path
        A TIFF whose directories were checked.
    scene
        Which of its brightfield images.

    Raises
    ------
    SlideError
        If it holds no RGB image, or not so many scenes, or its compression is unknown.
    """

    def __init__(self, path: Path, scene: int = 0) -> None:
        self._path = path
        self._file: PositionedFile | None = PositionedFile(path)
        self._cache = TileCache()
        # tifffile reports odd tags by logging; what matters is refused here in a sentence.
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)
        try:
            with _opened(path) as tiff:
                self._aside, self._grids, self._facts = _gather(path, tiff, scene)
        except (
            tifffile.TiffFileError,
            ValueError,
            IndexError,
            KeyError,
            TypeError,
            ZeroDivisionError,
        ) as error:
            raise SlideError(f"{path} cannot be read as a TIFF: {str(error).rstrip('.')}.") from error

    @property
    def facts(self) -> BackendFacts:
        """See `Backend.facts`."""
        return self._facts

    def read(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """See `Backend.read`."""
        file, grid = self._open_file(), self._grids[level]

        def fetch(part: TilePart) -> Pixels:
            column, row = part.column, part.row
            return self._cache.get(
                (level, column, row), lambda: grid.read(file, column, row), keep=part.partly
            )

        return compose(xy_px, size_px, grid.segment_px, fetch)

    def read_halved(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """See `Backend.read_halved`."""
        return halved(self.read(level, xy_px, size_px))

    def associated_image(self, name: str) -> Pixels:
        """See `Backend.associated_image`."""
        self._open_file()
        try:
            with _opened(self._path) as tiff:
                series = tiff.series[self._aside[name]]
                if int(np.prod(series.shape[:2])) > _LARGEST_ASSOCIATED_PX:
                    raise SlideReadError(
                        f"Image {name!r} of {self._path} claims {series.shape}; it is not read."
                    )
                pixels = series.asarray()
        except (tifffile.TiffFileError, ValueError, RuntimeError) as error:
            raise SlideReadError(f"Image {name!r} of {self._path} cannot be read: {error}.") from error
        return to_rgb(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))

    def close(self) -> None:
        """See `Backend.close`."""
        self._file = None
        self._cache.clear()

    def _open_file(self) -> PositionedFile:
        file = self._file
        if file is None:
            raise SlideReadError(f"{self._path} was closed; open it again to read from it.")
        return file


def _opened(path: Path) -> Any:
    # One file only: OME-XML may name others, anywhere on the disk, which tifffile would open and show.
    return tifffile.TiffFile(path, _multifile=False)


def _gather(
    path: Path, tiff: Any, scene: int
) -> tuple[dict[str, int], tuple[SegmentGrid, ...], BackendFacts]:
    images = read_ome(tiff.ome_metadata, path.name) if tiff.is_ome and tiff.ome_metadata else ()
    n_planes = sum(image.n_planes for image in images)
    if n_planes > _MOST_PLANES:
        # tifffile makes a list of as many entries as the text claims.
        raise SlideError(f"{path} claims {n_planes} image planes in its OME-XML, more than a slide can have.")
    series = list(tiff.series)
    beside = _beside(series)
    aside = {(series[i].name or "").lower(): i for i in beside}
    slides = [i for i, s in enumerate(series) if i not in beside and _is_rgb(s)]
    if not slides:
        raise SlideError(_why_no_rgb(path, series))
    if not tiff.is_ome:
        slides = sorted(slides, key=lambda i: -_area(series[i]))[:1]
    if not 0 <= scene < len(slides):
        raise SlideError(f"{path} has {len(slides)} scene(s), numbered from 0; there is no scene {scene}.")
    chosen = series[slides[scene]]
    grids = _levels(path, chosen)
    page = chosen.keyframe
    image = image_of_page(images, slides[scene], (int(page.imagewidth), int(page.imagelength)))
    facts = BackendFacts(
        backend="tifffile",
        vendor="ome-tiff" if tiff.is_ome else "tiff",
        sizes_px=tuple(grid.size_px for grid in grids),
        microns=choose_microns(image.microns, _resolution(page), image.objective_power),
        objective_power=image.objective_power,
        bounds=Bounds(0, 0, *grids[0].size_px),
        tile_size_px=(int(page.tilewidth), int(page.tilelength)) if page.is_tiled else None,
        compression=_compression_name(page),
        scene=scene,
        n_scenes=len(slides),
        associated=tuple(sorted(aside)),
    )
    return aside, grids, facts


def _levels(path: Path, series: Any) -> tuple[SegmentGrid, ...]:
    grids: list[SegmentGrid] = []
    for level in series.levels:
        page = level.keyframe
        if int(np.prod(level.shape)) != int(np.prod(page.shape)) and not grids:
            _log.warning("%s holds several planes of shape %s; the first is shown.", path, level.shape)
        _check_decodable(path, page)
        size = (int(page.imagewidth), int(page.imagelength))
        if not grids or (size[0] < grids[-1].size_px[0] and size[1] < grids[-1].size_px[1]):
            grids.append(segment_grid(path, page))
    return tuple(grids)


def _check_decodable(path: Path, page: Any) -> None:
    try:
        known = tifffile.COMPRESSION(page.compression)
        tifffile.TIFF.DECOMPRESSORS[known]
    except (ValueError, KeyError) as error:
        raise SlideError(
            f"{path} is compressed by method {int(page.compression)}, which neither OpenSlide nor tifffile can decode."
        ) from error
    if int(page.photometric) == 6 and int(page.compression) not in _JPEG_LIKE:
        raise SlideError(
            f"{path} stores YCbCr colours without JPEG, which is not supported; export it as RGB."
        )


def _is_rgb(series: Any) -> bool:
    page = series.keyframe
    return (
        series.dtype in (np.uint8, np.uint16)
        and int(page.photometric) in _PHOTOMETRIC
        and int(page.samplesperpixel) in (3, 4)
        and "S" in series.axes
    )


def _beside(series: list[Any]) -> list[int]:
    """Images that show the slide's label or outside, by their names; the first only beside a slide as large.

    A name that says more than that is one of a scene where the image is no small one: "MAP kinase, block A".
    """
    largest = max(map(_area, series), default=0)
    named = [
        i
        for i, s in enumerate(series)
        if _ASIDE.search(s.name or "")
        and (_NOTHING_ELSE.fullmatch(_ASIDE.sub("", s.name)) or _area(s) < _SMALL_SHARE * largest)
    ]
    if 0 not in named:
        return named
    others = (s for i, s in enumerate(series) if i not in named and _is_rgb(s))
    return named if any(_area(other) >= _area(series[0]) for other in others) else named[1:]


def _area(series: Any) -> int:
    return int(series.keyframe.imagewidth) * int(series.keyframe.imagelength)


def _why_no_rgb(path: Path, series: list[Any]) -> str:
    if not series:
        return f"{path} is a TIFF without an image."
    first = series[0]
    channels = dict(zip(first.axes, first.shape, strict=False)).get("C", 1)
    # One channel is a picture in grey or a map that was saved; several are stains, each by itself.
    like = "as fluorescence scans do" if channels > 1 else "as pictures in grey and saved maps do"
    return (
        f"{path} is not a brightfield slide: it holds {channels} channel(s) of {first.dtype} "
        f"(axes {first.axes}), {like}, where 8-bit RGB is expected; export it as RGB."
    )


def _resolution(page: Any) -> Microns | None:
    unit = page.tags.get(296)
    values = [page.tags.get(tag) for tag in (282, 283)]
    if any(value is None for value in values):
        return None
    x, y = (_ratio(value.value) for value in values)
    names = {2: "inch", 3: "centimeter"}
    return microns_from_resolution(x, y, names.get(2 if unit is None else int(unit.value), "none"))


def _ratio(value: Any) -> float:
    above, below = value if isinstance(value, tuple) else (value, 1)
    return float(above) / float(below) if below else 0.0


def _compression_name(page: Any) -> str:
    return str(tifffile.COMPRESSION(page.compression).name).lower()
