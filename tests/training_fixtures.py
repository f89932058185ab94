"""Command and settings of the small training runs that the tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from amkd_core.bundle_file import open_bundle
from amkd_core.cli.main import app as amkd
from amkd_core.cli.train import app
from amkd_core.export.cohort_figures import Draw, write_cohort_figure
from amkd_core.studies import comparison_report
from amkd_core.training import explain, report_figures, report_pathways

# Modules that draw figures of a run or of a comparison.
DRAWING = (explain, report_figures, report_pathways, comparison_report)
N_PATIENTS, D = 48, 6
QUICK = [
    "model.dim=8", "teacher.epochs=4", "student.epochs=4", "teacher.learning_rate=0.01", "student.learning_rate=0.01",
    "distill.inner_folds=2", "threads=1", "report.resamples=20", "report.shuffles=0",
]  # fmt: skip


def run_train(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output + result.stderr


def run_amkd(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(amkd, [str(argument) for argument in arguments])
    return result.exit_code, result.output + result.stderr


def draw_nothing(monkeypatch: pytest.MonkeyPatch, but: str = "") -> None:
    """Figures are one white pixel, but that of one name: to draw those of a run takes longer than to train."""

    def blank(folder: Path, name: str, draw: Draw, **how: Any) -> Path:
        if name == but:
            return write_cohort_figure(folder, name, draw, **how)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1, 1), "white").save(folder / f"{name}.png")
        return folder / f"{name}.png"

    for module in DRAWING:
        monkeypatch.setattr(module, "write_cohort_figure", blank)


def overrides() -> list[str]:
    return [word for item in QUICK for word in ("--set", item)]


def fold_overrides() -> list[str]:
    """Two epochs a stage, for runs of several folds."""
    return [*overrides(), "--set", "teacher.epochs=2", "--set", "student.epochs=2"]


def assert_same_results(out: Path, reference: Path) -> None:
    """Equal predictions and fitted numbers, bit by bit, and equal weights in every bundle."""
    assert (out / "predictions.csv").read_bytes() == (reference / "predictions.csv").read_bytes()
    assert open_bundle(out / "model.amkd").card.parts == open_bundle(reference / "model.amkd").card.parts
    for folder in reference.glob("fold-*"):
        for name in ("predictions.csv", "fitted.json"):
            assert (out / folder.name / name).read_bytes() == (folder / name).read_bytes(), (folder, name)
        left, right = (open_bundle(run / folder.name / "model.amkd").card.parts for run in (out, reference))
        assert left == right, folder
