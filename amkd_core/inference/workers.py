"""Worker processes for slides: one that kills its reader costs that slide, never the run.

Each worker is a fresh interpreter at the other end of a pipe. It ends by itself when the pipe closes, so a
killed run leaves no orphans behind; what it sends is its progress, and silence for too long means that it hangs.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Generator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from amkd_core.ended import signal_of
from amkd_core.inference.extract import ExtractSettings, SlideOutcome, SlideTask, extract_slide
from amkd_core.private_names import private_logger
from amkd_core.progress import Progress

STAGE = "Extracting slides"
_POLL_S = 0.1
_log = private_logger(__name__)

_Tasks = queue.SimpleQueue[tuple[int, SlideTask]]
_Messages = queue.SimpleQueue[tuple[int, Progress | SlideOutcome]]


def run_in_workers(
    tasks: Sequence[SlideTask], out: Path, settings: ExtractSettings, *, jobs: int
) -> Generator[Progress, None, list[SlideOutcome]]:
    """Run `extract_slide` over `tasks` in `jobs` processes; see `extract_slides`."""
    waiting: _Tasks = queue.SimpleQueue()
    messages: _Messages = queue.SimpleQueue()
    for item in enumerate(tasks):
        waiting.put(item)
    stop = threading.Event()
    lanes = [
        threading.Thread(target=_lane, args=(waiting, messages, out, settings, stop), daemon=True)
        for _ in range(max(1, min(jobs, len(tasks))))
    ]
    for lane in lanes:
        lane.start()
    outcomes: dict[int, SlideOutcome] = {}
    try:
        yield Progress(STAGE, 0, len(tasks))
        while len(outcomes) < len(tasks):
            try:
                index, message = messages.get(timeout=_POLL_S)
            except queue.Empty:
                if any(lane.is_alive() for lane in lanes) or not messages.empty():
                    continue
                break
            name = tasks[index].path.name
            if isinstance(message, SlideOutcome):
                outcomes[index] = message
                yield Progress(STAGE, len(outcomes), len(tasks), name)
            elif message.total:
                detail = f"{name}: {message.done} of {message.total} patches"
                yield Progress(STAGE, len(outcomes), len(tasks), detail)
            else:
                yield Progress(STAGE, len(outcomes), len(tasks), f"{name}: {message.stage.lower()}")
    finally:
        stop.set()
        for lane in lanes:
            lane.join()
    lost = "the thread that waited for it ended; extract it again"
    return [
        outcomes.get(index, SlideOutcome(task.path, "failed", reason=lost))
        for index, task in enumerate(tasks)
    ]


class SlideWorker:
    """A process that extracts one slide at a time for its owner.

    Parameters
    ----------
    out, settings
        As for `extract_slide`.
    """

    def __init__(self, out: Path, settings: ExtractSettings) -> None:
        context = get_context("spawn")
        self._stall_s = settings.stall_s
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, out, settings), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """Process identifier."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can take another slide."""
        return self._process.is_alive()

    def run(self, task: SlideTask, stop: threading.Event) -> Generator[Progress, None, SlideOutcome]:
        """Extract a slide.

        Yields
        ------
        Progress
            As the worker sends it.

        Returns
        -------
        SlideOutcome
            "failed" as well when the worker died, hung, or `stop` was set; it is gone then.
        """
        start = heard = time.monotonic()
        try:
            self._pipe.send(task)
            while True:
                if stop.is_set():
                    reason = "stopped before it was finished"
                    break
                if self._pipe.poll(_POLL_S):
                    message = self._pipe.recv()
                    heard = time.monotonic()
                    if isinstance(message, SlideOutcome):
                        return message
                    yield message
                elif time.monotonic() - heard > self._stall_s:
                    reason = (
                        f"no progress for {self._stall_s:.0f} s, so it was stopped; the file may be damaged"
                    )
                    break
        except (EOFError, OSError):
            reason = self._cause_of_death()
        self.kill()
        return SlideOutcome(task.path, "failed", 0, time.monotonic() - start, reason)

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _cause_of_death(self) -> str:
        self._process.join(timeout=5)
        code = self._process.exitcode
        name = signal_of(code)
        if name:
            return (
                f"the process that read it died by {name}; the file is damaged in a way that "
                "its reader does not survive, or memory ran out"
            )
        return (
            f"the process that read it ended with an unexpected error (exit code {code}); its report is above"
        )


def _lane(
    waiting: _Tasks, messages: _Messages, out: Path, settings: ExtractSettings, stop: threading.Event
) -> None:
    """Feed one worker with slides; replace it when it dies."""
    worker: SlideWorker | None = None
    try:
        while not stop.is_set():
            try:
                index, task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                if worker is None or not worker.is_alive:
                    worker = SlideWorker(out, settings)
                steps = worker.run(task, stop)
                while True:
                    try:
                        messages.put((index, next(steps)))
                    except StopIteration as finished:
                        messages.put((index, finished.value))
                        break
            except Exception as error:  # noqa: BLE001 (whoever waits for this slide must hear of it)
                messages.put((index, _failed(task, error)))
                if worker is not None and worker.is_alive:
                    worker.kill()
    finally:
        if worker is not None and worker.is_alive:
            worker.kill()


def _failed(task: SlideTask, error: Exception) -> SlideOutcome:
    """The outcome of a slide whose worker could not be started, or not be asked."""
    if isinstance(error, OSError):
        cause = error.strerror or str(error)
        reason = f"no process could be started for it ({cause}); end other programs, or extract fewer slides at a time"
    else:
        _log.error("A worker failed.", exc_info=error)
        reason = f"its worker failed ({type(error).__name__}: {error})"
    return SlideOutcome(task.path, "failed", reason=reason)


def _serve(pipe: Connection, out: Path, settings: ExtractSettings) -> None:
    """What a worker does until its owner closes the pipe or is gone."""
    # Ctrl-C reaches the whole process group; the owner decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            steps = extract_slide(pipe.recv(), out, settings)
            while True:
                try:
                    pipe.send(next(steps))
                except StopIteration as finished:
                    pipe.send(finished.value)
                    break
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
