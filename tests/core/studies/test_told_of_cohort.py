"""What a comparison says of its cohort: how tables were read, what is suspicious, and what nothing vouches for."""

from __future__ import annotations

import html
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from children_here import Here
from cohort_fixtures import write_tiny_cohort
from typer.testing import CliRunner

from amkd_core.cli.main import app
from amkd_core.cohort.cohort import read_cohort
from amkd_core.slides.encoders import ENCODERS

QUICK = (
    "folds=2", "model.dim=8", "teacher.epochs=1", "student.epochs=1", "distill.inner_folds=2", "report.resamples=50",
    "threads=1", "cohort.encoder=texture", "cohort.bag_mpp=0.5", "cohort.patch_size=256",
    "cohort.patch_size_level0=256",
)  # fmt: skip
BAGS = "come from other tools and record neither the encoder's weights nor the slide's content"


def clam_cohort(folder: Path, prefix: str = "P", seed: int = 0) -> Path:
    """A cohort with bags as CLAM writes them."""
    toml = write_tiny_cohort(
        folder,
        name="mine",
        n_patients=40,
        prefix=prefix,
        width=5,
        patches=(4, 9),
        pathways=((0, 1, 2), (3, 4)),
    )
    rng = np.random.default_rng(seed)
    for patient in read_cohort(toml).patients:
        with h5py.File(folder / "bags" / f"{patient.slide_ids[0]}.h5", "w") as file:
            file["features"] = rng.normal(size=(4, ENCODERS["texture"].dimension)).astype(np.float32)
            file["coords"] = np.array([(x * 256, 0) for x in range(4)], dtype=np.int32)
    return toml


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "command", [("benchmark", "--models", "abmil"), ("ablate", "--switch", "distill.arr=none")]
)
def test_commands_and_report_say_what_is_suspicious(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amkd_core.studies.cells.Child", Here)
    toml = clam_cohort(tmp_path / "cohort")
    clinical = toml.parent / "clinical.csv"
    head, first, *lines = clinical.read_text().splitlines()
    patient, slide, _, event = first.split(",")
    clinical.write_text("\n".join([head, f"{patient},{slide},700,{event}", *lines]) + "\n")
    sets = [part for item in QUICK for part in ("--set", item)]
    done = CliRunner().invoke(app, [*command, "--cohort", str(toml), "--out", str(tmp_path / "out"), *sets])
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    for sentence in (
        "The longest follow-up is 700 months (58 years); is the unit right?",
        f"The bags of 40 patients {BAGS}",
    ):
        assert said.count(f"Warning: {sentence}") == 1, said
        assert page.count(f"Warning: {sentence}") == 1
    assert "No SHA-256 lies beside clinical.csv" in said
    assert "No SHA-256 lies beside clinical.csv" in page


def test_table_4_says_it_of_the_external_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amkd_core.studies.cells.Child", Here)
    toml, other = clam_cohort(tmp_path / "cohort"), clam_cohort(tmp_path / "other", "Q", 7)
    stated = [item.removeprefix("cohort.") for item in QUICK if item.startswith("cohort.")]
    keys = [
        f"{key} = {json.dumps(value) if key == 'encoder' else value}"
        for key, value in (s.split("=") for s in stated)
    ]
    other.write_text(other.read_text().replace("[cohort]", "\n".join(["[cohort]", *keys])))
    sets = [part for item in QUICK for part in ("--set", item)]
    places = ["--cohort", str(toml), "--external", str(other), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["benchmark", *places, "--models", "abmil", *sets])
    assert done.exit_code == 0, done.output
    assert f"External cohort mine: The bags of 40 patients {BAGS}" in " ".join(done.stdout.split())
    assert f"The bags of 40 patients {BAGS}" in " ".join(
        (tmp_path / "out" / "table-4.tex").read_text().split()
    )
