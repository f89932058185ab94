"""PredictionSession: bundle, slides and results behind the panels; no Qt, usable from a script.

Work runs in two threads of the session's own, one for opening slides and one for predicting; what happens is told to
one listener, in events. A result is kept under the fingerprint of its slide's content and given out under no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amkd_core.errors import AmkdError, SlideError
from amkd_core.progress import Progress
from amkd_viewer.events import (
    Advanced,
    Cancelled,
    Crashed,
    Failed,
    Finished,
    Opened,
    PredictionRequest,
    SessionEvent,
)

if TYPE_CHECKING:
    from amkd_core.bundle import Bundle
    from amkd_core.inference.prediction import Prediction
    from amkd_core.slides import Slide

PROGRESS_INTERVAL_S = 0.1
"""Progress within one stage is told no more often than this."""

_log = logging.getLogger(__name__)


Predict = Callable[[PredictionRequest, "Bundle"], Generator[Progress, None, "Prediction"]]


class PredictionSession:
    """Runs one prediction at a time and keeps the results.

    All methods may be called from any thread and return at once, except `wait`.

    Parameters
    ----------
    listener
        Called with every event, from the session's threads; must return quickly and not raise.
    predict
        Generator function that predicts; by default `amkd_core.inference.predict.predict_slide`.
    load_bundle
        Opens a bundle; by default `amkd_core.bundle_file.open_bundle`.
    """

    def __init__(
        self,
        listener: Callable[[SessionEvent], None] | None = None,
        *,
        predict: Predict | None = None,
        load_bundle: Callable[[Path], Bundle] | None = None,
    ) -> None:
        self._listener = listener
        self._predict = predict or _predict_slide
        self._load_bundle = load_bundle or _open_bundle
        self._lock = threading.RLock()
        self._run: _Run | None = None
        self._latest: _Run | None = None
        self._closed = False
        self._bundle: tuple[tuple[Any, ...], Bundle] | None = None
        self._results: dict[str, Prediction] = {}
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="amkd-prediction")
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="amkd-opening")

    def __repr__(self) -> str:
        state = "running" if self.running else "idle"
        return f"<PredictionSession: {state}, {len(self._results)} result(s)>"

    @property
    def running(self) -> PredictionRequest | None:
        """The request under way, or None; None at once after `cancel`."""
        with self._lock:
            return None if self._run is None else self._run.request

    def result(self, fingerprint: str) -> Prediction | None:
        """Return the last prediction of the slide with this content, or None."""
        with self._lock:
            return self._results.get(fingerprint)

    def prepare(
        self, *, opening: Callable[[], None] | None = None, running: Callable[[], None] | None = None
    ) -> None:
        """Do something slow in the session's threads before the next slide is opened, and before the next run."""
        with self._lock:
            if self._closed:
                return
            for executor, task in ((self._opener, opening), (self._runner, running)):
                if task is not None:
                    executor.submit(task)

    def start(self, request: PredictionRequest) -> None:
        """Predict; a prediction under way is cancelled first.

        Raises
        ------
        RuntimeError
            If the session is closed.
        """
        self.cancel()
        with self._lock:
            if self._closed:
                raise RuntimeError("the session is closed")
            run = _Run(request)
            self._run = self._latest = run
            future = self._runner.submit(self._work, run)
        future.add_done_callback(partial(self._on_done, run))

    def cancel(self) -> None:
        """Give up the prediction under way.

        The request is over at once, for the listener too; the thread follows at its next step (a batch of patches),
        and a prediction started meanwhile waits for that.
        """
        with self._lock:
            run, self._run = self._run, None
            if run is None:
                return
            run.cancelled.set()
            # Told under the lock: nothing of this run may come after it.
            self._tell(Cancelled(run.request))

    def open_slide(self, path: Path | str, *, mpp: float | tuple[float, float] | None = None) -> None:
        """Open a slide off the caller's thread; `Opened` or `Failed` follows."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the session is closed")
            future = self._opener.submit(_open_slide, Path(path), mpp)
        future.add_done_callback(partial(self._on_opened, Path(path)))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread of the last prediction is done with it; False when `timeout_s` passed first."""
        with self._lock:
            run = self._latest
        return run is None or run.ended.wait(timeout_s)

    def close(self) -> None:
        """Cancel, drop all results and let the threads end; no event follows. May be called twice."""
        with self._lock:
            self._closed, self._listener = True, None
            self.cancel()
            self._results.clear()
            self._bundle = None
        for executor in (self._runner, self._opener):
            executor.shutdown(wait=False, cancel_futures=True)

    def _work(self, run: _Run) -> Prediction | None:
        """Drive the generator in the session's thread; None when cancelled."""
        if run.cancelled.is_set():
            return None
        self._advance(run, Progress("Opening the model"))
        bundle = self._bundle_of(run.request.bundle_path)
        with closing(self._predict(run.request, bundle)) as steps:
            while not run.cancelled.is_set():
                try:
                    self._advance(run, next(steps))
                except StopIteration as end:
                    return _checked(run.request, end.value)
        return None

    def _advance(self, run: _Run, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage == run.stage and now < run.told_at + PROGRESS_INTERVAL_S and progress.fraction != 1:
            return
        run.stage, run.told_at = progress.stage, now
        with self._lock:
            if self._run is run:
                self._tell(Advanced(run.request, progress))

    def _on_done(self, run: _Run, future: Future[Prediction | None]) -> None:
        with self._lock:
            if self._run is run:
                self._run = None
                event = _outcome(run.request, future)
                if isinstance(event, Finished):
                    self._results[run.request.fingerprint] = event.prediction
                self._tell(event)
        run.ended.set()

    def _on_opened(self, path: Path, future: Future[Slide]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        with self._lock:
            if error is None and self._listener is None:
                future.result().close()
                return
            self._tell(Opened(future.result()) if error is None else _fault(path, error))

    def _bundle_of(self, path: Path) -> Bundle:
        """Open a bundle, or give the one opened last where the file is still the same."""
        status = path.stat() if path.exists() else None
        key = (path, status and status.st_mtime_ns, status and status.st_size)
        if self._bundle is None or self._bundle[0] != key:
            self._bundle = (key, self._load_bundle(path))
        return self._bundle[1]

    def _tell(self, event: SessionEvent) -> None:
        if self._listener is not None:
            self._listener(event)


class _Run:
    """One prediction under way."""

    def __init__(self, request: PredictionRequest) -> None:
        self.request = request
        self.cancelled = threading.Event()
        self.ended = threading.Event()
        self.stage = ""
        self.told_at = 0.0


def _outcome(request: PredictionRequest, future: Future[Prediction | None]) -> SessionEvent:
    if future.cancelled():
        return Cancelled(request)
    error = future.exception()
    if error is not None:
        return _fault(request, error)
    prediction = future.result()
    return Cancelled(request) if prediction is None else Finished(request, prediction)


def _fault(request: PredictionRequest | Path, error: BaseException) -> Failed | Crashed:
    if isinstance(error, AmkdError):
        return Failed(request, error)
    _log.error("%s failed", request, exc_info=error)
    return Crashed(request, error)


def _checked(request: PredictionRequest, prediction: Prediction) -> Prediction:
    found = prediction.bag.slide_fingerprint
    if found is not None and found != request.fingerprint:
        raise SlideError(
            f"{request.slide_path} has changed since it was opened here (content {found[:12]}, shown "
            f"{request.fingerprint[:12]}); open it again and predict then."
        )
    return prediction


def _predict_slide(request: PredictionRequest, bundle: Bundle) -> Generator[Progress, None, Prediction]:
    from amkd_core.inference.bag_cache import user_bag_cache
    from amkd_core.inference.predict import predict_slide

    return (
        yield from predict_slide(
            request.slide_path,
            bundle,
            mpp=request.mpp,
            scene=request.scene,
            device=request.device,
            cache=user_bag_cache(),
        )
    )


def _open_bundle(path: Path) -> Bundle:
    from amkd_core.bundle_file import open_bundle

    return open_bundle(path)


def _open_slide(path: Path, mpp: float | tuple[float, float] | None) -> Slide:
    from amkd_core.slides import open_slide

    return open_slide(path, mpp=mpp, isolated=True)
