"""Kept results of slides, looked for beside the run under way; no Qt."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from amkd_core.private_names import private_logger

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from amkd_viewer.events import PredictionRequest

T = TypeVar("T")

_log = private_logger(__name__)


class Recalls(Generic[T]):
    """Looks for kept results in a thread of its own: a run under way may take hours.

    Of a slide and a model the newest request alone counts; an older one may be of a scale that holds no more.

    Parameters
    ----------
    lock
        The session's: what was forgotten under it is not told.
    find
        Gives what is kept for a request, or None; called in this thread.
    tell
        Called under the lock with a request and what is kept for it.
    """

    def __init__(
        self,
        lock: threading.RLock,
        find: Callable[[PredictionRequest], T | None],
        tell: Callable[[PredictionRequest, T], None],
    ) -> None:
        self._lock, self._find, self._tell = lock, find, tell
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="amkd-recall")
        self._newest: dict[tuple[str, Path], Future[T | None]] = {}

    def look_for(self, request: PredictionRequest) -> None:
        """Look for what is kept for a request, in place of an older one of its slide and model."""
        slide_and_model = request.fingerprint, request.bundle_path
        with self._lock:
            older = self._newest.pop(slide_and_model, None)
            future = self._pool.submit(self._find, request)
            self._newest[slide_and_model] = future
            if older is not None:
                older.cancel()
        future.add_done_callback(partial(self._on_done, request))

    def forget(self, fingerprint: str) -> None:
        """Tell nothing of what was asked for a slide until now."""
        with self._lock:
            for slide_and_model in [one for one in self._newest if one[0] == fingerprint]:
                self._newest.pop(slide_and_model).cancel()

    def close(self) -> None:
        """Tell nothing any more and let the thread end."""
        with self._lock:
            self._newest.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _on_done(self, request: PredictionRequest, future: Future[T | None]) -> None:
        slide_and_model = request.fingerprint, request.bundle_path
        with self._lock:
            if self._newest.get(slide_and_model) is not future:
                return
            del self._newest[slide_and_model]
            error = future.exception()
            if error is not None:
                # A bundle that is gone or damaged is told of when it is used.
                _log.debug("no kept result could be looked for: %s", error)
                return
            found = future.result()
            if found is not None:
                self._tell(request, found)
