"""Folds in parallel: one process each on this machine, or tasks on a cluster (`amkd_core.training.cluster`).

Whoever trains a fold reads all it needs from the run folder and writes all it finds there; a fold counts when its
record stands there (`fold_record.finished_fold`), however often it was begun.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from amkd_core.errors import AmkdError, WorkerError
from amkd_core.private_names import private_logger
from amkd_core.progress import Progress
from amkd_core.training.child import Child
from amkd_core.training.config import TrainingConfig
from amkd_core.training.fold_record import finished_fold, fold_folder
from amkd_core.training.progress_log import FoldLog, ProgressLog, TimeLeft, spoken
from amkd_core.training.worker import FOLD_LOG

STAGE = "Training folds"
ATTEMPTS = 2
_POLL_S = 0.1
_log = private_logger(__name__)


@dataclass(frozen=True)
class Ended:
    """How the training of a fold ended.

    Attributes
    ----------
    error
        What the user must mend; another attempt would end alike.
    cause
        Of a death; asked only when the fold is not finished.
    """

    error: AmkdError | None = None
    cause: str = ""


class Backend(Protocol):
    """Where folds are trained.

    Attributes
    ----------
    width
        Folds at a time.
    advice
        What to do about folds that were lost, as the end of a sentence; may be empty.
    """

    width: int
    advice: str

    def start(self, fold: int) -> None:
        """Begin, or begin again, with a fold."""

    def ended(self, fold: int) -> Ended | None:
        """How it ended; None while it is under way."""

    def close(self) -> None:
        """Stop what is under way."""


def cores() -> int:
    """Cores that this process may use: of a shared machine, those that its batch system gave to it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(config: TrainingConfig, jobs: int) -> int:
    """Torch threads of each process when so many folds are trained at a time on this machine.

    ``threads`` of the settings, never more than a fair share of the cores; with 0 exactly that share.
    """
    share = max(1, cores() // jobs)
    return min(config.threads, share) if config.threads else share


class LocalProcesses:
    """One process per fold on this machine.

    Parameters
    ----------
    run
        Run folder.
    jobs
        Folds at a time.
    threads
        Of torch in each.
    gpus
        Their names as ``CUDA_VISIBLE_DEVICES`` has them; where there are several, the folds take turns.
    """

    def __init__(self, run: Path, *, jobs: int, threads: int, gpus: Sequence[str] = ()) -> None:
        self.width = jobs
        self.advice = ", with fewer --jobs if memory ran out"
        self._run = run.resolve()
        self._threads = threads
        self._gpus = gpus
        self._children: dict[int, Child] = {}

    def start(self, fold: int) -> None:
        """Start the fold's process."""
        task = {"kind": "fold", "run": str(self._run), "fold": fold, "threads": self._threads}
        n_gpus = len(self._gpus)
        environment = {"CUDA_VISIBLE_DEVICES": self._gpus[(fold - 1) % n_gpus]} if n_gpus > 1 else {}
        self._children[fold] = Child(task, environment)

    def ended(self, fold: int) -> Ended | None:
        """How the fold's process ended; None while it lives."""
        child = self._children[fold]
        if child.is_alive:
            return None
        try:
            list(child.answers())
            return Ended(cause=child.cause_of_death())
        except AmkdError as error:
            return Ended(error=AmkdError(f"fold {fold}: {error}"))
        finally:
            child.close()

    def close(self) -> None:
        """Kill the processes; at most their running epochs are lost."""
        for child in self._children.values():
            child.close()


def train_folds(
    run: Path, folds: Sequence[int], backend: Backend, *, log: ProgressLog, left: TimeLeft
) -> Generator[Progress, None, None]:
    """Train folds in parallel until each has its record.

    A fold whose worker died is begun once more, from its last checkpoint, and named when that one dies as well.

    Parameters
    ----------
    run
        Run folder with ``run.json``, ``folds.json`` and the cache.
    folds
        Those to be trained, counted from 1.
    backend
        Closed at the end, whatever happens.

    Raises
    ------
    WorkerError
        Names the folds that were lost; the others are finished and kept.
    AmkdError
        When a fold cannot be trained on these data.
    """
    waiting, under_way = list(folds), set[int]()
    attempts, lost = Counter[int](), dict[int, str]()
    logs = {fold: FoldLog(fold_folder(run, fold) / FOLD_LOG) for fold in folds}
    n_done = 0
    try:
        yield Progress(STAGE, 0, len(folds))
        while waiting or under_way:
            while waiting and len(under_way) < backend.width:
                fold = waiting.pop(0)
                attempts[fold] += 1
                under_way.add(fold)
                backend.start(fold)
            time.sleep(_POLL_S)
            ends = {fold: backend.ended(fold) for fold in sorted(under_way)}
            for message in _epochs(logs, log, left):
                yield Progress(STAGE, n_done, len(folds), message)
            for fold, end in ends.items():
                if end is None:
                    continue
                under_way.discard(fold)
                if end.error is not None:
                    raise end.error
                if finished_fold(run, fold) is not None:
                    left.finished(fold)
                    n_done += 1
                    yield Progress(STAGE, n_done, len(folds), f"fold {fold} finished")
                else:
                    _again_or_lost(fold, end.cause, attempts[fold], waiting, lost)
    finally:
        backend.close()
    if lost:
        raise WorkerError(_sentence(lost, backend.advice))


def _epochs(logs: dict[int, FoldLog], log: ProgressLog, left: TimeLeft) -> Generator[str, None, None]:
    for follower in logs.values():
        for epoch in follower.fresh():
            seconds = left.after(epoch)
            log.add(epoch, seconds)
            yield (
                f"fold {epoch.fold}, {epoch.stage}, epoch {epoch.epoch} of {epoch.epochs}: {epoch.losses}; "
                f"at most {spoken(seconds)} left"
            )


def _again_or_lost(fold: int, cause: str, n_attempts: int, waiting: list[int], lost: dict[int, str]) -> None:
    if n_attempts < ATTEMPTS:
        _log.warning("fold %d: %s; it is continued from its last checkpoint", fold, cause)
        waiting.append(fold)
    else:
        lost[fold] = cause


def _sentence(lost: dict[int, str], advice: str) -> str:
    listed = "; ".join(f"fold {fold}: {cause}" for fold, cause in sorted(lost.items()))
    count = "1 fold was" if len(lost) == 1 else f"{len(lost)} folds were"
    return (
        f"{count} lost after {ATTEMPTS} attempts ({listed}); the others are kept: repeat the command to "
        f"continue{advice}"
    )
