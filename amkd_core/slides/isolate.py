"""A slide read in a process of its own, so that no file can take the window or the batch with it.

A crash or a hang of a native reader becomes a `SlideReadError` of the one region that caused it; requests of
other threads that were under way are tried again alone, and a fresh process serves whatever comes next.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from amkd_core.errors import AmkdError, SlideError, SlideReadError
from amkd_core.slides.backends.base import BackendFacts, Pixels
from amkd_core.slides.reader_launch import keep_spare
from amkd_core.slides.reader_process import ReaderLostError, ReaderProcess

OPENER = "amkd_core.slides.backends.choose:open_backend"
_LOADED_AHEAD = ("amkd_core.slides.backends.choose", "amkd_core.slides.backends.tiff")
OPEN_TIMEOUT_S = 60.0
READ_TIMEOUT_S = 20.0
"""For a small region; larger ones get a second more per 4 million pixels."""

_PX_PER_SECOND = 4_000_000
_UNKNOWN_SIZE = 1 << 40
_ERRORS: dict[str, type[AmkdError]] = {"SlideError": SlideError, "SlideReadError": SlideReadError}


def keep_reader_ready() -> None:
    """Have a process wait for the next slide that is opened isolated, which is then open some 0.4 s sooner.

    Returns at once. The process takes no slide of another working folder or environment, and ends with this one or by
    `amkd_core.slides.reader_launch.end_spare`.
    """
    keep_spare(_LOADED_AHEAD)


class IsolatedBackend:
    """A `Backend` whose reader lives in another process.

    Parameters
    ----------
    file
        The slide's file.
    scene, seed
        See `amkd_core.slides.backends.choose.open_backend`.
    opener
        ``"module:callable"`` that opens the file in the child.
    read_timeout_s
        After this the child is taken to hang.
    """

    def __init__(
        self,
        file: Path,
        *,
        scene: int = 0,
        seed: int = 0,
        opener: str = OPENER,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._file = file
        self._opener = opener
        self._options = {"scene": scene, "seed": seed}
        self._read_timeout_s = read_timeout_s
        self._lock = threading.Lock()
        self._closed = False
        self._reader: ReaderProcess | None = None
        try:
            self._reader, self._facts = self._start()
        except ReaderLostError as lost:
            raise SlideReadError(
                f"{file} cannot be opened: the process that reads it {lost.cause}; the file is probably damaged."
            ) from lost

    @property
    def facts(self) -> BackendFacts:
        """See `Backend.facts`."""
        return self._facts

    @property
    def pid(self) -> int | None:
        """Process identifier of the present reader process, None when the next call starts one."""
        reader = self._reader
        return None if reader is None else reader.pid

    def read(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """See `Backend.read`."""
        return self._read("read", level, xy_px, size_px)

    def read_halved(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """See `Backend.read_halved`; a quarter of the bytes pass between the processes."""
        return self._read("read_halved", level, xy_px, size_px)

    def _read(self, call: str, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        what = f"the {size_px[0]} x {size_px[1]} px region at x={xy_px[0]}, y={xy_px[1]} of level {level}"
        timeout = self._read_timeout_s + size_px[0] * size_px[1] / _PX_PER_SECOND
        request = {"call": call, "region": [level, *xy_px, *size_px]}
        return self._ask(request, size_px[0] * size_px[1] * 3, what, timeout)

    def associated_image(self, name: str) -> Pixels:
        """See `Backend.associated_image`."""
        request = {"call": "associated_image", "name": name}
        return self._ask(request, _UNKNOWN_SIZE, f"image {name!r}", OPEN_TIMEOUT_S)

    def close(self) -> None:
        """See `Backend.close`."""
        with self._lock:
            self._closed = True
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _ask(self, request: dict[str, Any], n_bytes: int, what: str, timeout_s: float) -> Pixels:
        try:
            reader = self._shared()
            try:
                return _checked(*reader.pixels(request, n_bytes, timeout_s))
            except ReaderLostError as lost:
                self._drop(reader)
                if lost.alone:
                    raise
            return self._ask_alone(request, n_bytes, timeout_s)
        except ReaderLostError as lost:
            raise SlideReadError(
                f"{self._file}: {what} cannot be read: the process that reads it {lost.cause}; "
                "the file is probably damaged there."
            ) from lost

    def _ask_alone(self, request: dict[str, Any], n_bytes: int, timeout_s: float) -> Pixels:
        """Ask in a fresh process of its own: what fails here is itself to blame."""
        reader, _ = self._start()
        try:
            pixels = _checked(*reader.pixels(request, n_bytes, timeout_s))
        except ReaderLostError:
            reader.close()
            raise
        with self._lock:
            if self._reader is None and not self._closed:
                self._reader = reader
                return pixels
        reader.close()
        return pixels

    def _start(self) -> tuple[ReaderProcess, BackendFacts]:
        reader = ReaderProcess(self._opener, self._file, self._options)
        try:
            header, _ = reader.wait(reader.opened, OPEN_TIMEOUT_S)
            _raise_error(header)
        except (ReaderLostError, AmkdError):
            reader.close()
            raise
        return reader, BackendFacts.from_dict(header["facts"])

    def _shared(self) -> ReaderProcess:
        with self._lock:
            if self._closed:
                raise SlideReadError(f"{self._file} was closed; open it again to read from it.")
            if self._reader is None:
                self._reader, _ = self._start()
            return self._reader

    def _drop(self, lost: ReaderProcess) -> None:
        with self._lock:
            if self._reader is lost:
                self._reader = None
        lost.close()


def _checked(header: dict[str, Any], pixels: Pixels) -> Pixels:
    _raise_error(header)
    return pixels


def _raise_error(header: dict[str, Any]) -> None:
    if "error" in header:
        raise _ERRORS.get(header["error"], SlideReadError)(header["sentence"])
