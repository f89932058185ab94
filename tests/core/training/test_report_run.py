"""The files that a report leaves, and what stands in them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from statistics_fixtures import QUICK, made_run

from amkd_core.training.estimates import Estimate
from amkd_core.training.report_run import RunStatistics, report_run
from amkd_core.training.report_text import reading

NAMES = {"kaplan_meier", "folds", "calibration", "risks", "over_time", "subgroups"}


def written(made, out: Path):
    provenance = {"config": {"seed": 0, "model": {"dim": 8}}, "bundle_sha256": "a" * 64}
    return report_run(
        made.cohort,
        made.splits,
        made.predictions,
        made.bins,
        out=out,
        seed=0,
        provenance=provenance,
        effort=QUICK,
    )


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory):
    made = made_run(120, 3)
    out = tmp_path_factory.mktemp("report") / "run"
    statistics = written(made, out)
    return made, out, statistics


def test_a_report_is_metrics_figures_and_one_page(reported):
    _, out, statistics = reported
    assert {path.name for path in out.iterdir()} == {"metrics.json", "figures", "report.html"}
    assert {path.stem for path in (out / "figures").glob("*.png")} == NAMES
    assert {path.stem for path in (out / "figures").glob("*.svg")} == NAMES
    assert RunStatistics.model_validate_json((out / "metrics.json").read_text()) == statistics
    for path in (out / "figures").glob("*.png"):
        pixels = np.asarray(Image.open(path).convert("L"))
        assert pixels.min() < 100 < pixels.max()
    for path in (out / "figures").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_the_page_needs_nothing_else(reported):
    _, out, _ = reported
    page = (out / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("data:image/png;base64,") == len(NAMES)
    assert "http://" not in page
    assert "https://" not in page


def test_the_page_says_what_a_reader_must_know(reported):
    made, out, statistics = reported
    page = re.sub(r"\s+", " ", (out / "report.html").read_text())
    for text in (
        '<div class="banner synthetic">SYNTHETIC COHORT: these', "Research use only. Not for diagnosis",
        "Table 1. The cohort", "folds, deaths shared out alike. Everything",
        "1 patient kept out: no expression (SIM-999)", "What this says", "What was done", "Limits", "Provenance",
        "config.model.dim", "a" * 64, "Chance line", "Beside age and stage, and chance", "female", "II",
        statistics.models["student"].c_index.text(), statistics.models["teacher"].c_index_within_folds.text(),
        statistics.added["student"].gain.text(sign=True), "Hazard ratio per std",
    ):  # fmt: skip
        assert text in page, text
    assert f"<td>{len(made.cohort.patients)}</td>" in page


def test_survival_that_is_no_better_than_none_is_called_so(reported):
    _, _, statistics = reported
    student = statistics.models["student"]
    told = {}
    for value in (0.1, 0.3):
        better = student.model_copy(
            update={
                "integrated_brier": Estimate(value=value), "integrated_brier_without_model": Estimate(value=0.2),
            }
        )  # fmt: skip
        told[value] = " ".join(reading(statistics.model_copy(update={"models": {"student": better}})))
    assert "use its order of patients, not its months" in told[0.3]
    assert "use its order of patients, not its months" not in told[0.1]


def test_the_same_run_gives_the_same_files(reported, tmp_path: Path):
    made, out, _ = reported
    written(made, tmp_path)
    for path in sorted(out.rglob("*.*")):
        assert (tmp_path / path.relative_to(out)).read_bytes() == path.read_bytes(), path.name


@pytest.mark.usefixtures("no_pictures")
def test_a_real_cohort_has_no_synthetic_banner_and_its_name_cannot_break_the_page(tmp_path: Path):
    made = made_run(60, 1, synthetic=False)
    file = made.cohort.file.model_copy(update={"name": "<script>alert(1)</script> & Co"})
    cohort = replace(made.cohort, file=file)
    report_run(
        cohort, made.splits, made.predictions, made.bins, out=tmp_path, seed=0, provenance={}, effort=QUICK
    )
    page = (tmp_path / "report.html").read_text()
    assert "<script>" not in page
    assert "SYNTHETIC" not in page
    assert "Only " in page  # few deaths are said to be few
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Co" in page


def test_a_report_of_progression_speaks_of_no_deaths(tmp_path: Path):
    made = made_run(60, 1)
    cohort = replace(made.cohort, file=made.cohort.file.model_copy(update={"endpoint": "pfi"}))
    report_run(
        cohort, made.splits, made.predictions, made.bins, out=tmp_path, seed=0, provenance={}, effort=QUICK
    )
    page = re.sub(r"\s+", " ", (tmp_path / "report.html").read_text())
    for text in (
        "Endpoint pfi",
        " progressions",
        "Low / high risk: progressions",
        "Predicted freedom from progression",
    ):
        assert text in page, text
    words = re.sub(r'"data:[^"]*"', "", page)
    assert not re.findall(r".{40}\b(?:deaths?|died|dies?|alive)\b", words)
    drawn = {path.name: path.read_text() for path in (tmp_path / "figures").glob("*.svg")}
    assert len(drawn) > 3
    assert not [name for name, text in drawn.items() if re.search(r">[^<]*([Ss]urviv|[Dd]ied|death)", text)]


@pytest.mark.parametrize("kind", ["no deaths tested", "three patients", "equal risks", "nobody", "one group"])
def test_a_report_of_hardly_anything_is_written_and_says_why(tmp_path: Path, kind: str):
    made = made_run(60, 1)
    cohort, table = made.cohort, made.predictions
    tested = list(made.splits[0].test)
    if kind == "no deaths tested":
        patients = tuple(replace(p, event=p.event and p.patient_id not in tested) for p in cohort.patients)
        cohort = replace(cohort, patients=patients)
    elif kind == "three patients":
        table = table[table["patient_id"].isin(tested[:3])]
    elif kind == "equal risks":
        table = table.assign(risk=-2.0, **{f"hazard_{k}": 0.3 for k in range(1, 5)})
    elif kind == "nobody":
        table = table[:0]
    else:  # of one model and without clinical data besides
        table = table[table["model"] == "student"].assign(high_risk=1)
        cohort = replace(
            cohort, patients=tuple(replace(p, age_years=None, stage=None, sex="") for p in cohort.patients)
        )
    statistics = report_run(
        cohort, made.splits, table, made.bins, out=tmp_path, seed=0, provenance={"x": None}, effort=QUICK
    )
    assert str(statistics)
    json.loads((tmp_path / "metrics.json").read_text())
    page = (tmp_path / "report.html").read_text()
    assert "</html>" in page
    assert "Not computed" in page or "No test patient was predicted" in page
    assert kind != "one group" or "not testable" in page
