"""What can still be read of a damaged place, for pictures; patches for a model are never salvaged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from amkd_core.errors import SlideReadError
from amkd_core.slides.backends.base import Pixels
from amkd_core.slides.info import SlideInfo


class ReadableLevels(Protocol):
    """The part of a `Slide` that pictures are made from."""

    @property
    def info(self) -> SlideInfo:
        """Facts about the slide."""
        ...

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """Read a rectangle of a level."""
        ...

    def read_halved(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """Read a rectangle of even size inside a level, each pixel the mean of four."""
        ...


class Salvage:
    """Reads blocks of one level; of a damaged block what can be read in small pieces.

    Parameters
    ----------
    slide, level
        What is read.
    piece_px
        Side of the pieces that are tried where a block fails.
    grey
        Value of all three colours where nothing can be read.

    Attributes
    ----------
    failures
        One error per unreadable piece, so far.
    n_readable
        Blocks and pieces that were read.
    """

    def __init__(self, slide: ReadableLevels, level: int, *, piece_px: int = 256, grey: int = 255) -> None:
        self._slide = slide
        self._level = level
        self._piece_px = piece_px
        self._grey = grey
        self.n_readable = 0
        self.failures: list[SlideReadError] = []

    def read(self, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """Read a block, (height, width, 3) uint8; never raises `SlideReadError`."""
        try:
            block = self._slide.read_level(self._level, xy_px, size_px)
        except SlideReadError as error:
            if max(size_px) <= self._piece_px:
                self.failures.append(error)
                return self._nothing(size_px)
        else:
            self.n_readable += 1
            return block
        block = self._nothing(size_px)
        for (x, y), (width, height) in pieces(xy_px, size_px, self._piece_px):
            left, top = x - xy_px[0], y - xy_px[1]
            block[top : top + height, left : left + width] = self.read((x, y), (width, height))
        return block

    def _nothing(self, size_px: tuple[int, int]) -> Pixels:
        return np.full((size_px[1], size_px[0], 3), self._grey, np.uint8)


def pieces(
    xy_px: tuple[int, int], size_px: tuple[int, int], side_px: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Cut a rectangle into squares of `side_px`, smaller at its right and lower edge: (x, y), (width, height)."""
    for y in range(0, size_px[1], side_px):
        for x in range(0, size_px[0], side_px):
            size = (min(side_px, size_px[0] - x), min(side_px, size_px[1] - y))
            yield (xy_px[0] + x, xy_px[1] + y), size
