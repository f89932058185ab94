"""A tiny cohort of bags with a planted signal, and what training makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cohort_fixtures import write_tiny_cohort
from training_fixtures import N_PATIENTS, QUICK, D, fold_overrides, overrides, run_train

from amkd_core.cohort.cohort import read_cohort
from amkd_core.cohort.folds import make_split
from amkd_core.training.config import load_config
from amkd_core.training.inputs import make_inputs, read_bags

SPLIT = ("train", "train", "validation", "train", "test", "train")


@pytest.fixture(scope="session")
def cohort_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_cohort(
        tmp_path_factory.mktemp("cohort"),
        name="tiny",
        n_patients=N_PATIENTS,
        width=D,
        patches=(5, 12),
        pathways=((0, 1, 2), (3, 4, 5)),
        split=SPLIT,
    )


@pytest.fixture(scope="session")
def unsplit_toml(cohort_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cohort without a split of its own, so that folds are made."""
    folder = tmp_path_factory.mktemp("unsplit")
    for name in ("expression.csv", "pathways.gmt", "bags"):
        (folder / name).symlink_to(cohort_toml.parent / name)
    rows = (cohort_toml.parent / "clinical.csv").read_text().splitlines()
    (folder / "clinical.csv").write_text("\n".join(row.rpartition(",")[0] for row in rows) + "\n")
    toml = (cohort_toml.parent / "cohort.toml").read_text()
    (folder / "cohort.toml").write_text(toml)
    return folder / "cohort.toml"


@pytest.fixture(scope="session")
def inputs(cohort_toml: Path):
    cohort = read_cohort(cohort_toml)
    config = load_config(None, QUICK)
    split = make_split(cohort.patients, seed=0)
    bags = read_bags(cohort, cohort.file.bags)
    return cohort, bags, split, config, make_inputs(cohort, bags, split, config)


@pytest.fixture(scope="session")
def run(cohort_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    exit_code, output = run_train("--cohort", cohort_toml, "--out", out, *overrides())
    assert exit_code == 0, output
    assert "SYNTHETIC cohort tiny" in output
    assert "student on test: C-index" in output
    return out


@pytest.fixture(scope="session")
def folds_run(unsplit_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two folds, one after another in this process."""
    out = tmp_path_factory.mktemp("folds") / "out"
    exit_code, output = run_train("--cohort", unsplit_toml, "--out", out, "--folds", 2, *fold_overrides())
    assert exit_code == 0, output
    return out
