"""A folder of results belongs to one command: another one does not overwrite its report and predictions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from training_fixtures import QUICK, overrides, run_amkd, run_train

from amkd_core.cohort.cohort import read_cohort
from amkd_core.training.config import load_config
from amkd_core.training.folder_owner import ABLATE, BENCHMARK, owners_of
from amkd_core.training.run_folder import run_folder

pytestmark = pytest.mark.usefixtures("no_pictures")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."
    }


WHAT = {"benchmark": ("--models", "snn"), "ablate": ("--switch", "distill.arr=none")}


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("command", list(WHAT))
def test_a_comparison_does_not_take_over_the_folder_of_a_run(
    run: Path, cohort_toml: Path, tmp_path: Path, recorded: bool, command: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(run, out)
    if not recorded:  # as releases before left it
        record = json.loads((out / "run.json").read_text())
        assert record.pop("command") == "amkd-train"
        (out / "run.json").write_text(json.dumps(record))
    before = contents(out)
    for settings in (overrides(), [*overrides(), "--set", "seed=9"]):
        code, output = run_amkd(command, "--cohort", cohort_toml, "--out", out, *WHAT[command], *settings)
        assert code == 2
        assert f"holds the results of amkd-train, which amkd {command} would overwrite" in output
    assert contents(out) == before
    code, output = run_train("--cohort", cohort_toml, "--out", out, *overrides())
    assert code == 0, output


@pytest.mark.parametrize(
    ("owner", "left", "named"),
    [
        (BENCHMARK, None, "amkd benchmark"),
        (ABLATE, None, "amkd ablate"),
        ("", "cells/bins-1.json", "amkd benchmark or amkd ablate"),
        ("", "table-2.csv", "amkd benchmark"),
        ("", "table-6.csv", "amkd ablate"),
    ],
)
def test_a_run_does_not_take_over_the_folder_of_a_comparison(
    cohort_toml: Path, tmp_path: Path, owner: str, left: str | None, named: str
) -> None:
    cohort, config = read_cohort(cohort_toml), load_config(None, QUICK)
    with run_folder(tmp_path, config, cohort, owner):
        pass
    if left is not None:
        (tmp_path / "cells").mkdir()
        (tmp_path / left).write_text("")
    before = contents(tmp_path)
    code, output = run_train("--cohort", cohort_toml, "--out", tmp_path, *overrides())
    assert code == 2
    assert f"holds the results of {named}, which amkd-train would overwrite" in output
    assert contents(tmp_path) == before


def test_benchmark_and_ablate_do_not_overwrite_each_other(cohort_toml: Path, tmp_path: Path) -> None:
    cohort, config = read_cohort(cohort_toml), load_config(None, QUICK)
    with run_folder(tmp_path, config, cohort, BENCHMARK):
        pass
    code, output = run_amkd("ablate", "--cohort", cohort_toml, "--out", tmp_path, "--table", 6, *overrides())
    assert code == 2
    assert "holds the results of amkd benchmark, which amkd ablate would overwrite" in output


@pytest.mark.parametrize(
    ("files", "named"),
    [(("predictions.csv", "metrics.json"), "amkd evaluate"), (("explanation.json",), "amkd explain")],
)
def test_a_run_does_not_begin_in_the_folder_of_an_evaluation(
    cohort_toml: Path, tmp_path: Path, files: tuple[str, ...], named: str
) -> None:
    for name in files:
        (tmp_path / name).write_text("theirs")
    code, output = run_train("--cohort", cohort_toml, "--out", tmp_path, *overrides())
    assert code == 2
    assert f"holds the results of {named}, which amkd-train would overwrite" in output
    assert (tmp_path / files[0]).read_text() == "theirs"


def test_a_new_folder_and_a_damaged_record_have_no_owner(tmp_path: Path) -> None:
    assert owners_of(tmp_path) == ()
    (tmp_path / "run.json").write_text("{")
    assert owners_of(tmp_path) == ("amkd-train", "amkd benchmark", "amkd ablate")
