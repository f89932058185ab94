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


def test_time_bins_that_a_fold_cannot_cut_are_said_before_training(tmp_path: Path) -> None:
    """Follow-up in whole years: most deaths in the first year leave no border between two bins."""
    rows = [f"P{n:02d},P{n:02d}s,{12 * (1 + n // 32)},{n % 2}" for n in range(40)]
    clinical = "\n".join(["patient_id,slide_ids,os_months,os_event", *rows])
    (tmp_path / "clinical.csv").write_text(clinical + "\n")
    genes = [f"P{n:02d},{n % 7},{n % 5}" for n in range(40)]
    (tmp_path / "genes.csv").write_text("\n".join(["patient_id,A,B", *genes]) + "\n")
    (tmp_path / "sets.gmt").write_text("one\tx\tA\tB\n")
    (tmp_path / "bags").mkdir()
    for n in range(40):
        (tmp_path / "bags" / f"P{n:02d}s.h5").touch()  # is not opened before the checks
    words = [
        "--clinical", tmp_path / "clinical.csv", "--expression", tmp_path / "genes.csv",
        "--pathways", tmp_path / "sets.gmt", "--bags", tmp_path / "bags", "--out", tmp_path / "run", "--folds", 2,
    ]  # fmt: skip
    exit_code, output = run(*words, "--device", "cuda:77")
    assert exit_code == 2
    assert "fold 1: equal times of death leave" in output
    assert "fold 2: equal times of death leave" in output
    assert "use fewer bins (the setting n_bins)" in output
    assert "device 'cuda:77' cannot be used" in output
    assert not (tmp_path / "run").exists()
    # The Cox loss cuts no such bins: nothing but the empty bags is wrong then.
    exit_code, output = run(*words, "--set", "survival_loss=cox")
    assert exit_code == 2
    assert "time bins" not in output
    assert "P00s.h5" in output
