"""Programs of reader processes: started with their slide, or ahead of it, so that the slide need not wait for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import amkd_core
from amkd_core.slides.shared_slots import SharedSlots, new_shared_file
from amkd_core.slides.wire import send

_HEEDED = ("PYTHON", "AMKD_", "OPENSLIDE_")
"""Beginnings of environment variables that a reader process goes by."""


@dataclass(frozen=True)
class Launched:
    """A program that runs and waits for its task, or has it.

    Attributes
    ----------
    process
        The program, with pipes to and from it.
    slots
        Memory that it shares with us; None where the system has none.
    """

    process: subprocess.Popen[bytes]
    slots: SharedSlots | None

    @property
    def requests(self) -> BinaryIO:
        """Where messages to it are written."""
        return cast(BinaryIO, self.process.stdin)

    def end(self) -> None:
        """Kill it, wait for its end and close the pipes."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class _Spare:
    """At most one program that waits; it serves only the process, folder and environment that it was started in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: tuple[Launched, object] | None = None

    def keep(self, modules: Sequence[str]) -> None:
        """Start one unless one waits already."""
        with self._lock:
            if self._waiting is None or not self._serves(*self._waiting):
                self._drop()
                self._waiting = _launch(modules), _place()

    def take(self) -> Launched | None:
        """Give the one that waits, if it lives and serves here."""
        with self._lock:
            if self._waiting is None or not self._serves(*self._waiting):
                return None
            (launched, _), self._waiting = self._waiting, None
            return launched

    def end(self) -> None:
        """End the one that waits."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting[0].end()

    @staticmethod
    def _serves(launched: Launched, place: object) -> bool:
        return launched.process.poll() is None and place == _place()


_spare = _Spare()


def keep_spare(modules: Sequence[str]) -> None:
    """Have a program wait for the next slide of this process, until it is taken or `end_spare` is called.

    As any reader it ends by itself when its owner does.

    Parameters
    ----------
    modules
        What it loads while it waits.
    """
    _spare.keep(modules)


def end_spare() -> None:
    """End the program that waits, if there is one."""
    _spare.end()


def launch_reader(task: dict[str, Any]) -> Launched:
    """Give a task to the program that waits, or to a new one.

    Parameters
    ----------
    task
        ``opener`` ("module:callable"), ``file`` and ``options``, its keyword arguments.
    """
    spare = _spare.take()
    if spare is not None:
        try:
            send(spare.requests, task)
        except OSError:
            spare.end()
        else:
            return spare
    launched = _launch(())
    # Whoever listens to it hears of its end.
    with suppress(OSError):
        send(launched.requests, task)
    return launched


def _launch(modules: Sequence[str]) -> Launched:
    shared = new_shared_file()
    # Not multiprocessing: its children run the main program's imports again, torch and Qt with them.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "amkd_core.slides.reader_child", json.dumps([shared, *modules])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        bufsize=0,
        pass_fds=() if shared is None else (shared,),
    )
    if shared is None:
        return Launched(process, None)
    slots = SharedSlots(shared)
    os.close(shared)
    return Launched(process, slots)


def _place() -> object:
    here = Path(".").stat()
    heeded = {name: value for name, value in os.environ.items() if name.startswith(_HEEDED)}
    return os.getpid(), here.st_dev, here.st_ino, heeded


def _environment() -> dict[str, str]:
    home = str(Path(amkd_core.__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH", "")
    # One thread per read: the reads themselves are what runs side by side.
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [home, inherited])),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
