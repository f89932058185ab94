"""Openers for reader processes that misbehave as native libraries do on hostile files."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from amkd_core.slides.backends.base import Backend, Pixels
from amkd_core.slides.backends.choose import open_backend
from amkd_core.slides.backends.openslide import OpenSlideBackend


class Trapped:
    """A slide with places that kill or hang the process that reads them."""

    def __init__(self, behind: Backend) -> None:
        self._behind = behind
        self.facts = behind.facts

    def read(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        if xy_px == (13, 13):
            os.abort()
        if xy_px == (14, 14):
            time.sleep(600)
        if xy_px == (15, 15):
            print("a native library talks", flush=True)  # noqa: T201
        if xy_px == (16, 16):
            time.sleep(0.3)
        if xy_px == (17, 17):
            raise ZeroDivisionError("inside")
        return self._behind.read(level, xy_px, size_px)

    def associated_image(self, name: str) -> Pixels:
        return self._behind.associated_image(name)

    def close(self) -> None:
        self._behind.close()


def trapped(file: Path, *, scene: int, seed: int) -> Trapped:
    return Trapped(open_backend(file, scene=scene, seed=seed))


def unchecked(file: Path, *, scene: int, seed: int) -> OpenSlideBackend:
    """OpenSlide without the look at the directories that comes first otherwise."""
    return OpenSlideBackend(file)


def dies_at_opening(file: Path, *, scene: int, seed: int) -> Backend:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)
    raise AssertionError("not reached")


def modules_of_child(file: Path, *, scene: int, seed: int) -> Backend:
    import sys

    loaded = {name.split(".")[0] for name in sys.modules}
    (Path(os.environ["AMKD_TEST_OUT"])).write_text("\n".join(sorted(loaded)))
    return open_backend(file, scene=scene, seed=seed)
