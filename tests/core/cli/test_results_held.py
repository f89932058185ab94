"""A folder that another run writes into is left to it: exit code 3, and who holds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bundle_fixtures import random_bag, random_bundle
from cohort_fixtures import write_tiny_cohort
from typer.testing import Result

from amkd_core.bag_file import write_bag
from amkd_core.bundle_file import write_bundle
from amkd_core.cli import predict as command
from amkd_core.cli.result_folders import WRITES
from amkd_core.errors import FolderInUseError
from amkd_core.folder_lock import HOLDER, hold_folder

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


def two_bags(folder: Path) -> tuple[Path, ...]:
    paths = tuple(folder / f"{name}.h5" for name in "ab")
    for path in paths:
        write_bag(path, replace(random_bag(30), slide_id=path.stem))
    write_bundle(folder / "random.amkd", random_bundle())
    return (*paths, Path("--bundle"), folder / "random.amkd")


def test_who_holds_the_results_is_told_before_anything_is_predicted(
    amkd: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, out = two_bags(tmp_path), tmp_path / "out"
    monkeypatch.setattr(command, "predict_any", lambda *_: pytest.fail("predicted for a folder that is held"))
    with ExitStack() as held:
        for folder in (out, out / "a", out / "b"):
            held.enter_context(hold_folder(folder, WRITES, FolderInUseError))
        for sources in (words[1:], words):  # one into the folder itself, two into folders of their own
            second = amkd("predict", *sources, "--out", out)
            assert second.exit_code == 3, second.output
            assert told(second).count("another run writes predictions into this folder") == len(sources) - 2
    assert list(out.rglob("*.*")) == list(out.rglob(".lock"))


@pytest.mark.parametrize(("most", "expected"), [(1, {"a": "a", "b": "ab"}), (2, {"a": "ab", "b": "ab"})])
def test_results_are_held_to_the_end_and_those_beyond_the_first_hundred_in_their_turn(
    amkd: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, expected: dict[str, str]
) -> None:
    words, out = two_bags(tmp_path), tmp_path / "out"
    predict, seen = command.predict_any, {}

    def looking(request: command.Request, *rest: Any) -> Any:
        seen[request.source.stem] = "".join(name for name in "ab" if (out / name / HOLDER).exists())
        return predict(request, *rest)

    monkeypatch.setattr(command, "MOST_AHEAD", most)
    monkeypatch.setattr(command, "predict_any", looking)
    assert amkd("predict", *words, "--out", out).exit_code == 0
    assert seen == expected
    assert list(out.rglob(HOLDER)) == []


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
