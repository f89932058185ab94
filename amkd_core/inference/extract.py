"""Slides to bags in worker processes: a slide that kills its reader costs that slide, never the run."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from amkd_core.bag_file import read_bag, write_bag
from amkd_core.errors import AmkdError, BagError
from amkd_core.progress import Progress

if TYPE_CHECKING:
    from amkd_core.slides.encoders.registry import PatchEncoder

State = Literal["done", "skipped", "failed"]
# A slide that takes longer than this hangs; foundation encoders on a CPU take hours.
SLIDE_TIMEOUT_S = 48 * 3600.0


@dataclass(frozen=True)
class ExtractSettings:
    """How slides become bags.

    Attributes
    ----------
    encoder
        Key of the encoder registry.
    weights
        File or folder of its weights; None for the usual places.
    device
        As torch names it.
    precision
        Of the features on disk.
    force
        Extract again what is there already.
    workers
        Reading threads per slide.
    """

    encoder: str = "texture"
    weights: Path | None = None
    device: str = "cpu"
    precision: Literal["float32", "float16"] = "float32"
    force: bool = False
    workers: int = 2


@dataclass(frozen=True)
class SlideTask:
    """One slide to extract: where it is, and its scale where it does not tell."""

    path: Path
    mpp: float | None = None

    @property
    def slide_id(self) -> str:
        """Name of the bag."""
        return self.path.stem


@dataclass(frozen=True)
class SlideOutcome:
    """What became of one slide; `reason` is the sentence of a failure."""

    path: Path
    state: State
    n_patches: int = 0
    seconds: float = 0.0
    reason: str = ""


def extract_slide(task: SlideTask, out: Path, settings: ExtractSettings) -> SlideOutcome:
    """Extract one slide in this process, or keep its bag when it is whole and fits.

    Returns
    -------
    SlideOutcome
        "failed" with a sentence for whatever the user can mend; other errors surface.
    """
    start = time.monotonic()
    try:
        n_patches, state = _extract(task, out, settings)
    except (AmkdError, OSError) as error:
        return SlideOutcome(task.path, "failed", 0, time.monotonic() - start, str(error))
    return SlideOutcome(task.path, state, n_patches, time.monotonic() - start)


def extract_slides(
    tasks: Sequence[SlideTask], out: Path, settings: ExtractSettings, *, jobs: int = 1
) -> Generator[Progress, None, list[SlideOutcome]]:
    """Extract slides in worker processes, each slide in one that may die without harm to the rest.

    Parameters
    ----------
    tasks
        Slides; each gives ``<out>/<slide_id>.h5``.
    jobs
        Slides at a time.

    Yields
    ------
    Progress
        After each slide.

    Returns
    -------
    list of SlideOutcome
        In the order of `tasks`.

    Raises
    ------
    AmkdError
        When two slides would write the same bag.
    """
    _refuse_same_names(tasks)
    waiting: queue.SimpleQueue[tuple[int, SlideTask]] = queue.SimpleQueue()
    finished: queue.SimpleQueue[tuple[int, SlideOutcome | Exception]] = queue.SimpleQueue()
    for item in enumerate(tasks):
        waiting.put(item)
    stop = threading.Event()
    lanes = [
        threading.Thread(target=_lane, args=(waiting, finished, out, settings, stop), daemon=True)
        for _ in range(max(1, min(jobs, len(tasks))))
    ]
    for lane in lanes:
        lane.start()
    outcomes: dict[int, SlideOutcome] = {}
    yield Progress("Extracting slides", 0, len(tasks))
    try:
        while len(outcomes) < len(tasks):
            index, outcome = finished.get()
            if isinstance(outcome, Exception):
                raise outcome
            outcomes[index] = outcome
            yield Progress("Extracting slides", len(outcomes), len(tasks), outcome.path.name)
    finally:
        stop.set()
        for lane in lanes:
            lane.join()
    return [outcomes[index] for index in range(len(tasks))]


def _lane(
    waiting: queue.SimpleQueue[tuple[int, SlideTask]],
    finished: queue.SimpleQueue[tuple[int, SlideOutcome | Exception]],
    out: Path,
    settings: ExtractSettings,
    stop: threading.Event,
) -> None:
    """Feed one worker process with slides; replace it when it dies."""
    pool = _new_worker()
    try:
        while not stop.is_set():
            try:
                index, task = waiting.get_nowait()
            except queue.Empty:
                return
            outcome = _in_worker(pool, task, out, settings, stop)
            finished.put((index, outcome))
            if isinstance(outcome, SlideOutcome) and outcome.reason.startswith(_LOST):
                _kill(pool)
                pool = _new_worker()
    finally:
        _kill(pool)


_LOST = "the worker process"


def _in_worker(
    pool: ProcessPoolExecutor, task: SlideTask, out: Path, settings: ExtractSettings, stop: threading.Event
) -> SlideOutcome | Exception:
    start = time.monotonic()
    try:
        future = pool.submit(extract_slide, task, out, settings)
        while True:
            try:
                return future.result(timeout=0.25)
            except TimeoutError:
                if stop.is_set() or time.monotonic() - start > SLIDE_TIMEOUT_S:
                    return SlideOutcome(
                        task.path, "failed", 0, time.monotonic() - start, f"{_LOST} was stopped"
                    )
    except BrokenProcessPool:
        reason = (
            f"{_LOST} died while reading it: the file is damaged in a way that the reader does not survive"
        )
        return SlideOutcome(task.path, "failed", 0, time.monotonic() - start, reason)
    except Exception as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
        return error


def _new_worker() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)


def _refuse_same_names(tasks: Sequence[SlideTask]) -> None:
    seen: dict[str, Path] = {}
    for task in tasks:
        if task.slide_id in seen:
            raise AmkdError(
                f"{seen[task.slide_id]} and {task.path} would both be written to {task.slide_id}.h5; "
                "extract them into different folders"
            )
        seen[task.slide_id] = task.path


def _extract(task: SlideTask, out: Path, settings: ExtractSettings) -> tuple[int, State]:
    from amkd_core.slides.encoders import encode_slide
    from amkd_core.slides.slide import open_slide

    path = out / f"{task.slide_id}.h5"
    encoder = _encoder(settings.encoder, settings.weights, settings.device)
    with open_slide(task.path, mpp=task.mpp) as slide:
        if not settings.force and path.exists():
            kept = _kept(path, encoder, slide.info.fingerprint)
            if kept is not None:
                return kept, "skipped"
        steps = encode_slide(slide, encoder, workers=settings.workers)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                bag = stop.value
                break
    write_bag(path, bag, precision=settings.precision)
    return len(bag), "done"


def _kept(path: Path, encoder: PatchEncoder, fingerprint: str) -> int | None:
    """Patches of a bag that is whole and of this slide and encoder; None when it must be made again."""
    try:
        bag = read_bag(path)
    except BagError:
        return None
    fits = bag.encoder == encoder.identity and bag.slide_fingerprint == fingerprint
    return len(bag) if fits else None


@lru_cache(maxsize=1)
def _encoder(name: str, weights: Path | None, device: str) -> PatchEncoder:
    """Loaded once per worker process."""
    from amkd_core.slides.encoders import load_encoder

    return load_encoder(name, weights=weights, device=device)
