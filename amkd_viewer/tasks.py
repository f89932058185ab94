"""Small pieces of work off the GUI thread: reading patches, drawing plots, writing files; no Qt."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from amkd_core.errors import AmkdError
from amkd_core.private_names import private_logger
from amkd_viewer.events import TaskEnded

_log = private_logger(__name__)


class Tasks:
    """Runs functions in two threads and tells what they returned.

    Parameters
    ----------
    tell
        Called with every `TaskEnded`, from these threads.
    """

    def __init__(self, tell: Callable[[TaskEnded], None]) -> None:
        self._tell = tell
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="amkd-task")
        self._lock = threading.Lock()
        self._latest: dict[str, tuple[int, Future[Any]]] = {}
        self._tokens = itertools.count(1)
        self._closed = False

    def submit(self, key: str, function: Callable[[], Any]) -> int | None:
        """Run a function; an older task of the same key that is not done is told of no more.

        Returns
        -------
        int or None
            Token that the task is told of by; None after `close`.
        """
        with self._lock:
            if self._closed:
                return None
            token = next(self._tokens)
            _, older = self._latest.pop(key, (0, None))
            future = self._pool.submit(function)
            self._latest[key] = (token, future)
        if older is not None:
            # Without the lock: cancelling a task that waits for a thread calls `_on_done` here and now.
            older.cancel()
        future.add_done_callback(partial(self._on_done, key, token))
        return token

    def close(self) -> None:
        """Start no task any more and tell of none."""
        with self._lock:
            self._closed = True
            self._latest.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _on_done(self, key: str, token: int, future: Future[Any]) -> None:
        with self._lock:
            if self._closed or self._latest.get(key, (0, None))[0] != token:
                return
            del self._latest[key]
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, OSError) and not isinstance(error, AmkdError):
            error = AmkdError(f"{_said(error)}.")
        if error is not None and not isinstance(error, AmkdError):
            _log.error("task %s failed", key, exc_info=error)
        self._tell(TaskEnded(token, None if error is not None else future.result(), error))


def writing(function: Callable[[], Any]) -> Callable[[], Any]:
    """The function, with what the system says against its files told as of files that were to be written."""

    def write() -> Any:
        try:
            return function()
        except AmkdError:
            raise
        except OSError as error:
            told = f"{_said(error)}; nothing was written there. Free some space or choose another folder."
            raise AmkdError(told) from error

    return write


def _said(error: OSError) -> str:
    """What the system says: which file, and why not."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
