"""Many cells (a model on a fold each) in processes of this machine; finished ones are kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.errors import AmkdError, WorkerError
from amkd_core.progress import Progress
from amkd_core.training.cell import finished_cell, is_finished
from amkd_core.training.child import Child
from amkd_core.training.recipes import Recipe

if TYPE_CHECKING:
    import pandas as pd

STAGE = "Training models"
ATTEMPTS = 2
_POLL_S = 0.2


@dataclass(frozen=True)
class Task:
    """A recipe on some folds, counted from 1: what one process does."""

    recipe: Recipe
    folds: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.recipe.name}, fold {' and '.join(map(str, self.folds))}"

    def missing(self, run: Path) -> tuple[int, ...]:
        """Folds that have no result yet."""
        return tuple(fold for fold in self.folds if not is_finished(run, self.recipe, fold))


def tasks_of(run: Path, recipes: Sequence[Recipe], n_folds: int, jobs: int) -> list[Task]:
    """What is left to do, cut so that every process has something and none starts for a trifle.

    Different folds come first among the rows of one teacher, so that nobody waits for it.
    """
    whole = [Task(recipe, tuple(range(1, n_folds + 1))) for recipe in recipes]
    left = [Task(task.recipe, task.missing(run)) for task in whole]
    left = [task for task in left if task.folds]
    if jobs == 1 or len(left) >= 3 * jobs:
        return left
    return [Task(task.recipe, (fold,)) for task in left for fold in task.folds]


def run_cells(
    run: Path, recipes: Sequence[Recipe], n_folds: int, *, jobs: int, threads: int = 1
) -> Generator[Progress, None, None]:
    """Train what has no result yet, `jobs` processes at a time.

    A process that dies is started once more for what it left. Those under way end with this one.

    Parameters
    ----------
    run
        As `amkd_core.training.cell.run_cell` wants it.
    threads
        Of torch in each process; more change the last digits.

    Raises
    ------
    AmkdError
        When a model cannot be trained; finished folds are kept.
    WorkerError
        When a process died twice.
    """
    waiting = tasks_of(run, recipes, n_folds, jobs)
    total, done = len(recipes) * n_folds, -1
    tries, children = Counter[Task](), dict[Task, Child]()
    try:
        while waiting or children:
            while waiting and len(children) < jobs:
                task = waiting.pop(0)
                tries[task] += 1
                children[task] = _start(run, task, threads)
            time.sleep(_POLL_S)
            for task, child in list(children.items()):
                if child.is_alive:
                    continue
                del children[task]
                if not _ended_well(run, task, child):
                    _again_or_lost(task, child, tries, waiting)
            found = total - sum(
                len(Task(recipe, tuple(range(1, n_folds + 1))).missing(run)) for recipe in recipes
            )
            if found != done:
                done = found
                yield Progress(STAGE, done, total, "; ".join(map(str, children)))
    finally:
        for child in children.values():
            child.close()


def _start(run: Path, task: Task, threads: int) -> Child:
    folds = task.missing(run)
    return Child(
        {
            "kind": "cell",
            "run": str(run.resolve()),
            "recipe": asdict(task.recipe),
            "folds": folds,
            "threads": threads,
        }
    )


def _ended_well(run: Path, task: Task, child: Child) -> bool:
    try:
        list(child.answers())
    except AmkdError as error:
        raise AmkdError(f"{task}: {error}") from None
    finally:
        child.close()
    return not task.missing(run)


def _again_or_lost(task: Task, child: Child, tries: Counter[Task], waiting: list[Task]) -> None:
    if tries[task] >= ATTEMPTS:
        raise WorkerError(
            f"{task}: {child.cause_of_death()}; finished models are kept: repeat the command to continue, "
            "with fewer --jobs if memory ran out"
        )
    waiting.insert(0, task)


def gathered(run: Path, recipes: Sequence[Recipe], n_folds: int) -> pd.DataFrame:
    """Predictions of all finished cells, one table.

    Raises
    ------
    WorkerError
        When a cell is missing.
    """
    import pandas as pd

    tables = []
    for recipe in recipes:
        for fold in range(1, n_folds + 1):
            found = finished_cell(run, recipe, fold)
            if found is None:
                raise WorkerError(f"{run}: {recipe.name}, fold {fold} is not there; repeat the command")
            tables.append(found)
    return pd.concat(tables, ignore_index=True)
