"""A look at a MIRAX slide before OpenSlide opens it, whether all its pictures lie inside their files.

A slide is a file, a folder of the same name and many files in that. OpenSlide reads a picture when it is first shown,
so a slide of which a file was cut off or forgotten opens all the same. The layout of the index is as OpenSlide's
documentation of the format describes it; what does not look like it is left to OpenSlide.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import SlideError
from amkd_core.slides.scanner_text import inside, read_ini

SETTINGS_NAME = "Slidedat.ini"
MAX_PICTURES = 1 << 22
"""As many as tiles of one TIFF directory; an index that lists more is left to OpenSlide."""

_VERSION = b"01.02"
_MAX_INDEX_BYTES = 16 * MAX_PICTURES + (1 << 20)
_LEVELS = 64


class _OtherLayoutError(ValueError):
    """The index is not written as known; OpenSlide will say what it thinks of it."""


def check_mirax(file: Path) -> None:
    """Refuse a MIRAX slide of which a file was cut off or is missing.

    Parameters
    ----------
    file
        The `.mrxs` file; its folder is looked for beside it.

    Raises
    ------
    SlideError
        Naming the file that is missing or cut, or that lies in another folder.
    """
    folder = file.with_suffix("")
    settings_file = folder / SETTINGS_NAME
    if not settings_file.is_file():
        raise SlideError(
            f"{file} is incomplete: its folder {folder.name} with {SETTINGS_NAME} is not beside it; copy both."
        )
    settings = read_ini(settings_file)
    try:
        index = folder / inside(settings["HIERARCHICAL"]["INDEXFILE"], settings_file)
        parts = settings["DATAFILE"]
        names = [inside(parts[f"FILE_{n}"], settings_file) for n in range(int(parts["FILE_COUNT"]))]
        n_levels = int(settings["HIERARCHICAL"]["HIER_0_COUNT"])
        start = len(_VERSION) + len(settings["GENERAL"]["SLIDE_ID"])
    except (KeyError, ValueError):
        return
    if not index.is_file():
        raise SlideError(
            f"{file} is incomplete: {index.name} is missing from its folder; copy the folder again."
        )
    try:
        records = np.concatenate([np.zeros((0, 4), "<i4"), *_records(index, start, min(n_levels, _LEVELS))])
    except _OtherLayoutError:
        return
    for number, name in enumerate(names):
        of_file = records[records[:, 3] == number]
        if of_file.size:
            _check_part(file, folder / name, of_file[:, 1].astype(np.int64) + of_file[:, 2])


def _check_part(file: Path, part: Path, ends: NDArray[np.int64]) -> None:
    if not part.is_file():
        raise SlideError(
            f"{file} is incomplete: {part.name}, which holds {ends.size} of its pictures, is missing from its folder; "
            "copy the folder again."
        )
    size = part.stat().st_size
    if n_lost := int(np.count_nonzero(ends > size)):
        raise SlideError(
            f"{part} is truncated or damaged: {n_lost} of its {ends.size} pictures lie beyond its end at byte {size}; "
            "copy or download the folder again, or export the slide anew."
        )


def _records(index: Path, start: int, n_levels: int) -> Iterator[NDArray[np.int32]]:
    """Pages of (picture, offset, length, file), level by level."""
    size = index.stat().st_size
    if size > _MAX_INDEX_BYTES:
        raise _OtherLayoutError
    content = index.read_bytes()

    def numbers(at: int, count: int) -> NDArray[np.int32]:
        if at < start or count < 0:
            raise _OtherLayoutError
        if at + 4 * count > size:
            raise SlideError(
                f"{index} is truncated or damaged: it points to byte {at + 4 * count} and ends at byte {size}; copy or "
                "download the folder again, or export the slide anew."
            )
        return np.frombuffer(content, "<i4", count, at)

    if not content.startswith(_VERSION[:size]):
        raise _OtherLayoutError
    table, n_pictures = int(numbers(start, 1)[0]), 0
    for level in range(n_levels):
        zero, at = (int(number) for number in numbers(int(numbers(table + 4 * level, 1)[0]), 2))
        if zero:
            raise _OtherLayoutError
        while at:
            n_records, following = (int(number) for number in numbers(at, 2))
            n_pictures += n_records
            # Every page takes two numbers, so that a ring of empty ones ends as well.
            if n_pictures > MAX_PICTURES or (n_records <= 0 and following):
                raise _OtherLayoutError
            yield numbers(at + 8, 4 * n_records).reshape(-1, 4)
            at = following
