"""The command's own work: everything wrong is said before training, at once, in sentences."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from amkd_core.cli.train import app


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output + result.stderr


def test_a_wrong_setting_does_not_hide_a_wrong_cohort(tmp_path: Path) -> None:
    exit_code, output = run(
        "--cohort", tmp_path / "absent.toml", "--out", tmp_path / "run", "--set", "student.epoch=3", "--device", "cpu"
    )  # fmt: skip
    assert exit_code == 2
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert any("there is no setting student.epoch; did you mean student.epochs?" in line for line in errors)
    assert any("absent.toml: no such cohort file" in line for line in errors)
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_said_beside_the_rest(tmp_path: Path) -> None:
    exit_code, output = run(
        "--cohort", tmp_path / "absent.toml", "--out", tmp_path / "run", "--device", "cuda:77"
    )
    assert exit_code == 2
    assert "device 'cuda:77' cannot be used" in output
    assert "absent.toml: no such cohort file" in output


def test_tables_may_come_as_flags_and_all_three_are_needed(tmp_path: Path) -> None:
    exit_code, output = run(
        "--clinical", tmp_path / "c.csv", "--expression", tmp_path / "e.csv", "--out", tmp_path
    )
    assert exit_code == 2
    assert "--cohort or --clinical, --expression and --pathways, are needed" in output
    assert "Traceback" not in output


def test_any_key_of_the_cohort_file_is_overridden_by_set(tmp_path: Path) -> None:
    tables = [
        "--clinical",
        tmp_path / "c.csv",
        "--expression",
        tmp_path / "e.csv",
        "--pathways",
        tmp_path / "p.gmt",
    ]
    exit_code, output = run(*tables, "--out", tmp_path / "run", "--set", "cohort.event_means=loud")
    assert exit_code == 2
    assert "flags: [cohort] event_means: Input should be 'death' or 'censored'" in output
    exit_code, output = run(*tables, "--out", tmp_path / "run", "--set", "cohort.event_means=death")
    assert exit_code == 2
    assert "c.csv: no such file" in output
    assert "e.csv: no such file" in output
    assert "p.gmt: no such file" in output
