"""Decoded tiles, kept up to a number of bytes, and regions put together from them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from amkd_core.slides.backends.base import Pixels

LARGEST_CACHE_BYTES = 160 << 20
"""Two tile rows of a slide 100,000 px wide: what a row-wise walk over unaligned patches comes back to."""

_SMALLEST_CACHE_BYTES = 8 << 20
_ROWS_KEPT = 4


def cache_bytes_for(width_px: int, tile_px: tuple[int, int]) -> int:
    """Bytes for a few tile rows of a level: more is never asked for again by a walk in rows.

    A small cache is also a fast one, because its memory is soon reused instead of fetched from the system.
    """
    row = -(-width_px // tile_px[0]) * tile_px[0] * tile_px[1] * 3
    return min(LARGEST_CACHE_BYTES, max(_SMALLEST_CACHE_BYTES, _ROWS_KEPT * row))


class TileCache:
    """Least recently used tiles, limited by their bytes; safe for threads.

    A tile asked for by several threads at once is decoded by one of them, the others wait for that one;
    different tiles are decoded at the same time, outside any lock.

    Parameters
    ----------
    limit_bytes
        Bytes of decoded pixels that are kept. One tile larger than this is kept alone.
    """

    def __init__(self, limit_bytes: int = LARGEST_CACHE_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._tiles: OrderedDict[Hashable, Pixels] = OrderedDict()
        self._pending: dict[Hashable, Future[Pixels]] = {}
        self._bytes = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of pixels kept now."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], Pixels], *, keep: bool = True) -> Pixels:
        """Return the tile of `key`, calling `make` when it is not kept; the tile is read-only.

        An error of `make` goes to every thread that waited for this tile, and nothing is kept.

        Parameters
        ----------
        key
            Names the tile.
        make
            Decodes it.
        keep
            Keep it for later; where not, it still goes to every thread that waits for it now.
        """
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
                return tile
            pending = self._pending.get(key)
            if pending is None:
                ours: Future[Pixels] = Future()
                self._pending[key] = ours
        if pending is not None:
            return pending.result()
        try:
            tile = make()
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            ours.set_exception(error)
            raise
        tile.flags.writeable = False
        self._settle(key, tile, keep)
        ours.set_result(tile)
        return tile

    def peek(self, key: Hashable) -> Pixels | None:
        """Return the tile of `key` if it is kept, without making it."""
        with self._lock:
            return self._tiles.get(key)

    def drop(self, key: Hashable) -> None:
        """Forget one tile, if it is kept."""
        with self._lock:
            tile = self._tiles.pop(key, None)
            self._bytes -= 0 if tile is None else tile.nbytes

    def clear(self) -> None:
        """Forget all tiles."""
        with self._lock:
            self._tiles.clear()
            self._bytes = 0

    def _settle(self, key: Hashable, tile: Pixels, keep: bool) -> None:
        with self._lock:
            self._pending.pop(key, None)
            if not keep:
                return
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            while self._bytes > self.limit_bytes and len(self._tiles) > 1:
                _, oldest = self._tiles.popitem(last=False)
                self._bytes -= oldest.nbytes


def compose(
    xy_px: tuple[int, int],
    size_px: tuple[int, int],
    tile_px: tuple[int, int],
    fetch: Callable[[TilePart], Pixels],
) -> Pixels:
    """Put a region together from the tiles that it touches.

    Parameters
    ----------
    xy_px, size_px
        Upper left corner and (width, height) of the region in pixels of one level, inside that level.
    tile_px
        (width, height) of its tiles.
    fetch
        From a part to the pixels of its whole tile. Edge tiles may be smaller or padded.

    Returns
    -------
    ndarray of uint8, (height, width, 3)
        White where a tile is smaller than its place. Read-only where it is a tile itself.
    """
    (x, y), (width, height) = xy_px, size_px
    parts = parts_of(xy_px, size_px, tile_px)
    if len(parts) == 1 and not parts[0].partly:
        tile = fetch(parts[0])
        if tile.shape == (height, width, 3):
            return tile  # the commonest patch of all: nothing to put together
    region = np.empty((height, width, 3), np.uint8)
    for part in parts:
        tile = fetch(part)
        left, top = part.column * tile_px[0], part.row * tile_px[1]
        pixels = tile[part.top - top : part.bottom - top, part.left - left : part.right - left]
        place = region[part.top - y : part.bottom - y, part.left - x : part.right - x]
        if pixels.shape != place.shape:
            place[...] = 255
            place = place[: pixels.shape[0], : pixels.shape[1]]
        place[...] = pixels
    return region


class TilePart(NamedTuple):
    """What a region takes of one tile.

    Attributes
    ----------
    column, row
        Of the tile.
    left, top, right, bottom
        Of the part, in pixels of the level.
    partly
        Whether it is less than the tile, so that a neighbouring region will want the tile too.
    """

    column: int
    row: int
    left: int
    top: int
    right: int
    bottom: int
    partly: bool

    def index_in(self, columns: int) -> int:
        """Place of the tile in row-by-row order, in a grid of so many columns."""
        return self.row * columns + self.column


def parts_of(xy_px: tuple[int, int], size_px: tuple[int, int], tile_px: tuple[int, int]) -> list[TilePart]:
    """Tiles that a region touches, row by row, with what it takes of each; arguments as of `compose`."""
    (x, y), (width, height), (tile_width, tile_height) = xy_px, size_px, tile_px
    parts = []
    for row in range(y // tile_height, (y + height - 1) // tile_height + 1):
        top, bottom = max(y, row * tile_height), min(y + height, (row + 1) * tile_height)
        for column in range(x // tile_width, (x + width - 1) // tile_width + 1):
            left, right = max(x, column * tile_width), min(x + width, (column + 1) * tile_width)
            partly = (right - left, bottom - top) != tile_px
            parts.append(TilePart(column, row, left, top, right, bottom, partly))
    return parts
