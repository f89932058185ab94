"""`amkd evaluate` and `amkd explain` score the cohort that they are given, whatever an earlier call left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from training_fixtures import draw_nothing, run_amkd
from typer.testing import Result

from amkd_core.bag_file import read_bag, write_bag
from amkd_core.errors import FolderInUseError
from amkd_core.folder_lock import hold_folder
from amkd_core.slides.encoders import ENCODERS

Run = Callable[..., Result]
NAMES = ("S0", "S1", "S2")


def write_cohort(folder: Path, seed: int, more: str = "") -> Path:
    """Three patients and their slides, which are called alike in every cohort."""
    from slide_files import tissue_like, write_tiff

    (folder / "slides").mkdir(parents=True)
    rows = "patient_id,slide_ids,os_months,os_event\n"
    for index, name in enumerate(NAMES):
        write_tiff(folder / "slides" / f"{name}.tif", [tissue_like(768, 640, seed=seed + index)])
        rows += f"P{index},{name},{10 + index},1\n"
    (folder / "clinical.csv").write_text(rows)
    (folder / "cohort.toml").write_text(
        f'[cohort]\nname = "c{seed}"\nclinical = "clinical.csv"\nslides = "slides"\n{more}'
    )
    return folder / "cohort.toml"


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("cohorts")
    return write_cohort(folder / "first", 10), write_cohort(folder / "second", 20)


@pytest.fixture(scope="module")
def scored(
    cohorts: tuple[Path, Path], bundle_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """What `amkd evaluate` of the first cohort leaves, and when its second bag was written."""
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        patch.setenv("AMKD_CACHE_DIR", str(folder / "user-cache"))
        words = ["--bundle", bundle_path, "--cohort", cohorts[0], "--out", folder / "out", "--jobs", 1]
        code, output = run_amkd("evaluate", *words)
    assert code == 0, output
    return folder / "out", (folder / "out" / "bags" / "S1.h5").stat().st_mtime_ns


@pytest.fixture
def of_first(scored: tuple[Path, int], tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return shutil.copytree(scored[0], tmp_path / "of-first")


@pytest.fixture
def evaluate(amkd: Run, bundle_path: Path, no_pictures: None) -> Run:
    def run(cohort: Path, out: Path, *more: object) -> Result:
        return amkd("evaluate", "--bundle", bundle_path, "--cohort", cohort, "--out", out, "--jobs", 1, *more)

    return run


def risks(out: Path) -> list[float]:
    table = pd.read_csv(out / "predictions.csv")
    return table[table["model"] == "student"]["risk"].tolist()


def test_a_second_cohort_is_not_scored_from_the_slides_of_the_first(
    evaluate: Run, cohorts: tuple[Path, Path], scored: tuple[Path, int], of_first: Path, tmp_path: Path
) -> None:
    first, second = cohorts
    before, (_, kept) = risks(of_first), scored
    assert evaluate(first, of_first).exit_code == 0
    assert (of_first / "bags" / "S1.h5").stat().st_mtime_ns == kept, "a bag that fits is kept"
    again = evaluate(second, of_first)
    assert again.exit_code == 0, again.output
    assert evaluate(second, tmp_path / "alone").exit_code == 0
    assert risks(of_first) == risks(tmp_path / "alone")
    assert all(one != other for one, other in zip(before, risks(of_first), strict=True))


def test_a_bag_of_an_earlier_cohort_does_not_stand_for_a_slide_that_is_gone(
    evaluate: Run, of_first: Path, tmp_path: Path
) -> None:
    other = write_cohort(tmp_path / "other", 30)
    (other.parent / "slides" / "S1.tif").unlink()
    done = evaluate(other, of_first)
    assert done.exit_code == 0, done.output
    assert "1 patient kept out: no slide in the folder, and bags in" in done.output
    assert "may be another cohort's (--bags takes them)" in done.output
    assert pd.read_csv(of_first / "predictions.csv")["patient_id"].tolist() == ["P0", "P2"]


def test_missing_bags_are_extracted_where_a_file_names_slides_and_bags(
    evaluate: Run, of_first: Path, tmp_path: Path
) -> None:
    both = write_cohort(tmp_path / "both", 10, 'bags = "bags"\n')
    (both.parent / "bags").mkdir()
    (both.parent / "bags" / "S0.h5").write_bytes((of_first / "bags" / "S0.h5").read_bytes())
    done = evaluate(both, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert risks(tmp_path / "out") == risks(of_first)
    assert {path.name for path in (both.parent / "bags").glob("*.h5")} == {f"{name}.h5" for name in NAMES}
    # Bags that are whole are enough when the slides have been put away.
    for path in (both.parent / "slides").iterdir():
        path.unlink()
    (both.parent / "slides").rmdir()
    assert evaluate(both, tmp_path / "out").exit_code == 0
    assert risks(tmp_path / "out") == risks(of_first)


@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_named_bags_of_other_slides_are_refused_and_left_as_they_are(
    amkd: Run, bundle_path: Path, cohorts: tuple[Path, Path], tmp_path: Path, command: str
) -> None:
    bags = tmp_path / "out" / "bags"
    done = amkd("extract", *(cohorts[0].parent / "slides" / f"{name}.tif" for name in NAMES), "--out", bags)
    assert done.exit_code == 0, done.output
    before = (bags / "S0.h5").read_bytes()
    done = amkd(
        command, "--bundle", bundle_path, "--cohort", cohorts[1], "--bags", bags, "--out", tmp_path / "new"
    )
    assert done.exit_code == 2
    assert "3 of the bags were made from other slides than those of the same name" in done.stderr
    assert (bags / "S0.h5").read_bytes() == before


def test_bags_that_do_not_tell_their_slide_are_left_alone(
    evaluate: Run, of_first: Path, tmp_path: Path
) -> None:
    """Of another tool, or of ours without a fingerprint; a rescan of the third slide is extracted again."""
    both = write_cohort(
        tmp_path / "both", 20, 'bags = "bags"\nencoder = "texture"\nbag_mpp = 0.5\npatch_size = 256\n'
    )
    bags = both.parent / "bags"
    ours = read_bag(of_first / "bags" / "S0.h5")
    write_bag(bags / "S0.h5", replace(ours, slide_fingerprint=None))
    write_bag(bags / "S2.h5", replace(ours, slide_id="S2"))
    with h5py.File(bags / "S1.h5", "w") as file:
        file["features"], file["coords"] = ours.features[::-1], np.array(ours.coords)[::-1]
    before = {path.name: path.read_bytes() for path in bags.iterdir()}
    done = evaluate(both, tmp_path / "out")
    after = {path.name: path.read_bytes() for path in bags.glob("*.h5")}
    assert {name for name, content in before.items() if content != after[name]} == {"S2.h5"}, done.output
    assert read_bag(bags / "S2.h5").slide_fingerprint not in (None, ours.slide_fingerprint)


@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_a_folder_of_a_run_is_refused_and_a_folder_in_use_as_well(
    amkd: Run, bundle_path: Path, cohorts: tuple[Path, Path], tmp_path: Path, command: str
) -> None:
    places = ("--bundle", bundle_path, "--cohort", cohorts[0], "--out", tmp_path / "RUN")
    (tmp_path / "RUN" / "fold-1").mkdir(parents=True)
    (tmp_path / "RUN" / "run.json").write_text(json.dumps({"config": {}}))
    (tmp_path / "RUN" / "report.html").write_text("the run's")
    done = amkd(command, *places)
    assert done.exit_code == 2
    sentence = (
        f"RUN: holds the results of amkd-train, which amkd {command} would overwrite; choose another folder"
    )
    assert sentence in done.stderr
    assert {path.name for path in (tmp_path / "RUN").iterdir()} == {"fold-1", "run.json", "report.html"}
    (tmp_path / "RUN" / "run.json").unlink()
    with hold_folder(tmp_path / "RUN", "works in", FolderInUseError):
        done = amkd(command, *places)
    assert done.exit_code == 3
    assert "another run is working in this folder" in done.stderr


def test_bags_of_other_tools_and_bare_tables_are_named(evaluate: Run, tmp_path: Path) -> None:
    rows = "patient_id,slide_ids,os_months,os_event\n" + "".join(
        f"P{i},{name},{10 + i},1\n" for i, name in enumerate(NAMES)
    )
    (tmp_path / "clinical.csv").write_text(rows)
    (tmp_path / "bags").mkdir()
    rng = np.random.default_rng(0)
    for name in NAMES:
        with h5py.File(tmp_path / "bags" / f"{name}.h5", "w") as file:
            file["features"] = rng.normal(size=(20, ENCODERS["texture"].dimension)).astype(np.float32)
            file["coords"] = np.array([(x * 512, 0) for x in range(20)], dtype=np.int32)
    stated = 'encoder = "texture"\nbag_mpp = 0.5\npatch_size = 256\npatch_size_level0 = 512\n'
    (tmp_path / "c.toml").write_text(
        f'[cohort]\nclinical = "clinical.csv"\nbags = "bags"\nsynthetic = true\n{stated}'
    )
    done = evaluate(tmp_path / "c.toml", tmp_path / "out")
    assert done.exit_code == 0, done.output
    said, report = " ".join(done.stdout.split()), (tmp_path / "out" / "report.html").read_text()
    for text in (
        "Warning: The bags of 3 patients come from other tools",
        "no SHA-256 lies beside 3 of their 3 files, so that damaged numbers would not be noticed either.",
        "No SHA-256 lies beside clinical.csv: a damaged digit there would be read as it stands.",
    ):
        assert text in said
        assert text in report
