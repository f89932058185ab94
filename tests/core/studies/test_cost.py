"""Counts of operations against the publications' and against arithmetic."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from amkd_core.cli.main import app
from amkd_core.cli.terminal import drain
from amkd_core.errors import ConfigError, RunFolderError, WorkerError
from amkd_core.folder_lock import hold_folder
from amkd_core.studies import cost, cost_record
from amkd_core.studies.cost import (
    Cost,
    at_any_size,
    count_flops,
    linear_macs,
    measure,
    measure_all,
    measured_names,
    paper_model,
)
from amkd_core.studies.cost_report import write_cost
from amkd_core.training.run_folder import environment


def counted(name: str, n_patches: int) -> int:
    with torch.inference_mode():
        return linear_macs(paper_model(name).eval(), cost._inputs(n_patches))


@pytest.mark.parametrize(("name", "published"), [("mcat", 1.083e9), ("abmil", 1.612e9), ("dsmil", 0.621e9)])
def test_linear_macs_follow_the_published_convention(name: str, published: float) -> None:
    assert counted(name, 4096) == pytest.approx(published, rel=0.002)


def test_linear_macs_of_survpath_count_the_pathways_layers() -> None:
    assert counted("survpath", 4096) == pytest.approx(1.687e9, rel=0.01)


def test_students_flops_are_two_a_mac_plus_attention() -> None:
    model, n = paper_model("amkd_student").eval(), 1000
    with torch.inference_mode():
        flops = count_flops(model, cost._inputs(n))
    attention = 2 * 2 * n * n * 256
    assert flops == pytest.approx(2 * counted("amkd_student", n) + attention, rel=0.001)


@pytest.mark.parametrize("name", ["amkd_student", "mcat", "transmil"])
def test_counts_of_large_bags_follow_from_smaller_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = paper_model(name).eval()
    with torch.inference_mode():
        direct = count_flops(model, cost._inputs(1500))
        monkeypatch.setattr(cost, "LARGEST_COUNTED", 1000)
        monkeypatch.setattr(cost, "COUNTED_SIZES", (324, 625, 900))
        assert at_any_size(model, 1500, count_flops) == pytest.approx(direct, rel=1e-3)


def test_memory_of_the_student_grows_linearly() -> None:
    one, four = (measure("amkd_student", n, repeats=1) for n in (1000, 4000))
    assert 3.5 < four.peak_mib / one.peak_mib < 4.5
    assert one.peak_mib < 1000 * 1000 * 4 / 2**20 * 3  # less than three matrices of patches by patches


def test_table_and_plot(tmp_path: Path) -> None:
    costs = [Cost("mcat", n, 3, 10**9, 2 * 10**9, 0.1, 5.0) for n in (1000, 4096)]
    write_cost(tmp_path, costs, "a test")
    rows = list(csv.DictReader((tmp_path / "table-7.csv").read_text().splitlines()))
    assert [row["published FLOPs"] for row in rows] == ["", "1.08 G"]
    assert (tmp_path / "figures" / "cost.svg").exists()


def test_command_measures_in_processes_of_their_own(tmp_path: Path) -> None:
    run = CliRunner().invoke(
        app, ["cost", "--out", str(tmp_path), "--models", "mlp", "--patches", "10", "--repeats", "1"]
    )
    assert run.exit_code == 0, run.output
    header, row = run.output.splitlines()[:2]
    assert row.split()[:3] == ["MLP", "10", "161,188"]
    # Each figure stands under its name and unit.
    assert [header[row.index(figure) :].split("  ")[0] for figure in ("10", "161,188")] == [
        "patches",
        "parameters",
    ]
    wrong = CliRunner().invoke(app, ["cost", "--out", str(tmp_path), "--patches", "ten"])
    assert wrong.exit_code == 2
    assert "expected whole numbers" in wrong.output


def measured(name: str, n_patches: int) -> Cost:
    return Cost(name, n_patches, 3, 10**9, 2 * 10**9, 0.1, 5.0)


def test_what_was_measured_is_kept_and_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        task = json.loads(command[-1])
        asked.append(task["model"])
        if task["model"] == "snn" and len(asked) == 2:
            return subprocess.CompletedProcess(command, -9, "", "")
        return subprocess.CompletedProcess(
            command, 0, json.dumps(asdict(measured(task["model"], task["n_patches"]))), ""
        )

    monkeypatch.setattr(subprocess, "run", answer)
    record = cost_record.CostRecord(tmp_path, {"threads": 1})
    with pytest.raises(WorkerError, match=r"snn at 10 patches could not be measured: killed.*is kept"):
        drain(measure_all(["mlp", "snn"], [10], record))
    again = cost_record.CostRecord(tmp_path, {"threads": 1})
    found = drain(measure_all(["mlp", "snn"], [10], again))
    assert found == [measured("mlp", 10), measured("snn", 10)]
    assert asked == ["mlp", "snn", "snn"]
    assert again.n_sittings == 2
    # A third time nothing is measured, and the page says what it said.
    third = cost_record.CostRecord(tmp_path, {"threads": 1})
    assert drain(measure_all(["mlp"], [10], third)) == [measured("mlp", 10)]
    assert (third.n_sittings, len(asked)) == (2, 3)


@pytest.mark.parametrize(
    ("damage", "place"),
    [('{"sittings": [], "costs": [{"model": 3}]}', "costs.0.model: .*"), ("{", "the whole: .*")],
)
def test_damaged_records_are_refused(damage: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "measured.json").write_text(damage)
    with pytest.raises(ConfigError, match=rf"is damaged \({place}delete it"):
        cost_record.CostRecord(tmp_path, {"threads": 1})


def test_measurements_by_other_settings_are_not_joined(tmp_path: Path) -> None:
    cost_record.CostRecord(tmp_path, {"device": "cpu", "threads": 1, "repeats": 5, **environment()})
    other = CliRunner().invoke(app, ["cost", "--out", str(tmp_path), "--models", "mlp", "--threads", "2"])
    assert other.exit_code == 2
    assert "holds a run with threads = 1 where this one has 2; choose another folder" in other.output


def test_two_commands_do_not_measure_into_one_folder(tmp_path: Path) -> None:
    with hold_folder(tmp_path, "measures into", RunFolderError):
        second = CliRunner().invoke(app, ["cost", "--out", str(tmp_path), "--models", "mlp"])
    assert second.exit_code == 3
    assert "another run measures into this folder" in second.output


def test_unknown_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="no model 'resnet' to measure; known are amkd, abmil"):
        measured_names(["resnet"])


def test_the_student_has_the_name_of_comparisons_as_well() -> None:
    assert measured_names(["amkd", "mlp", "amkd_student"]) == ["amkd_student", "mlp"]


def test_a_process_answers_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    task = {"model": "mlp", "n_patches": 3, "repeats": 1, "threads": 1, "device": "cpu"}
    threads = torch.get_num_threads()
    try:
        cost.main(json.dumps(task))
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out)["n_parameters"] == 161_188
