"""Reads at a position from several threads at once, without a shared file pointer."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from amkd_core.errors import SlideReadError


class PositionedFile:
    """A file open for reading; closes when the last reader lets go of it, never under a reading thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._descriptor = os.open(
            path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        )
        self._seek_lock = threading.Lock()

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Read `n_bytes` from `offset`.

        Raises
        ------
        SlideReadError
            If the file ends before, or the disk or network fails.
        """
        try:
            raw = self._read(offset, n_bytes)
        except OSError as error:
            raise SlideReadError(f"{self.path} cannot be read at byte {offset}: {error.strerror}.") from error
        if len(raw) < n_bytes:
            raise SlideReadError(f"{self.path} ends before byte {offset + n_bytes}; it is truncated.")
        return raw

    def _read(self, offset: int, n_bytes: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, n_bytes, offset)
        with self._seek_lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, n_bytes)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
