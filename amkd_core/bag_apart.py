"""Files of features and weights, read in a process of its own that may die, hang or run out of memory.

HDF5 and torch were not made for hostile input. A file that takes its reader down costs one sentence, not the window
or the run. One process reads file after file, since it takes a third of a second to start and a bag of ours a few
milliseconds to be found in.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

import amkd_core
from amkd_core.bag_layouts import Recorded
from amkd_core.bag_stored import Stored
from amkd_core.ended import cause_of_death
from amkd_core.errors import AmkdError, BagError

CHILD = ("-P", "-m", "amkd_core.bag_child")
TIMEOUT_S = 8.0
"""For a small file; larger ones get a second more per 10 MB."""
START_S = 60.0
"""Until the reader has loaded its libraries; torch may come from a slow disk."""

_BYTES_PER_SECOND = 10_000_000
_LARGEST_HEADER = 1 << 24

Header = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


class _Reader:
    """One child, kept for the next file; it ends when its owner does."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._timeout_s = TIMEOUT_S
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

    def ask(self, kind: str, path: Path) -> Header:
        """What the reader says of one file; `fetch` must follow.

        Raises
        ------
        EOFError
            If the child ends before its answer does; its message is the cause.
        """
        self._timeout_s = TIMEOUT_S + path.stat().st_size / _BYTES_PER_SECOND
        with self._within(START_S):
            self._send({"kind": kind, "path": str(path.absolute())})
            self._receive()
        with self._within(self._timeout_s):
            return self._receive()

    def fetch(self, header: Header, names: Collection[str]) -> Arrays:
        """Those of the arrays that the reader described which are wanted; raises as `ask`."""
        shapes = header.get("arrays", {})
        with self._within(self._timeout_s):
            self._send(list(names))
            stdout = self._process.stdout
            return {name: _array(stdout, *shapes[name]) for name in names}  # type: ignore[arg-type]

    @contextmanager
    def _within(self, timeout_s: float) -> Iterator[None]:
        hung = threading.Event()
        timer = threading.Timer(timeout_s, self._stop, (hung,))
        timer.daemon = True
        timer.start()
        try:
            yield
        except BaseException as error:
            self.end()  # half of an answer is no beginning of the next
            if not isinstance(error, OSError | EOFError | ValueError | TypeError | KeyError):
                raise
            if hung.is_set():
                raise EOFError(f"did not answer within {timeout_s:.0f} s and was stopped") from None
            raise EOFError(cause_of_death(self._process.returncode)) from None
        finally:
            timer.cancel()

    def _stop(self, hung: threading.Event) -> None:
        hung.set()
        self._process.kill()

    def _send(self, words: Any) -> None:
        if self._process.stdin is None:
            raise EOFError
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()

    def _receive(self) -> Header:
        if self._process.stdout is None:
            raise EOFError
        found: Header = json.loads(self._process.stdout.readline(_LARGEST_HEADER) or b"closed")
        return found

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
    header, arrays = read_apart("layout", path, BagError)
    recorded: dict[str, Any] = {**header["recorded"], **arrays}
    size = recorded.pop("slide_size_level0")
    return Recorded(**recorded, slide_size_level0=None if size is None else (size[0], size[1]))


def find_stored_apart(path: Path) -> Stored:
    """`amkd_core.bag_stored.find_stored` in another process; raises as `read_layout_apart`."""
    return Stored(**read_apart("stored", path, BagError)[0]["stored"])


def read_apart(
    kind: str,
    path: Path,
    error: type[AmkdError],
    choose: Callable[[Header], Collection[str]] = lambda header: list(header.get("arrays", {})),
) -> tuple[Header, Arrays]:
    """What another process says of a file, and those of its arrays that are chosen.

    Parameters
    ----------
    kind
        What is asked, one of `amkd_core.bag_child.KINDS`.
    error
        Kind of the error that is raised.
    choose
        Given the answer, the names of the arrays to send; it may raise, and nothing is then sent.

    Raises
    ------
    AmkdError
        Of the given kind, when the file is refused, or the process dies, hangs or needs more memory than the file
        explains.
    """
    with _lock:
        reader = _reader()
        names: Collection[str] = ()
        try:
            header = reader.ask(kind, path)
            try:
                if "error" in header:
                    raise error(str(header["error"]))
                names = choose(header)
            finally:
                arrays = reader.fetch(header, names)
        except EOFError as cause:
            raise error(
                f"{path.name}: the process that read it {cause}; the file is probably damaged, write it again"
            ) from None
    return header, arrays


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
