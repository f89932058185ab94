"""A bounded walk over the directories of a TIFF, BigTIFF or NDPI file, without any native library.

Nothing here trusts a number of the file: every count is capped before memory is taken, directories seen twice end
the chain, and arrays must lie within the file. Tile offsets are read as whole arrays, so that a slide with a
million tiles is walked in milliseconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

MAX_DIRECTORIES = 4096
MAX_SUB_DIRECTORIES = 64
MAX_ENTRIES = 1024
MAX_VALUES = 1 << 22
"""Values of one tag that are ever read: 4 million tiles are a slide of 500,000 x 500,000 px."""

SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
DESCRIPTION, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 270, 273, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT, PREDICTOR = 282, 283, 284, 296, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB_DIRECTORIES = 322, 323, 324, 325, 330
SAMPLE_FORMAT, JPEG_TABLES, NDPI_VERSION = 339, 347, 65420

_TYPES = {
    1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4", 11: "f4", 12: "f8",
    13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip
_RATIONALS = (5, 10)
_HEADER_BYTES = 8


class TiffTagError(ValueError):
    """A directory cannot be read; the message is the cause, to be put into a sentence with the file's name."""


@dataclass(frozen=True)
class TiffTag:
    """Where the values of one tag lie: numeric type, number of values, byte offset in the file."""

    kind: int
    count: int
    offset: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Numpy type of one value in native byte order, rationals as their two halves."""
        return np.dtype(_TYPES[self.kind])

    @property
    def n_bytes(self) -> int:
        """Bytes that all values take."""
        return self.count * self.dtype.itemsize * (2 if self.kind in _RATIONALS else 1)


@dataclass(frozen=True)
class TiffDirectory:
    """One image of the file, with its tags still unread.

    Attributes
    ----------
    offset
        Byte offset of the directory.
    tags
        By tag number.
    is_sub
        It hangs on another directory by SubIFDs, as the levels of an OME-TIFF do.
    """

    file: TiffFileTags = field(repr=False)
    offset: int
    tags: dict[int, TiffTag]
    is_sub: bool = False

    def numbers(self, tag: int) -> NDArray[Any]:
        """All values of a tag; rationals as floats; empty when the tag is absent.

        Raises
        ------
        TiffTagError
            If there are more values than a slide can have, or they lie outside the file.
        """
        entry = self.tags.get(tag)
        return np.zeros(0, np.int64) if entry is None else self.file.values(tag, entry)

    def number(self, tag: int, default: int = 0) -> int:
        """First value of an integer tag, or `default`."""
        values = self.numbers(tag)
        if values.size == 0:
            return default
        if not np.isfinite(values[0]):
            raise TiffTagError(f"tag {tag} holds {values[0]}")
        return int(values[0])

    def text(self, tag: int, limit: int = 65_536) -> str:
        """Text of a tag, its first `limit` bytes; empty when absent."""
        entry = self.tags.get(tag)
        if entry is None:
            return ""
        raw = self.file.read_at(entry.offset, min(entry.count, limit))
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return self.number(WIDTH), self.number(HEIGHT)

    @property
    def tile_px(self) -> tuple[int, int] | None:
        """(width, height) of a tile; None for an image in strips."""
        if TILE_WIDTH not in self.tags:
            return None
        return self.number(TILE_WIDTH), self.number(TILE_HEIGHT)


@dataclass
class TiffFileTags:
    """All directories of one file; keeps the file open for the tags that are read later."""

    path: Path
    stream: BinaryIO
    size: int
    order: Literal["<", ">"]
    big: bool
    ndpi: bool = False
    directories: list[TiffDirectory] = field(default_factory=list)
    bad_next: int | None = None

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Read bytes that must lie within the file."""
        if offset < 0 or offset + n_bytes > self.size:
            raise TiffTagError(
                f"a directory points to byte {offset + n_bytes} of a file of {self.size} bytes"
            )
        self.stream.seek(offset)
        return self.stream.read(n_bytes)

    def values(self, tag: int, entry: TiffTag) -> NDArray[Any]:
        """All values of one tag."""
        if entry.count > MAX_VALUES:
            raise TiffTagError(f"tag {tag} claims {entry.count} values, more than a slide can have")
        halves = 2 if entry.kind in _RATIONALS else 1
        dtype = entry.dtype.newbyteorder(self.order)
        raw = self.read_at(entry.offset, entry.count * halves * dtype.itemsize)
        numbers = np.frombuffer(raw, dtype)
        if halves == 1:
            return numbers.astype(entry.dtype)
        above, below = numbers[0::2].astype(np.float64), numbers[1::2].astype(np.float64)
        return np.divide(above, below, out=np.zeros_like(above), where=below != 0)

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def __enter__(self) -> TiffFileTags:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_tiff(head: bytes) -> bool:
    """Tell whether the first bytes of a file are those of a TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff_tags(path: Path) -> TiffFileTags:
    """Walk all directories of a file.

    A next-directory pointer that returns to a known directory or into the header ends the walk and is remembered as
    `TiffFileTags.bad_next`. One that leaves the file is what a slide looks like that was cut off in transfer: scanners
    write each picture and then its directory, so that all of those that are left are whole.

    Raises
    ------
    TiffTagError
        If a directory cannot be read or lies beyond the end, or there are more directories or entries than a slide
        can have.
    """
    stream = path.open("rb")
    try:
        head = stream.read(16)
        if not is_tiff(head):
            raise TiffTagError("its first bytes are not those of a TIFF")
        order: Literal["<", ">"] = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        if len(head) < (16 if big else 8):
            raise TiffTagError("it ends within its header")
        file = TiffFileTags(path, stream, path.stat().st_size, order, big)
        first = struct.unpack(order + "Q", head[8:16])[0] if big else struct.unpack(order + "I", head[4:8])[0]
        if path.suffix.lower() == ".ndpi" and not big and file.size >= 1 << 32:
            # NDPI beyond 4 GiB keeps 64-bit pointers in a classic header.
            file.ndpi = True
            first = struct.unpack(order + "Q", head[4:12])[0]
        _walk(file, first)
    except BaseException:
        stream.close()
        raise
    return file


def _walk(file: TiffFileTags, first: int) -> None:
    pending = [(first, False)]
    seen: set[int] = set()
    while pending:
        offset, is_sub = pending.pop()
        if offset > file.size - _least_bytes(file) or (offset < _HEADER_BYTES and not file.directories):
            raise TiffTagError(
                f"its {'next' if file.directories else 'first'} directory should be at byte {offset}, but the file has "
                f"{file.size} bytes"
            )
        if offset in seen or offset < _HEADER_BYTES:
            file.bad_next = offset
            continue
        seen.add(offset)
        if len(seen) > MAX_DIRECTORIES:
            raise TiffTagError(f"it has more than {MAX_DIRECTORIES} directories")
        directory, following = _read_directory(file, offset, is_sub)
        file.directories.append(directory)
        if following and not is_sub:
            pending.append((following, False))
        subs = (
            [] if is_sub else [int(sub) for sub in directory.numbers(SUB_DIRECTORIES)[:MAX_SUB_DIRECTORIES]]
        )
        pending.extend((sub, True) for sub in reversed(subs))
    file.ndpi = file.ndpi or NDPI_VERSION in file.directories[0].tags


def _least_bytes(file: TiffFileTags) -> int:
    """What a directory takes at least: the number of its entries."""
    return 8 if file.big else 2


def _read_directory(file: TiffFileTags, offset: int, is_sub: bool) -> tuple[TiffDirectory, int]:
    count_format, entry_format, pointer = ("Q", "HHQ", "Q") if file.big else ("H", "HHI", "I")
    count_bytes, width = struct.calcsize("=" + count_format), 8 if file.big else 4
    n_entries = struct.unpack(file.order + count_format, file.read_at(offset, count_bytes))[0]
    if n_entries > MAX_ENTRIES:
        raise TiffTagError(f"the directory at byte {offset} claims {n_entries} entries")
    entry_bytes = struct.calcsize("=" + entry_format) + width
    raw = file.read_at(offset + count_bytes, n_entries * entry_bytes)
    tags: dict[int, TiffTag] = {}
    for start in range(0, len(raw), entry_bytes):
        tag, kind, count = struct.unpack_from(file.order + entry_format, raw, start)
        if kind not in _TYPES:
            continue
        n_bytes = count * np.dtype(_TYPES[kind]).itemsize * (2 if kind in _RATIONALS else 1)
        place = start + entry_bytes - width
        where = offset + count_bytes + place
        if n_bytes > width:
            where = struct.unpack_from(file.order + pointer, raw, place)[0]
        tags.setdefault(tag, TiffTag(kind, count, where))
    ndpi = file.ndpi or NDPI_VERSION in tags
    following = _next_directory(file, offset + count_bytes + len(raw), n_high=n_entries if ndpi else None)
    return TiffDirectory(file, offset, tags, is_sub), following


def _next_directory(file: TiffFileTags, where: int, *, n_high: int | None) -> int:
    """Where the next directory lies; `n_high` upper halves of 32 bits may follow in an NDPI, one for each entry."""
    wide = file.big or n_high is not None
    end = where + (8 if wide else 4)
    if end > file.size or end < file.size < end + 4 * (n_high or 0):
        raise TiffTagError(f"it ends at byte {file.size}, within a directory")
    return int(struct.unpack(file.order + ("Q" if wide else "I"), file.read_at(where, end - where))[0])
