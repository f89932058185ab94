"""Tiles of a view in which something could not be read: how long they stay as they are before they are tried again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TypeAlias

FIRST_PAUSE_S = 30.0
"""A network drive that was away for a moment is back by then. The pause doubles each time that the same tile fails: a
place that kills or hangs its reader costs a minute and more, and most damage is there to stay."""

Key: TypeAlias = tuple[int, int, int]


class DamagedTiles:
    """Tiles that hold grey in place of pixels; safe for threads."""

    def __init__(self) -> None:
        self._until: dict[Key, float] = {}
        self._pause_s: dict[Key, float] = {}

    def add(self, key: Key) -> None:
        """Note that a tile could not be read, or not wholly."""
        pause_s = self._pause_s[key] = 2 * self._pause_s.get(key, FIRST_PAUSE_S / 2)
        self._until[key] = time.monotonic() + pause_s

    def add_made_of(self, key: Key, parts: Iterable[Key]) -> None:
        """Note that a tile was made of others: it is as damaged as they are, and for as long."""
        ends = [end for end in map(self._until.get, parts) if end is not None]
        if ends:
            self._until[key] = min(ends)

    def due(self) -> list[Key]:
        """Tiles that are to be tried again; they are no longer taken for damaged."""
        now = time.monotonic()
        found = [key for key, end in list(self._until.items()) if end <= now]
        for key in found:
            self._until.pop(key, None)
        return found
