"""A real Dask cluster of worker processes, one of which is killed in mid-run."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from training_fixtures import assert_same_results, fold_overrides, run_train

from amkd_core.bag_file import read_bag
from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import ConfigError
from amkd_core.inference.extract import ExtractSettings, SlideTask
from amkd_core.training.config import load_config
from amkd_core.training.run import train_run

distributed = pytest.importorskip("distributed")

# The cluster's own time-outs and closing sockets; none of them is ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, resources={"GPU": 1}
    ) as found:
        yield found


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_loses_nothing_and_counts_nothing_twice(
    cluster: distributed.LocalCluster, folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = load_config(None, [*fold_overrides()[1::2], "folds=2"])
    killed = 0
    for step in train_run(read_cohort(unsplit_toml), out, config, scheduler=cluster.scheduler_address):
        if not killed and "inner teacher" in step.message:
            killed = _worker_with_a_fold()
            os.kill(killed, signal.SIGKILL)
    assert killed
    assert_same_results(out, folds_run)
    stages = [tuple(line.split(",")[1:4]) for line in (out / "progress.csv").read_text().splitlines()[1:]]
    assert len(stages) == len(set(stages))


def _worker_with_a_fold() -> int:
    """A worker process of the cluster that has a child of ours."""
    for process in psutil.Process().children(recursive=True):
        if "amkd_core.training.worker" in process.cmdline():
            return process.ppid()
    raise AssertionError("no worker trains a fold")


def test_slides_are_extracted_by_the_cluster_and_a_broken_one_fails_alone(
    cluster: distributed.LocalCluster, tmp_path: Path
) -> None:
    from amkd_core.training.cluster import connect, extract_on_cluster

    sys.path.append(str(Path(__file__).resolve().parents[1] / "slides"))
    from slide_files import halved, tissue_like, write_tiff

    image = tissue_like(1024, 1024, seed=3)
    good = write_tiff(tmp_path / "first.tif", [image, halved(image)])
    broken = tmp_path / "second.tif"
    broken.write_bytes(good.read_bytes()[:3000])
    tasks = [SlideTask(good), SlideTask(broken)]
    with connect(cluster.scheduler_address) as client:
        found = drain(extract_on_cluster(tasks, tmp_path / "bags", ExtractSettings(), client))
    assert [outcome.state for outcome in found] == ["done", "failed"]
    assert found[1].reason
    assert len(read_bag(tmp_path / "bags" / "first.h5")) == found[0].n_patches


def test_a_task_whose_process_ends_early_says_how() -> None:
    from amkd_core.training.cluster import run_task

    cause = run_task({"kind": "no such task"})["cause"]
    assert (
        f"unexpected error (exit code 1); its report is in the log of the worker on {socket.gethostname()}"
        in cause
    )


def test_a_worker_that_does_not_see_the_run_says_so(tmp_path: Path) -> None:
    from amkd_core.training.cluster import run_task

    absent = tmp_path / "not mounted here"
    said = f"{absent} is not seen from {socket.gethostname()}; every worker needs the run's folder"
    assert said in run_task({"kind": "fold", "run": str(absent), "fold": 1, "threads": 1})["error"]
    task = {"kind": "slides", "slides": [{}], "out": str(absent / "bags"), "settings": {}}
    assert said in run_task(task)["error"]
    assert not absent.exists()


def test_a_slide_that_kills_its_process_fails_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amkd_core.training import cluster

    def crashing(task: dict, stall_s: float) -> dict:
        assert stall_s == ExtractSettings().stall_s
        answers: list[dict] = []
        for slide in task["slides"]:
            if "second" in slide["path"]:
                return {"answers": answers, "cause": "its process died by SIGSEGV"}
            answers.append({"state": "done", "n_patches": 5, "seconds": 0.1, "reason": ""})
        return {"answers": answers}

    monkeypatch.setattr(cluster, "run_task", crashing)
    tasks = [SlideTask(tmp_path / f"{name}.tif") for name in ("first", "second", "third")]
    found = cluster.run_slides(tasks, str(tmp_path), ExtractSettings())
    assert [(outcome.path.stem, outcome.state) for outcome in found] == [
        ("first", "done"), ("second", "failed"), ("third", "done"),
    ]  # fmt: skip
    assert found[1].reason == "its process died by SIGSEGV"


class Gone:
    """A task as the client sees it in the end."""

    def __init__(self, status: str, answer: dict | None = None, error: Exception | None = None) -> None:
        self.status, self._answer, self._error = status, answer, error

    def done(self) -> bool:
        return self.status != "pending"

    def result(self) -> dict | None:
        return self._answer

    def exception(self) -> Exception | None:
        return self._error


@pytest.mark.parametrize(
    ("future", "error", "cause"),
    [
        (Gone("finished", {"answers": []}), None, ""),
        (Gone("finished", {"answers": [], "error": "too few deaths"}), "fold 4: too few deaths", ""),
        (Gone("finished", {"answers": [], "cause": "it died"}), None, "it died"),
        (Gone("error", error=KeyError("worker")), None, "the cluster gave it up (KeyError: 'worker')"),
        (Gone("cancelled"), None, "the cluster cancelled it"),
    ],
)
def test_every_end_of_a_task_is_told_apart(future: Gone, error: str | None, cause: str) -> None:
    from amkd_core.training.cluster import ClusterFolds

    folds = ClusterFolds.__new__(ClusterFolds)
    folds._client = SimpleNamespace(status="running")
    folds._futures = {4: Gone("pending")}
    assert folds.ended(4) is None
    folds._futures = {4: future}
    end = folds.ended(4)
    assert end is not None
    assert (str(end.error) if end.error else None) == error
    assert end.cause == cause
    if future.status == "cancelled":
        folds._client = SimpleNamespace(status="connecting")
        assert folds.ended(4) is None
        folds._client = SimpleNamespace(status="closed")
        assert "the cluster's scheduler is gone" in str(folds.ended(4).error)
        folds.close()


def test_a_scheduler_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from amkd_core.training import cluster

    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    silent = pytest.raises(
        ConfigError, match=r"--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there"
    )
    with silent, cluster.connect("tcp://127.0.0.1:9"):
        pass


def test_a_missing_dask_is_one_sentence(
    unsplit_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    exit_code, output = run_train(
        "--cohort",
        unsplit_toml,
        "--out",
        tmp_path / "out",
        "--scheduler",
        "tcp://127.0.0.1:9",
        *fold_overrides(),
    )
    assert exit_code == 2
    assert "--scheduler needs Dask, which is not installed; install it with: pip install" in output
