"""PredictionSession: bundle, slides and results behind the panels; no Qt, usable from a script.

Work runs in threads of the session's own, one for opening slides, one for predicting, one for kept results and two for
small tasks; what happens is told to one listener, in events. A result is kept under the fingerprint of its slide's
content and given out under no other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amkd_core.errors import AmkdError, SlideError
from amkd_core.private_names import private_logger
from amkd_core.progress import Progress
from amkd_core.slides.isolate import keep_reader_ready
from amkd_core.slides.reader_launch import end_spare
from amkd_viewer import jobs
from amkd_viewer.events import (
    Advanced,
    Cancelled,
    Crashed,
    Failed,
    Finished,
    Opened,
    PredictionRequest,
    Queued,
    QueueEnded,
    QueueRow,
    Request,
    SessionEvent,
)
from amkd_viewer.recalls import Recalls
from amkd_viewer.results import FileState, Results, slides_of, state_of
from amkd_viewer.tasks import Tasks

if TYPE_CHECKING:
    from amkd_core.bundle import Bundle
    from amkd_core.inference.prediction import Prediction

PROGRESS_INTERVAL_S = 0.1
"""Progress within one stage is told no more often than this."""

_log = private_logger(__name__)


Predict = Callable[[Any, "Bundle"], Generator[Progress | QueueRow, None, Any]]


class PredictionSession:
    """Runs one prediction at a time and keeps the results.

    All methods may be called from any thread and return at once, except `wait`.

    Parameters
    ----------
    listener
        Called with every event, from the session's threads; must return quickly and not raise.
    predict
        Generator function that does what is requested; by default `amkd_viewer.jobs.run_job`. It returns a prediction,
        or several by the fingerprint of their slide, or None.
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
        self._predict = predict or jobs.run_job
        self._load_bundle = load_bundle or _open_bundle
        self._lock = threading.RLock()
        self._run: _Run | None = None
        self._latest: _Run | None = None
        self._closed = False
        self._bundle: tuple[Path, FileState, Bundle] | None = None
        self._bundle_lock = threading.Lock()
        self._results = Results()
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="amkd-prediction")
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="amkd-opening")
        self._recalls = Recalls(self._lock, self._find_kept, self._on_recalled)
        self.tasks = Tasks(self._tell_task)

    def __repr__(self) -> str:
        state = "running" if self.running else "idle"
        return f"<PredictionSession: {state}, {len(self._results)} result(s)>"

    @property
    def running(self) -> Request | None:
        """The request under way, or None; None at once after `cancel`."""
        with self._lock:
            return None if self._run is None else self._run.request

    def result(self, fingerprint: str, bundle_path: Path | None = None) -> Prediction | None:
        """Return the last prediction of the slide with this content, by one model where it is named, or None."""
        with self._lock:
            last = self._results.last(fingerprint, bundle_path)
            return None if last is None else last.prediction

    def asked_with(self, fingerprint: str, bundle_path: Path | None = None) -> PredictionRequest | None:
        """Return what that prediction was asked with (model, scale, expression), or None."""
        with self._lock:
            last = self._results.last(fingerprint, bundle_path)
            return None if last is None else last.asked

    def forget(self, fingerprint: str) -> None:
        """Drop the results of a slide whose scale was stated anew; a prediction under way about it is cancelled."""
        with self._lock:
            if self._run is not None and fingerprint in slides_of(self._run.request):
                self.cancel()
            self._recalls.forget(fingerprint)
            self._results.forget(fingerprint)

    def forget_replaced(self, bundle_path: Path) -> bool:
        """Drop the results of a model whose file was replaced, not of one that is gone; whether there were any."""
        model = state_of(bundle_path)
        with self._lock:
            return model is not None and self._results.forget_replaced(bundle_path, model)

    def forget_regions(self, fingerprint: str) -> None:
        """Drop the results that rest on a slide's regions, which are gone; those of the whole slide come back."""
        with self._lock:
            self._results.forget_regions(fingerprint)

    def whole(self, fingerprint: str, bundle_path: Path | None = None) -> Prediction | None:
        """Return the last prediction of the whole slide, of which regions are made; None where there is none.

        Of the named model where it has one: another's features may be of another encoder.
        """
        with self._lock:
            whole = self._results.whole(fingerprint, bundle_path)
            return None if whole is None else whole.prediction

    def history(self) -> list[tuple[str, Prediction]]:
        """Predictions of this session with the fingerprints of their slides, the newest first."""
        with self._lock:
            return self._results.history()

    def bundle(self, path: Path) -> Bundle:
        """Open a bundle, or give the one opened last where the file is still the same; takes a while."""
        return self._opened(path)[1]

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

    def expect_slide(self) -> None:
        """Have a process wait for the next slide, so that it opens sooner; it ends with the session."""
        self.prepare(opening=self._keep_reader_ready)

    def recall(self, request: PredictionRequest) -> None:
        """Look for a kept result of a slide off the caller's thread; `Finished` follows only where there is one."""
        with self._lock:
            if not self._closed and jobs.has_kept_results():
                self._recalls.look_for(request)

    def drop_recalls(self, fingerprint: str) -> None:
        """Tell of no kept result that is looked for by now; the slide is closed, and may come back without a scale."""
        self._recalls.forget(fingerprint)

    def start(self, request: Request) -> None:
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
        self.tasks.close()
        self._recalls.close()
        for executor in (self._runner, self._opener):
            executor.shutdown(wait=False, cancel_futures=True)
        end_spare()

    def _keep_reader_ready(self) -> None:
        keep_reader_ready()
        if self._closed:
            end_spare()

    def _work(self, run: _Run) -> dict[str, Prediction] | None:
        """Drive the generator in the session's thread; None when cancelled."""
        if run.cancelled.is_set():
            return None
        self._advance(run, Progress("Opening the model"))
        run.model, bundle = self._opened(run.request.bundle_path)
        with closing(self._predict(run.request, bundle)) as steps:
            while not run.cancelled.is_set():
                try:
                    step = next(steps)
                except StopIteration as end:
                    return _checked(run.request, end.value)
                if isinstance(step, QueueRow):
                    self._tell_row(run, step)
                else:
                    self._advance(run, step)
        return None

    def _tell_row(self, run: _Run, row: QueueRow) -> None:
        with self._lock:
            if self._run is run:
                self._tell(Queued(run.request, row))

    def _tell_task(self, event: SessionEvent) -> None:
        with self._lock:
            self._tell(event)

    def _advance(self, run: _Run, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage == run.stage and now < run.told_at + PROGRESS_INTERVAL_S and progress.fraction != 1:
            return
        run.stage, run.told_at = progress.stage, now
        with self._lock:
            if self._run is run:
                self._tell(Advanced(run.request, progress))

    def _on_done(self, run: _Run, future: Future[dict[str, Prediction] | None]) -> None:
        with self._lock:
            if self._run is run:
                self._run = None
                for event in _outcomes(run.request, future):
                    if isinstance(event, Finished):
                        self._results.remember(event, run.model)
                    self._tell(event)
        run.ended.set()

    def _find_kept(self, request: PredictionRequest) -> tuple[FileState, Prediction] | None:
        model, bundle = self._opened(request.bundle_path)
        prediction = jobs.recall(request, bundle)
        return None if prediction is None else (model, prediction)

    def _on_recalled(self, request: PredictionRequest, found: tuple[FileState, Prediction]) -> None:
        """Give a kept result out unless there is one, or the run under way brings one."""
        with self._lock:
            if self._closed or (self._run is not None and _is_about(self._run.request, request)):
                return
            if self._results.last(request.fingerprint, request.bundle_path) is not None:
                return
            model, prediction = found
            event = Finished(request, prediction, request.fingerprint, recalled=True)
            self._results.remember(event, model)
            self._tell(event)

    def _on_opened(self, path: Path, future: Future[Opened]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        with self._lock:
            if error is None and self._listener is None:
                future.result().slide.close()
                return
            self._tell(future.result() if error is None else _fault(path, error))

    def _opened(self, path: Path) -> tuple[FileState, Bundle]:
        """Open a bundle, or give the one opened last where the file is still the same; and that file's state."""
        model = state_of(path)
        with self._bundle_lock:  # one after another: a run and a search for its kept result share the model
            held = self._bundle
            if held is None or held[:2] != (path, model):
                self._bundle = held = (path, model, self._load_bundle(path))
        return held[1:]

    def _tell(self, event: SessionEvent) -> None:
        if self._listener is not None:
            self._listener(event)


class _Run:
    """One prediction under way."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.cancelled = threading.Event()
        self.ended = threading.Event()
        self.model: FileState = None
        self.stage = ""
        self.told_at = 0.0


def _is_about(run: Request, request: PredictionRequest) -> bool:
    """Whether a run brings the result of a request's slide and model."""
    return request.fingerprint in slides_of(run) and request.bundle_path == run.bundle_path


def _outcomes(request: Request, future: Future[dict[str, Prediction] | None]) -> list[SessionEvent]:
    if future.cancelled():
        return [Cancelled(request)]
    error = future.exception()
    if error is not None:
        return [_fault(request, error)]
    predictions = future.result()
    if predictions is None:
        return [Cancelled(request)]
    if not predictions:
        return [QueueEnded(request)]
    return [Finished(request, prediction, fingerprint) for fingerprint, prediction in predictions.items()]


def _fault(request: Request | Path, error: BaseException) -> Failed | Crashed:
    if isinstance(error, AmkdError):
        return Failed(request, error)
    _log.error("%s failed", request, exc_info=error)
    return Crashed(request, error)


def _checked(request: Request, value: Any) -> dict[str, Prediction]:
    """Predictions by fingerprint; one of another slide's content is refused."""
    if value is None:
        return {}
    predictions = value if isinstance(value, dict) else {request.fingerprint: value}
    for fingerprint, prediction in predictions.items():
        found = prediction.bag.slide_fingerprint
        if found is not None and found != fingerprint:
            path = getattr(request, "slide_path", None) or prediction.slide_id
            raise SlideError(
                f"{path} has changed since it was opened here (content {found[:12]}, shown "
                f"{fingerprint[:12]}); open it again and predict then."
            )
    return predictions


def _open_bundle(path: Path) -> Bundle:
    from amkd_core.bundle_file import open_bundle

    return open_bundle(path)


def _open_slide(path: Path, mpp: float | tuple[float, float] | None) -> Opened:
    from amkd_core.slides import open_slide, slide_pyramid

    slide = open_slide(path, mpp=mpp, isolated=True)
    try:
        pyramid = slide_pyramid(slide)
        # The thumbnail is made of it, in the GUI thread.
        _ = pyramid[-1][:]
    except BaseException:
        slide.close()  # its reader is a process, which nobody else knows of
        raise
    return Opened(slide, pyramid)
