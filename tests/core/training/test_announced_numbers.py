"""Numbers printed side by side add up, and what is drawn and said fits a cohort without folds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from statistics_fixtures import QUICK, made_run

from amkd_core.export.cohort_figures import FoldScores, draw_folds
from amkd_core.training.report_text import result_sections
from amkd_core.training.scored import scored_models
from amkd_core.training.statistics import run_statistics
from amkd_core.training.statistics_record import RunStatistics


def statistics_of(n_patients: int, n_folds: int) -> RunStatistics:
    made = made_run(n_patients, n_folds)
    models = scored_models(made.cohort, made.splits, made.predictions, made.bins)
    return run_statistics(made.cohort, made.splits, models, seed=0, effort=QUICK)


@pytest.fixture(scope="module")
def of_folds() -> RunStatistics:
    return statistics_of(150, 3)


@pytest.fixture(scope="module")
def of_one_split() -> RunStatistics:
    return statistics_of(150, 1)


def test_the_gain_that_is_printed_is_the_difference_of_the_figures_beside_it(of_folds: RunStatistics) -> None:
    lines = {line.partition(":")[0]: line for line in str(of_folds).splitlines()}
    alone = lines["age and stage alone"]
    found = re.fullmatch(
        r"age and stage alone: C-index \S+ ± \S+ over 3 folds; all test patients, within folds: (\d\.\d{3}) \[.*\]",
        alone,
    )
    assert found, alone
    line = lines["age, stage and student"]
    parts = re.fullmatch(
        r"age, stage and student: C-index (\S+) within folds, gain (\S+) \[.*\] over (\S+)", line
    )
    assert parts, line
    combined, gain, without = (float(text) for text in parts.groups())
    assert combined - without == pytest.approx(gain, abs=0.0011)
    assert without == pytest.approx(float(found[1]), abs=0.0011)


def test_one_split_says_why_nothing_is_combined(of_one_split: RunStatistics) -> None:
    lines = str(of_one_split).splitlines()
    reason = of_one_split.added["student"].combined.reason
    assert "fold" in reason
    assert f"age, stage and student: C-index not estimable ({reason})" in lines
    (alone,) = (line for line in lines if line.startswith("age and stage alone"))
    assert "over 1 folds" not in alone
    assert re.search(r"C-index 0\.\d{3} \[", alone)


def test_the_caption_of_the_risks_names_folds_where_there_are_some(
    of_folds: RunStatistics, of_one_split: RunStatistics
) -> None:
    def caption(statistics: RunStatistics) -> str:
        sections = result_sections(statistics, {"risks": Path("risks.png")})
        return sections[0].figures[0].caption

    assert caption(of_folds).startswith("Risk of every test patient, by fold; the bar is the border")
    assert caption(of_one_split).startswith("Risk of every test patient; the bar is the border")


@pytest.mark.parametrize("chance", [0.5, 0.615, 0.625, 0.7])
def test_the_words_of_the_chance_line_hide_no_fold(chance: float) -> None:
    figure = Figure(figsize=(5.8, 4.2), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    by_fold = {fold: 0.6 + 0.02 * fold for fold in range(1, 6)}
    draw_folds(
        figure, [FoldScores("student", by_fold, 0.66), FoldScores("teacher", by_fold, 0.62)], chance=chance
    )
    canvas.draw()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [f"chance line {chance:.3f}"]
    box = legend.get_window_extent()
    assert not any(box.overlaps(text.get_window_extent()) for text in axes.texts)
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(points) == 10
    for line in points:
        place = axes.transData.transform(np.column_stack(line.get_data()))[0]
        assert not box.padded(4).contains(*place)
