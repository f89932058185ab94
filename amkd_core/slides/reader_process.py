"""The owner's side of a reader process: starts it, asks it, notices when it dies or hangs."""

from __future__ import annotations

import logging
import subprocess
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.ended import cause_of_death
from amkd_core.slides.backends.base import Pixels
from amkd_core.slides.reader_launch import Launched, launch_reader
from amkd_core.slides.wire import WireError, receive, send

_Answer = tuple[dict[str, Any], bytearray]
_log = logging.getLogger(__name__)


class ReaderLostError(RuntimeError):
    """The reader process died or hung before it answered.

    Attributes
    ----------
    cause
        How it ended, as the end of a sentence.
    alone
        No other request was under way, so that this one is to blame.
    """

    def __init__(self, cause: str, *, alone: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.alone = alone


class ReaderProcess:
    """One child process that has one slide open; requests from several threads overlap in it.

    Parameters
    ----------
    opener
        ``"module:callable"`` that opens the file in the child.
    file
        The slide's file.
    options
        Keyword arguments of the opener.
    """

    def __init__(self, opener: str, file: Path, options: Mapping[str, int]) -> None:
        self._launched = launch_reader({"opener": opener, "file": str(file), "options": dict(options)})
        self._sending = threading.Lock()
        self._numbers = count(1)
        self._state = _Pending()
        opened = self._state.add(0)
        listener = threading.Thread(
            target=_listen, args=(self._launched.process, self._state), name="amkd-slide-reader", daemon=True
        )
        self._finish = weakref.finalize(self, _end, self._launched, listener)
        listener.start()
        self.opened: Future[_Answer] = opened

    @property
    def pid(self) -> int:
        """Process identifier of the child."""
        return self._launched.process.pid

    def pixels(self, header: dict[str, Any], n_bytes: int, timeout_s: float) -> tuple[dict[str, Any], Pixels]:
        """Send a request for about `n_bytes` of pixels and wait for its answer.

        Returns
        -------
        tuple
            The answer's header and its pixels; without pixels where the header tells of an error.

        Raises
        ------
        ReaderLostError
            If the child dies, or does not answer within `timeout_s`; it is killed then.
        """
        slots = self._launched.slots
        slot = None if slots is None else slots.take(n_bytes)
        answer, payload = self._call({**header, "slot": slot}, timeout_s)
        shape = tuple(answer.get("shape", (0,)))
        if slots is None or slot is None:
            return answer, np.frombuffer(payload, np.uint8).reshape(shape)
        pixels = slots.copy(slot, shape)
        slots.give_back(slot)
        return answer, pixels

    def _call(self, header: dict[str, Any], timeout_s: float) -> _Answer:
        number = next(self._numbers)
        answer = self._state.add(number)
        try:
            with self._sending:
                send(self._launched.requests, {**header, "id": number})
        except (OSError, ValueError):
            _log.debug("Reader process %d is gone.", self.pid)
        return self.wait(answer, timeout_s)

    def wait(self, answer: Future[_Answer], timeout_s: float) -> _Answer:
        """Wait for an answer; see `pixels`."""
        try:
            return answer.result(timeout_s)
        except TimeoutError:
            self.kill()
            raise ReaderLostError(
                f"did not answer within {timeout_s:.0f} s and was stopped", alone=True
            ) from None

    def kill(self) -> None:
        """End the child at once; requests under way fail."""
        self._launched.process.kill()

    def close(self) -> None:
        """End the child and wait for its end."""
        self._finish()


class _Pending:
    """Requests without an answer yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[int, Future[_Answer]] = {}
        self._lost: str | None = None

    def add(self, number: int) -> Future[_Answer]:
        future: Future[_Answer] = Future()
        with self._lock:
            if self._lost is None:
                self._answers[number] = future
                return future
        future.set_exception(ReaderLostError(self._lost, alone=False))
        return future

    def answer(self, header: dict[str, Any], payload: bytearray) -> None:
        with self._lock:
            future = self._answers.pop(int(header.get("id", -1)), None)
        if future is not None:
            _settle(future, (header, payload))

    def lose(self, cause: str) -> None:
        with self._lock:
            self._lost = cause
            waiting, self._answers = list(self._answers.values()), {}
        for future in waiting:
            _settle(future, ReaderLostError(cause, alone=len(waiting) == 1))


def _settle(future: Future[_Answer], result: _Answer | ReaderLostError) -> None:
    try:
        if isinstance(result, ReaderLostError):
            future.set_exception(result)
        else:
            future.set_result(result)
    except InvalidStateError:
        _log.debug("An answer came twice.")


def _listen(process: subprocess.Popen[bytes], pending: _Pending) -> None:
    stream = process.stdout
    while stream is not None:
        try:
            pending.answer(*receive(stream))  # type: ignore[arg-type]
        except (WireError, OSError, ValueError):
            break
    process.kill()
    pending.lose(cause_of_death(process.wait()))


def _end(launched: Launched, listener: threading.Thread) -> None:
    launched.process.kill()
    if listener is not threading.current_thread() and listener.ident is not None:
        listener.join(5)
    launched.end()
