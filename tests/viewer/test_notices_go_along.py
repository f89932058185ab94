"""A risk is nowhere without the notices that take its meaning away: in panels, pictures and tables."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundle_fixtures import random_bag, random_bundle
from matplotlib.figure import Figure
from qtpy.QtGui import QGuiApplication
from research_words import files_without_words

from amkd_core.export.scores import notice_codes, write_results_table, write_scores_csv
from amkd_core.inference.pathway_table import EffectRow, ranked_pathways
from amkd_core.inference.predict import predict_bag
from amkd_core.notices import Notice
from amkd_core.slides import open_slide
from amkd_viewer.colours import ink_on, window_colours
from amkd_viewer.exports import KINDS, ExportOrder, write_all
from amkd_viewer.pathway_bars import attention_bars
from amkd_viewer.plot_foot import with_words
from amkd_viewer.plots import (
    ATTENTION_AXIS,
    draw_pathway_bars,
    draw_survival,
    effect_table,
    survival_table,
    write_plot,
)
from amkd_viewer.wording import (
    RESEARCH_USE,
    curve_words,
    group_sentence,
    group_text,
    pathway_words,
    told_text,
)

NOT_HE = "This slide does not look like H&E (brown, $5 a_{1}$ of $it); do not use this result."


@pytest.fixture(scope="module")
def doubtful():
    found = predict_bag(random_bag(12), random_bundle())
    return replace(found, notices=(*found.notices, Notice("not_he", NOT_HE)))


def test_panel_curve_and_badge_say_what_speaks_against_a_risk_and_where_the_groups_part(
    predicted, viewer, dock, doubtful, spin
) -> None:
    panel = dock("Survival")
    assert predicted.result.notices.sentences
    assert panel.notices.sentences == predicted.result.notices.sentences
    assert panel.notices.isVisibleTo(panel)
    one = f"{predicted.outcome.risk_group} risk is"
    for sentence in (predicted.result.sentence.text(), panel.sentence.text()):
        assert "; higher is worse)" in sentence
        assert one in sentence.lower()
        assert sentence.endswith("the training patients' median risk.")
    a_copied_curve_bears_its_words(panel, spin)
    the_badge_says_that_a_group_is_in_doubt(predicted, viewer, doubtful)


def a_copied_curve_bears_its_words(panel, spin) -> None:
    spin(lambda: panel.curve._image is not None)
    shown = panel.curve._image
    panel.curve.copy()
    copied = QGuiApplication.clipboard().image()
    assert copied.width() == shown.width()
    assert copied.height() > shown.height() + 60
    top = next(y for y in range(copied.height()) if copied.copy(0, y, shown.width(), shown.height()) == shown)
    assert top > 0


def the_badge_says_that_a_group_is_in_doubt(predicted, viewer, doubtful) -> None:
    result, badge = predicted.result, predicted.result.group
    plain = replace(predicted.outcome, notices=predicted.outcome.notices[:1])
    for theme in ("dark", "light"):
        viewer.theme = theme
        result.show_prediction(replace(plain, notices=(*plain.notices, doubtful.notices[-1])))
        assert badge.text() == f"DOUBTFUL:\n{plain.risk_group.upper()} RISK"
        assert "background" not in badge.styleSheet()
        result.show_prediction(plain)
        assert badge.text() == f"{plain.risk_group.upper()} RISK" == group_text(plain)
        assert "background" in badge.styleSheet()
    assert ink_on("#000000") != ink_on("#ffffff")


def test_several_models_vote_on_which_side_of_the_median_a_risk_is(doubtful) -> None:
    several = replace(doubtful, member_risks=np.array([0.1, 0.2]), risk_group="low")
    said = "Low risk is not above the training patients' median risk, by more than half of the 2 models."
    assert group_sentence(several) == said
    said = "High risk is above the training patients' median risk, by at least half of the 2 models."
    assert group_sentence(replace(several, risk_group="high")) == said


def test_a_saved_curve_bears_its_words_and_keeps_its_size(doubtful, tmp_path: Path) -> None:
    bare = partial(draw_survival, prediction=doubtful)
    figure = Figure(figsize=(7, 5), layout="constrained")
    with_words(bare, curve_words(doubtful))(figure, window_colours("light"))
    figure.draw_without_rendering()
    (foot,) = figure.texts[1:] if len(figure.texts) > 1 else figure.texts
    said = foot.get_text().replace("\n", " ")
    for sentence in (RESEARCH_USE, NOT_HE, told_text(doubtful)):
        assert sentence in said
    assert figure.get_suptitle() == "Predicted overall survival of this slide"
    below = figure.axes[0].get_tightbbox().y0
    box = foot.get_window_extent()
    assert 0 <= box.y0 < box.y1 <= below, "the words lie below the plot, all of them on the paper"
    assert box.x1 <= figure.bbox.width
    assert figure.axes[0].get_window_extent().height > 0.75 * 5 * figure.dpi
    for kind in ("png", "svg"):
        path = write_plot(
            tmp_path / f"a.{kind}", with_words(bare, curve_words(doubtful)), survival_table(doubtful), (5, 4)
        )
        assert path.stat().st_size


def test_tables_bear_the_notices_in_every_row(doubtful, tmp_path: Path) -> None:
    write_scores_csv(tmp_path / "scores.csv", doubtful)
    write_plot(
        tmp_path / "curve.csv", partial(draw_survival, prediction=doubtful), survival_table(doubtful), (5, 4)
    )
    for name in ("scores.csv", "curve.csv"):
        table = pd.read_csv(tmp_path / name)
        assert table["notices"].notna().all()
        for code in ("research_only", "synthetic_bundle", "not_he"):
            assert table["notices"].str.split().map(lambda codes, code=code: code in codes).all()
    curve = table[table["curve"] == "this slide"]
    assert set(curve["endpoint"]) == {"os"}
    assert curve["shaped_by"].iloc[0] == "model"
    assert np.issubdtype(curve["survival"].dtype, np.floating)
    write_results_table(tmp_path / "results.csv", [doubtful])
    assert "bundle_sha256" in pd.read_csv(tmp_path / "results.csv").columns


def test_bars_of_pathways_leave_their_panel_with_words_and_notices(doubtful, tmp_path: Path) -> None:
    bundle = random_bundle()
    taught = predict_bag(random_bag(12), bundle, genes=dict.fromkeys(bundle.card.genes, 5.0))
    taught = replace(taught, notices=(*taught.notices, doubtful.notices[-1]))
    chart = attention_bars(taught, taught.teacher)
    draw = with_words(partial(draw_pathway_bars, groups=chart.groups), pathway_words(taught, chart.text))
    figure = Figure(figsize=(9.5, 3), layout="constrained")
    draw(figure, window_colours("light"))
    figure.draw_without_rendering()
    foot, label = (
        next(text for text in figure.texts if text.get_text().startswith(start))
        for start in (RESEARCH_USE[:8], ATTENTION_AXIS)
    )
    said = foot.get_text().replace("\n", " ")
    assert RESEARCH_USE in said
    assert NOT_HE in said
    assert foot.get_window_extent().y1 <= label.get_window_extent().y0, "the axis is named above the words"
    effects = [EffectRow(row.rank, row.name, -0.5) for row in ranked_pathways(taught.teacher)]
    for table in (chart.table(), effect_table(effects, effects, notice_codes(taught))):
        found = pd.read_csv(write_plot(tmp_path / "bars.csv", draw, table, (5, 4)))
        assert len(found) == len(effects)
        assert set(found["notices"]) == {notice_codes(taught)}
        assert {"research_only", "not_he"} <= set(found["notices"][0].split())


def test_all_that_the_window_exports_says_what_it_is_for(doubtful, slide_path: Path, tmp_path: Path) -> None:
    with open_slide(slide_path) as slide:
        prediction = replace(doubtful, bag=replace(doubtful.bag, slide_fingerprint=slide.info.fingerprint))
        order = ExportOrder(tmp_path, tuple(KINDS), "student", 3, identified=False, info=slide.info)
        written = write_all(order, prediction)
    assert len(written) == len(KINDS)
    write_results_table(tmp_path / "results.csv", [prediction])
    pictures = [name for name in written if name.endswith("-figure.png")]  # drawn as in the report
    assert [name for name in files_without_words(tmp_path) if name not in pictures] == []
