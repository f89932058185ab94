"""A folder that another run writes into is left to it: exit code 3, and who holds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bundle_fixtures import random_bag, random_bundle
from cohort_fixtures import write_tiny_cohort
from typer.testing import Result

from amkd_core.bag_file import write_bag
from amkd_core.bundle_file import write_bundle
from amkd_core.errors import FolderInUseError
from amkd_core.folder_lock import hold_folder

Run = Callable[..., Result]


def told(result: Result) -> str:
    assert isinstance(result.exception, SystemExit), result.output
    return result.stderr.replace("\n", " ")


def test_slides_of_one_parent_folder_are_held_each_by_itself(amkd: Run, tmp_path: Path) -> None:
    bags = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in bags:
        write_bag(path, replace(random_bag(30), slide_id=path.stem))
    out, bundle_path = tmp_path / "out", tmp_path / "random.amkd"
    write_bundle(bundle_path, random_bundle())
    words = ("--bundle", bundle_path, "--out", out)
    with hold_folder(out / "a", "writes predictions into", FolderInUseError):
        both = amkd("predict", *bags, *words)
        assert both.exit_code == 1
        assert f"another run writes predictions into this folder (process {os.getpid()} on " in told(both)
        assert {path.parent.name for path in out.rglob("prediction.json")} == {"b"}
        with hold_folder(out / "b", "writes predictions into", FolderInUseError):
            assert amkd("predict", *bags, *words).exit_code == 3
    assert amkd("predict", *bags, *words).exit_code == 0
    assert {path.parent.name for path in out.rglob("prediction.json")} == {"a", "b"}


@pytest.mark.parametrize("kind", ["simulate", "simulate-bags"])
def test_a_simulation_keeps_out_of_a_folder_that_is_held(amkd: Run, tmp_path: Path, kind: str) -> None:
    words: tuple[object, ...] = ("simulate", "--patients", 4)
    if kind == "simulate-bags":
        toml = write_tiny_cohort(
            tmp_path / "cohort", name="tiny", n_patients=8, width=6, patches=(5, 6), pathways=((0, 1), (2, 3))
        )
        words = ("simulate-bags", toml)
    out = tmp_path / "out"
    with hold_folder(out, "simulates into", FolderInUseError):
        before = {path.name for path in out.iterdir()}
        second = amkd(*words, "--out", out)
        assert second.exit_code == 3
        assert f"another run simulates into this folder (process {os.getpid()} on " in told(second)
        assert {path.name for path in out.iterdir()} == before
