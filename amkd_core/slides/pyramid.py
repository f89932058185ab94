"""A slide as a list of lazy arrays for viewers, each about half the size of the one before.

Scanners store every fourth or sixteenth size only, or just one. Between and below the stored levels this pyramid has
virtual ones, whose tiles are made on demand from four tiles of the next finer level. No more than the asked tiles and
what they are made of is ever read; decoded tiles are kept in one cache per slide, limited in bytes.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from amkd_core.errors import SlideReadError
from amkd_core.private_names import private_logger
from amkd_core.slides.backends.base import Pixels
from amkd_core.slides.damaged_tiles import DamagedTiles
from amkd_core.slides.info import SlideInfo
from amkd_core.slides.salvage import ReadableLevels, Salvage
from amkd_core.slides.tile_cache import TileCache, compose, parts_of

TILE_PX = 256
"""Viewers fetch whole tiles: larger ones bring up to twice as much to decode and to draw as is in view."""

COARSEST_PX = 1024
"""Levels are added until the longer side is at most this."""

PYRAMID_CACHE_BYTES = 192 << 20
DAMAGED_GREY = 128
"""Value of places that cannot be read: no tissue or glass looks like flat middle grey."""

_STEP = 2
_SALVAGE_PX = 64
_BLOCK_TILES = 4
"""Tiles a side that are asked for at once; more would no longer fit what passes between the processes in one piece."""
_AT_ONCE = 3
"""Blocks that are read at the same time: while one is handed over, the next ones are decoded."""
_log = private_logger(__name__)


class LazyLevel:
    """One level: an array of (rows, columns, 3) uint8 whose pixels are read when it is indexed.

    It may be indexed by integers, slices (with steps) and ``...`` in its three axes, from several threads at once.

    Attributes
    ----------
    shape, dtype, ndim, size, nbytes
        As of a numpy array; `nbytes` is what it would take in memory.
    chunks
        Shape of one tile, for viewers that ask tile by tile.
    downsample
        (x, y) level-0 pixels per pixel of this level, exact: a viewer that wants to be exact scales by this and not
        by the ratio of the shapes, which are whole numbers.
    stored_level
        Index of the slide's own level, or None for a virtual one.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self,
        pyramid: SlidePyramid,
        index: int,
        size_px: tuple[int, int],
        *,
        downsample: tuple[float, float],
        stored_level: int | None,
    ) -> None:
        self._pyramid = pyramid
        self._index = index
        self.size_px = size_px
        self.shape = (size_px[1], size_px[0], 3)
        self.chunks = (min(TILE_PX, size_px[1]), min(TILE_PX, size_px[0]), 3)
        self.downsample = downsample
        self.stored_level = stored_level

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the level would take in memory."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        kind = "virtual" if self.stored_level is None else f"stored level {self.stored_level}"
        return f"<LazyLevel {self.shape[1]} x {self.shape[0]} px, 1/{self.downsample[0]:.4g}, {kind}>"

    def __getitem__(self, key: Any) -> Any:
        rows, columns, channels = _complete(key, self.shape)
        (top, height, down), (left, width, across) = _span(rows, self.shape[0]), _span(columns, self.shape[1])
        if height == 0 or width == 0:
            region = np.zeros((height, width, 3), np.uint8)
        else:
            region = self._pyramid.read(self._index, (left, top), (width, height))
        return region[down, across, channels]

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyLevel:
        """Give the level itself: it is only read, and a duplicate of a layer reads the same open slide."""
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Read the whole level; meant for coarse ones."""
        return np.asarray(self[:], dtype=dtype)


class SlidePyramid(Sequence[LazyLevel]):
    """All levels of a slide, stored and virtual, finest first.

    Parameters
    ----------
    slide
        Open while the pyramid is used.
    cache_bytes
        Decoded tiles that are kept for all levels together.
    """

    def __init__(self, slide: ReadableLevels, *, cache_bytes: int = PYRAMID_CACHE_BYTES) -> None:
        self._slide = slide
        self._cache = TileCache(cache_bytes)
        self._damaged = DamagedTiles()
        self._levels = _plan(self, slide.info)

    def __len__(self) -> int:
        return len(self._levels)

    def __getitem__(self, index: Any) -> Any:
        return self._levels[index]

    @property
    def downsamples(self) -> tuple[tuple[float, float], ...]:
        """(x, y) level-0 pixels per pixel, per level."""
        return tuple(level.downsample for level in self._levels)

    @property
    def cached_bytes(self) -> int:
        """Bytes of decoded tiles kept now."""
        return self._cache.n_bytes

    def read(self, index: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """Read a rectangle inside one level, (height, width, 3) uint8.

        Damaged places are flat grey and logged, so that a viewer goes on; `Slide.read_region` raises there. After a
        while they are tried again: some failures pass.
        """
        for damaged in self._damaged.due():
            self._cache.drop(damaged)
        tile_px = (TILE_PX, TILE_PX)
        missing = self._missing(index, xy_px, size_px)
        if len(missing) > 1:
            with ThreadPoolExecutor(min(_AT_ONCE, len(missing)), thread_name_prefix="amkd-tiles") as pool:
                deque(pool.map(partial(self._read_block, index), missing), maxlen=0)
        elif missing:
            self._read_block(index, missing[0])
        return compose(xy_px, size_px, tile_px, lambda part: self._tile(index, part.column, part.row))

    def _missing(
        self, index: int, xy_px: tuple[int, int], size_px: tuple[int, int]
    ) -> list[tuple[int, int, int, int]]:
        """First column and row, and tiles across and down, of the rectangles that make up what is not kept."""
        rows, columns = (
            range(xy_px[axis] // TILE_PX, (xy_px[axis] + size_px[axis] - 1) // TILE_PX + 1) for axis in (1, 0)
        )
        missing = {
            (column, row)
            for row, column in itertools.product(rows, columns)
            if self._cache.peek((index, column, row)) is None
        }
        wanted = []
        for row, column in itertools.product(rows, columns):
            if (column, row) not in missing:
                continue
            across = down = 1
            while across < _BLOCK_TILES and (column + across, row) in missing:
                across += 1
            run = range(column, column + across)
            while down < _BLOCK_TILES and all((one, row + down) in missing for one in run):
                down += 1
            missing.difference_update(itertools.product(run, range(row, row + down)))
            wanted.append((column, row, across, down))
        return wanted

    def _read_block(self, index: int, block: tuple[int, int, int, int]) -> None:
        """Read a block of tiles by one request, or tile by tile where no stored level lies below.

        What fails is left to `_tile`, which salvages.

        Every request waits for its turn among the threads of a busy window, and tile by tile that takes several times
        as long as the reading itself.
        """
        level, (column, row, across, down) = self._levels[index], block
        x, y = column * TILE_PX, row * TILE_PX
        width, height = min(across * TILE_PX, level.size_px[0] - x), min(down * TILE_PX, level.size_px[1] - y)
        try:
            if level.stored_level is not None:
                pixels = self._slide.read_level(level.stored_level, (x, y), (width, height))
            else:
                finer = self._levels[index - 1]
                inside = _STEP * (x + width) <= finer.size_px[0] and _STEP * (y + height) <= finer.size_px[1]
                if finer.stored_level is None or not inside:
                    for place in itertools.product(range(column, column + across), range(row, row + down)):
                        self._tile(index, *place)
                    return
                twice = (_STEP * width, _STEP * height)
                pixels = self._slide.read_halved(finer.stored_level, (_STEP * x, _STEP * y), twice)
        except SlideReadError:
            return
        for part in parts_of((x, y), (width, height), (TILE_PX, TILE_PX)):
            tile = pixels[part.top - y : part.bottom - y, part.left - x : part.right - x]
            self._cache.get((index, part.column, part.row), tile.copy)

    def _tile(self, index: int, column: int, row: int) -> Pixels:
        return self._cache.get((index, column, row), lambda: self._make_tile(index, column, row))

    def _make_tile(self, index: int, column: int, row: int) -> Pixels:
        level = self._levels[index]
        x, y = column * TILE_PX, row * TILE_PX
        size = (min(TILE_PX, level.size_px[0] - x), min(TILE_PX, level.size_px[1] - y))
        if level.stored_level is not None:
            pixels, whole = self._stored_tile(level.stored_level, (x, y), size)
            if not whole:
                self._damaged.add((index, column, row))
            return pixels
        finer = self._levels[index - 1].size_px
        twice = (min(_STEP * size[0], finer[0] - _STEP * x), min(_STEP * size[1], finer[1] - _STEP * y))
        pixels = self.read(index - 1, (_STEP * x, _STEP * y), twice)
        places = itertools.product(
            range(_STEP * column, _STEP * (column + 1)), range(_STEP * row, _STEP * (row + 1))
        )
        self._damaged.add_made_of((index, column, row), ((index - 1, *place) for place in places))
        return np.array(Image.fromarray(pixels).reduce(_STEP))

    def _stored_tile(
        self, stored: int, xy_px: tuple[int, int], size_px: tuple[int, int]
    ) -> tuple[Pixels, bool]:
        """What can be read of a tile, and whether that is all of it."""
        salvage = Salvage(self._slide, stored, piece_px=_SALVAGE_PX, grey=DAMAGED_GREY)
        pixels = salvage.read(xy_px, size_px)
        if salvage.failures:
            path, place = self._slide.info.path, f"x={xy_px[0]}, y={xy_px[1]} of level {stored}"
            _log.warning("%s is damaged near %s; grey is shown: %s", path, place, salvage.failures[0])
        # The cache marks its tiles read-only: they must not share memory with anything else.
        return np.array(pixels), not salvage.failures


def slide_pyramid(slide: ReadableLevels, *, cache_bytes: int = PYRAMID_CACHE_BYTES) -> SlidePyramid:
    """Give a slide's levels as lazy arrays, with virtual levels where steps are larger than two.

    Parameters
    ----------
    slide
        Open while the pyramid is used.
    cache_bytes
        Limit of the tile cache that all levels share.
    """
    return SlidePyramid(slide, cache_bytes=cache_bytes)


def _plan(pyramid: SlidePyramid, info: SlideInfo) -> list[LazyLevel]:
    planned: list[LazyLevel] = []

    def add(size: tuple[int, int], factor: tuple[float, float], stored: int | None) -> None:
        planned.append(LazyLevel(pyramid, len(planned), size, downsample=factor, stored_level=stored))

    for level, following in zip(info.levels, [*info.levels[1:], None], strict=True):
        add(level.size_px, level.downsample, level.index)
        while _wants_half(planned[-1], None if following is None else following.downsample):
            finer = planned[-1]
            size = (-(-finer.size_px[0] // _STEP), -(-finer.size_px[1] // _STEP))
            add(size, (finer.downsample[0] * _STEP, finer.downsample[1] * _STEP), None)
    return planned


def _wants_half(level: LazyLevel, following: tuple[float, float] | None) -> bool:
    if following is None:
        return max(level.size_px) > COARSEST_PX
    # A stored level not much more than one step away is close enough.
    return following[0] / level.downsample[0] > 1.25 * _STEP


def _complete(key: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * (len(shape) - len(keys) + 1)
    if len(keys) > len(shape):
        raise IndexError(f"a level has {len(shape)} axes, but {len(keys)} indices were given")
    return (*keys, *[slice(None)] * (len(shape) - len(keys)))


def _span(key: Any, length: int) -> tuple[int, int, Any]:
    """First index to read, number to read, and what to take of that."""
    if not isinstance(key, slice):
        index = int(key) + (length if int(key) < 0 else 0)
        if not 0 <= index < length:
            raise IndexError(f"index {key} is out of bounds for an axis of {length} pixels")
        return index, 1, 0
    wanted = range(*key.indices(length))
    if not wanted:
        return 0, 0, slice(None)
    low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
    return low, high - low + 1, slice(None, None, wanted.step)
