"""Whose expression a prediction was made from, and options that would change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
from bundle_fixtures import random_bag
from typer.testing import Result

from amkd_core.bag_file import write_bag
from amkd_core.cohort.bare_tables import write_hashes
from amkd_core.slides.encoders import load_encoder

Run = Callable[..., Result]
Refusal = Callable[..., str]


@pytest.fixture
def bag_path(tmp_path: Path) -> Path:
    """A bag of the slide SIM-0007, which the bundle takes."""
    bag = replace(random_bag(30, encoder=load_encoder("texture").identity), slide_id="SIM-0007")
    write_bag(tmp_path / "SIM-0007.h5", bag)
    return tmp_path / "SIM-0007.h5"


@pytest.fixture
def options(bundle_path: Path, tmp_path: Path) -> tuple[object, ...]:
    return ("--bundle", bundle_path, "--out", tmp_path / "out")


def table_of(folder: Path, patient: str) -> Path:
    """Expression of one patient alone, as the bundle's teacher reads it."""
    rows = [f"GENE{index},{index}" for index in range(12)]
    path = folder / "expression.csv"
    path.write_text("\n".join([f"gene,{patient}", *rows]) + "\n")
    return path


def genes_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "prediction.json").read_text())["provenance"]["genes"]
    return record


def test_the_only_patient_of_a_table_is_not_taken_for_the_slides(
    amkd: Run, refusal: Refusal, bag_path: Path, options: tuple[object, ...], tmp_path: Path
) -> None:
    table = table_of(tmp_path, "SIM-0001")
    asked = refusal("predict", bag_path, *options, "--expression", table)
    assert "expression.csv: holds patient SIM-0001, whose name does not begin that of SIM-0007.h5" in asked
    assert "--patient SIM-0001" in asked
    done = amkd("predict", bag_path, *options, "--expression", table, "--patient", "SIM-0001")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "The teacher read the expression of a patient whose name does not begin that of the slide" in said
    assert "It is of SIM-0001." in said
    notices = json.loads((tmp_path / "out" / "prediction.json").read_text())["notices"]
    (kept,) = (item["sentence"] for item in notices if item["code"] == "expression_patient")
    assert "SIM-0001" not in kept
    assert genes_of(tmp_path / "out") == {"needed": 12, "missing": [], "patient": "SIM-0001"}


def test_the_slides_own_patient_is_taken_without_a_word(
    amkd: Run, bag_path: Path, options: tuple[object, ...], tmp_path: Path
) -> None:
    table = table_of(tmp_path, "SIM-0007")
    done = amkd("predict", bag_path, *options, "--expression", table)
    assert done.exit_code == 0, done.output
    assert "Note: No SHA-256 lies beside expression.csv: a damaged digit there" in done.stdout
    write_hashes((table,))
    done = amkd("predict", bag_path, *options, "--expression", table)
    assert done.exit_code == 0, done.output
    assert "expression" not in done.output
    assert genes_of(tmp_path / "out")["patient"] == "SIM-0007"
    with h5py.File(tmp_path / "out" / "heatmap.h5") as file:
        assert json.loads(file.attrs["provenance"])["genes"]["patient"] == "SIM-0007"


def test_whose_expression_it_was_is_left_out_of_what_is_passed_on(
    amkd: Run, bag_path: Path, options: tuple[object, ...], tmp_path: Path
) -> None:
    words = ("predict", bag_path, *options, "--report", "--patient", "ZZ-SECRET")
    for more, expected in (((), None), (("--identified",), "ZZ-SECRET")):
        done = amkd(*words, *more, "--expression", table_of(tmp_path, "ZZ-SECRET"))
        assert done.exit_code == 0, done.output
        files = list((tmp_path / "out" / "export").iterdir())
        named = [file.name for file in files if b"ZZ-SECRET" in file.read_bytes()]
        assert bool(named) is (expected is not None), named
        record = json.loads((tmp_path / "out" / "export" / "patches.geojson").read_text())["amkd"]
        assert record["provenance"]["genes"].get("patient") == expected
        assert record["provenance"]["genes"]["needed"] == 12


def test_options_that_contradict_a_bag_are_refused_together(
    refusal: Refusal, bag_path: Path, options: tuple[object, ...], tmp_path: Path
) -> None:
    idle = (
        "--mpp",
        2.0,
        "--scene",
        3,
        "--weights",
        "nofile",
        "--encoder",
        "uni",
        "--bag-mpp",
        7,
        "--patch-size",
        999,
    )
    asked = refusal("predict", bag_path, *options, *idle, "--patient", "P", "--identified")
    assert asked == (
        "these options have no effect, leave them out: --scene and --weights without a slide; --mpp, --encoder, "
        "--bag-mpp and --patch-size here (bags of amkd extract record all of it); --patient without --expression; "
        "--identified without --report"
    )
    assert not (tmp_path / "out").exists()


def test_what_is_said_of_foreign_bags_says_nothing_of_a_slide(
    refusal: Refusal, slide_path: Path, bag_path: Path, options: tuple[object, ...]
) -> None:
    said = ("--encoder", "texture", "--bag-mpp", 0.5, "--patch-size", 256, "--patch-size-level0", 256)
    asked = refusal("predict", slide_path, *options, *said)
    assert "--encoder, --bag-mpp, --patch-size and --patch-size-level0 here" in asked
    assert "of a slide it is the model that says so" in asked
    # Beside a slide, those of slides have an effect.
    asked = refusal(
        "predict", slide_path, bag_path, *options, "--mpp", 0.5, "--scene", 1, "--encoder", "texture"
    )
    assert "--encoder here" in asked
    assert "--mpp" not in asked
    assert "--scene" not in asked


def test_weights_are_looked_at_also_where_the_features_are_kept(
    amkd: Run, refusal: Refusal, slide_path: Path, options: tuple[object, ...]
) -> None:
    assert amkd("predict", slide_path, *options).exit_code == 0
    assert "takes no weights" in refusal("predict", slide_path, *options, "--weights", "nofile")


def test_half_says_what_is_kept_in_another_precision(amkd: Run, slide_path: Path, tmp_path: Path) -> None:
    words = ("extract", slide_path, "--out", tmp_path / "bags")
    assert amkd(*words).exit_code == 0
    assert "(kept)" in amkd(*words).stdout
    assert "(kept, its features in float32; --force writes them anew)" in amkd(*words, "--half").stdout
    assert amkd(*words, "--half", "--force").exit_code == 0
    assert "(kept)" in amkd(*words, "--half").stdout
