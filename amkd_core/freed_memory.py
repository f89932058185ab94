"""Gives memory that this process has freed back to the system, where its allocator would keep it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def give_back_freed_memory() -> None:
    """Hand the free pages of glibc's heaps to the system; without effect under another C library.

    Notes
    -----
    Each thread allocates in a heap of its own, of which glibc gives back no more than the free end. Reading and
    encoding a slide fills several of them with megabytes of pixels, and a process that predicts hundreds of slides
    would keep the fragments of all. It takes a few milliseconds.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
