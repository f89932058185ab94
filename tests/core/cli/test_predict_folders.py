"""`amkd predict FOLDER`: what lies in a folder is predicted, each into a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bundle_fixtures import random_bag
from slide_files import tissue_like, write_tiff
from typer.testing import Result

from amkd_core.bag_file import write_bag
from amkd_core.cli.sources import sources_in
from amkd_core.slides.encoders import load_encoder

Run = Callable[..., Result]


def bag_named(name: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    write_bag(
        folder / f"{name}.h5",
        replace(random_bag(30, encoder=load_encoder("texture").identity), slide_id=name),
    )
    return folder / f"{name}.h5"


def results(out: Path) -> set[str]:
    return {str(path.parent.relative_to(out)) for path in out.rglob("prediction.json")}


def test_slides_of_a_folder_are_predicted_and_a_damaged_one_costs_itself(
    amkd: Run, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "slides", tmp_path / "out"
    folder.mkdir()
    shutil.copy(slide_path, folder / "whole.tif")
    (folder / "torn.svs").write_bytes(b"II*\0 torn")
    (folder / "notes.txt").write_text("no slide")
    done = amkd("predict", folder, "--out", out, "--bundle", bundle_path)
    assert done.exit_code == 1, done.output
    assert "torn.svs" in done.output
    assert "notes.txt" not in done.output
    assert results(out) == {"whole"}


def test_a_folder_of_one_has_a_folder_for_it_as_one_of_many(
    amkd: Run, bundle_path: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "bags", tmp_path / "out"
    bag_named("first", folder)
    assert amkd("predict", folder, "--out", out, "--bundle", bundle_path).exit_code == 0
    assert results(out) == {"first"}
    bag_named("second", folder)
    done = amkd("predict", folder, bag_named("third", tmp_path), "--out", out, "--bundle", bundle_path)
    assert done.exit_code == 0, done.output
    assert results(out) == {"first", "second", "third"}
    # A file that is given as such is written to the folder itself, as ever.
    assert amkd("predict", folder / "first.h5", "--out", out, "--bundle", bundle_path).exit_code == 0
    assert "." in results(out)


def test_slides_go_before_bags_and_what_holds_neither_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = bag_named("bag", tmp_path)
    (tmp_path / ".hidden.h5").write_bytes(b"")
    assert sources_in([tmp_path]) == ([bag], True)
    assert sources_in([bag]) == ([bag], False)
    slide = write_tiff(tmp_path / "slide.tif", [tissue_like(300, 300)])
    assert sources_in([tmp_path]) == ([slide], True)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert sources_in([empty]) == ([empty], False)
    monkeypatch.chdir(empty)
    assert sources_in([Path()]) == ([empty], False)


def test_a_folder_of_nothing_is_said(refusal: Callable[..., str], bundle_path: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = refusal("predict", tmp_path / "empty", "--out", tmp_path / "out", "--bundle", bundle_path)
    assert told.endswith("empty is an empty folder; give the slide file itself.")
