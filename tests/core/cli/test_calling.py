"""Paths below the home folder, and Ctrl-C, in every command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner, Result

from amkd_core.cli import main, train
from amkd_core.cli.calling import Command
from amkd_core.cohort.cohort import read_cohort_file
from amkd_core.inference import extract

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


def test_every_command_is_called_alike() -> None:
    group = get_command(main.app)
    assert isinstance(group, TyperGroup)
    assert len(group.commands) >= 14
    for command in (*group.commands.values(), get_command(train.app)):
        assert isinstance(command, Command), command.name


def test_a_tilde_within_a_word_is_the_home_folder(amkd: Run, slide_path: Path, home: Path) -> None:
    (home / "one.tif").write_bytes(slide_path.read_bytes())
    done = amkd("extract", "~/one.tif", "--out=~/bags")
    assert done.exit_code == 0, done.output
    assert (home / "bags" / "one.h5").is_file()
    assert list(Path.cwd().iterdir()) == []


def test_a_tilde_in_a_cohort_file_or_an_override_is_the_home_folder(home: Path, tmp_path: Path) -> None:
    toml = tmp_path / "c.toml"
    toml.write_text('[cohort]\nclinical = "~/c.csv"\nexpression = "e.csv"\npathways = "p.gmt"\n')
    file = read_cohort_file(toml, {"bags": "~/bags"})
    assert (file.clinical, file.bags) == (home / "c.csv", home / "bags")
    assert file.expression == tmp_path / "e.csv"
    words = ["--out=~/run", "--cohort=~/none.toml"]
    result = CliRunner().invoke(train.app, words)
    assert f"{home / 'none.toml'}: no such cohort file" in result.stderr


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("extract", "Stopped. Repeat the same command to continue; what was finished is kept."),
        ("predict", "Stopped. Repeat the same command to begin anew."),
    ],
)
def test_ctrl_c_is_a_sentence(
    amkd: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, sentence: str
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(extract, "extract_slides", stop)
    monkeypatch.setattr("amkd_core.cli.predict.load_bundle", stop)
    done = amkd(command, tmp_path / "any.tif", "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr) == (130, f"{sentence}\n")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends a signal to a group of processes")
def test_ctrl_c_in_a_simulation_prints_no_traceback_of_its_workers(tmp_path: Path) -> None:
    words = ["simulate", "--out", str(tmp_path / "c"), "--patients", "40", "--slide-size", "512", "512"]
    with (tmp_path / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "amkd_core.cli.main", *words], stderr=errors, start_new_session=True
        )
        deadline = time.monotonic() + 120
        while not list((tmp_path / "c").glob("slides/*.tif")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == 130
    said = (tmp_path / "errors.txt").read_text()
    assert said == "Stopped. Repeat the same command to continue; what was finished is kept.\n"
