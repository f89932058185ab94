"""The progress of a run as a table, and how long it may still take."""

from __future__ import annotations

import csv
import os
import re
import time
from collections.abc import Generator
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from amkd_core.progress import Progress
from amkd_core.training.config import TrainingConfig

Result = TypeVar("Result")
STAGE_PREFIX = "Training "
LOSSES = ("total", "survival", "guidance", "distillation", "redundancy", "pathways", "validation")
_PAIR = re.compile(r"(\w+) (-?\d[\d.e+-]*|nan|inf)")


@dataclass(frozen=True)
class Epoch:
    """One finished epoch.

    Attributes
    ----------
    fold
        Counted from 1.
    stage
        "teacher", "inner teacher 1 of 4", "student".
    epoch, epochs
        This one, and at most so many.
    losses
        By name, as "name value" pairs.
    """

    fold: int
    stage: str
    epoch: int
    epochs: int
    losses: str

    @classmethod
    def of(cls, step: Progress, fold: int) -> Epoch | None:
        """The epoch that a step of training tells of; None for other steps."""
        if not step.stage.startswith(STAGE_PREFIX) or not step.total:
            return None
        return cls(fold, step.stage.removeprefix(STAGE_PREFIX), step.done, step.total, step.message)

    def loss(self, name: str) -> str:
        """A loss as text, empty when this stage has none of that name."""
        found: dict[str, str] = dict(_PAIR.findall(self.losses))
        return found.get(name, "")


class ProgressLog:
    """``progress.csv`` of a run: one row per epoch, appended; a repeated run goes on below.

    Parameters
    ----------
    path
        Of the table.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, epoch: Epoch, seconds_left: float | None) -> None:
        """Append one row."""
        new = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["time", "fold", "stage", "epoch", "epochs", *LOSSES, "seconds_left"])
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S")
            left = "" if seconds_left is None else f"{seconds_left:.0f}"
            head = [stamp, epoch.fold, epoch.stage, epoch.epoch, epoch.epochs]
            writer.writerow([*head, *(epoch.loss(name) for name in LOSSES), left])


@dataclass
class TimeLeft:
    """Estimate of a run's remaining time: the mean epoch so far times the most epochs that may follow.

    Early stopping makes it an upper bound; a stage that ended early takes its epochs out.

    Parameters
    ----------
    config
        Of the run.
    folds
        That are still to be trained.
    jobs
        Folds at a time.
    """

    config: TrainingConfig
    folds: frozenset[int]
    jobs: int = 1
    _started: float = field(default_factory=time.monotonic)
    _seen: int = 0
    _at: dict[int, tuple[int, int]] = field(default_factory=dict)

    def after(self, epoch: Epoch) -> float:
        """Seconds that may be left after this epoch."""
        self._seen += 1
        self._at[epoch.fold] = (self._place(epoch.stage), epoch.epoch)
        per_epoch = (time.monotonic() - self._started) * min(self.jobs, len(self.folds)) / self._seen
        left = sum(self._left(fold) for fold in self.folds)
        return per_epoch * left / min(self.jobs, len(self.folds))

    def finished(self, fold: int) -> None:
        """A fold needs no more epochs."""
        self._at[fold] = (len(self._stages()), 0)

    def _stages(self) -> list[int]:
        distill = self.config.distill
        unseen = "out_of_fold" in (distill.teacher_loss, distill.teacher_logits)
        inner = distill.inner_folds if unseen else 0
        return [self.config.teacher.epochs] * (1 + inner) + [self.config.student.epochs]

    def _place(self, stage: str) -> int:
        if stage == "teacher":
            return 0
        number = re.match(r"inner teacher (\d+)", stage)
        return int(number.group(1)) if number else len(self._stages()) - 1

    def _left(self, fold: int) -> int:
        place, epoch = self._at.get(fold, (0, 0))
        stages = self._stages()[place:]
        return max(0, sum(stages) - epoch)


def spoken(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def logged(
    steps: Generator[Progress, None, Result], fold: int, log: ProgressLog, left: TimeLeft
) -> Generator[Progress, None, Result]:
    """The steps of one fold, written down and told with the fold and the time left."""
    try:
        while True:
            step = next(steps)
            epoch = Epoch.of(step, fold)
            if epoch is not None:
                seconds = left.after(epoch)
                log.add(epoch, seconds)
                message = f"{step.message}; at most {spoken(seconds)} left"
                step = Progress(f"Fold {fold}, {step.stage.lower()}", step.done, step.total, message)
            yield step
    except StopIteration as stop:
        left.finished(fold)
        result: Result = stop.value
        return result
    finally:
        steps.close()


class FoldLog:
    """A fold's own log, written by whoever trains it and followed by the run that waits for it.

    Parameters
    ----------
    path
        In the fold's folder. What stands there already is not followed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def add(self, epoch: Epoch) -> None:
        """Append one line in a single write, so that a reader sees whole lines."""
        line = "\t".join(str(value) for value in astuple(epoch)) + "\n"
        # Windows would write other line ends without the flag.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._path, flags, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def fresh(self) -> list[Epoch]:
        """Epochs that were added since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._place)
            found = file.read()
        self._place += len(found)
        *lines, self._rest = (self._rest + found).split(b"\n")
        parsed = [_parsed(line.decode("utf-8", "replace")) for line in lines]
        return [epoch for epoch in parsed if epoch is not None]


def _parsed(line: str) -> Epoch | None:
    parts = line.split("\t")
    if len(parts) != len(fields(Epoch)) or not all(parts[place].isdigit() for place in (0, 2, 3)):
        return None
    return Epoch(int(parts[0]), parts[1], int(parts[2]), int(parts[3]), parts[4])
