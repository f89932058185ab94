"""A look at a TIFF's directories before a native library sees the file.

OpenSlide allocates what the tags claim: one changed byte in a tile width makes it ask for 200 GB, and the whole
process aborts. So sizes, counts and positions are checked here first, in Python and in bounded time and memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from amkd_core.errors import SlideError
from amkd_core.slides.tiff_tags import (
    BITS,
    COMPRESSION,
    DESCRIPTION,
    JPEG_TABLES,
    MAX_VALUES,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TILE_BYTES,
    TILE_OFFSETS,
    TiffDirectory,
    TiffFileTags,
    TiffTagError,
    read_tiff_tags,
)

MAX_TILE_SIDE_PX = 4096
MAX_SIDE_PX = 1_000_000
MAX_AREA_PX = 200_000_000_000
MAX_SAMPLES = 64

_FOUR_GIB = 1 << 32
_READ_LATER = (BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION, PLANAR, PREDICTOR, JPEG_TABLES)


def checked_tags(path: Path) -> TiffFileTags:
    """Read the directories of a TIFF-like slide and refuse what no scanner writes.

    Parameters
    ----------
    path
        A file whose first bytes are those of a TIFF or BigTIFF.

    Returns
    -------
    TiffFileTags
        Open; the caller closes it.

    Raises
    ------
    SlideError
        If the file is truncated, or its directories claim tiles, sizes or counts that cannot be.
    """
    try:
        tags = read_tiff_tags(path)
    except TiffTagError as error:
        raise _refusal(path, error) from error
    try:
        _check_all(tags)
    except TiffTagError as error:
        tags.close()
        raise _refusal(path, error) from error
    except BaseException:
        tags.close()
        raise
    return tags


def _refusal(path: Path, error: TiffTagError) -> SlideError:
    return SlideError(
        f"{path} is truncated or damaged: {error}; copy or download the file again, or export it anew."
    )


def _check_all(tags: TiffFileTags) -> None:
    beyond = total = 0
    for directory in tags.directories:
        width, height = directory.size_px
        if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX and width * height <= MAX_AREA_PX):
            raise TiffTagError(f"an image claims to be {width} x {height} px")
        if not 1 <= directory.number(SAMPLES, 1) <= MAX_SAMPLES:
            raise TiffTagError(f"an image claims {directory.number(SAMPLES)} samples per pixel")
        if tags.ndpi and tags.size >= _FOUR_GIB:
            # The high halves of its 64-bit offsets lie outside the tags. Its pictures lie before their directories, so
            # that a cut shows in the chain of these.
            continue
        for tag in _READ_LATER:
            entry = directory.tags.get(tag)
            if entry is not None and entry.offset + entry.n_bytes > tags.size:
                raise TiffTagError(f"tag {tag} lies beyond its end at byte {tags.size}")
        out, count = _check_segments(tags, directory)
        beyond, total = beyond + out, total + count
        if total > MAX_VALUES:
            raise TiffTagError(f"its images claim more than {MAX_VALUES} tiles together")
    if beyond:
        raise TiffTagError(f"{beyond} of {total} tiles lie beyond its end at byte {tags.size}")


def _check_segments(tags: TiffFileTags, directory: TiffDirectory) -> tuple[int, int]:
    tile = directory.tile_px
    width, height = directory.size_px
    if tile is None:
        rows = max(1, directory.number(ROWS_PER_STRIP, height))
        expected, names = -(-height // rows), (STRIP_OFFSETS, STRIP_BYTES)
    else:
        if not (1 <= tile[0] <= MAX_TILE_SIDE_PX and 1 <= tile[1] <= MAX_TILE_SIDE_PX) and not tags.ndpi:
            raise TiffTagError(
                f"it claims tiles of {tile[0]} x {tile[1]} px, but no side may exceed {MAX_TILE_SIDE_PX}"
            )
        expected, names = -(-width // tile[0]) * -(-height // tile[1]), (TILE_OFFSETS, TILE_BYTES)
    offsets, lengths = (directory.numbers(name) for name in names)
    if offsets.size != lengths.size or offsets.size < expected:
        raise TiffTagError(
            f"an image of {width} x {height} px needs {expected} {'strips' if tile is None else 'tiles'}, but "
            f"its directory lists {offsets.size} offsets and {lengths.size} lengths"
        )
    ends = offsets.astype(np.float64) + lengths.astype(np.float64)
    return int(np.count_nonzero((ends > tags.size) & (lengths.astype(np.int64) > 0))), int(offsets.size)
