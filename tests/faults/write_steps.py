"""Steps by which a run changes what lies in a folder: counted, and stopped or refused at one of them."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def kill(path: str | None) -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(path: str | None) -> None:
    """What the system says on a full disk; it names what it has a path of."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


class WriteSteps:
    """Openings for writing, flushes, renames, new folders, removals and journal entries of this process from now on.

    Parameters
    ----------
    folder
        Whose changes count.
    at
        Before which step, from 1, something happens; 0 only counts.
    act
        What happens there: `kill` or `refuse`. Nothing refuses a removal, which a full disk allows.
    after
        Name of a file; steps count from when the first of that name is put in its place.
    """

    def __init__(
        self, folder: Path, at: int, act: Callable[[str | None], None] = kill, *, after: str | None = None
    ) -> None:
        self.count = 0
        self.over = False
        self._prefix, self._at, self._act, self._after = str(folder), at, act, after
        self._kinds = ("os.rename", "os.mkdir") if act is refuse else ("os.rename", "os.mkdir", "os.remove")
        sys.addaudithook(self._heard)
        self._watch_flushes()
        self._watch_journal()

    def step(self, path: str | None = None) -> None:
        """Something is about to change."""
        if self._after is not None or self.over:
            return
        self.count += 1
        if self.count == self._at:
            self._act(path)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in self._kinds
        if event == "open" and isinstance(arguments[2], int):
            writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if event == "os.mkdir" and os.path.isdir(arguments[0]):
            return  # asked for in passing, and there
        if not writes or not str(arguments[0]).startswith(self._prefix):
            return
        self.step(str(arguments[0]))
        if event == "os.rename" and Path(str(arguments[1])).name == self._after:
            self._after = None

    def _watch_flushes(self) -> None:
        flush = os.fsync

        def counting(descriptor: int) -> None:
            self.step()
            flush(descriptor)

        os.fsync = counting

    def _watch_journal(self) -> None:
        from amkd_core.slides.encoders.journal import EncodingJournal

        write = EncodingJournal._write

        def counting(journal: Any, payload: bytes) -> None:
            file = journal._file
            journal._file = _Watched(file, self.step)
            try:
                write(journal, payload)
            finally:
                journal._file = file

        EncodingJournal._write = counting  # type: ignore[method-assign]


class _Watched:
    """A journal's file, whose writes count."""

    def __init__(self, file: Any, step: Callable[[], None]) -> None:
        self._file, self._step = file, step

    def write(self, payload: memoryview) -> int:
        self._step()
        return int(self._file.write(payload))
