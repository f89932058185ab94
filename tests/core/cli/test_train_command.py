"""The command's own work: everything wrong is said before training, at once, in sentences."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from cohort_fixtures import write_tiny_cohort
from typer.testing import CliRunner

from amkd_core.cli import main
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
        (tmp_path / "bags" / f"P{n:02d}s.h5").touch()
    words = [
        "--clinical", tmp_path / "clinical.csv", "--expression", tmp_path / "genes.csv",
        "--pathways", tmp_path / "sets.gmt", "--bags", tmp_path / "bags", "--out", tmp_path / "run", "--folds", 2,
    ]  # fmt: skip
    exit_code, output = run(*words, "--device", "cuda:77")
    assert exit_code == 2
    assert "fold 1: equal times of events leave" in output
    assert "fold 2: equal times of events leave" in output
    assert "use fewer bins (the setting n_bins)" in output
    assert "device 'cuda:77' cannot be used" in output
    assert not (tmp_path / "run").exists()
    # The Cox loss cuts no such bins: nothing but the empty bags is wrong then.
    exit_code, output = run(*words, "--set", "survival_loss=cox")
    assert exit_code == 2
    assert "time bins" not in output
    assert "P00s.h5" in output
    # A cohort without a file is not told to write its keys into one.
    (tmp_path / "clinical.csv").write_text(clinical.replace("patient_id,", "whose,") + "\n")
    exit_code, output = run(*words)
    assert exit_code == 2
    assert "are stated by patient_column with --set cohort.KEY=VALUE" in output
    assert "cohort file" not in output


def test_an_encoder_that_cannot_encode_is_said_once_and_leaves_the_run_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMKD_WEIGHTS", str(tmp_path / "weights"))
    rows = [f"P{n:02d},P{n:02d}s,{n + 1},{n % 2}" for n in range(40)]
    (tmp_path / "clinical.csv").write_text(
        "\n".join(["patient_id,slide_ids,os_months,os_event", *rows]) + "\n"
    )
    genes = [f"P{n:02d},{n % 7},{n % 5}" for n in range(40)]
    (tmp_path / "genes.csv").write_text("\n".join(["patient_id,A,B", *genes]) + "\n")
    (tmp_path / "sets.gmt").write_text("one\tx\tA\tB\n")
    (tmp_path / "slides").mkdir()
    for n in range(40):
        (tmp_path / "slides" / f"P{n:02d}s.tif").write_bytes(b"II*\0" + bytes(20))
    words = [
        "--clinical", tmp_path / "clinical.csv", "--expression", tmp_path / "genes.csv", "--pathways",
        tmp_path / "sets.gmt", "--slides", tmp_path / "slides", "--out", tmp_path / "run", "--folds", 2,
        "--set", "cohort.event_means=death",
    ]  # fmt: skip
    for more, sentence in (
        (["--encoder", "uni9"], "There is no encoder 'uni9'"),
        (["--encoder", "uni"], "The weights of encoder 'uni' were not found at"),
        (["--encoder", "uni", "--weights", tmp_path / "w"], f"were not found at {tmp_path / 'w'};"),
        (["--weights", tmp_path / "w"], "is built in and takes no weights"),
    ):
        exit_code, output = run(*words, *more)
        assert exit_code == 2
        (error,) = {line for line in output.splitlines() if line.startswith("Error: ")}
        assert sentence in error
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("encoder", ["uni", "uni9"])
def test_bags_of_another_encoder_are_refused_before_the_run_folder_is_claimed(
    tmp_path: Path, encoder: str
) -> None:
    cohort = write_tiny_cohort(
        tmp_path, name="t", n_patients=40, width=8, patches=(3, 4), pathways=((0, 1), (2, 3))
    )
    words = ["--cohort", cohort, "--out", tmp_path / "run", "--folds", 2, "--encoder", encoder]
    exit_code, output = run(*words)
    assert exit_code == 2
    assert f"but the cohort file says {encoder}; correct one of them" in output
    assert not (tmp_path / "run").exists()


def test_bags_of_another_encoder_ask_for_it_where_the_cohort_states_none(tmp_path: Path) -> None:
    """TRIDENT records its encoder, and nobody had said texture."""
    cohort = write_tiny_cohort(
        tmp_path, name="t", n_patients=40, width=8, patches=(3, 4), pathways=((0, 1), (2, 3))
    )
    lines = [line for line in cohort.read_text().splitlines() if not line.startswith("encoder")]
    cohort.write_text("\n".join(lines) + "\n")
    for path in (tmp_path / "bags").glob("*.h5"):
        path.unlink()
        with h5py.File(path, "w") as file:
            features = file.create_dataset("features", data=np.eye(3, 8, dtype=np.float32))
            features.attrs["encoder"] = "uni_v1"
            coords = file.create_dataset("coords", data=np.arange(6).reshape(3, 2) * 512)
            coords.attrs.update({"patch_size": 256, "patch_size_level0": 512, "target_magnification": 20})
    exit_code, output = run("--cohort", cohort, "--out", tmp_path / "run", "--folds", 2)
    assert exit_code == 2
    assert 'but the cohort states none, which is texture; state encoder = "uni"' in output


def test_a_table_of_few_pathways_stops_before_training_until_it_is_confirmed(tmp_path: Path) -> None:
    cohort = write_tiny_cohort(
        tmp_path, name="t", n_patients=40, width=8, patches=(3, 4), pathways=((0, 1), (2, 3))
    )
    gmt = tmp_path / "pathways.gmt"
    gmt.write_text(gmt.read_text() + "".join(f"Q{index}\tx\tENSG{index}\n" for index in range(3)))
    words = ["--cohort", cohort, "--out", tmp_path / "run", "--encoder", "uni9"]
    exit_code, output = run(*words)
    assert exit_code == 2
    assert "; 3 of 5 pathways have less than 50% of theirs in it (Q0 0%, Q1 0%, Q2 0%). Check" in output
    assert "confirm so few by min_genes = 0.57 and min_pathway_genes = 0 in the cohort file" in output
    _, output = run(*words, "--set", "cohort.min_genes=0.57", "--set", "cohort.min_pathway_genes=0")
    assert "pathways" not in output
    assert not (tmp_path / "run").exists()


def test_a_name_from_a_file_repaints_no_terminal(tmp_path: Path) -> None:
    cohort = write_tiny_cohort(
        tmp_path, name="t", n_patients=40, width=8, patches=(3, 4), pathways=((0, 1), (2, 3))
    )
    cohort.write_text(cohort.read_text().replace('name = "t"', 'name = "t\\u001b[31mred"'))
    result = CliRunner().invoke(main.app, ["cohort", str(cohort), "--folds", "2"])
    assert result.exit_code == 0, result.output
    assert "t\\x1b[31mred: " in result.stdout
    assert "\x1b" not in result.stdout
