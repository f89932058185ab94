"""One level of a TIFF as a grid of decodable segments: tiles, or strips taken as tiles of full width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from amkd_core.errors import SlideError, SlideReadError
from amkd_core.slides.backends.base import Pixels
from amkd_core.slides.backends.jpeg_tile import JPEG, TRANSFORMS, decode_jpeg, jpeg_start
from amkd_core.slides.positioned_file import PositionedFile

_RAW_ROWS = 64
_LARGEST_SEGMENT_BYTES = 1 << 30
_WHITE = 255


@dataclass(frozen=True)
class SegmentGrid:
    """Segments of one level.

    Attributes
    ----------
    decode
        tifffile's decoder of one segment of this page.
    dtype, samples, planes
        Type of a sample; samples per pixel in one segment; segments per place (more than 1 where the colours
        are stored apart).
    size_px, segment_px
        (width, height) of the level and of a segment.
    columns, rows
        Segments across and down.
    offsets, lengths
        (planes * rows * columns,) int64.
    raw
        Segments are plain 8-bit RGB(A) rows that need no decoder.
    jpeg
        What stands before each segment's own data where it is an 8-bit RGB picture in JPEG (`jpeg_start`), which we
        decode ourselves: tifffile's decoder is silent about damage. None for any other.
    """

    decode: Callable[..., Any]
    dtype: np.dtype[Any]
    samples: int
    planes: int
    size_px: tuple[int, int]
    segment_px: tuple[int, int]
    columns: int
    rows: int
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    raw: bool
    jpeg: bytes | None = None

    def read(self, file: PositionedFile, column: int, row: int) -> Pixels:
        """Decode one segment to RGB over white; a segment without bytes is white.

        Raises
        ------
        SlideReadError
            If it is damaged.
        """
        index = row * self.columns + column
        parts = [self._plane(file, index + plane * self.columns * self.rows) for plane in range(self.planes)]
        pixels = parts[0] if self.planes == 1 else np.concatenate(parts, axis=2)
        if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or 0 in pixels.shape:
            raise SlideReadError(
                f"{file.path}: a tile decodes to shape {pixels.shape} instead of RGB; it is damaged."
            )
        return to_rgb(pixels)

    def _plane(self, file: PositionedFile, index: int) -> NDArray[Any]:
        offset, length = int(self.offsets[index]), int(self.lengths[index])
        width, height = self.segment_px
        if length == 0:
            return np.full((height, width, self.samples), np.iinfo(self.dtype).max, self.dtype)
        raw = file.read(offset, length)
        if self.raw:
            return np.frombuffer(raw, np.uint8).reshape(-1, width, self.samples)
        try:
            if self.jpeg is not None:
                valid = min(height, self.size_px[1] - index // self.columns * height)
                return decode_jpeg(self.jpeg, raw, np.empty((height, width, self.samples), np.uint8))[:valid]
            decoded, _, shape = self.decode(raw, index)
        except (tifffile.TiffFileError, ValueError, RuntimeError, TypeError, KeyError, IndexError) as error:
            raise SlideReadError(
                f"{file.path}: a tile at byte {offset} cannot be decoded: {error}."
            ) from error
        return np.asarray(decoded).reshape(-1, *decoded.shape[-2:])[: shape[1]]


def segment_grid(path: Path, page: Any) -> SegmentGrid:
    """Lay the grid of a page.

    Raises
    ------
    SlideError
        If the page is one compressed piece too large to decode at once.
    """
    width, height = int(page.imagewidth), int(page.imagelength)
    tiled = bool(page.is_tiled)
    segment = (
        (int(page.tilewidth), int(page.tilelength)) if tiled else (width, min(int(page.rowsperstrip), height))
    )
    offsets = np.asarray(page.dataoffsets, dtype=np.int64)
    lengths = np.asarray(page.databytecounts, dtype=np.int64)
    samples = int(page.samplesperpixel)
    raw = (
        not tiled
        and int(page.compression) == 1
        and (int(page.planarconfig) == 1 and page.dtype == np.uint8)
        and int(page.predictor) == 1
    )
    if raw:
        segment, offsets, lengths = _split_rows(width * samples, (width, height), segment[1], offsets)
    if segment[0] * segment[1] * samples * page.dtype.itemsize > _LARGEST_SEGMENT_BYTES:
        raise SlideError(
            f"{path} stores {segment[0]} x {segment[1]} px in one compressed piece, which cannot be read in parts; "
            "export it as a tiled TIFF."
        )
    planes = samples if int(page.planarconfig) == 2 else 1
    return SegmentGrid(
        # Taken now: tifffile looks into the open file when it builds the decoder.
        decode=partial(page.decode, jpegtables=page.jpegtables, jpegheader=page.jpegheader),
        dtype=page.dtype,
        samples=samples // planes,
        planes=planes,
        size_px=(width, height),
        segment_px=segment,
        columns=-(-width // segment[0]),
        rows=-(-height // segment[1]),
        offsets=offsets,
        lengths=lengths,
        raw=raw,
        jpeg=jpeg_start(page.jpegtables, int(page.photometric)) if _is_rgb_jpeg(page) else None,
    )


def _is_rgb_jpeg(page: Any) -> bool:
    return (
        int(page.compression) == JPEG
        and int(page.photometric) in TRANSFORMS
        and page.jpegheader is None  # pieces of one picture, as Hamamatsu has them
        and (int(page.samplesperpixel), int(page.planarconfig)) == (3, 1)
        and page.dtype == np.uint8
    )


def _split_rows(
    row_bytes: int, size_px: tuple[int, int], rows_per_strip: int, offsets: NDArray[np.int64]
) -> tuple[tuple[int, int], NDArray[np.int64], NDArray[np.int64]]:
    """Cut uncompressed strips into short ones, so that a file in one strip is read in parts."""
    width, height = size_px
    step = _RAW_ROWS if rows_per_strip % _RAW_ROWS == 0 or rows_per_strip >= height else rows_per_strip
    tops = np.arange(0, height, step, dtype=np.int64)
    starts = offsets[tops // rows_per_strip] + (tops % rows_per_strip) * row_bytes
    return (width, step), starts, np.minimum(step, height - tops) * row_bytes


def to_rgb(pixels: NDArray[Any]) -> Pixels:
    """Turn (height, width, 3 or 4) of 8 or 16 bits into 8-bit RGB, a fourth channel taken as opacity over white."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels)
    opacity = pixels[..., 3:4].astype(np.uint16)
    over = (pixels[..., :3] * opacity + _WHITE * (_WHITE - opacity) + 127) // 255
    return over.astype(np.uint8)
