"""Bags that are bare tensors (`.pt`, as CLAM writes them): trained on, counted and looked into like any others."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from training_fixtures import draw_nothing, overrides, run_amkd, run_train

from amkd_core.cohort.cohort import read_cohort
from amkd_core.file_names import bag_of_slide
from amkd_core.slides.encoders import ENCODERS

STATED = ["--encoder", "texture", "--bag-mpp", 0.5, "--patch-size", 256]
CLAMS_OWN = ["--patch-size-level0", 512]


@pytest.fixture(scope="module")
def folders(cohort_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same features of the tiny cohort's patients as CLAM's h5_files and pt_files."""
    h5_files, pt_files = (tmp_path_factory.mktemp(name) for name in ("h5_files", "pt_files"))
    rng = np.random.default_rng(0)
    for patient in read_cohort(cohort_toml).patients:
        values = rng.normal(size=(4, ENCODERS["texture"].dimension)).astype(np.float32)
        (name,) = patient.slide_ids
        with h5py.File(h5_files / f"{name}.h5", "w") as file:
            file["features"] = values
            file["coords"] = np.array([(x * 512, 0) for x in range(4)], dtype=np.int32)
        torch.save(torch.from_numpy(values), pt_files / f"{name}.pt")
    return h5_files, pt_files


def words(cohort_toml: Path, bags: Path, out: Path) -> Sequence[object]:
    more = [] if bags.name.startswith("pt") else CLAMS_OWN
    return ["--cohort", cohort_toml, "--bags", bags, "--out", out, *STATED, *more, *overrides()]


def cohort_beside(cohort_toml: Path, bags: Path, folder: Path) -> Path:
    """The same cohort's file with other bags, and what they do not record."""
    for table in ("clinical.csv", "expression.csv", "pathways.gmt"):
        (folder / table).symlink_to(cohort_toml.parent / table)
    stated = f'bags = "{bags}"\nencoder = "texture"\nbag_mpp = 0.5\npatch_size = 256'
    (folder / "cohort.toml").write_text(cohort_toml.read_text().replace('bags = "bags"', stated))
    return folder / "cohort.toml"


def test_a_run_on_tensors_is_the_run_on_the_same_features(
    cohort_toml: Path, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    found = []
    for bags in folders:
        out = tmp_path / bags.name
        exit_code, output = run_train(*words(cohort_toml, bags, out))
        assert exit_code == 0, output
        assert "come from other tools" in output
        found.append(pd.read_csv(out / "predictions.csv"))
    pd.testing.assert_frame_equal(*found)
    # A bundle is no judge of the patients that it was trained on, and sees who they are.
    cohort = cohort_beside(cohort_toml, folders[1], tmp_path)
    model = tmp_path / folders[1].name / "model.amkd"
    exit_code, output = run_amkd(
        "evaluate",
        "--bundle",
        model,
        "--cohort",
        cohort,
        "--bags",
        folders[1],
        "--out",
        tmp_path / "evaluated",
    )
    assert exit_code == 2, output
    assert "trained on slides of" in output


def test_their_patches_are_counted(cohort_toml: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    cohort = cohort_beside(cohort_toml, folders[1], tmp_path)
    exit_code, output = run_amkd("cohort", cohort)
    assert exit_code == 0, output
    assert "192; median 4 a slide (4 to 4)" in " ".join(output.split())


def test_of_both_kinds_the_one_with_places_is_taken(folders: tuple[Path, Path], tmp_path: Path) -> None:
    h5_files, pt_files = folders
    shutil.copy(pt_files / "P00s.pt", tmp_path)
    assert bag_of_slide(tmp_path, "P00s") == tmp_path / "P00s.pt"
    shutil.copy(h5_files / "P00s.h5", tmp_path)
    assert bag_of_slide(tmp_path, "P00s") == tmp_path / "P00s.h5"
    assert bag_of_slide(tmp_path, "P01s") == tmp_path / "P01s.h5"
