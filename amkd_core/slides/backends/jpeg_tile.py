"""JPEG tiles of a TIFF, decoded so that damage is an error, as OpenSlide has it.

libjpeg fills what it cannot read with grey, or with whatever the broken bits say, and only warns. A prediction would
rest on those pixels, so a warning counts as an error here.
"""

from __future__ import annotations

import simplejpeg

from amkd_core.slides.backends.base import Pixels

_START, _END = b"\xff\xd8", b"\xff\xd9"
JPEG = 7
"""TIFF's number of the compression."""
TRANSFORMS = {2: 0, 6: 1}
"""Adobe's number of a tile's colours by TIFF's (RGB, YCbCr); of others nothing is decoded here."""


def jpeg_start(tables: bytes | None, photometric: int) -> bytes:
    """What stands before each tile's own data.

    Parameters
    ----------
    tables
        Those that a TIFF keeps once for all tiles, as a JPEG file without a picture.
    photometric
        The colours as the TIFF says, one of `TRANSFORMS`. The tiles often do not say it, so Adobe's marker does.
    """
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([TRANSFORMS[photometric]])
    shared = (tables or b"").removeprefix(_START).removesuffix(_END)
    return _START + adobe + shared


def decode_jpeg(start: bytes, raw: bytes, out: Pixels) -> Pixels:
    """Decode a tile into memory of its size, (height, width, 3) uint8 RGB; releases the interpreter lock.

    Parameters
    ----------
    start
        By `jpeg_start`.
    raw
        The tile as the file has it.
    out
        Contiguous; a picture that needs more is refused.

    Returns
    -------
    array, (height, width, 3) uint8
        In the memory of `out`; smaller where the tile is.

    Raises
    ------
    ValueError
        When anything of it is damaged.
    """
    if not raw.startswith(_START):
        raise ValueError("it does not begin as a JPEG")
    tile: Pixels = simplejpeg.decode_jpeg(start + raw[2:], "RGB", buffer=out.reshape(-1), strict=True)
    return tile
