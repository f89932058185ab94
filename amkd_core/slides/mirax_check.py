"""A look at a MIRAX slide before OpenSlide opens it, whether all its pictures lie inside their files.

A slide is a file, a folder of the same name and many files in that. OpenSlide reads a picture when it is first shown,
so a slide of which a file was cut off or forgotten opens all the same. The layout of the index is as OpenSlide's
documentation of the format describes it; what does not look like it is left to OpenSlide.
"""

from __future__ import annotations

import itertools
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
        records = _records(index, start, min(n_levels, _LEVELS))
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
        raise _refusal(part, f"{n_lost} of its {ends.size} pictures lie beyond its end at byte {size}")


def _refusal(part: Path, problem: str) -> SlideError:
    return SlideError(
        f"{part} is truncated or damaged: {problem}; copy or download the folder again, or export the slide anew."
    )


class _Index:
    """The bytes of an index, from which numbers are read that must lie inside."""

    def __init__(self, file: Path, start: int) -> None:
        self.file, self.start, self.size = file, start, file.stat().st_size
        if self.size > _MAX_INDEX_BYTES:
            raise _OtherLayoutError
        self._content = file.read_bytes()
        if not self._content.startswith(_VERSION[: self.size]):
            raise _OtherLayoutError

    def numbers(self, at: int, count: int) -> NDArray[np.int32]:
        """`count` numbers of 32 bits from a byte on."""
        if at < self.start or count < 0:
            raise _OtherLayoutError
        if at + 4 * count > self.size:
            raise _refusal(self.file, f"it points to byte {at + 4 * count} and ends at byte {self.size}")
        return np.frombuffer(self._content, "<i4", count, at)

    def pages(self, level: int) -> Iterator[NDArray[np.int32]]:
        """Records of (picture, offset, length, file) of one level, page by page."""
        (table,) = self.numbers(self.start, 1).tolist()
        (head,) = self.numbers(table + 4 * level, 1).tolist()
        zero, at = self.numbers(head, 2).tolist()
        if zero:
            raise _OtherLayoutError
        seen: set[int] = set()
        while at:
            if at in seen:  # which OpenSlide would follow for ever
                raise _refusal(self.file, f"the page at byte {at} comes again")
            seen.add(at)
            n_records, following = self.numbers(at, 2).tolist()
            yield self.numbers(at + 8, 4 * n_records).reshape(-1, 4)
            at = following


def _records(file: Path, start: int, n_levels: int) -> NDArray[np.int32]:
    """All records of all levels, shape (pictures, 4)."""
    index, found, count = _Index(file, start), [np.zeros((0, 4), "<i4")], 0
    for page in itertools.chain.from_iterable(map(index.pages, range(n_levels))):
        found.append(page)
        count += len(page)
        if count > MAX_PICTURES:
            raise _OtherLayoutError
    return np.concatenate(found)
