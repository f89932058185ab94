"""Killed runs: the same command again ends with the numbers of a run that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import psutil
import pytest
from training_fixtures import assert_same_results, fold_overrides, run_train

pytestmark = pytest.mark.usefixtures("no_pictures")
COMMAND = [sys.executable, "-c", "from amkd_core.cli.train import main; main()"]


def arguments(cohort: Path, out: Path, *more: object) -> list[str]:
    return list(map(str, ["--cohort", cohort, "--out", out, "--folds", 2, *fold_overrides(), *more]))


def kill_when(
    words: list[str], there: Path, how: int = signal.SIGKILL, errors: IO[str] | int = subprocess.DEVNULL
) -> int:
    """Start the command in a process of its own and end it once a file is there; its exit code."""
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=_heed_interrupts
    )
    deadline = time.monotonic() + 60
    while not there.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    assert there.exists(), "the run ended before it could be stopped"
    os.kill(process.pid, how)
    return process.wait(timeout=30)


def _heed_interrupts() -> None:
    """A test run that was put in the background ignores Ctrl-C, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_a_run_killed_in_several_stages_ends_as_if_it_had_not_been(
    folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = arguments(unsplit_toml, out)
    for place in ("fold-1/teacher", "fold-2/inner/inner teacher 1 of 2", "fold-2/student"):
        assert kill_when(words, out / place / "history.csv") == -signal.SIGKILL
        assert not (out / "predictions.csv").exists()
    finished = (out / "fold-1" / "done.json").stat().st_mtime_ns
    exit_code, output = run_train(*words)
    assert exit_code == 0, output
    assert_same_results(out, folds_run)
    assert (out / "fold-1" / "done.json").stat().st_mtime_ns == finished
    # Nothing but an epoch under way was done again.
    rows = [tuple(line.split(",")[1:4]) for line in (out / "progress.csv").read_text().splitlines()[1:]]
    assert len(rows) == len(set(rows))


def test_ctrl_c_ends_with_a_sentence_and_the_run_continues(
    folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = arguments(unsplit_toml, out)
    errors = tmp_path / "errors.txt"
    with errors.open("w") as stream:
        assert kill_when(words, out / "fold-1" / "student" / "history.csv", signal.SIGINT, stream) == 130
    assert "Stopped. Repeat the same command to continue" in errors.read_text()
    assert "Traceback" not in errors.read_text()
    assert run_train(*words)[0] == 0
    assert_same_results(out, folds_run)


@pytest.mark.slow
def test_a_parallel_run_that_is_killed_leaves_no_process_and_continues(
    folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = arguments(unsplit_toml, out, "--jobs", 2, "--set", "teacher.epochs=40")
    assert kill_when(words, out / "fold-2" / "teacher" / "history.csv") == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while _workers_of(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _workers_of(out)
    words = arguments(unsplit_toml, tmp_path / "again", "--jobs", 2)
    kill_when(words, tmp_path / "again" / "fold-1" / "teacher" / "history.csv")
    assert run_train(*words)[0] == 0
    assert_same_results(tmp_path / "again", folds_run)


def _workers_of(out: Path) -> list[int]:
    """Processes that have a file of the run's folds open."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(out) in file.path for file in process.open_files()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_a_run_under_way_keeps_a_second_one_out(unsplit_toml: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = arguments(unsplit_toml, out, "--set", "teacher.epochs=500", "--set", "teacher.patience=500")
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (out / "fold-1" / "teacher" / "history.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        exit_code, output = run_train(*words)
    finally:
        process.kill()
        process.wait()
    assert exit_code == 3
    assert "another run is working in this folder" in output
