"""A look at a DICOM slide before OpenSlide opens it, whether all its frames lie inside their files.

OpenSlide reads a frame when it is first shown, so a slide that was cut off in transfer opens, and only its lower part
fails. Only the marks between frames are read, no metadata: what they mean is OpenSlide's business.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from amkd_core.errors import SlideError
from amkd_core.slides.detect import (
    DICOM_HEAD_BYTES,
    dicom_image_type,
    dicom_series,
    dicom_text,
    files_of,
    is_dicom,
)

_CHUNK_BYTES = 1 << 20
_PIXELS = (b"\xe0\x7f\x10\x00OB\0\0", b"\xe0\x7f\x10\x00OW\0\0")
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = 0xE000FFFE, 0xE0DDFFFE
_SYNTAX_TAG = b"\x02\x00\x10\x00UI"
# Implicit, big-endian and deflated files write their tags in other ways; no scanner of slides does.
_OTHERWISE_WRITTEN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


def check_dicom(file: Path) -> None:
    """Refuse a DICOM slide of which a file was cut off.

    Parameters
    ----------
    file
        Any DICOM file of the slide; all files of its series in the folder are looked at.

    Raises
    ------
    SlideError
        Naming the file that is cut, and what is missing as far as it can be told. A file beside it that is too short to
        tell its series counts as one of them: a whole level of the slide may be missing.
    """
    for part in files_of(file):
        problem = _problem(part)
        if problem:
            raise SlideError(
                f"{part} is truncated or damaged: {problem}; copy or download the file again, or export it anew."
            )
    for other in sorted(file.parent.iterdir()):
        if other != file and other.suffix.lower() in (".dcm", ".dicom") and _lost_its_series(other):
            raise SlideError(
                f"{other} is truncated or damaged: it ends at byte {other.stat().st_size}, before it tells which slide "
                f"it belongs to, perhaps that of {file.name}; copy it again, or move it to another folder."
            )


def _lost_its_series(file: Path) -> bool:
    if not file.is_file() or file.name.startswith(".") or file.stat().st_size >= DICOM_HEAD_BYTES:
        return False
    if not is_dicom(file):
        return file.stat().st_size < 132
    return not dicom_series(file) and dicom_text(file, _SYNTAX_TAG) not in _OTHERWISE_WRITTEN


def _problem(file: Path) -> str:
    """What is wrong with the frames of one file, in words; empty when all are there."""
    if dicom_text(file, _SYNTAX_TAG) in _OTHERWISE_WRITTEN:
        return ""
    size, found, at = file.stat().st_size, False, 0
    with file.open("rb", buffering=0) as stream:
        # A small picture may stand before the slide's own pixels.
        while (place := _find_pixels(stream, at)) >= 0:
            found = True
            (length,) = _numbers(stream, place + 8, 1) or (_UNDEFINED,)
            at = place + 12
            if length != _UNDEFINED:
                at += length
                if at > size:
                    return f"{at - size} bytes of its pixels lie beyond its end at byte {size}"
                continue
            problem, at = _check_frames(stream, at, size)
            if problem:
                return problem
    if found or not dicom_image_type(file):
        return ""
    return f"it ends at byte {size}, before its pixels"


def _find_pixels(stream: BinaryIO, start: int) -> int:
    """Byte at which the next element of pixels begins, from `start` on; -1 when there is none."""
    overlap = len(_PIXELS[0]) - 1
    stream.seek(start)
    kept, at = b"", start
    while chunk := stream.read(_CHUNK_BYTES):
        text = kept + chunk
        places = [place for mark in _PIXELS if (place := text.find(mark)) >= 0]
        if places:
            return at + min(places)
        kept = text[-overlap:]
        at += len(text) - len(kept)
    return -1


def _check_frames(stream: BinaryIO, start: int, size: int) -> tuple[str, int]:
    """What is wrong with frames that each tell their length, and the byte behind the last."""
    at = start
    offsets = _offsets(stream, start)
    if offsets.size:
        first = start + 8 + 4 * offsets.size
        n_lost = int(np.count_nonzero(first + offsets.astype(np.int64) + 8 > size))
        if n_lost:
            return f"{n_lost} of {offsets.size} frames lie beyond its end at byte {size}", size
        last = first + int(offsets.max())
        # The table saves a read for each of many thousand frames; past 4 GiB it cannot tell the place.
        if size < _UNDEFINED and _numbers(stream, last, 1) == (_ITEM,):
            at = last
    while at + 8 <= size:
        mark, length = _numbers(stream, at, 2)
        if mark == _END:
            return "", at + 8
        if mark != _ITEM:
            return f"no frame begins at byte {at}, where the one before it ends", at
        at += 8 + length
    return f"its frames go on beyond its end at byte {size}", size


def _offsets(stream: BinaryIO, start: int) -> np.ndarray:
    """The table of frames' offsets in the first item; empty where the writer left it out."""
    mark, length = _numbers(stream, start, 2) or (0, 0)
    if mark != _ITEM or length % 4:
        return np.zeros(0, "<u4")
    stream.seek(start + 8)
    content = stream.read(min(length, _CHUNK_BYTES * 64))
    return np.frombuffer(content, "<u4") if len(content) == length else np.zeros(0, "<u4")


def _numbers(stream: BinaryIO, at: int, count: int) -> tuple[int, ...]:
    """Unsigned 32-bit numbers at a byte; none where the file ends before."""
    stream.seek(at)
    content = stream.read(4 * count)
    return struct.unpack(f"<{count}I", content) if len(content) == 4 * count else ()
