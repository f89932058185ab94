"""Folds in parallel: workers that die, once or for good, and what reaches the run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import torch
from training_fixtures import assert_same_results, fold_overrides

from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import AmkdError, WorkerError
from amkd_core.training.child import Child
from amkd_core.training.config import TrainingConfig, load_config
from amkd_core.training.distribute import Ended, LocalProcesses, threads_for, train_folds
from amkd_core.training.packed_cache import pack_cohort
from amkd_core.training.progress_log import Epoch, FoldLog, ProgressLog, TimeLeft
from amkd_core.training.run import train_run

pytestmark = pytest.mark.usefixtures("no_pictures")
CONFIG = load_config(None, fold_overrides()[1::2])


class Scripted:
    """A backend whose attempts end as written down; "ok" leaves the results of a finished fold."""

    width, advice = 1, ", with fewer --jobs if memory ran out"

    def __init__(self, run: Path, done: Path, script: dict[int, list[str]]) -> None:
        self.run, self.done, self.script = run, done, script
        self.begun: list[int] = []
        self.closed = False

    def start(self, fold: int) -> None:
        self.begun.append(fold)

    def ended(self, fold: int) -> Ended:
        word = self.script[fold].pop(0)
        if word == "ok":
            shutil.copytree(self.done / f"fold-{fold}", self.run / f"fold-{fold}", dirs_exist_ok=True)
        if word == "wrong":
            return Ended(error=AmkdError("the data are wrong"))
        return Ended(cause="it died")

    def close(self) -> None:
        self.closed = True


def run_script(tmp_path: Path, done: Path, script: dict[int, list[str]]) -> Scripted:
    backend = Scripted(tmp_path, done, script)
    log, left = ProgressLog(tmp_path / "progress.csv"), TimeLeft(CONFIG, frozenset(script))
    try:
        drain(train_folds(tmp_path, sorted(script), backend, log=log, left=left))
    finally:
        assert backend.closed
    return backend


def test_a_fold_whose_worker_died_is_begun_once_more(
    folds_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = run_script(tmp_path, folds_run, {1: ["died", "ok"], 2: ["ok"]})
    assert backend.begun == [1, 2, 1]
    assert "fold 1: it died; it is continued from its last checkpoint" in caplog.text


def test_a_fold_that_dies_twice_is_named_and_the_others_are_finished(folds_run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        WorkerError, match=r"1 fold was lost after 2 attempts \(fold 1: it died\); the others"
    ):
        run_script(tmp_path, folds_run, {1: ["died", "died"], 2: ["ok"]})
    assert (tmp_path / "fold-2" / "done.json").exists()


def test_what_the_user_must_mend_is_not_tried_again(folds_run: Path, tmp_path: Path) -> None:
    with pytest.raises(AmkdError, match="the data are wrong"):
        run_script(tmp_path, folds_run, {1: ["wrong"], 2: ["ok"]})


@pytest.mark.slow
def test_a_worker_killed_in_mid_run_costs_at_most_an_epoch(
    folds_run: Path, unsplit_toml: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = CONFIG.model_copy(update={"folds": 2})
    steps = train_run(read_cohort(unsplit_toml), tmp_path / "out", config, jobs=2)
    killed = 0
    for step in steps:
        if not killed and "inner teacher" in step.message:
            # Not any child: those that other libraries keep are none of ours.
            killed = next(
                child.pid
                for child in psutil.Process().children()
                if "amkd_core.training.worker" in child.cmdline()
            )
            os.kill(killed, signal.SIGKILL)
    assert killed
    assert "died by SIGKILL" in caplog.text
    assert_same_results(tmp_path / "out", folds_run)
    epochs = (tmp_path / "out" / "progress.csv").read_text().splitlines()[1:]
    stages = [tuple(line.split(",")[1:4]) for line in epochs]
    assert len(stages) == len(set(stages))


def test_a_continued_run_takes_the_threads_of_a_whole_one(
    unsplit_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one of two folds left, `--jobs 2` does not give it the cores of both."""
    config = CONFIG.model_copy(update={"folds": 2, "threads": 0})
    asked: list[int] = []
    monkeypatch.setattr("amkd_core.training.distribute.cores", lambda: 8)
    monkeypatch.setattr(LocalProcesses, "start", lambda self, fold: asked.append(self._threads))
    monkeypatch.setattr(LocalProcesses, "ended", lambda self, fold: Ended(AmkdError("enough")))
    cohort, before = read_cohort(unsplit_toml), torch.get_num_threads()
    try:
        for step in (steps := train_run(cohort, tmp_path, config)):
            if step.stage.startswith("Fold 2"):
                steps.close()
        assert torch.get_num_threads() == 8
        with pytest.raises(AmkdError, match="enough"):
            drain(train_run(cohort, tmp_path, config, jobs=2))
    finally:
        torch.set_num_threads(before)
    assert asked == [4]


def test_two_workers_that_are_given_one_fold_train_it_once(
    inputs, folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    _, bags, *_ = inputs
    for name in ("run.json", "folds.json"):
        shutil.copyfile(folds_run / name, tmp_path / name)
    pack_cohort(tmp_path / "cache", read_cohort(unsplit_toml), bags, key={}, dtype="auto")
    task = {"kind": "fold", "run": str(tmp_path), "fold": 2, "threads": 1}
    children = [Child(task), Child(task)]
    try:
        assert [list(child.answers()) for child in children] == [[{"done": 2}]] * 2
    finally:
        for child in children:
            child.close()
    rows = [line.split("\t")[1:3] for line in (tmp_path / "fold-2" / "epochs.tsv").read_text().splitlines()]
    assert len(rows) == 2 * 4
    assert len({tuple(row) for row in rows}) == len(rows)
    table = "fold-2/predictions.csv"
    assert (tmp_path / table).read_bytes() == (folds_run / table).read_bytes()


def test_a_fold_that_cannot_be_trained_says_so_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    backend = LocalProcesses(tmp_path, jobs=1, threads=1)
    try:
        backend.start(3)
        child = backend._children[3]
        child._process.wait()
        end = backend.ended(3)
    finally:
        backend.close()
    assert end is not None
    assert end.error is None
    assert "exit code 1" in end.cause


def test_a_child_ends_with_its_owner() -> None:
    # The task's folder of bags is a pipe that nobody writes to, so that the child waits for ever.
    owner = (
        "import os, sys, time\n"
        "from amkd_core.training.child import Child\n"
        "child = Child({'kind': 'fold', 'run': sys.argv[1], 'fold': 1, 'threads': 1})\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(0.5)\n"
        "os._exit(0)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(Path(folder) / "run.json")
        answer = subprocess.run(
            [sys.executable, "-c", owner, folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=60,
        )
        pid = int(answer.stdout)
        deadline = time.monotonic() + 20
        while psutil.pid_exists(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        lives_on = psutil.pid_exists(pid)
        if lives_on:
            os.kill(pid, signal.SIGKILL)
        assert not lives_on


@pytest.mark.parametrize(
    ("threads", "jobs", "cores", "expected"),
    [(0, 1, 8, 8), (0, 3, 8, 2), (0, 9, 8, 1), (4, 4, 8, 2), (1, 2, 8, 1)],
)
def test_jobs_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, threads: int, jobs: int, cores: int, expected: int
) -> None:
    monkeypatch.setattr("amkd_core.training.distribute.cores", lambda: cores)
    assert threads_for(TrainingConfig(threads=threads), jobs) == expected


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system gives a job some of a node's cores; its processes would take turns on them."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert threads_for(TrainingConfig(threads=0), 1) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert threads_for(TrainingConfig(threads=0), 1) == 64


def test_folds_take_turns_on_several_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(
        "amkd_core.training.distribute.Child",
        lambda task, environment: seen.append(environment.get("CUDA_VISIBLE_DEVICES")),
    )
    for gpus in ((), ("0",), ("2", "5")):
        backend = LocalProcesses(tmp_path, jobs=2, threads=1, gpus=gpus)
        for fold in (1, 2, 3):
            backend.start(fold)
    assert seen == [None, None, None, None, None, None, "2", "5", "2"]


def test_the_log_of_a_fold_gives_whole_new_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "epochs.tsv"
    first = Epoch(1, "teacher", 1, 9, "total 1.5, survival 1.0e-05, validation nan")
    FoldLog(path).add(first)
    follower = FoldLog(path)
    assert follower.fresh() == []
    second = Epoch(1, "student", 2, 9, "total 0.5")
    FoldLog(path).add(second)
    with path.open("a") as file:
        file.write("1\tstud")
    assert follower.fresh() == [second]
    with path.open("a") as file:
        file.write("ent\t3\t9\ttotal 0.4\nnonsense\n")
    assert [epoch.epoch for epoch in follower.fresh()] == [3]
    assert (first.loss("survival"), first.loss("validation"), first.loss("guidance")) == (
        "1.0e-05",
        "nan",
        "",
    )


def test_the_time_left_counts_the_epochs_that_may_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("amkd_core.training.progress_log.time.monotonic", lambda: now[0])
    config = load_config(None, ["teacher.epochs=10", "student.epochs=20", "distill.inner_folds=2"])
    left = TimeLeft(config, frozenset({1, 2}), 1, now[0])
    now[0] = 2.0
    # 10 + 2 x 10 + 20 epochs a fold, one of them done in two seconds.
    assert left.after(Epoch(1, "teacher", 1, 10, "")) == pytest.approx(2 * (49 + 50))
    now[0] = 4.0
    assert left.after(Epoch(1, "inner teacher 2 of 2", 1, 10, "")) == pytest.approx(2 * (29 + 50))
    left.finished(1)
    assert left.after(Epoch(2, "student", 19, 20, "")) == pytest.approx(4 / 3 * 1)
