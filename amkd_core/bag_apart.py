"""Feature files of other tools, read in a process of its own that may die, hang or run out of memory.

HDF5 and torch were not made for hostile input. A file that takes its reader down costs one sentence, not the window
or the run.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

import amkd_core
from amkd_core.bag_layouts import Recorded
from amkd_core.ended import cause_of_death
from amkd_core.errors import BagError

CHILD = ("-P", "-m", "amkd_core.bag_child")
TIMEOUT_S = 60.0
"""For a small file; larger ones get a second more per 10 MB."""

_BYTES_PER_SECOND = 10_000_000
_LARGEST_HEADER = 1 << 24


class _Reader:
    """One child, kept for the next file; it ends when its owner does."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        home = str(Path(amkd_core.__file__).resolve().parents[1])
        inherited = os.environ.get("PYTHONPATH", "")
        self._process = subprocess.Popen(
            [sys.executable, *CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, [home, inherited])),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
        )

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(self, path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Header and arrays of one file.

        Raises
        ------
        EOFError
            If the child ends before its answer does; its message is the cause.
        """
        timeout_s = TIMEOUT_S + path.stat().st_size / _BYTES_PER_SECOND
        hung = threading.Event()
        timer = threading.Timer(timeout_s, self._stop, (hung,))
        timer.daemon = True
        timer.start()
        try:
            return self._exchange(path)
        except (OSError, EOFError, ValueError, TypeError, KeyError):
            self.end()
            if hung.is_set():
                raise EOFError(f"did not answer within {timeout_s:.0f} s and was stopped") from None
            raise EOFError(cause_of_death(self._process.returncode)) from None
        finally:
            timer.cancel()

    def _stop(self, hung: threading.Event) -> None:
        hung.set()
        self._process.kill()

    def _exchange(self, path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise EOFError
        stdin.write(json.dumps({"path": str(path.absolute())}).encode() + b"\n")
        stdin.flush()
        header = json.loads(stdout.readline(_LARGEST_HEADER) or b"closed")
        shapes = header.get("arrays", {})
        return header, {name: _array(stdout, *described) for name, described in shapes.items()}  # type: ignore[arg-type]

    def end(self) -> None:
        """End the child now."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # a request that the child never took


_lock = threading.Lock()
_readers: list[_Reader] = []


def read_layout_apart(path: Path) -> Recorded:
    """`amkd_core.bag_layouts.read_layout` in another process, within limits of memory and time.

    Raises
    ------
    BagError
        As there, and when the process that reads the file dies, hangs or needs more memory than the file explains.
    """
    with _lock:
        reader = _reader()
        try:
            header, arrays = reader.ask(path)
        except EOFError as cause:
            raise BagError(
                f"{path.name}: the process that read it {cause}; the file is probably damaged, write it again"
            ) from None
    if "error" in header:
        raise BagError(str(header["error"]))
    recorded: dict[str, Any] = {**header["recorded"], **arrays}
    size = recorded.pop("slide_size_level0")
    return Recorded(**recorded, slide_size_level0=None if size is None else (size[0], size[1]))


def _reader() -> _Reader:
    if not (_readers and _readers[0].alive):
        _close()
        _readers.append(_Reader())
    return _readers[0]


@atexit.register
def _close() -> None:
    while _readers:
        reader = _readers.pop()
        if reader.owner == os.getpid():  # a forked process ends no child of its parent
            reader.end()


def _array(stream: BinaryIO, dtype: str, shape: list[int]) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind not in "iuf":
        raise ValueError("an array of no numbers")
    buffer = bytearray(math.prod(shape) * kind.itemsize)
    view, filled = memoryview(buffer), 0
    while filled < len(buffer):
        n_read = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not n_read:
            raise EOFError
        filled += n_read
    return np.frombuffer(buffer, kind).reshape(shape)
