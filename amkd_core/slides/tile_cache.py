"""Decoded tiles, kept up to a number of bytes, and regions put together from them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

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
    fetch: Callable[[int, int, bool], Pixels],
) -> Pixels:
    """Put a region together from the tiles that it touches.

    Parameters
    ----------
    xy_px, size_px
        Upper left corner and (width, height) of the region in pixels of one level, inside that level.
    tile_px
        (width, height) of its tiles.
    fetch
        From (column, row, partly) of a tile to its pixels; `partly` tells that the region takes only a
        part of the tile, so that a neighbouring region will want it too. Edge tiles may be smaller or padded.

    Returns
    -------
    ndarray of uint8, (height, width, 3)
        A new array; white where a tile is smaller than its place.
    """
    (x, y), (width, height), (tile_width, tile_height) = xy_px, size_px, tile_px
    region = np.empty((height, width, 3), np.uint8)
    for row in range(y // tile_height, (y + height - 1) // tile_height + 1):
        up = row * tile_height
        top, bottom = max(y, up), min(y + height, up + tile_height)
        for column in range(x // tile_width, (x + width - 1) // tile_width + 1):
            left = column * tile_width
            start, stop = max(x, left), min(x + width, left + tile_width)
            partly = (stop - start, bottom - top) != tile_px
            part = fetch(column, row, partly)[top - up : bottom - up, start - left : stop - left]
            place = region[top - y : bottom - y, start - x : stop - x]
            if part.shape != place.shape:
                place[...] = 255
                place = place[: part.shape[0], : part.shape[1]]
            place[...] = part
    return region
