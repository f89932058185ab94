"""A command that is killed takes its worker processes with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from cohort_fixtures import write_tiny_cohort
from fault_processes import processes_of
from slide_files import tissue_like, write_tiff
from stopped import child_environment
from training_fixtures import overrides

START_S, END_S = 60.0, 20.0
# A worker each that watches its owner by itself; the pool of the first is the standard library's.
SLOW = pytest.mark.slow


def simulation(folder: Path) -> list[str]:
    return ["amkd", "simulate", "--out", str(folder / "cohort"), "--patients", "40", "--jobs", "2"]


def extraction(folder: Path) -> list[str]:
    (folder / "slides").mkdir()
    for index in range(4):
        write_tiff(folder / "slides" / f"{index}.tif", [tissue_like(2048, 2048, seed=index)])
    return ["amkd", "extract", str(folder / "slides"), "--out", str(folder / "bags"), "--jobs", "2"]


def training(folder: Path) -> list[str]:
    toml = write_tiny_cohort(
        folder, name="tiny", n_patients=36, width=8, patches=(5, 12), pathways=((0, 1, 2), (3, 4, 5))
    )
    long = ["--set", "teacher.epochs=5000", "--set", "teacher.patience=5000"]
    cohort = ["--cohort", str(toml), "--out", str(folder / "run"), "--folds", "2", "--jobs", "2"]
    return ["amkd-train", *cohort, *overrides(), *long]


def is_at_work(pid: int) -> bool:
    """Whether a worker has done a second of work: it has begun with its task, or with loading what that needs."""
    try:
        return sum(psutil.Process(pid).cpu_times()[:2]) > 1
    except psutil.Error:
        return False


@pytest.mark.parametrize(
    "command", [simulation, pytest.param(extraction, marks=SLOW), pytest.param(training, marks=SLOW)]
)
def test_a_killed_command_leaves_no_worker(command: Callable[[Path], list[str]], tmp_path: Path) -> None:
    name = command.__name__
    program, *words = command(tmp_path)
    mark = uuid.uuid4().hex
    run = subprocess.Popen(
        [Path(sys.executable).with_name(program), *words],
        env={**child_environment(), "MARK": mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_S
    while True:
        workers = [pid for pid in processes_of(mark) if pid != run.pid and is_at_work(pid)]
        if len(workers) >= 2:
            break
        assert run.poll() is None, f"{name} ended before it could be killed"
        assert time.monotonic() < deadline, f"{name} started no two workers"
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    deadline = time.monotonic() + END_S
    while left := processes_of(mark):
        assert time.monotonic() < deadline, (
            f"{[psutil.Process(pid).cmdline() for pid in left]} outlive {name}"
        )
        time.sleep(0.1)
