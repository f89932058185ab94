"""Folds and slides on a Dask cluster whose workers see the run folder under the same path.

A worker runs each task in a child process: a crash of a native library costs that task alone, the worker keeps
answering its scheduler, and two folds never share torch's state. When a worker is lost, Dask gives its tasks to others;
they go on from the last checkpoint, and slides that have a bag are passed over.
"""

from __future__ import annotations

import dataclasses
import math
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amkd_core.errors import AmkdError, ConfigError, MissingExtraError, WorkerError
from amkd_core.inference.extract import ExtractSettings, SlideOutcome, SlideTask
from amkd_core.progress import Progress
from amkd_core.slides import slide_id_of
from amkd_core.training.child import Child
from amkd_core.training.distribute import Ended
from amkd_core.training.worker import ALIVE

if TYPE_CHECKING:
    from distributed import Client, Future

GPU = "GPU"
SLIDE_STAGE = "Extracting slides"
_MOST_SLIDES_A_TASK = 16
_CONNECT_S = 20
_NO_SCHEDULER = "the cluster's scheduler is gone; what was finished is kept: repeat the command to continue"


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """Client of a running scheduler, such as ``tcp://host:8786``.

    Raises
    ------
    MissingExtraError
        When Dask is not installed.
    ConfigError
        When nothing answers there, or the scheduler has no worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError(
            "--scheduler needs Dask, which is not installed; install it with: pip install 'amkd-viewer[distributed]'"
        ) from None
    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:  # time-outs are OSErrors
        cause = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ConfigError(
            f"--scheduler {address}: no Dask scheduler answers there ({cause}); start one with `dask scheduler`"
        ) from error
    try:
        if not _workers(client):
            raise ConfigError(
                f"--scheduler {address}: the scheduler has no workers; start some with `dask worker {address}`"
            )
        yield client
    finally:
        client.close()


class ClusterFolds:
    """Folds as tasks of a Dask cluster; one GPU each where workers declare a resource GPU.

    Parameters
    ----------
    client
        Connected.
    run
        Run folder; every worker must see it under this path.
    threads
        Of torch in each fold.
    """

    def __init__(self, client: Client, run: Path, *, threads: int) -> None:
        self.width = 1_000_000  # the scheduler queues what the workers cannot take yet
        self.advice = ""
        self._client = client
        self._run = run.resolve()
        self._threads = threads
        self._resources = _resources(client)
        self._futures: dict[int, Future] = {}

    def start(self, fold: int) -> None:
        """Submit the fold."""
        task = {"kind": "fold", "run": str(self._run), "fold": fold, "threads": self._threads}
        self._futures[fold] = self._client.submit(run_task, task, pure=False, resources=self._resources)

    def ended(self, fold: int) -> Ended | None:
        """How the fold's task ended; None while the cluster has it."""
        future = self._futures[fold]
        if not future.done():
            return None
        if future.status == "finished":
            answer = future.result()
            error = AmkdError(f"fold {fold}: {answer['error']}") if "error" in answer else None
            return Ended(error, answer.get("cause", ""))
        if future.status == "error":
            return Ended(cause=f"the cluster gave it up ({_cause(future)})")
        if self._client.status == "connecting":  # for as long as it took to connect in the first place
            return None
        if self._client.status != "running":
            return Ended(error=WorkerError(_NO_SCHEDULER))
        return Ended(cause="the cluster cancelled it")

    def close(self) -> None:
        """Take back what no worker has begun; a fold under way goes on, and is waited for when the run is repeated."""
        _take_back(self._client, list(self._futures.values()))


def run_task(task: Mapping[str, Any], stall_s: float | None = None) -> dict[str, Any]:
    """Run a task in a child process of this worker.

    Parameters
    ----------
    stall_s
        A child that sends nothing for so long is killed; None where it may be silent, as folds are.

    Returns
    -------
    dict
        The child's answers, and "error" or "cause" when it failed or died.
    """
    child = Child(task)
    answers: list[dict[str, Any]] = []
    try:
        for answer in child.answers(stall_s):
            if ALIVE not in answer:
                answers.append(answer)
        died = len(answers) < len(task.get("slides", [0]))
        report = f"in the log of the worker on {socket.gethostname()}"
        return {"answers": answers, **({"cause": child.cause_of_death(report)} if died else {})}
    except AmkdError as error:
        return {"answers": answers, "error": str(error)}
    finally:
        child.close()


def extract_on_cluster(
    tasks: Sequence[SlideTask], out: Path, settings: ExtractSettings, client: Client
) -> Generator[Progress, None, list[SlideOutcome]]:
    """Extract slides on a cluster, a few to a task; parameters and result as for `extract_slides`.

    Bags are written whole or not at all, into a folder that all workers see; a slide that is extracted twice because
    its worker was taken for dead gives the same bag.
    """
    size = min(_MOST_SLIDES_A_TASK, max(1, math.ceil(len(tasks) / (4 * len(_workers(client))))))
    chunks = [tuple(tasks[start : start + size]) for start in range(0, len(tasks), size)]
    resources = _resources(client)
    futures = {
        client.submit(run_slides, chunk, str(out.resolve()), settings, pure=False, resources=resources): chunk
        for chunk in chunks
    }
    outcomes: dict[str, SlideOutcome] = {}
    try:
        yield Progress(SLIDE_STAGE, 0, len(tasks))
        from distributed import as_completed

        for future in as_completed(futures, loop=client.loop):
            for outcome in _chunk_outcomes(future, futures[future]):
                outcomes[slide_id_of(outcome.path)] = outcome
            yield Progress(SLIDE_STAGE, len(outcomes), len(tasks), futures[future][-1].path.name)
    finally:
        _take_back(client, list(futures))
    return [outcomes[task.slide_id] for task in tasks]


def run_slides(chunk: Sequence[SlideTask], out: str, settings: ExtractSettings) -> list[SlideOutcome]:
    """Extract some slides in child processes of this worker; a slide that kills its process fails by itself."""
    record = dataclasses.asdict(settings)
    record["weights"] = None if settings.weights is None else str(settings.weights.resolve())
    outcomes: list[SlideOutcome] = []
    while len(outcomes) < len(chunk):
        rest = chunk[len(outcomes) :]
        slides = [{**dataclasses.asdict(task), "path": str(task.path.resolve())} for task in rest]
        found = run_task(
            {"kind": "slides", "slides": slides, "out": out, "settings": record}, settings.stall_s
        )
        outcomes += [
            SlideOutcome(task.path, **answer) for task, answer in zip(rest, found["answers"], strict=False)
        ]
        if len(outcomes) < len(chunk):
            reason = found.get("error") or found.get("cause", "its process ended early")
            outcomes.append(SlideOutcome(chunk[len(outcomes)].path, "failed", 0, 0.0, reason))
    return outcomes


def _take_back(client: Client, futures: Sequence[Future]) -> None:
    if client.status == "running":
        client.cancel([future for future in futures if not future.done()])


def _chunk_outcomes(future: Future, chunk: Sequence[SlideTask]) -> list[SlideOutcome]:
    if future.status == "finished":
        found: list[SlideOutcome] = future.result()
        return found
    reason = (
        f"the cluster gave it up ({_cause(future)})"
        if future.status == "error"
        else "the cluster cancelled it"
    )
    return [SlideOutcome(task.path, "failed", 0, 0.0, reason) for task in chunk]


def _cause(future: Future) -> str:
    error = future.exception()
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ")


def _workers(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return found


def _resources(client: Client) -> dict[str, float] | None:
    """One GPU a task, where any worker declares some."""
    has_gpu = any(worker.get("resources", {}).get(GPU, 0) for worker in _workers(client).values())
    return {GPU: 1} if has_gpu else None
