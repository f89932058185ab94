"""The whole command: what it leaves, that it repeats itself, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import openslide
import pytest
import tifffile
import torch
from training_fixtures import N_PATIENTS, overrides, run_train

from amkd_core.bag_file import read_bag
from amkd_core.bundle_file import open_bundle
from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import CohortError
from amkd_core.inference.predict import predict_bag
from amkd_core.training import train_all
from amkd_core.training.external import with_bags
from amkd_core.training.fold_record import read_predictions
from amkd_core.training.run import with_slides


def test_a_run_leaves_a_bundle_that_predicts_what_the_run_wrote(run: Path, cohort_toml: Path) -> None:
    bundle = open_bundle(run / "model.amkd")
    assert bundle.card.synthetic
    assert bundle.has_teacher
    rows = read_predictions(run / "fold-1" / "predictions.csv")
    students = rows[rows["model"] == "student"]
    assert len(students) == N_PATIENTS
    for row in students.head(5).to_dict("records"):
        bag = read_bag(cohort_toml.parent / "bags" / f"{row['patient_id']}s.h5")
        assert predict_bag(bag, bundle).risk == pytest.approx(row["risk"], abs=1e-5)
    table = read_predictions(run / "predictions.csv")
    assert set(table["part"]) == {"test"}
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["model"]["dim"] == 8
    assert record["environment"]["torch"] == torch.__version__


@pytest.mark.usefixtures("no_pictures")
def test_the_same_command_gives_the_same_bundle_bit_by_bit(
    run: Path, cohort_toml: Path, tmp_path: Path
) -> None:
    """Three times of three."""
    for name in ("second", "third"):
        assert run_train("--cohort", cohort_toml, "--out", tmp_path / name, *overrides())[0] == 0
    folders = (run, tmp_path / "second", tmp_path / "third")
    first, second, third = (open_bundle(folder / "model.amkd").card.parts for folder in folders)
    assert first == second
    assert first == third
    tables = {(folder / "predictions.csv").read_bytes() for folder in folders}
    assert len(tables) == 1


@pytest.mark.usefixtures("no_pictures")
def test_a_patient_whose_bag_cannot_be_used_is_left_out_and_the_run_goes_on_in_its_folder(
    cohort_toml: Path, tmp_path: Path
) -> None:
    """As the error advises; folds were put on record before the bags were read, and without the patient they differ."""
    folder = tmp_path / "cohort"
    shutil.copytree(cohort_toml.parent, folder)
    (folder / "bags" / "P07s.h5").write_bytes(b"no bag")
    command = ("--cohort", folder / cohort_toml.name, "--out", tmp_path / "run", *overrides())
    code, said = run_train(*command)
    assert code == 2
    assert "P07s.h5" in said
    clinical = folder / "clinical.csv"
    rows = clinical.read_text().splitlines(keepends=True)
    clinical.write_text("".join(row for row in rows if not row.startswith("P07,")))
    assert run_train(*command)[0] == 0
    everyone = {
        name
        for part in json.loads((tmp_path / "run" / "folds.json").read_text())["folds"][0].values()
        for name in part
    }
    assert len(everyone) == N_PATIENTS - 1
    # Once begun, it is not continued with others.
    clinical.write_text("".join(row for row in rows if not row.startswith(("P07,", "P08,"))))
    code, said = run_train(*command)
    assert code == 2
    assert "in fold 1; choose another folder" in " ".join(said.split())


@pytest.mark.slow
def test_trainings_on_one_and_two_threads_give_the_same_risks(
    cohort_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums in another order differ in the last bits; what the run tells is the number that was used."""
    monkeypatch.setattr(train_all, "threads_for", lambda config, _: config.threads)
    before, risks = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            out = tmp_path / str(threads)
            words = (*overrides(), "--set", f"threads={threads}", "--set", "precision=float32")
            assert run_train("--cohort", cohort_toml, "--out", out, *words)[0] == 0
            assert json.loads((out / "fold-1" / "done.json").read_text())["threads"] == threads
            rows = read_predictions(out / "fold-1" / "predictions.csv")
            risks.append(rows.set_index(["model", "patient_id"])["risk"])
    finally:
        torch.set_num_threads(before)
    assert len(risks[0]) == 2 * N_PATIENTS
    np.testing.assert_allclose(risks[0], risks[1].loc[risks[0].index], rtol=0, atol=1e-5)


def test_a_run_tells_all_that_decides_its_numbers(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    versions = record["environment"]
    assert set(versions) - {"commit"} == {
        "amkd", "python", "platform", "torch", "numpy", "h5py", "openslide", "tifffile"
    }  # fmt: skip
    assert (versions["h5py"], versions["tifffile"]) == (h5py.__version__, tifffile.__version__)
    assert versions["openslide"] == openslide.__library_version__
    assert {"seed", "device", "precision", "threads"} <= set(record["config"])
    assert record["cohort_file_sha256"]
    done = json.loads((run / "fold-1" / "done.json").read_text())
    assert {"seed", "threads", "sha256"} <= set(done)
    assert done["threads"] >= 1, "the number that was used; the setting's 0 means a fair share"


def test_patients_without_a_slide_are_kept_out_and_named(cohort_toml: Path, tmp_path: Path) -> None:
    cohort = read_cohort(cohort_toml)
    for path in (cohort_toml.parent / "bags").glob("*.h5"):
        if path.stem not in ("P05s", "P06s"):
            (tmp_path / path.name).symlink_to(path)
    fewer = replace(cohort, file=cohort.file.model_copy(update={"bags": tmp_path}))
    found = with_slides(fewer, tmp_path / "out")
    assert len(found.patients) == N_PATIENTS - 2
    assert str(found.findings[0]) == "2 patients kept out: no slide or bag in the folders (P05, P06)"
    nowhere = replace(cohort, file=cohort.file.model_copy(update={"bags": None}))
    with pytest.raises(CohortError, match=r"none of the 48 patients has its slides or bags in .*no P00s\)$"):
        with_slides(nowhere, tmp_path / "out")
    above = replace(cohort, file=cohort.file.model_copy(update={"bags": cohort_toml.parent}))
    with pytest.raises(
        CohortError, match=r"no P00s\); P00s\.h5 lies in .*bags, and subfolders are not searched"
    ):
        with_slides(above, tmp_path / "out")
    with pytest.raises(
        CohortError, match=r"no P00s\.h5 or \.pt\); P00s\.h5 lies in .*bags, and subfolders are not"
    ):
        with_bags(above, cohort_toml.parent)
    absent = replace(cohort, file=cohort.file.model_copy(update={"slides": tmp_path / "gone"}))
    with pytest.raises(CohortError, match="gone: no such folder of slides"):
        with_slides(absent, tmp_path / "out")
    for name in ("P07s.svs", "P07s.tif"):
        (tmp_path / name).write_bytes(b"II*\0" + bytes(60))
    twice = replace(cohort, file=cohort.file.model_copy(update={"slides": tmp_path}))
    with pytest.raises(CohortError, match=r"P07s\.svs and P07s\.tif are both slide P07s, expected one"):
        with_slides(twice, tmp_path / "out")


@pytest.mark.usefixtures("no_pictures")
def test_a_run_without_test_patients_scores_validation_alone(unsplit_toml: Path, tmp_path: Path) -> None:
    shutil.copytree(unsplit_toml.parent, tmp_path / "cohort")
    table = tmp_path / "cohort" / "clinical.csv"
    head, *rows = table.read_text().splitlines()
    parts = [f"{row},{'validation' if index % 3 == 0 else 'train'}" for index, row in enumerate(rows)]
    table.write_text("\n".join([f"{head},split", *parts]) + "\n")
    toml = tmp_path / "cohort" / "cohort.toml"
    exit_code, output = run_train("--cohort", toml, "--out", tmp_path / "out", *overrides())
    assert exit_code == 0, output
    assert "student on validation: C-index" in output
    assert "on test" not in output


def test_wrong_use_of_the_command_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    assert run_train("--out", tmp_path)[0] == 2
    exit_code, output = run_train("--cohort", tmp_path / "absent.toml", "--out", tmp_path / "run")
    assert exit_code == 2
    assert "Error:" in output
    assert "Traceback" not in output


def test_pathways_that_were_not_measured_are_refused_before_training(
    cohort_toml: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.gmt").write_text("ELSEWHERE\tx\tQ1\tQ2\n")
    asked = ("--cohort", cohort_toml, "--pathways", tmp_path / "other.gmt", "--out", tmp_path / "run")
    exit_code, output = run_train(*asked, *overrides())
    assert exit_code == 2
    shown = " ".join(output.split())
    assert "The table has 0 of the 2 genes of the pathways (0%), expected at least 90%" in shown
    assert "(pathways call them such as Q1, the table such as " in shown
    assert "confirm so few by min_genes = 0 and min_pathway_genes = 0 in the cohort file" in shown
    confirmed = ("--set", "cohort.min_genes=0", "--set", "cohort.min_pathway_genes=0")
    exit_code, output = run_train(*asked, *overrides(), *confirmed)
    assert exit_code == 2
    assert "no pathway has 90% of its genes in the expression table" in " ".join(output.split())
    assert not (tmp_path / "run").exists()


def test_the_printed_example_is_a_cohort_file(tmp_path: Path) -> None:
    exit_code, output = run_train("--init")
    assert exit_code == 0
    (tmp_path / "cohort.toml").write_text(output)
    from amkd_core.cohort.cohort import read_cohort_file

    assert read_cohort_file(tmp_path / "cohort.toml").encoder == "texture"
