"""Models under one protocol: cells, resuming, tables and commands."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from bundle_fixtures import encoder_identity
from children_here import Here
from cohort_fixtures import write_tiny_cohort
from research_words import files_without_words
from typer.testing import CliRunner

from amkd_core.bag_file import read_bag, write_bag
from amkd_core.cli.main import app
from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.folds import folds_in_words, make_folds
from amkd_core.cohort.genes import ExpressionTable, GeneScaling
from amkd_core.errors import BundleMismatchError, CohortError, ConfigError, ModalityError, RunFolderError
from amkd_core.export.run_report import ReportTable
from amkd_core.folder_lock import HOLDER
from amkd_core.simulate.tables import patient_id as simulated_id
from amkd_core.studies import cells, comparison_report
from amkd_core.studies.ablation import ABLATION, ALPHA, repeated_rows, rows_of_table, switch_rows
from amkd_core.studies.benchmark import compare
from amkd_core.studies.cells import tasks_of
from amkd_core.studies.comparison_record import comparison_record
from amkd_core.studies.comparison_report import write_ablation, write_benchmark
from amkd_core.studies.comparison_tables import PUBLISHED, TOO_FEW, concordance_table, p_text, rows_of
from amkd_core.studies.external_table import external_rows, external_table
from amkd_core.studies.holm import holm
from amkd_core.studies.protocol import protocol, unequal_budget
from amkd_core.studies.published import cohort_of, published
from amkd_core.studies.tables import escaped, latex_of, write_table_files
from amkd_core.survival.comparison import paired_difference
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import Outcome
from amkd_core.training.cell import run_cell
from amkd_core.training.config import TrainingConfig, load_config
from amkd_core.training.external_cohort import read_external_cohort
from amkd_core.training.external_genes import external_examples, readable_genes
from amkd_core.training.inputs import make_inputs, read_bags
from amkd_core.training.recipes import AMKD, COMPARED, Recipe, changed, recipes_of, train_recipe
from amkd_core.training.strangers import check_external_patients

QUICK = (
    "folds=2", "model.dim=8", "teacher.epochs=1", "student.epochs=2", "student.learning_rate=0.01",
    "distill.inner_folds=2", "report.resamples=50", "threads=1",
)  # fmt: skip
NAMES = ("abmil", "snn", "amkd")
STATE = (".lock", ".json")
"""Endings of files by which a stopped comparison goes on."""


def drain(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "Child", Here)


@pytest.fixture(scope="module")
def config() -> TrainingConfig:
    return load_config(None, QUICK)


@pytest.fixture(scope="module")
def finished(
    tiny_toml: Path, other_toml: Path, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory
):
    out = tmp_path_factory.mktemp("compared")
    cohort, other = read_cohort(tiny_toml), read_external_cohort(other_toml)
    # Without processes, which take longer to start than these models to train; one repetition has its own.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "Child", Here)
        found = drain(compare(cohort, recipes_of(NAMES), config, out, external=other, jobs=1))
    return out, cohort, found


@pytest.fixture(scope="module")
def written(finished, config: TrainingConfig):
    """Folder with tables, figures and report of the finished comparison, and the rows of its first table."""
    out, _, found = finished
    return out, write_benchmark(out, found, config, "brca")


def test_every_model_predicts_every_patient_once_on_the_same_folds(finished) -> None:
    _, cohort, found = finished
    assert set(found.scored) == {*NAMES, "amkd_teacher"}
    folds = {name: dict(zip(item.patients, item.fold, strict=True)) for name, item in found.scored.items()}
    for name in folds:
        assert set(folds[name]) == {patient.patient_id for patient in cohort.patients}
        assert folds[name] == folds["amkd"]


def test_a_repeated_comparison_trains_only_what_is_missing(finished, config, tmp_path: Path) -> None:
    out, cohort, comparison = finished
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    kept = copy / "cells" / "abmil" / "fold-1.csv"
    lost = copy / "cells" / "snn" / "fold-2.csv"
    before, text = kept.stat().st_mtime_ns, lost.read_text()
    lost.unlink()
    drain(compare(cohort, recipes_of(NAMES), config, copy, external=comparison.external, jobs=1))
    assert kept.stat().st_mtime_ns == before
    assert lost.read_text() == text  # the same numbers, trained again


@pytest.mark.usefixtures("in_this_process")
def test_an_external_cohort_that_comes_later_is_scored_by_all_models(
    finished, config, tmp_path: Path
) -> None:
    out, cohort, with_it = finished
    copy, names = tmp_path / "copy", ["abmil", "snn"]
    leave_out = shutil.ignore_patterns("external*", "amkd", "figures", "fold-1", "fold-2")
    shutil.copytree(out, copy, ignore=leave_out)
    alone = drain(compare(cohort, recipes_of(names), config, copy))
    assert set(alone.predictions["part"]) == {"train", "validation", "test"}
    found = drain(compare(cohort, recipes_of(names), config, copy, external=with_it.external))
    expected = with_it.predictions[with_it.predictions["model"].isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.predictions, expected)
    assert [row[1][:2] for row in external_table(found, n_resamples=50).rows] == ["0."] * 2
    assert tasks_of(copy, recipes_of(names), 2, jobs=1) == []


@pytest.fixture(scope="module")
def records(finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the finished comparison rests on, without its results: enough to be refused."""
    out, folder = finished[0], tmp_path_factory.mktemp("records")
    for name in ("run.json", "folds.json", "data.json", "external.json"):
        shutil.copy(out / name, folder / name)
    return folder


@pytest.mark.parametrize("table", ["clinical", "expression"])
@pytest.mark.parametrize("external", [False, True])
def test_other_tables_in_the_same_folder_are_refused(
    external: bool, table: str, records: Path, finished, tmp_path: Path
) -> None:
    _, cohort, found = finished
    toml = _copied(found.external.path if external else cohort.path, tmp_path)
    path = toml.parent / f"{table}.csv"
    head, *lines = path.read_text().splitlines()
    if table == "expression":  # each patient has another one's genes
        names, values = zip(*(line.split(",", 1) for line in lines), strict=True)
        lines = [f"{name},{row}" for name, row in zip(names, (*values[1:], values[0]), strict=True)]
    else:
        lines[0] = lines[0].replace("s,", "s,1")
    path.unlink()
    path.write_text("\n".join([head, *lines]) + "\n")
    other = read_external_cohort(toml) if external else found.external
    cohort = cohort if external else read_cohort(toml)
    place = "external." if external else ""
    with pytest.raises(RunFolderError, match=rf"holds a run with another content of {place}{table}; choose"):
        drain(compare(cohort, recipes_of(NAMES), load_config(None, QUICK), records, external=other))


def test_a_folder_of_an_earlier_release_is_refused_for_what_it_does_not_tell(
    records: Path, finished, config, tmp_path: Path
) -> None:
    shutil.copytree(records, tmp_path / "old")
    (tmp_path / "old" / "data.json").write_text('{"bags": "0123"}')
    with pytest.raises(
        RunFolderError, match=r"data.json: does not tell clinical, as earlier releases did not"
    ):
        drain(compare(finished[1], recipes_of(NAMES), config, tmp_path / "old"))


def test_a_second_worker_finds_the_cell_finished(finished) -> None:
    out, _, _ = finished
    path = out / "cells" / "snn" / "fold-1.csv"
    before = path.stat().st_mtime_ns
    assert list(run_cell(out, Recipe("snn", "snn"), 1)) == []
    assert path.stat().st_mtime_ns == before


def test_tasks_are_whole_models_where_there_are_many_and_folds_where_there_are_few(tmp_path: Path) -> None:
    recipes = recipes_of(["abmil", "snn", "mlp"])
    assert [task.folds for task in tasks_of(tmp_path, recipes[:1], 2, jobs=1)] == [(1, 2)]
    assert [task.folds for task in tasks_of(tmp_path, recipes, 2, jobs=1)] == [(1, 2)] * 3
    assert [task.folds for task in tasks_of(tmp_path, recipes, 2, jobs=2)] == [(1,), (2,)] * 3


def test_tables_hold_what_the_predictions_say(finished, written) -> None:
    out, _, found = finished
    rows = {row.name: row for row in rows_of(found, n_resamples=50)}
    item = found.scored["abmil"]
    each = [
        concordance_index(item.outcome.time[own], item.outcome.event[own], item.risk[own])
        for own in (item.fold == 1, item.fold == 2)
    ]
    assert rows["abmil"].folds.mean == pytest.approx(np.mean(each))
    assert rows["abmil"].folds.std == pytest.approx(np.std(each, ddof=1))
    assert rows[AMKD].gap is None
    gap = rows["snn"].gap
    assert gap.interval.estimate == pytest.approx(rows["snn"].within.estimate - rows[AMKD].within.estimate)
    table = list(csv.DictReader((out / "table-2.csv").read_text().splitlines()))
    assert [row["model"] for row in table] == ["ABMIL", "SNN", "AMKD", "AMKD teacher"]
    assert table[0][PUBLISHED] == "0.589 ± 0.107"
    assert table[0]["C-index, mean ± sd"].startswith(f"{np.mean(each):.3f}")
    assert r"0.589 $\pm$ 0.107" in (out / "table-2.tex").read_text()
    external = list(csv.DictReader((out / "table-4.csv").read_text().splitlines()))
    assert external[0][PUBLISHED] == "0.533"
    page = (out / "report.html").read_text()
    assert "SYNTHETIC COHORT" in page
    assert page.count("data:image/png") == 4
    assert (out / "figures" / "kaplan-meier-amkd.svg").exists()


def test_figures_of_the_tables_lie_beside_them_as_numbers(written) -> None:
    out, shown = written
    record = json.loads((out / "metrics.json").read_text())
    assert [row["name"] for row in record["rows"]] == [row.name for row in shown] == [*NAMES, "amkd_teacher"]
    assert (record["cohort"], record["n_patients"], record["n_folds"]) == ("TCGA-BRCA", 40, 2)
    first = record["rows"][0]
    assert first["c_index"]["mean"] == shown[0].folds.mean
    assert len(first["c_index"]["by_fold"]) == 2
    gap = shown[0].gap
    numbers = (gap.interval.estimate, gap.interval.lower, gap.interval.upper, gap.p_value)
    assert tuple(first["minus_amkd"][key] for key in ("value", "lower", "upper", "p_value")) == numbers
    assert first["p_holm"] == shown[0].p_corrected
    assert [row["p_is_bound"] for row in record["rows"]] == [
        bool(row.gap and row.gap.is_least) for row in shown
    ]
    assert record["rows"][2]["minus_amkd"] is None
    assert first["risk_groups"]["low"]["n_patients"] + first["risk_groups"]["high"]["n_patients"] == 40
    other = record["external"]
    assert [row["n_patients"] for row in other["rows"]] == [12] * 4
    cells = [row[1] for row in csv.reader((out / "table-4.csv").read_text().splitlines())][1:]
    assert [f"{row['c_index']['mean']:.3f}" for row in other["rows"]] == [
        cell.split(" ")[0] for cell in cells
    ]


def test_differences_stand_in_tables_without_an_apostrophe(tmp_path: Path) -> None:
    rows = (("+0.111 (-0.035 to +0.269)", "-0.1 (-0.2 to +0.3)", "+1+cmd", "=1"),)
    write_table_files(tmp_path, "t", ReportTable("c", ("a", "b", "c", "d"), rows))
    found = [*csv.reader((tmp_path / "t.csv").read_text().splitlines())][1]
    assert found == ["+0.111 (-0.035 to +0.269)", "-0.1 (-0.2 to +0.3)", "'+1+cmd", "'=1", "research_only"]


def test_all_that_a_benchmark_writes_says_what_it_is_for(written) -> None:
    out, _ = written
    names = {path.name for path in out.iterdir()} | {path.name for path in (out / "figures").iterdir()}
    assert {"table-2.csv", "table-2.tex", "table-3.csv", "table-4.tex", "kaplan-meier-amkd.png"} <= names
    assert [name for name in files_without_words(out) if not name.endswith(STATE)] == []


@pytest.mark.usefixtures("no_pictures")
def test_published_column_is_left_out_for_another_cohort(finished, config, tmp_path: Path) -> None:
    write_benchmark(tmp_path, finished[2], config, None)
    for name in ("table-2", "table-4"):
        assert PUBLISHED not in (tmp_path / f"{name}.csv").read_text().splitlines()[0]
    assert "CPTAC-HNSC" not in (tmp_path / "table-4.tex").read_text()


@pytest.mark.usefixtures("in_this_process")
def test_gene_models_need_no_slides_and_slide_models_refuse_without(
    tiny_toml: Path, config, tmp_path: Path
) -> None:
    cohort = read_cohort(_without_bags(tiny_toml, tmp_path))
    found = drain(compare(cohort, recipes_of(["mlp"]), config, tmp_path / "genes", jobs=2))
    assert len(found.scored["mlp"].patients) == len(cohort.patients)
    with pytest.raises(ModalityError, match=r"^mcat reads slides, but cohort"):
        drain(compare(cohort, recipes_of(["mcat", "snn"]), config, tmp_path / "one"))
    with pytest.raises(ModalityError, match="abmil, amkd read slides, but cohort TCGA-BRCA names neither"):
        drain(compare(cohort, recipes_of(["abmil", "snn", "amkd"]), config, tmp_path / "slides"))


@pytest.mark.usefixtures("in_this_process")
def test_models_of_genes_may_be_added_to_slides_and_no_models_of_slides_to_genes(
    tiny_toml: Path, finished, config, tmp_path: Path
) -> None:
    cohort, short = read_cohort(tiny_toml), changed(config, ["student.epochs=1"])
    drain(compare(cohort, recipes_of(["snn"]), short, tmp_path / "genes"))
    sentence = "genes: was begun without slides, .*; choose another folder to add models that read slides$"
    with pytest.raises(RunFolderError, match=sentence):
        drain(compare(cohort, recipes_of(["snn", "abmil"]), short, tmp_path / "genes"))
    found = drain(compare(cohort, recipes_of(["snn", "mlp"]), short, tmp_path / "genes"))
    assert set(found.scored) == {"snn", "mlp"}
    out, _, whole = finished
    leave_out = shutil.ignore_patterns("external*", "amkd", "figures", "fold-1", "fold-2")
    shutil.copytree(out, tmp_path / "slides", ignore=leave_out)
    again = drain(compare(cohort, recipes_of(["snn"]), config, tmp_path / "slides"))
    np.testing.assert_array_equal(again.scored["snn"].risk, whole.scored["snn"].risk)


def _copied(toml: Path, folder: Path) -> Path:
    """The same cohort in another folder, whose tables a test may replace."""
    for name in ("clinical.csv", "expression.csv", "pathways.gmt", "bags"):
        (folder / name).symlink_to(toml.parent / name)
    return shutil.copy(toml, folder / "cohort.toml")


def _without_bags(toml: Path, tmp_path: Path) -> Path:
    copy = _copied(toml, tmp_path)
    copy.write_text(toml.read_text().replace('bags = "bags"\n', ""))
    return copy


@pytest.fixture(scope="module")
def inputs(tiny_toml: Path, config):
    cohort = read_cohort(tiny_toml)
    split = make_folds(cohort, n_folds=2, seed=0)[0]
    return make_inputs(cohort, read_bags(cohort, cohort.file.bags), split, config)


@pytest.mark.parametrize("name", COMPARED)
def test_every_recipe_trains_in_the_one_loop(name: str, inputs, config, tmp_path: Path) -> None:
    short = changed(config, ["student.epochs=1", "student.patience=1"])
    networks = drain(train_recipe(Recipe(name, name), inputs, short, tmp_path))
    assert set(networks) == set(Recipe(name, name).predicts)
    assert all(not network.training for network in networks.values())
    stages = {path.parent.name for path in tmp_path.rglob("checkpoint.safetensors")}
    assert ("pre-training" in stages) == (name == "pomp_style")


def test_rows_of_one_teacher_share_its_weights(inputs, config, tmp_path: Path) -> None:
    for recipe in (ABLATION[0], ABLATION[1], ALPHA[0]):
        drain(train_recipe(recipe, inputs, config, tmp_path))
    assert len(list(tmp_path.glob("teacher-*"))) == 1
    drain(train_recipe(ABLATION[2], inputs, config, tmp_path))
    assert len(list(tmp_path.glob("teacher-*"))) == 2


def test_other_teachers_guide_no_features(inputs, config, tmp_path: Path) -> None:
    asking = Recipe("x", AMKD, teacher="abmil_cat")
    with pytest.raises(
        ConfigError, match="no gene-informed patch features; use amkd_teacher, or a guidance_weight"
    ):
        drain(train_recipe(asking, inputs, config, tmp_path))


@pytest.mark.usefixtures("in_this_process", "no_pictures")
def test_ablation_table_stands_beside_the_papers(tiny_toml, config, tmp_path: Path) -> None:
    found = drain(compare(read_cohort(tiny_toml), ABLATION[:1] + ABLATION[-1:], config, tmp_path))
    write_ablation(tmp_path, found, config, (5, "brca"))
    table = list(csv.DictReader((tmp_path / "table-5.csv").read_text().splitlines()))
    assert [row["model"] for row in table] == ["without ARR", "AMKD", "AMKD teacher"]
    assert table[0][PUBLISHED] == "-3.0 %"
    page = html.unescape((tmp_path / "report.html").read_text())
    assert "The row AMKD has distill.alpha = 0.75. Published are changes against AMKD" in page
    assert "AMKD's redundancy term has the form gated" in page
    assert "its epoch is the one with the least of both losses" in page
    # Of another cohort nothing is published, and what an earlier call wrote of other rows goes.
    write_ablation(tmp_path, found, config, (None, None))
    assert PUBLISHED not in (tmp_path / "ablation.csv").read_text()
    assert not list(tmp_path.glob("table-5.*"))


def test_switches_are_checked_before_training(config) -> None:
    rows = switch_rows(["distill.tau_logits=1,2"], config)
    assert [row.name for row in rows] == ["distill.tau_logits=1", "distill.tau_logits=2", AMKD]
    with pytest.raises(ConfigError, match=r"section\.key=value,value"):
        switch_rows(["distill.alpha"], config)
    with pytest.raises(ConfigError, match=r"no setting distill\.alphas; did you mean distill\.alpha"):
        switch_rows(["distill.alphas=1"], config)
    with pytest.raises(ConfigError, match=r"distill.alpha is 7"):
        switch_rows(["distill.alpha=7"], config)


@pytest.mark.parametrize(
    "switch",
    ["min_coverage=0.5", "folds=3", "n_bins=3", "survival_loss=cox", "seed=1", "device=cpu", "threads=2",
     "cache_dtype=float16", "report.shuffles=0", "model={dim = 16}"],
)  # fmt: skip
def test_a_switch_that_no_row_can_have_for_itself_is_refused(switch: str, config) -> None:
    with pytest.raises(ConfigError, match=r"same for all of them, .* compare runs of amkd-train --set"):
        switch_rows([switch], config)


def test_every_setting_that_training_a_row_reads_makes_rows(config) -> None:
    sections = {name: getattr(config, name) for name in ("model", "teacher", "student", "distill")}
    switches = [f"{name}.{key}={value}" for name, section in sections.items() for key, value in section]
    assert len(switch_rows([*switches, "precision=bfloat16"], config)) == len(switches) + 2


def test_a_row_named_twice_is_refused_before_training(config) -> None:
    with pytest.raises(
        ConfigError, match=r"^switch distill.alpha=0.50 makes the row distill.alpha=0.5 again"
    ):
        switch_rows(["distill.alpha=0.5,0.50"], config)
    with pytest.raises(ConfigError, match=r"makes the row distill.alpha=0.5 again"):
        switch_rows(["distill.alpha=0.5", "distill.alpha=1,0.5"], config)
    # Two settings at their defaults are two rows: the table is read by switch.
    assert len(switch_rows(["distill.tau_logits=1,2", "distill.tau_features=1,2"], config)) == 5


def test_rows_with_the_settings_of_another_are_found(config) -> None:
    rows = switch_rows(["distill.tau_logits=1,2", "distill.arr=gated,attract"], config)
    assert repeated_rows(rows, config) == {"distill.tau_logits=1": AMKD, "distill.arr=gated": AMKD}
    bare = changed(config, ["distill.pathway_weight=0", "distill.guidance_weight=0"])
    same = {"without ARR and GE": "without ARR", "without pathways": AMKD}
    assert repeated_rows(ABLATION, bare) == same
    assert repeated_rows(ABLATION, changed(config, ["distill.alpha=1"]))["without ARR"] == AMKD
    assert repeated_rows(ABLATION, config) == repeated_rows(recipes_of(COMPARED), config) == {}


def test_table_6_has_the_papers_alpha_whatever_the_settings_have(config) -> None:
    assert rows_of_table(6, config) == ALPHA
    half = changed(config, ["distill.alpha=0.5"])
    rows = rows_of_table(6, half)
    assert [row.name for row in rows] == ["alpha 0.25", "alpha 0.5", "alpha 0.75", "alpha 1", AMKD]
    assert repeated_rows(rows, half) == {"alpha 0.5": AMKD}
    assert rows_of_table(5, half) == ABLATION


@pytest.mark.usefixtures("in_this_process", "no_pictures")
def test_a_row_that_is_amkd_is_not_trained_again_nor_corrected_for(
    tiny_toml: Path, config, tmp_path: Path
) -> None:
    half = changed(config, ["distill.alpha=0.5", "student.epochs=1"])
    rows = [row for row in rows_of_table(6, half) if row.name not in ("alpha 0.25", "alpha 1")]
    found = drain(compare(read_cohort(tiny_toml), rows, half, tmp_path))
    assert set(found.scored) == {"alpha 0.75", AMKD, "amkd_teacher"}
    shown = {row.name: row for row in write_ablation(tmp_path, found, half, (6, "brca"))}
    assert shown["alpha 0.5"].folds == shown[AMKD].folds
    p_values = [shown[name].gap.p_value for name in ("alpha 0.75", "amkd_teacher")]
    assert [shown[name].p_corrected for name in ("alpha 0.75", "amkd_teacher")] == holm(p_values)
    table = list(csv.DictReader((tmp_path / "table-6.csv").read_text().splitlines()))
    assert [row["model"] for row in table] == ["alpha 0.5", "alpha 0.75", "AMKD", "AMKD teacher"]
    assert table[0]["minus AMKD (95 %)"] == "same as AMKD"
    assert [row[PUBLISHED] for row in table] == ["0.673 ± 0.087", "0.693 ± 0.101", "", ""]
    assert not (tmp_path / "cells" / "alpha-0-5").exists()
    first = json.loads((tmp_path / "metrics.json").read_text())["rows"][0]
    assert (first["name"], first["same_as"], first["minus_amkd"]) == ("alpha 0.5", AMKD, None)


def test_unknown_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="no model 'resnet' to compare; known are amkd, undistilled, abmil"):
        recipes_of(["resnet"])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_published_figures_belong_to_their_cohorts() -> None:
    assert published(2, "crad")["amkd"] == "0.668 ± 0.081"
    assert published(6, "stad")["alpha 0.5"] == "0.654 ± 0.057"
    assert published(2, None) == {}
    assert published(4, "hnsc")["pomp_style"] == "0.545 (POMP)"  # another network than ours
    assert published(4, None) == published(5, None) == {}
    assert set(published(2, "brca")) == set(COMPARED)
    assert [cohort_of(name) for name in ("TCGA-BRCA", "coadread", "mine")] == ["brca", "crad", None]


def test_latex_is_escaped() -> None:
    assert escaped("50 % of a_b & c ± 1") == r"50 \% of a\_b \& c $\pm$ 1"
    assert escaped("-0.008 (-0.155 to +0.130)") == "$-$0.008 ($-$0.155 to +0.130)"
    assert escaped("7.20e-39, G-HANet, p < 0.01") == "7.20e-39, G-HANet, p $<$ 0.01"


def assert_latex_is_sound(text: str, n_columns: int, n_rows: int) -> None:
    """Braces and environments are balanced, every row has its cells, and no character is left that LaTeX would read."""
    depth, open_ones = 0, []
    for line in text.splitlines():
        if line.startswith("% "):
            continue
        depth += len(re.findall(r"(?<!\\)\{", line)) - len(re.findall(r"(?<!\\)\}", line))
        for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", line):
            if kind == "begin":
                open_ones.append(name)
            else:
                assert open_ones.pop() == name
        bare = re.sub(r"\\[#%&_$]|\{%$", "", line)
        assert not re.search(r"[#%~^]", bare), line
        assert re.sub(r"\$(-|<|>|\\pm|\\leq|\\alpha)\$", "", bare).count("$") == 0, line
        assert bare.isascii(), line
    assert depth == 0
    assert not open_ones
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == n_rows + 1
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {n_columns}


def test_latex_of_awkward_cells_is_sound() -> None:
    nasty = r"a_b & 5 % of {x} #1 ~ ^ $ \ < > ± α -1"
    for width in (1, 3):
        table = ReportTable(nasty, ("model",) * 3, ((nasty * width,) * 3,) * 2, nasty)
        text = latex_of(table)
        assert_latex_is_sound(text, 3, 2)
        assert (r"\resizebox" in text) == ("graphicx" in text)
    assert r"\resizebox" not in latex_of(ReportTable("c", ("a", "b"), (("1", "2"),)))


def test_written_tables_are_sound_latex_and_say_that_the_patients_are_simulated(written) -> None:
    out, _ = written
    for name in ("table-2", "table-3", "table-4"):
        rows = list(csv.reader((out / f"{name}.csv").read_text().splitlines()))
        text = (out / f"{name}.tex").read_text()
        assert rows[0][-1] == "notices"  # LaTeX has them as a note
        assert_latex_is_sound(text, len(rows[0]) - 1, len(rows) - 1)
        assert r"\caption{SYNTHETIC. Table" in text
    assert "(SYNTHETIC): log-rank" in (out / "figures" / "kaplan-meier-amkd.svg").read_text()
    page = (out / "report.html").read_text()
    assert "genome-informed hyper-attention network" in page
    assert "whole-slide images alone" in page


@pytest.mark.usefixtures("in_this_process", "no_pictures")
def test_commands(tiny_toml: Path, tmp_path: Path) -> None:
    sets = [part for item in (*QUICK, "student.epochs=1") for part in ("--set", item)]
    run = CliRunner().invoke(
        app, ["benchmark", "--cohort", str(tiny_toml), "--out", str(tmp_path / "b"), "--models", "mlp", *sets]
    )
    assert run.exit_code == 0, run.output
    assert "SYNTHETIC" in run.output
    assert "MLP: C-index" in run.output
    wrong = CliRunner().invoke(app, ["benchmark", "--cohort", str(tiny_toml), "--models", "mpl", *sets])
    assert wrong.exit_code == 2
    assert "no model 'mpl'" in wrong.output
    many = ["--set", "n_bins=50", "--out", str(tmp_path / "many")]
    for command in (["benchmark", "--models", "snn"], ["ablate", "--table", "6"]):
        uncut = CliRunner().invoke(app, [*command, "--cohort", str(tiny_toml), *sets, *many])
        assert uncut.exit_code == 2
        assert "fold 1: 50 time bins need" in uncut.output
        assert ("another budget than all other rows" in uncut.output) == ("ablate" in command)
        assert not (tmp_path / "many").exists()
    nothing = CliRunner().invoke(app, ["benchmark", "--cohort", str(tiny_toml), "--models", " , ", *sets])
    assert nothing.exit_code == 2
    assert "names no model" in nothing.output
    neither = CliRunner().invoke(app, ["ablate", "--cohort", str(tiny_toml)])
    assert neither.exit_code == 2
    assert "either --table 5 or 6, or --switch" in neither.output


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("command", "writer"),
    [
        (("benchmark", "--models", "mlp"), "write_benchmark"),
        (("ablate", "--switch", "distill.arr=none"), "write_ablation"),
    ],
)
def test_tables_are_written_while_the_folder_is_held(
    command: tuple[str, ...], writer: str, tiny_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def writing(out: Path, *_: object) -> list:
        held.append((out / HOLDER).exists())
        return []

    monkeypatch.setattr(comparison_report, writer, writing)
    sets = [part for item in (*QUICK, "student.epochs=1") for part in ("--set", item)]
    words = [*command, "--cohort", str(tiny_toml), "--out", str(tmp_path / "out"), *sets]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert held == [True]


@pytest.mark.parametrize(
    "command", [("benchmark", "--models", "snn"), ("ablate", "--switch", "distill.arr=none")]
)
def test_comparisons_stop_at_a_table_of_few_pathways_genes(command: tuple[str, ...], tmp_path: Path) -> None:
    toml = write_tiny_cohort(
        tmp_path, name="t", n_patients=40, width=8, patches=(3, 4), pathways=((0, 1), (2, 3))
    )
    with (tmp_path / "pathways.gmt").open("a") as gmt:
        gmt.write("Q\tx\tH1\tG0\tH2\n")
    words = [*command, "--cohort", str(toml), "--out", str(tmp_path / "out"), "--set", "n_bins=50"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "1 of 3 pathways have less than 50% of theirs in it (Q 33%)" in done.output
    assert "time bins" not in done.output
    confirmed = ["--set", "cohort.min_genes=0.66", "--set", "cohort.min_pathway_genes=0.33"]
    done = CliRunner().invoke(app, [*words, *confirmed])
    assert "Warning: 1 of 3 pathways are left out" in done.output
    assert "50 time bins need" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("in_this_process", "no_pictures")
def test_commands_say_how_folds_are_made_and_cross_validate_a_table_with_a_split(tmp_path: Path) -> None:
    parts = ("train", "train", "train", "validation", "test")
    toml = write_tiny_cohort(
        tmp_path / "cohort", name="mine", n_patients=40, split=parts,
        width=5, patches=(4, 9), pathways=((0, 1, 2), (3, 4, 5), (6, 7)),
    )  # fmt: skip
    sets = [part for item in (*QUICK, "student.epochs=1") for part in ("--set", item)]

    def run(command: str, out: str, *more: str) -> str:
        start = [*command.split(), "--cohort", str(toml), "--out", str(tmp_path / out), *sets, *more]
        found = CliRunner().invoke(app, start)
        assert found.exit_code == 0, found.output
        return found.output

    own = "one split, that of the clinical table's column split (the setting folds = 2 is not used; --ignore-split"
    said = run("benchmark --models mlp", "one")
    assert said.index(f"Folds: {own}") < said.index("MLP: C-index")
    assert own[1:] in html.unescape((tmp_path / "one" / "report.html").read_text())
    assert "Folds: 2 folds, deaths shared out alike" in run("benchmark --models mlp", "two", "--ignore-split")
    assert "2 folds, deaths shared out alike, the same" in (tmp_path / "two" / "report.html").read_text()
    assert len(json.loads((tmp_path / "two" / "folds.json").read_text())["folds"]) == 2
    again = run("benchmark --models mlp", "two", "--set", "cohort.use_split=false")
    assert "Folds: 2 folds" in again
    switch = "ablate --switch student.patience=1"
    assert "Folds: 2 folds" in run(switch, "three", "--ignore-split")


def test_folds_of_a_file_and_groups_are_named(tiny_toml: Path, config) -> None:
    cohort = read_cohort(tiny_toml)
    given = replace(cohort, file=cohort.file.model_copy(update={"folds": Path("given.csv")}))
    assert (
        folds_in_words(given, config.folds, setting=True)
        == "the folds of given.csv (the setting folds = 2 is not used)"
    )
    grouped = replace(cohort, file=cohort.file.model_copy(update={"group": "hospital"}))
    assert folds_in_words(grouped, config.folds).endswith(
        "shared out alike, patients of one hospital kept together"
    )


def test_p_value_is_small_for_a_real_difference_and_one_for_none() -> None:
    rng = np.random.default_rng(0)
    risk = rng.normal(size=80)
    outcome = Outcome(np.exp(2 - risk), np.ones(80, dtype=bool))
    noise = rng.normal(size=80)
    assert paired_difference(outcome, noise, risk, generator=np.random.default_rng(1)).p_value < 0.01
    assert paired_difference(outcome, risk, risk, generator=np.random.default_rng(1)).p_value == 1


def test_the_least_p_that_resamples_can_show_is_marked_as_a_bound(finished) -> None:
    rng = np.random.default_rng(0)
    risk = rng.normal(size=80)
    outcome = Outcome(np.exp(2 - risk), np.ones(80, dtype=bool))
    for n_resamples, told in ((100, "≤ 0.020"), (1000, "≤ 0.002")):
        gap = paired_difference(
            outcome, -risk, risk, generator=np.random.default_rng(1), n_resamples=n_resamples
        )
        assert p_text(gap.p_value, gap) == told
    assert p_text(0.03, replace(gap, is_least=False)) == "0.030"
    row = replace(rows_of(finished[2], n_resamples=50)[0], gap=gap, p_corrected=0.06)
    assert TOO_FEW in concordance_table([row], "c", {}).note
    assert TOO_FEW not in concordance_table([replace(row, p_corrected=0.04)], "c", {}).note


def test_the_protocol_tells_another_budget_and_the_loss(finished) -> None:
    _, _, found = finished
    config = load_config(None, QUICK)
    same = config.model_copy(update={"teacher": config.student})
    other = config.model_copy(update={"teacher": config.student.model_copy(update={"epochs": 9})})
    assert unequal_budget(found.recipes, same) == ""
    assert "another budget than all other rows, that of teacher.*: 9 epochs of Adam" in unequal_budget(
        found.recipes, other
    )
    assert unequal_budget(recipes_of(("snn", "mlp")), other) == ""
    assert unequal_budget(found.recipes, other) in protocol(found, other)
    cox = " ".join(protocol(found, load_config(None, [*QUICK, "survival_loss=cox", "student.cox_window=20"])))
    assert "Cox's partial likelihood (Breslow)" in cox
    assert "20 patients a step" in cox
    assert "bins" not in cox


@pytest.mark.usefixtures("in_this_process")
def test_cells_of_other_versions_are_told(finished, config, tmp_path: Path) -> None:
    out, cohort, comparison = finished
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    record = json.loads((copy / "run.json").read_text())
    record["environment"]["torch"] = "1.0"
    (copy / "run.json").write_text(json.dumps(record))

    def warned() -> list[str]:
        found = drain(compare(cohort, recipes_of(NAMES), config, copy, external=comparison.external))
        return [warning for warning in found.cohort.warnings if "different versions" in warning]

    assert warned() == []  # nothing was left to train
    (copy / "cells" / "snn" / "fold-2.csv").unlink()
    (told,) = warned()
    assert f"torch 1.0 and {torch.__version__}" in told
    assert warned() == [told]


@pytest.mark.usefixtures("in_this_process", "no_pictures")
def test_external_cohort_without_expression_is_scored_by_models_of_slides(
    tiny_toml: Path, other_toml: Path, config, tmp_path: Path
) -> None:
    toml = _copied(other_toml, tmp_path)
    lines = toml.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("expression", "pathways"))]
    toml.write_text("\n".join(kept) + "\n")
    (tmp_path / "bags").unlink()
    shutil.copytree(other_toml.parent / "bags", tmp_path / "bags")
    (tmp_path / "bags" / "Q05s.h5").unlink()
    sets = [part for item in (*QUICK, "student.epochs=1") for part in ("--set", item)]
    places = ["--cohort", str(tiny_toml), "--external", str(toml), "--out", str(tmp_path / "run")]
    run = CliRunner().invoke(app, ["benchmark", *places, "--models", "ghanet,mlp", *sets])
    assert run.exit_code == 0, run.output
    kept_out = "1 patient kept out: no slide or bag in the folders (Q05)"
    assert f"External cohort CPTAC-BRCA: {kept_out}" in run.output
    cohort, recipes = read_cohort(tiny_toml), recipes_of(["ghanet", "mlp"])
    short = changed(config, ["student.epochs=1"])
    found = drain(compare(cohort, recipes, short, tmp_path / "run", external=read_external_cohort(toml)))
    table = external_table(found, n_resamples=50)
    assert table is not None
    assert table.caption == "Table 4: external cohort CPTAC-BRCA, 11 patients"
    assert f"Nothing was fitted on these patients. {kept_out}." in table.note
    assert [row[0] for row in table.rows] == ["G-HANet", "MLP"]
    assert "±" in table.rows[0][1]
    assert table.rows[1][1] == "needs genes, which the cohort lacks"


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (
            {"features": None},
            CohortError,
            r"the models of cohort TCGA-BRCA are trained on slides of 1 of the 12 patients \(Q03\), so",
        ),
        (
            {"encoder": encoder_identity(5, "uni")},
            BundleMismatchError,
            r"made with encoder name 'uni', but a model of cohort TCGA-BRCA needs 'texture'",
        ),
        ({"patch_size_px": 512}, BundleMismatchError, "patches of 512 px, but a model of .* needs 256 px"),
        ({"mpp": 0.47}, BundleMismatchError, "at 0.47 um per px, but a model of .* needs 0.5 um per px"),
    ],
)
def test_bags_that_are_known_or_of_another_kind_make_no_external_cohort(
    change: dict, error: type[Exception], sentence: str, finished, tmp_path: Path
) -> None:
    _, cohort, found = finished
    bags = read_bags(found.external, found.external.file.bags)
    if "features" in change:
        seen = read_bag(cohort.file.bags / "P07s.h5")
        bags["Q03"] = replace(bags["Q03"], features=seen.features)
    else:
        bags = {name: replace(bag, **change) for name, bag in bags.items()}
    for name, bag in bags.items():
        write_bag(tmp_path / "bags" / f"{name}s.h5", replace(bag, slide_id=f"{name}s"))
    file = found.external.file.model_copy(
        update={"bags": tmp_path / "bags", "encoder": bags["Q00"].encoder.name}
    )
    other = replace(found.external, file=file)
    with pytest.raises(error, match=sentence):
        drain(compare(cohort, recipes_of(NAMES), load_config(None, QUICK), tmp_path / "run", external=other))
    assert not (tmp_path / "run" / "cells").exists()


def test_patients_of_the_cohort_make_no_external_cohort_for_models_of_genes(
    tiny_toml: Path, config, tmp_path: Path
) -> None:
    cohort = read_cohort(_without_bags(tiny_toml, tmp_path))
    sentence = r"^the models of cohort TCGA-BRCA are trained on 40 of the 40 patients \(P00, P01, P02, P03, P04, ...\),"
    with pytest.raises(CohortError, match=sentence):
        drain(compare(cohort, recipes_of(["snn"]), config, tmp_path / "run", external=cohort))
    assert not (tmp_path / "run" / "cells").exists()


@pytest.mark.usefixtures("in_this_process")
def test_models_of_genes_score_the_external_patients_whose_genes_are_known(
    tiny_toml: Path, other_toml: Path, config, tmp_path: Path
) -> None:
    toml = _copied(other_toml, tmp_path)
    table = pd.read_csv(toml.parent / "expression.csv", dtype={"patient_id": str})
    (tmp_path / "expression.csv").unlink()
    table.drop(index=[3, 4]).to_csv(tmp_path / "expression.csv", index=False)
    short = changed(config, ["student.epochs=1"])
    cohort, recipes = read_cohort(tiny_toml), recipes_of(["mlp", "mcat", "ghanet"])
    found = drain(compare(cohort, recipes, short, tmp_path / "run", external=read_external_cohort(toml)))
    shown = external_table(found, n_resamples=50)
    assert [row[3] for row in shown.rows] == ["10", "10", "12"]
    assert all("±" in row[1] for row in shown.rows)
    assert (
        "2 of 12 patients have no expression (Q03, Q04) and are not scored by models that predict from"
        in shown.note
    )
    scored = found.predictions[
        (found.predictions["part"] == "external") & (found.predictions["model"] == "mlp")
    ]
    assert not set(scored["patient_id"]) & {"Q03", "Q04"}


def test_a_missing_gene_counts_as_the_training_mean_and_many_are_refused(other_toml: Path, inputs) -> None:
    other = read_external_cohort(other_toml)
    wanted = tuple(f"G{i}" for i in range(10))
    measured = tuple(name for name in wanted if name != "G2")
    table = ExpressionTable(other.expression.patients, measured, np.full((12, 9), 3.0))
    lacking = replace(other, expression=table)
    fitted = replace(
        inputs.fitted,
        scaling=GeneScaling(np.full(10, 2.0), np.ones(10)),
        membership=replace(inputs.fitted.membership, genes=wanted),
    )
    examples, readable = external_examples(
        lacking, read_bags(other, other.file.bags), replace(inputs, fitted=fitted)
    )
    assert len(readable) == 12
    assert examples[0].genes.tolist() == [1, 1, 0, 1, 1, 1, 1, 1, 1, 1]
    few = readable_genes(lacking, wanted[:9])
    assert few.patients == ()
    assert few.reason == "needs genes, of which the cohort's expression covers 89%, not 90%"


def test_an_external_cohort_without_a_comparable_pair_is_not_estimable(
    finished, config, tmp_path: Path
) -> None:
    found = finished[2]
    alive = tuple(replace(patient, event=False) for patient in found.external.patients)
    silent = replace(found, external=replace(found.external, patients=alive))
    table = external_table(silent, n_resamples=50)
    assert [row[1:4] for row in table.rows] == [("not estimable", "not estimable", "12")] * 4
    record = comparison_record(silent, config, [], external_rows(silent, n_resamples=50)).external
    assert record.rows[0].c_index.mean is None
    assert "(0 events)" in record.rows[0].c_index_mean_rank.reason
    assert table.note.count("Not estimable: ") == 1
    assert "(0 events)" in table.note


def _called_like_the_training(finished, tmp_path: Path, first: str = "") -> tuple[Cohort, Cohort]:
    """Cohort and external cohort whose first patient has another slide, and the identifier of one trained on."""
    _, cohort, found = finished
    other, known = found.external, cohort.patients[0].patient_id
    bag = replace(read_bag(other.file.bags / "Q00s.h5"), slide_id="other")
    shutil.copytree(other.file.bags, tmp_path / "bags")
    write_bag(tmp_path / "bags" / "other.h5", bag)
    stranger = replace(other.patients[0], patient_id=known, slide_ids=("other",))
    genes = replace(other.expression, patients=(known, *other.expression.patients[1:]))
    file = other.file.model_copy(update={"bags": tmp_path / "bags"})
    external = replace(other, file=file, patients=(stranger, *other.patients[1:]), expression=genes)
    return (_renamed(cohort, first), _renamed(external, first)) if first else (cohort, external)


def _renamed(cohort: Cohort, first: str) -> Cohort:
    patients, table = cohort.patients, cohort.expression
    old = patients[0].patient_id
    names = tuple(first if name == old else name for name in table.patients)
    renamed = (replace(patients[0], patient_id=first), *patients[1:])
    return replace(cohort, patients=renamed, expression=replace(table, patients=names))


def test_a_patient_of_the_cohort_with_another_slide_makes_no_external_cohort(
    finished, config, tmp_path: Path
) -> None:
    cohort, other = _called_like_the_training(finished, tmp_path)
    sentence = (
        r"^the models of cohort TCGA-BRCA are trained on 1 of the 12 patients \(P00\), so .* of their own$"
    )
    with pytest.raises(CohortError, match=sentence):
        drain(compare(cohort, recipes_of(NAMES), config, tmp_path / "run", external=other))
    assert not (tmp_path / "run" / "cells").exists()


def test_running_numbers_of_simulated_patients_are_warned_of_below_table_4(finished, tmp_path: Path) -> None:
    cohort, other = _called_like_the_training(finished, tmp_path, simulated_id(0))
    check_external_patients(other, cohort, have_slides=True)
    with pytest.raises(CohortError, match=r"trained on 1 of the 12 patients \(SIM-0001\)"):
        check_external_patients(other, cohort, have_slides=False)
    found = finished[2]
    predictions = found.predictions.replace({"patient_id": {"Q00": "SIM-0001"}})
    renamed = replace(found, cohort=cohort, external=other, predictions=predictions)
    note = external_table(renamed, n_resamples=50).note
    assert note.startswith(
        "Warning: 1 of these patients bear identifiers of patients that the models were trained on"
    )
    assert "Nothing was fitted" not in note


def test_another_endpoint_is_warned_of_below_table_4(finished) -> None:
    _, _, found = finished
    assert "Warning" not in external_table(found, n_resamples=50).note
    file = found.external.file.model_copy(update={"endpoint": "pfi"})
    note = external_table(replace(found, external=replace(found.external, file=file)), n_resamples=50).note
    assert "Warning: the models were trained for endpoint os, but this cohort's is pfi." in note


@pytest.mark.slow
def test_a_killed_command_goes_on_and_ends_alike(tiny_toml: Path, tmp_path: Path) -> None:
    words = [part for item in QUICK for part in ("--set", item)]

    def start(out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "amkd_core.cli.main", "benchmark", "--cohort", str(tiny_toml)]
        return subprocess.Popen([*command, "--out", str(out), "--models", "abmil,snn,amkd", *words])

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait(timeout=200) == 0
    process = start(killed)
    while not list((killed / "cells").glob("*/fold-*.csv")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    first = next((killed / "cells").glob("*/fold-*.csv"))
    made = first.stat().st_mtime_ns
    assert start(killed).wait(timeout=200) == 0
    assert first.stat().st_mtime_ns == made
    assert (killed / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    assert (killed / "table-2.csv").read_bytes() == (whole / "table-2.csv").read_bytes()
