"""Decoded tiles, kept up to a number of bytes, and regions put together from them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from amkd_core.slides.backends.base import Pixels, blank

DEFAULT_CACHE_BYTES = 160 << 20
"""Two tile rows of a slide 100,000 px wide: what a row-wise walk over unaligned patches comes back to."""


class TileCache:
    """Least recently used tiles, limited by their bytes; safe for threads.

    A tile asked for by several threads at once is decoded by one of them, the others wait for that one;
    different tiles are decoded at the same time, outside any lock.

    Parameters
    ----------
    limit_bytes
        Bytes of decoded pixels that are kept. One tile larger than this is kept alone.
    """

    def __init__(self, limit_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._tiles: OrderedDict[Hashable, Pixels] = OrderedDict()
        self._pending: dict[Hashable, Future[Pixels]] = {}
        self._bytes = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of pixels kept now."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], Pixels]) -> Pixels:
        """Return the tile of `key`, calling `make` when it is not kept; the tile is read-only.

        An error of `make` goes to every thread that waited for this tile, and nothing is kept.
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
        self._keep(key, tile)
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

    def _keep(self, key: Hashable, tile: Pixels) -> None:
        with self._lock:
            self._pending.pop(key, None)
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            while self._bytes > self.limit_bytes and len(self._tiles) > 1:
                _, oldest = self._tiles.popitem(last=False)
                self._bytes -= oldest.nbytes


def compose(
    xy_px: tuple[int, int],
    size_px: tuple[int, int],
    tile_px: tuple[int, int],
    fetch: Callable[[int, int], Pixels],
) -> Pixels:
    """Put a region together from the tiles that it touches.

    Parameters
    ----------
    xy_px, size_px
        Upper left corner and (width, height) of the region in pixels of one level, inside that level.
    tile_px
        (width, height) of its tiles.
    fetch
        From (column, row) of a tile to its pixels; edge tiles may be smaller or padded.

    Returns
    -------
    ndarray of uint8, (height, width, 3)
        A new array.
    """
    (x, y), (width, height), (tile_width, tile_height) = xy_px, size_px, tile_px
    region = blank(size_px)
    for row in range(y // tile_height, (y + height - 1) // tile_height + 1):
        top = max(y, row * tile_height)
        for column in range(x // tile_width, (x + width - 1) // tile_width + 1):
            left = max(x, column * tile_width)
            tile = fetch(column, row)
            part = tile[
                top - row * tile_height : y + height - row * tile_height,
                left - column * tile_width : x + width - column * tile_width,
            ]
            region[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]] = part
    return region
