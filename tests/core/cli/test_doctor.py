from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from amkd_core.cli import doctor
from amkd_core.settings import change_settings


@pytest.fixture(scope="module", autouse=True)
def asked_once() -> Iterator[None]:
    """Each question to a fresh interpreter takes seconds; this machine's answer stays the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "_ask_python", cache(doctor._ask_python))
        yield


def run_doctor() -> tuple[int, str]:
    app = typer.Typer()
    app.command()(doctor.doctor_command)
    result = CliRunner().invoke(app)
    return result.exit_code, result.output


def test_a_working_machine_is_told_so_and_every_subject_is_named() -> None:
    exit_code, output = run_doctor()
    assert exit_code == 0, output
    for subject in (
        "Python",
        "OpenSlide",
        "PyTorch",
        "GPU",
        "napari and Qt",
        "OpenGL",
        "Screen",
        "disk",
        "Memory",
    ):
        assert subject in output
    assert "built in" in output  # the texture encoder needs no weights


def test_missing_encoder_weights_name_their_source() -> None:
    _, output = run_doctor()
    assert "Encoder uni: no weights found" in output
    assert "MahmoodLab/UNI" in output


def test_missing_encoder_weights_name_the_places_that_were_looked_at(
    own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("AMKD_WEIGHTS", raising=False)
    change_settings(weights={"uni": tmp_path / "gone"})
    own = tmp_path / "data" / "amkd" / "weights"
    _, output = run_doctor()
    assert (
        f"Encoder uni: no weights found at {tmp_path / 'gone'} (named in the settings) or {own / 'uni'}\n"
        in output
    )
    assert f"Encoder conch: no weights found at {own / 'conch'}\n" in output


def test_an_old_openslide_is_a_problem_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    import openslide

    monkeypatch.setattr(openslide, "__library_version__", "4.0.0")
    exit_code, output = run_doctor()
    assert exit_code == 1
    assert "PROBLEM  OpenSlide: 4.0.0, older than 4.0.1" in output
    assert "pip install --upgrade openslide-bin" in output


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 2**30})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    exit_code, output = run_doctor()
    assert exit_code == 1
    assert "PROBLEM  Free disk: 1.0 GiB" in output


def test_without_a_screen_pictures_are_still_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    exit_code, output = run_doctor()
    assert exit_code == 0
    assert "missing  Screen: no display and no Xvfb" in output


def test_asking_a_fresh_interpreter_survives_its_failure() -> None:
    assert doctor._ask_python("raise SystemExit(3)") == ""
    assert doctor._ask_python("print(6 * 7)") == "42"


def test_the_installed_command_runs() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "amkd_core.cli.main", "doctor"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert "OpenSlide" in answer.stdout


def test_settings_and_cache_are_shown_and_a_damaged_file_is_a_problem(
    own_settings, own_cache, tmp_path
) -> None:
    bundle = tmp_path / "mine.amkd"
    bundle.touch()
    change_settings(device="cuda", bundle=bundle, cache_limit_gib=2)
    exit_code, output = run_doctor()
    assert exit_code == 0, output
    assert f"Settings: model {bundle}, device cuda, cache of at most 2 GiB ({own_settings})" in output
    assert f"Cache: 0.00 of at most 2 GiB at {own_cache}, by AMKD_CACHE_DIR" in output
    bundle.unlink()
    assert f"there is no model at {bundle}" in run_doctor()[1]
    own_settings.write_text('{"device": ')
    exit_code, output = run_doctor()
    assert exit_code == 1
    assert f"PROBLEM  Settings: {own_settings}: the settings cannot be used (it is no JSON" in output
