"""Where the tiles of one level of a TIFF lie, and how one of them is decoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amkd_core.slides import tiff_tags
from amkd_core.slides.backends.base import Pixels
from amkd_core.slides.backends.jpeg_tile import JPEG, TRANSFORMS, decode_jpeg, jpeg_start
from amkd_core.slides.tiff_tags import TiffDirectory

_NONE, _RGB = 1, 2


@dataclass(frozen=True)
class TiledLevel:
    """Where the tiles of one level lie in the file, and how they are decoded.

    Attributes
    ----------
    size_px, tile_px
        (width, height) of the level and of its tiles.
    offsets, lengths
        (n_tiles,) int64, row by row.
    jpeg
        What stands before each tile's own data (`jpeg_start`); None for uncompressed tiles.
    """

    size_px: tuple[int, int]
    tile_px: tuple[int, int]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    jpeg: bytes | None

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.size_px[0] // self.tile_px[0])

    @property
    def rows(self) -> int:
        """Tiles in a column."""
        return -(-self.size_px[1] // self.tile_px[1])

    def decode(self, raw: bytes, out: Pixels | None = None) -> Pixels:
        """Decode one tile, (tile height, tile width, 3) uint8, into `out` if given; releases the interpreter lock.

        Raises
        ------
        ValueError
            When it is damaged.
        """
        width, height = self.tile_px
        if self.jpeg is None:
            return np.frombuffer(raw, np.uint8)[: height * width * 3].reshape(height, width, 3).copy()
        tile = decode_jpeg(self.jpeg, raw, tile_memory(self.tile_px) if out is None else out)
        if tile.shape != (height, width, 3):
            raise ValueError(f"a tile decodes to shape {tile.shape}, not {(height, width, 3)}")
        return tile


def tile_memory(tile_px: tuple[int, int]) -> Pixels:
    """Memory for a decoded tile, (height, width, 3) uint8, on purpose at an odd multiple of 8 bytes.

    libjpeg-turbo writes rows that lie at multiples of 32 bytes past the processor's cache, from where the next step
    has to fetch them again: that made decoding up to 1.5 times slower, by the chance of the address.
    """
    width, height = tile_px
    n_bytes = width * height * 3
    room = np.empty(n_bytes + 32, np.uint8)
    start = (8 - room.ctypes.data) % 32
    return room[start : start + n_bytes].reshape(height, width, 3)


def plan_level(directory: TiffDirectory) -> TiledLevel | None:
    """Describe how a directory's tiles are decoded, or None where that is left to OpenSlide."""
    tile = directory.tile_px
    compression = directory.number(tiff_tags.COMPRESSION, 1)
    photometric = directory.number(tiff_tags.PHOTOMETRIC, -1)
    plain = (
        tile is not None
        and directory.numbers(tiff_tags.BITS).tolist() == [8, 8, 8]
        and directory.number(tiff_tags.SAMPLES, 1) == 3
        and directory.number(tiff_tags.PLANAR, 1) == 1
        and directory.number(tiff_tags.PREDICTOR, 1) == 1
    )
    known = (compression == JPEG and photometric in TRANSFORMS) or (compression, photometric) == (_NONE, _RGB)
    if tile is None or not plain or not known:
        return None
    tables = directory.numbers(tiff_tags.JPEG_TABLES).astype(np.uint8).tobytes()
    level = TiledLevel(
        size_px=directory.size_px,
        tile_px=tile,
        offsets=directory.numbers(tiff_tags.TILE_OFFSETS).astype(np.int64),
        lengths=directory.numbers(tiff_tags.TILE_BYTES).astype(np.int64),
        jpeg=jpeg_start(tables, photometric) if compression == JPEG else None,
    )
    return level if level.offsets.size == level.columns * level.rows else None
