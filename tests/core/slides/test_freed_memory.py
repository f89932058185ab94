"""Memory that reading took goes back to the system when the slide is closed."""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path

import psutil
import pytest
from slide_files import tissue_like, write_tiff

from amkd_core.freed_memory import give_back_freed_memory
from amkd_core.slides.slide import open_slide

PIECES, PIECE_BYTES = 1600, 100_000  # smaller than what the allocator asks the system for by itself
MIB = 2**20


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def fragments() -> list[bytearray]:
    """What is left of 150 MiB that a thread took and freed: its last piece, which keeps the heap from shrinking."""
    kept: list[bytearray] = []

    def work() -> None:
        pieces = [bytearray(b"x") * PIECE_BYTES for _ in range(PIECES)]
        kept.extend(pieces[-1:])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return kept


@pytest.mark.skipif(
    not (sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "malloc_trim")), reason="needs glibc"
)
def test_closing_a_slide_gives_freed_memory_back(tmp_path: Path) -> None:
    with open_slide(write_tiff(tmp_path / "a.tif", [tissue_like(512, 512, seed=1)])):
        kept = fragments()
        before = resident()
    assert before - resident() > 100 * MIB
    assert kept


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from amkd_core import freed_memory

    freed_memory._trim.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    try:
        give_back_freed_memory()
        assert freed_memory._trim() is None
    finally:
        freed_memory._trim.cache_clear()
