"""A tiny cohort of bags with a planted signal, and what training makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundle_fixtures import encoder_identity
from training_fixtures import N_PATIENTS, QUICK, D, fold_overrides, overrides, run_train

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import write_bag
from amkd_core.cohort.cohort import read_cohort
from amkd_core.cohort.folds import make_split
from amkd_core.training.config import load_config
from amkd_core.training.inputs import make_inputs, read_bags

SPLIT = ("train", "train", "validation", "train", "test", "train")


@pytest.fixture(scope="session")
def cohort_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    danger = rng.normal(size=N_PATIENTS)
    genes = danger[:, None] + 0.3 * rng.normal(size=(N_PATIENTS, 6)) + 5
    clinical = ["patient_id,slide_ids,os_months,os_event,split"]
    expression = ["patient_id," + ",".join(f"G{i}" for i in range(6))]
    for index in range(N_PATIENTS):
        name = f"P{index:02d}"
        months = float(np.exp(3 - danger[index]) * rng.weibull(2)) + 0.1
        clinical.append(f"{name},{name}s,{months:.3f},{int(rng.random() < 0.8)},{SPLIT[index % 6]}")
        expression.append(name + "," + ",".join(f"{value:.4f}" for value in genes[index]))
        n_patches = int(rng.integers(5, 12))
        values = rng.normal(size=(n_patches, D)).astype(np.float32)
        values[:, 0] += danger[index]
        identity = encoder_identity(D)
        write_bag(folder / "bags" / f"{name}s.h5", FeatureBag(values, identity, 256, 0.5, f"{name}s"))
    (folder / "clinical.csv").write_text("\n".join(clinical) + "\n")
    (folder / "expression.csv").write_text("\n".join(expression) + "\n")
    (folder / "pathways.gmt").write_text("P1\tx\tG0\tG1\tG2\nP2\tx\tG3\tG4\tG5\n")
    (folder / "cohort.toml").write_text(
        '[cohort]\nname = "tiny"\nclinical = "clinical.csv"\nexpression = "expression.csv"\n'
        'pathways = "pathways.gmt"\nbags = "bags"\nsynthetic = true\nevent_means = "death"\n'
    )
    return folder / "cohort.toml"


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
