"""`amkd figures` on a real small run: every figure, out of fold, and one sentence for what is wrong."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import tifffile
from cohort_fixtures import write_tiny_cohort
from matplotlib.figure import Figure
from PIL import Image
from research_words import files_without_words, says_it
from training_fixtures import overrides, run_amkd, run_train

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.cohort.patients import Patient
from amkd_core.errors import FolderInUseError, RunFolderError
from amkd_core.folder_lock import HOLDER, LOCK, hold_folder
from amkd_core.inference.maps import Agreement
from amkd_core.studies import paper_figures
from amkd_core.studies.paper_figures import CohortLook, predicted, representative
from amkd_core.training.explain import SlideAgreement
from amkd_core.training.finished_run import open_run

WITH_SLIDE = "P03"
FIGURES = [f"figure-{number}" for number in (2, 3, 4, 5)]


@pytest.fixture(scope="module")
def cohort_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bags that lie on slides of 1,024 px, and the file of one of those slides."""
    folder = tmp_path_factory.mktemp("placed")
    toml = write_tiny_cohort(
        folder, name="tiny", n_patients=48, width=5, patches=(6, 9), pathways=((0, 1, 2), (3, 4, 5), (6, 7))
    )
    for path in (folder / "bags").glob("*.h5"):
        bag = read_bag(path)
        cells = np.stack([np.arange(len(bag)) % 4, np.arange(len(bag)) // 4], axis=1) * 256
        placed = FeatureBag(
            bag.features, bag.encoder, 256, 0.5, bag.slide_id, cells, (256, 256),
            slide_size_level0=(1024, 1024), slide_mpp=(0.5, 0.5),
        )  # fmt: skip
        write_bag(path, placed)
    (folder / "slides").mkdir()
    pixels = np.zeros((1024, 1024, 3), dtype=np.uint8)
    pixels[:, :, 0] = np.linspace(80, 255, 1024)
    tifffile.imwrite(folder / "slides" / f"{WITH_SLIDE}s.tif", pixels, tile=(256, 256), photometric="rgb")
    toml.write_text(toml.read_text() + 'slides = "slides"\n')
    return toml


@pytest.fixture(scope="module")
def run(cohort_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures") / "run"
    quick = [*overrides(), "--set", "teacher.epochs=2", "--set", "student.epochs=2"]
    code, text = run_train("--cohort", cohort_toml, "--out", folder, "--folds", "2", *quick)
    assert code == 0, text
    return folder


def figures(*arguments: object) -> tuple[int, str]:
    return run_amkd("figures", *arguments)


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures as SVG alone and not laid out, where what stands in them is all that counts."""

    def sketch(folder: Path, name: str, draw, *, size: tuple[float, float], **_: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({"svg.fonttype": "none"}):
            figure = Figure(figsize=size, dpi=40)
            draw(figure)
            figure.savefig(folder / f"{name}.svg", format="svg")

    monkeypatch.setattr(paper_figures, "write_cohort_figure", sketch)


def test_figures_keep_out_of_a_folder_that_is_held(run: Path, tmp_path: Path) -> None:
    with hold_folder(tmp_path, "draws figures into", FolderInUseError):
        code, text = figures(run, "--out", tmp_path)
        assert code == 3, text
        assert "another run draws figures into this folder" in text
        assert {path.name for path in tmp_path.iterdir()} == {LOCK, HOLDER}


@pytest.fixture(scope="module")
def drawn(run: Path) -> Path:
    code, text = figures(run)
    assert code == 0, text
    return run / "paper-figures"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_there_in_three_formats_and_shows_something(drawn: Path, name: str) -> None:
    picture = np.asarray(Image.open(drawn / f"{name}.png").convert("L"))
    assert picture.shape[1] > 1500
    assert picture.std() > 5
    assert (drawn / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "</svg>" in (drawn / f"{name}.svg").read_text()
    assert f"**Figure {name[-1]}.**" in (drawn / "captions.md").read_text()


def test_all_files_say_what_they_are_for(drawn: Path, run: Path) -> None:
    files = [path for path in drawn.iterdir() if path.name != LOCK]
    assert {path.suffix for path in files} == {".png", ".svg", ".pdf", ".csv", ".md"}
    assert files_without_words(drawn) == []
    assert len(list((run / "figures").glob("*.svg"))) >= 3
    assert [path.name for path in (run / "figures").iterdir() if not says_it(path)] == []


@pytest.mark.usefixtures("sketched")
def test_captions_name_no_slide_that_has_no_map(run: Path, tmp_path: Path, monkeypatch) -> None:
    on_slide = paper_figures._on_slide

    def without_places(*arguments: object):
        prediction = on_slide(*arguments)
        return replace(prediction, bag=replace(prediction.bag, coords=None))

    monkeypatch.setattr(paper_figures, "_on_slide", without_places)
    code, text = figures(run, "--patient", WITH_SLIDE, "--out", tmp_path)
    assert code == 0, text
    captions = (tmp_path / "captions.md").read_text()
    assert "records no places" in captions
    assert WITH_SLIDE not in captions


def test_pictures_say_that_the_patients_are_simulated_and_name_no_slide(drawn: Path) -> None:
    for name in FIGURES:
        text = re.sub(r'"data:image/[^"]*"', "", (drawn / f"{name}.svg").read_text())
        assert "SYNTHETIC" in text, name
        assert f"{WITH_SLIDE}s" not in text, name
    assert "SYNTHETIC patients: tiny" in (drawn / "captions.md").read_text()


@pytest.mark.usefixtures("sketched")
def test_the_slide_at_hand_is_chosen_and_its_own_pixels_are_shown(
    drawn: Path, run: Path, tmp_path: Path
) -> None:
    assert "not at hand" not in (drawn / "captions.md").read_text()
    code, text = figures(run, "--patient", WITH_SLIDE, "--out", tmp_path, "--identified")
    assert code == 0, text
    named = (tmp_path / "figure-3.svg").read_text()
    assert f"{WITH_SLIDE}s" in named
    assert named.count("Top ") == 10
    code, text = figures(run, "--patient", "P04", "--out", tmp_path)
    assert code == 0, text
    assert "not at hand" in (tmp_path / "captions.md").read_text()
    assert (tmp_path / "figure-3.svg").read_text().count("Top ") == 0


def test_each_patient_is_shown_by_the_fold_that_had_not_seen_it(run: Path) -> None:
    finished = open_run(run)
    tested = finished.tested_by()
    assert sorted(tested) == [patient.patient_id for patient in finished.cohort.patients]
    for patient in finished.cohort.patients[:6]:
        fold = tested[patient.patient_id]
        fitted = json.loads((fold.folder / "fitted.json").read_text())["fitted_on"]
        assert patient.patient_id not in fitted
        rows = fold.predictions.query("patient_id == @patient.patient_id")
        prediction = predicted(finished, patient, "cpu")
        assert prediction.teacher is not None
        assert prediction.risk == pytest.approx(rows.query("model == 'student'")["risk"].item(), abs=1e-5)
        assert prediction.teacher.risk == pytest.approx(
            rows.query("model == 'teacher'")["risk"].item(), abs=1e-5
        )


def test_figure_4_is_the_mean_over_the_tested_patients(drawn: Path, run: Path) -> None:
    finished = open_run(run)
    importance = []
    for patient in finished.cohort.patients:
        teacher = predicted(finished, patient, "cpu").teacher
        assert teacher is not None
        importance.append(teacher.pathway_importance)
    mean = dict(zip(teacher.pathways, np.mean(importance, axis=0), strict=True))
    table = pd.read_csv(drawn / "figure-4.csv")
    assert list(table["rank"]) == [1, 2, 3]
    for row in table.itertuples():
        assert row.attention == pytest.approx(mean[row.name], abs=1e-9)


@pytest.mark.usefixtures("sketched")
def test_two_runs_are_two_panels(run: Path, tmp_path: Path) -> None:
    code, text = figures(run, run, "--out", tmp_path)
    assert code == 0, text
    for name in ("figure-2", "figure-4"):
        drawing = (tmp_path / f"{name}.svg").read_text()
        assert "(a) tiny" in drawing, name
        assert "(b) tiny" in drawing, name


def test_a_representative_slide_is_the_median_one_among_the_dead_with_a_file() -> None:
    patients = {
        name: Patient(name, (f"{name}s",), 10.0, event)
        for name, event in zip("ABCDE", (1, 1, 1, 0, 1), strict=True)
    }
    rho = {"A": 0.9, "B": 0.5, "C": 0.1, "D": 0.4, "E": 0.41}
    slides = tuple(
        SlideAgreement(name, f"{name}s", 9, Agreement(value, 1, 0.1)) for name, value in rho.items()
    )
    look = CohortLook((), slides)
    assert representative(look, patients, frozenset({"As", "Bs", "Cs", "Ds"})).slide_id == "Bs"
    assert representative(look, patients, frozenset()).slide_id == "Es"
    unknown = CohortLook((), (SlideAgreement("A", "As", 1, Agreement(float("nan"), 1, 1.0)), *slides[1:]))
    assert representative(unknown, patients, frozenset()).slide_id == "Es"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "run.json").unlink(), "is no run of amkd-train (there is no run.json)"),
        (lambda folder: (folder / "run.json").write_text("{"), "run.json: is damaged"),
        (lambda folder: (folder / "fold-2" / "done.json").unlink(), "fold 2 of 2 is not finished"),
        (
            lambda folder: (folder / "cells").mkdir(),
            "holds a comparison of models, expected a run of amkd-train",
        ),
        (lambda folder: _forget_places(folder), "give --cohort"),
    ],
)
def test_a_folder_that_is_no_finished_run_costs_a_sentence(
    run: Path, tmp_path: Path, damage, sentence: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    damage(copy)
    code, text = figures(copy)
    assert code == 2
    assert sentence in " ".join(text.split())
    assert "Traceback" not in text


def _forget_places(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    del record["cohort_paths"]
    (folder / "run.json").write_text(json.dumps(record))


@pytest.mark.usefixtures("sketched")
def test_moved_tables_are_named_by_the_cohort_file(run: Path, cohort_toml: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "run"
    shutil.copytree(run, copy)
    code, text = figures(copy)
    assert code == 2
    assert "clinical.csv" in text
    code, text = figures(copy, "--cohort", cohort_toml)
    assert code == 0, text
    code, text = figures(copy, "--cohort", cohort_toml, "--patient", "nobody")
    assert code == 2
    assert "--patient nobody" in text


@pytest.mark.usefixtures("no_pictures")
def test_a_cohort_file_tells_paths_and_the_run_tells_the_rest(cohort_toml: Path, tmp_path: Path) -> None:
    rows = (cohort_toml.parent / "clinical.csv").read_text().splitlines()
    swapped = [f"{line},{number % 9 + 1},{int(number % 3 > 0)}" for number, line in enumerate(rows[1:])]
    clinical = tmp_path / "clinical.csv"
    clinical.write_text("\n".join([rows[0] + ",pfi_months,pfi_event", *swapped]) + "\n")
    toml = tmp_path / "cohort.toml"
    text = cohort_toml.read_text().replace('"clinical.csv"', f'"{clinical}"')
    for name in ("expression.csv", "pathways.gmt", "bags", "slides"):
        text = text.replace(f'"{name}"', f'"{cohort_toml.parent / name}"')
    toml.write_text(text)
    quick = [*overrides(), "--set", "teacher.epochs=1", "--set", "student.epochs=1"]
    run = tmp_path / "run"
    code, said = run_train("--cohort", toml, "--endpoint", "pfi", "--out", run, "--folds", 2, *quick)
    assert code == 0, said
    trained = open_run(run).cohort
    named = open_run(run, toml).cohort
    assert named.file.endpoint == "pfi"
    assert named.patients == trained.patients
    assert named.patients[0].time == 1
    # A table that changed since is refused, wherever it lies.
    swapped[4] = swapped[4].rpartition(",")[0] + "," + str(1 - int(swapped[4][-1]))
    clinical.write_text("\n".join([rows[0] + ",pfi_months,pfi_event", *swapped]) + "\n")
    for cohort in (None, toml):
        with pytest.raises(RunFolderError, match=r"models were trained on another content of clinical than"):
            open_run(run, cohort)


def test_follow_up_is_compared_beside_the_tables_and_genes_want_the_runs_own_map(
    run: Path, cohort_toml: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    data = json.loads((copy / "data.json").read_text())
    (copy / "data.json").write_text(json.dumps({**data, "follow-up_sha256": "0" * 64}))
    with pytest.raises(
        RunFolderError, match=r"trained on another content of follow-up than .*clinical.csv holds"
    ):
        open_run(copy, cohort_toml)
    record = json.loads((copy / "run.json").read_text())
    for key in ("probe_map", "slide_table"):  # as of a run that read one
        paths = {**record["cohort_paths"], key: "table.tsv"}
        (copy / "run.json").write_text(json.dumps({**record, "cohort_paths": paths}))
        with pytest.raises(
            RunFolderError, match=rf"cohort.toml: \[cohort\] names no {key}, by which the run in"
        ):
            open_run(copy, cohort_toml)
