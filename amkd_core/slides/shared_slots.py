"""Memory that a reader process and its owner both see, so that pixels need not pass through a pipe."""

from __future__ import annotations

import mmap
import os
import queue
import tempfile
from pathlib import Path

import numpy as np

from amkd_core.slides.backends.base import Pixels

SLOT_BYTES = 4 << 20
"""Room for a region of 1024 x 1024 px and a little more."""

N_SLOTS = 6


class SharedSlots:
    """Equal slots in one shared file without a name; the owner hands them out, the child fills them.

    Parameters
    ----------
    descriptor
        Of an open file of ``N_SLOTS * SLOT_BYTES`` bytes.
    """

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, N_SLOTS * SLOT_BYTES)
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(N_SLOTS):
            self._free.put(slot)

    def take(self, n_bytes: int) -> int | None:
        """Hand out a slot, or None where `n_bytes` do not fit or all are in use: the pipe serves then."""
        if n_bytes > SLOT_BYTES:
            return None
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return None

    def give_back(self, slot: int) -> None:
        """Take a slot back."""
        self._free.put(slot)

    def fill(self, slot: int, pixels: Pixels) -> None:
        """Copy pixels into a slot."""
        self._view(slot, pixels.shape)[...] = pixels

    def copy(self, slot: int, shape: tuple[int, ...]) -> Pixels:
        """Copy pixels out of a slot."""
        if int(np.prod(shape)) > SLOT_BYTES:
            raise ValueError(f"{shape} does not fit into a slot")
        return self._view(slot, shape).copy()

    def _view(self, slot: int, shape: tuple[int, ...]) -> Pixels:
        return np.frombuffer(self._map, np.uint8, int(np.prod(shape)), slot * SLOT_BYTES).reshape(shape)


def new_shared_file() -> int | None:
    """Make a nameless file in memory, its room reserved; None where the system has none (pipes serve then)."""
    if not hasattr(os, "posix_fallocate"):
        return None
    folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
    try:
        descriptor, name = tempfile.mkstemp(prefix="amkd-", dir=folder)
    except OSError:
        return None
    try:
        os.unlink(name)
        # Reserved now: a full disk would otherwise end the process at the first write.
        os.posix_fallocate(descriptor, 0, N_SLOTS * SLOT_BYTES)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
