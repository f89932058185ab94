"""All folds of a run, wherever they are trained; those that are finished are left alone."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.bag import FeatureBag
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.splits import Split
from amkd_core.errors import WorkerError
from amkd_core.progress import Progress
from amkd_core.training.config import TrainingConfig
from amkd_core.training.crossval import train_fold
from amkd_core.training.distribute import Backend, LocalProcesses, threads_for, train_folds
from amkd_core.training.fold_record import FoldResult, finished_fold
from amkd_core.training.progress_log import ProgressLog, TimeLeft, logged

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Place:
    """Where a run works.

    Attributes
    ----------
    out
        Run folder.
    jobs
        Folds at a time on this machine; 1 trains them in this process.
    client
        Of a Dask cluster, which takes them instead.
    """

    out: Path
    jobs: int = 1
    client: Client | None = None

    def is_shared(self, n_folds: int) -> bool:
        """Whether other processes read the bags."""
        return self.client is not None or min(self.jobs, n_folds) > 1


def train_all(
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    splits: Sequence[Split],
    config: TrainingConfig,
    place: Place,
) -> Generator[Progress, None, tuple[FoldResult, ...]]:
    """Train the folds that have no result yet.

    Threads follow from the command and the machine alone, never from how many folds are left, so that a run that was
    continued has the numbers of one that was not.

    Parameters
    ----------
    bags
        Of all patients; where other processes train, they have been written to the run's cache.
    splits
        One a fold, in order.

    Raises
    ------
    AmkdError
        When a fold cannot be trained, or its worker was lost for good.
    """
    out = place.out
    found = {fold: finished_fold(out, fold) for fold in range(1, len(splits) + 1)}
    missing = [fold for fold, result in found.items() if result is None]
    jobs = min(place.jobs, len(splits))
    log, left = ProgressLog(out / "progress.csv"), TimeLeft(config, frozenset(missing), jobs)
    if missing and place.is_shared(len(splits)):
        backend = backend_of(place, config, jobs)
        yield from train_folds(out, missing, backend, log=log, left=left)
    elif missing:
        use_threads(config, jobs)
        for fold in missing:
            steps = train_fold(cohort, bags, splits[fold - 1], config, run=out, fold=fold)
            yield from logged(steps, fold, log, left)
    results = [result or finished_fold(out, fold) for fold, result in found.items()]
    lost = [str(fold) for fold, result in enumerate(results, start=1) if result is None]
    if lost:
        raise WorkerError(f"{out}: the results of fold {', '.join(lost)} are gone; repeat the command")
    return tuple(result for result in results if result is not None)


def use_threads(config: TrainingConfig, jobs: int) -> None:
    """Give torch the threads of one of so many folds at a time."""
    import torch

    torch.set_num_threads(threads_for(config, jobs))


def backend_of(place: Place, config: TrainingConfig, jobs: int) -> Backend:
    """What trains folds in other processes: a cluster where there is one, else this machine."""
    if place.client is None:
        return LocalProcesses(place.out, jobs=jobs, threads=threads_for(config, jobs), gpus=_gpus(config))
    from amkd_core.training.cluster import ClusterFolds

    return ClusterFolds(place.client, place.out, threads=config.threads or 1)


def _gpus(config: TrainingConfig) -> tuple[str, ...]:
    """Graphics processors that folds may take turns on; none when the settings name a certain one."""
    import torch

    if config.device != "cuda":
        return ()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(visible.split(",")) if visible else tuple(map(str, range(torch.cuda.device_count())))
