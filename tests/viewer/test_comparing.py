"""Teacher and student side by side, pathways, survival, in real windows."""

from __future__ import annotations

import csv
import math
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bundle_fixtures import some_effects
from matplotlib.colors import to_hex
from pixels import colours_of
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QLabel

from amkd_core.inference.comparison import compare_maps
from amkd_core.inference.maps import heatmap
from amkd_core.inference.pathway_table import (
    cohort_effects,
    cohort_pathways,
    pathway_genes,
    patient_effects,
    ranked_pathways,
)
from amkd_core.inference.survival_summary import told_until
from amkd_viewer import figure_widget
from amkd_viewer.plots import LEAST, MOST, PAPER, draw_pathway_bars
from amkd_viewer.wording import agreement_text


def click(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def choose(box, title: str) -> None:
    """Choose from a list as the user does."""
    box.setCurrentText(title)
    box.activated.emit(box.currentIndex())


@pytest.mark.one_window
def test_teacher_and_student_side_by_side_with_one_camera(taught, dock, viewer, qtbot, spin) -> None:
    compare = dock("Compare teacher and student")
    spin(lambda: compare.beside is not None)
    prediction = compare.workspace.prediction
    left, right = (canvas.model for canvas in compare.beside.row.canvases)
    for model, source in ((left, "teacher"), (right, "student")):
        np.testing.assert_array_equal(model.layers[1].data, heatmap(prediction, source=source).image)
        assert model.layers[0].multiscale
    left.scene.camera.zoom, left.scene.camera.center = 0.8, (0.0, 300.0, 500.0)
    assert right.scene.camera.zoom == 0.8
    assert tuple(right.scene.camera.center) == (0.0, 300.0, 500.0)
    right.scene.camera.zoom = 0.3
    assert left.scene.camera.zoom == 0.3
    assert compare.agreement.text() == agreement_text(compare_maps(prediction, prediction).agreement)
    compare.difference.setChecked(True)
    third = compare.beside.row.canvases[2].model
    np.testing.assert_allclose(third.layers[1].data, compare_maps(prediction, prediction).difference.image)
    # Both canvases really draw: the teacher's map is to be seen on the left and another on the right.
    spin(lambda: all(layer.loaded for layer in (*left.layers, *right.layers)))
    qtbot.wait(300)
    pictures = [
        canvas.qt_viewer.screenshot(flash=False).astype(int) for canvas in compare.beside.row.canvases[:2]
    ]
    yellow = [(p[..., 0] > 170) & (p[..., 1] > 150) & (p[..., 2] < 140) for p in pictures]
    assert all(seen.mean() > 0.001 for seen in yellow)
    width = min(seen.shape[1] for seen in yellow)
    assert (yellow[0][:, :width] != yellow[1][:, :width]).mean() > 0.001


@pytest.mark.one_window
def test_without_expression_nothing_is_compared_and_it_is_said(predicted, dock, spin) -> None:
    compare = dock("Compare teacher and student")
    spin(compare.missing.isVisible)
    assert "expression" in compare.missing.text()
    assert compare.beside is None
    read = {label.text() for label in compare.findChildren(QLabel) if label.isVisible()}
    assert not {"Left", "Right"} & read, "no headings over nothing"


@pytest.mark.one_window(last=True)
def test_two_slides_are_shown_beside_one_another_without_a_number(
    predicted, dock, viewer, second_slide_path, spin
) -> None:
    predicted.open_slide(second_slide_path, run=True)
    spin(lambda: predicted.outcome is not None and predicted.outcome.slide_id == "second")
    compare = dock("Compare teacher and student")
    # They may be of two patients: nobody pairs them but the user.
    spin(lambda: "Choose the two maps" in compare.missing.text())
    assert compare.beside is None
    for box, name in ((compare.left, "first"), (compare.right, "second")):
        choose(box, f"Student: {name}, random")
    canvases = compare.beside.row.canvases
    assert [canvas.model.layers[0].name for canvas in canvases] == ["first", "second"]
    assert [canvas.title.text() for canvas in canvases] == [
        "Student: first, random",
        "Student: second, random",
    ]
    assert not compare.missing.isVisible()
    assert "different slides, first and second, which may be of two patients" in compare.agreement.text()


@pytest.mark.one_window
def test_the_pathways_panel_says_what_is_missing(predicted, dock, spin) -> None:
    panel = dock("Pathways")
    spin(panel.missing.isVisible)
    assert "z-scores" in panel.missing.text()
    assert not panel.table.isVisible()


def test_the_demo_slide_comes_with_its_patients_expression(  # noqa: PLR0917 (fixtures)
    panel, dock, slide_path, expression_path, tmp_path, qtbot, spin, monkeypatch
) -> None:
    monkeypatch.setattr("amkd_core.inference.demo.demo_folder", lambda: tmp_path)
    demo = tmp_path / "synthetic-demo-slide.tif"
    demo.symlink_to(slide_path)
    table = pd.read_csv(expression_path, usecols=["gene", "first"])
    table.rename(columns={"first": "the patient"}).to_csv(
        tmp_path / "synthetic-demo-slide-expression.csv", index=False
    )
    asked = dock("Pathways").expression
    assert not asked.demo_button.isVisible()
    panel.open_slide(demo)
    spin(asked.demo_button.isVisible)
    qtbot.mouseClick(asked.demo_button, Qt.MouseButton.LeftButton)
    spin(asked.run_button.isEnabled)
    assert panel.workspace.expression.patient == "the patient"
    assert not asked.demo_button.isVisible()
    asked.clear()
    panel.open_slide(slide_path)  # the same content, and not the demo's slide
    spin(lambda: panel.workspace.slide.name == "first")
    assert not asked.demo_button.isVisible()


@pytest.mark.one_window(last=True)
def test_expression_is_read_the_patient_found_and_the_teacher_run(  # noqa: PLR0917 (fixtures)
    predicted, dock, viewer, expression_path, qtbot, spin
) -> None:
    panel = dock("Pathways")
    panel.expression.read(expression_path)
    # The slide is called "first", and so is one of the three patients.
    spin(lambda: panel.workspace.expression is not None)
    assert panel.workspace.expression.patient == "first"
    click(qtbot, panel.expression.run_button)
    spin(lambda: panel.workspace.outcome is not None)
    prediction = panel.workspace.prediction
    assert prediction.teacher is not None
    assert panel.table.isVisible()
    rows = ranked_pathways(prediction.teacher)
    assert [panel.table.value(place, 1) for place in range(panel.table.n_shown)] == [row.name for row in rows]
    panel.table.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    assert panel.table.value(0, 1) == rows[-1].name
    panel.search.setText(rows[2].name.replace("_", " ").lower())
    assert panel.table.n_shown == 1
    panel.table.selectRow(0)
    shown = next(layer for layer in viewer.layers if layer.name.startswith("Attention"))
    np.testing.assert_array_equal(shown.data, heatmap(prediction, source=rows[2].name).image)
    bundle = panel.workspace.session.bundle(panel.workspace.bundle_path)
    expected = pathway_genes(bundle, panel.workspace.expression.genes, rows[2].name)
    spin(lambda: panel.genes.n_shown == len(expected))
    found = {panel.genes.value(place, 0): panel.genes.value(place, 2) for place in range(len(expected))}
    assert found == pytest.approx({gene.gene: gene.z_score for gene in expected})
    click(qtbot, panel.back_button)
    np.testing.assert_array_equal(shown.data, heatmap(prediction).image)


def bars_of(axes) -> list[tuple[str, float, str]]:
    """Name, length and colour of each bar, from the top."""
    names = dict(
        zip(axes.get_yticks().tolist(), (label.get_text() for label in axes.get_yticklabels()), strict=True)
    )
    found = [(bar.get_y() + bar.get_height() / 2, bar) for bar in axes.patches]
    by_place = {
        min(names, key=lambda place, middle=middle: abs(place - middle)): bar for middle, bar in found
    }
    return [
        (names[place], by_place[place].get_width(), to_hex(by_place[place].get_facecolor()))
        for place in sorted(names, reverse=True)
    ]


@pytest.mark.one_window
def test_the_patients_bars_stand_beside_the_training_cohorts(taught, dock, tmp_path, spin) -> None:
    panel = dock("Pathways")
    spin(lambda: panel.bars.figure is not None)
    prediction = panel.workspace.prediction
    patient = ranked_pathways(prediction.teacher)
    cohort = cohort_pathways(prediction.cohort, prediction.teacher.pathways)
    assert [entry.name for entry in patient] != [entry.name for entry in cohort]
    charts = panel.bars.figure.axes
    assert [axes.get_title("left") for axes in charts] == [
        "This patient", f"Training cohort ({prediction.cohort.size} patients)",
    ]  # fmt: skip
    for axes, rows in zip(charts, (patient, cohort), strict=True):
        shown = bars_of(axes)
        assert [name for name, _, _ in shown] == [row.name.replace("_", " ") for row in rows]
        np.testing.assert_allclose([length for _, length, _ in shown], [row.normalised for row in rows])
        # Figure 4's order of colours in both: here all four pathways are among the five most attended.
        assert {colour for _, _, colour in shown} == {MOST.lower()}
    assert "training cohort each" in panel.cohort.text()
    panel.bars.save(tmp_path / "bars.csv")
    spin((tmp_path / "bars.csv").exists)
    with (tmp_path / "bars.csv").open() as table:
        lines = list(csv.DictReader(table))
    by_name = {entry.name: entry for entry in cohort}
    assert [line["pathway"] for line in lines] == [entry.name for entry in patient]
    for line in lines:
        entry = by_name[line["pathway"]]
        assert int(line["cohort_rank"]) == entry.rank
        assert float(line["cohort_normalised"]) == pytest.approx(entry.normalised, abs=1e-5)


@pytest.mark.one_window
def test_a_model_without_its_cohorts_pathways_says_what_is_missing(taught, dock, monkeypatch, spin) -> None:
    prediction = taught.workspace.prediction
    older = replace(prediction, cohort=replace(prediction.cohort, pathway_attention=None))
    monkeypatch.setattr(type(taught.workspace), "prediction", older)
    panel = dock("Pathways")
    spin(lambda: panel.bars.figure is not None)
    assert len(panel.bars.figure.axes) == 1
    assert "Train the model again with amkd-train" in panel.cohort.text()


@pytest.mark.parametrize(("n_groups", "width_in", "shape"), [(2, 5, (2, 1)), (2, 10, (1, 2)), (1, 5, (1, 1))])
def test_charts_of_ten_bars_are_red_over_blue_and_stand_where_they_have_room(
    n_groups: int, width_in: float, shape: tuple[int, int]
) -> None:
    from matplotlib.figure import Figure

    most = [(f"P_{rank}", 1 - rank / 30) for rank in range(1, 6)]
    least = [(f"P_{rank}", 1 - rank / 30) for rank in range(16, 21)]
    figure = Figure(figsize=(width_in, 5))
    groups = [(f"group {number}", most, least) for number in range(n_groups)]
    draw_pathway_bars(figure, PAPER, groups=groups)
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    for axes in figure.axes:
        shown = bars_of(axes)
        assert [name for name, _, _ in shown] == [f"P {rank}" for rank in (1, 2, 3, 4, 5, 16, 17, 18, 19, 20)]
        assert [colour for _, _, colour in shown] == [MOST.lower()] * 5 + [LEAST.lower()] * 5


@pytest.mark.one_window
def test_effects_on_the_teachers_risk_stand_in_the_table_and_as_bars_either_side_of_0(
    taught, dock, tmp_path, spin
) -> None:
    panel = dock("Pathways")
    spin(lambda: panel.bars.figure is not None)
    prediction = panel.workspace.prediction
    own = patient_effects(prediction.teacher, prediction.cohort)
    added = {row.name: row.effect for row in own}
    shown = {panel.table.value(place, 1): panel.table.value(place, 3) for place in range(panel.table.n_shown)}
    assert shown == added
    panel.table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    assert panel.table.value(0, 1) == max(added, key=added.get)
    before = panel.bars.figure
    panel.measure.setCurrentIndex(1)
    spin(lambda: panel.bars.figure not in (None, before))
    cohort = cohort_effects(prediction.cohort, prediction.teacher.pathways)
    charts = panel.bars.figure.axes
    assert charts[1].get_title("left").endswith("patients), per SD")
    for axes, rows in zip(charts, (own, cohort), strict=True):
        expected = sorted((row.effect for row in rows if row.effect), reverse=True)
        bars = bars_of(axes)
        np.testing.assert_allclose([length for _, length, _ in bars], expected)
        assert [colour for *_, colour in bars] == [
            (MOST if value > 0 else LEAST).lower() for value in expected
        ]
    assert "explains 80% of the teacher's risk" in panel.cohort.text()
    panel.bars.save(tmp_path / "effects.csv")
    spin((tmp_path / "effects.csv").exists)
    with (tmp_path / "effects.csv").open() as table:
        lines = list(csv.DictReader(table))
    assert {line["pathway"]: float(line["adds_to_risk"]) for line in lines} == pytest.approx(added, abs=1e-5)


@pytest.mark.one_window
@pytest.mark.parametrize(
    ("effects", "sentence"),
    [(None, "made before they were kept"), (some_effects(4, explained=-0.2), "explains only 0% of it")],
)
def test_effects_that_do_not_stand_for_the_teacher_are_not_shown(  # noqa: PLR0917 (fixtures)
    taught, dock, monkeypatch, spin, effects, sentence: str
) -> None:
    prediction = taught.workspace.prediction
    other = replace(prediction, cohort=replace(prediction.cohort, pathway_effects=effects))
    monkeypatch.setattr(type(taught.workspace), "prediction", other)
    panel = dock("Pathways")
    spin(lambda: panel.bars.figure is not None)
    assert all(math.isnan(panel.table.value(place, 3)) for place in range(panel.table.n_shown))
    panel.measure.setCurrentIndex(1)
    assert sentence in panel.cohort.text()
    assert not panel.bars.isVisibleTo(panel)
    panel.measure.setCurrentIndex(0)
    assert panel.bars.isVisibleTo(panel)


@pytest.mark.one_window
def test_genes_are_sorted_by_z_score_and_pathways_unpinned(taught, dock, qtbot, spin) -> None:
    panel = dock("Pathways")
    panel.table.selectRow(1)
    spin(lambda: panel.genes.n_shown > 1)
    for order, sign in ((Qt.SortOrder.AscendingOrder, 1), (Qt.SortOrder.DescendingOrder, -1)):
        panel.genes.sortByColumn(2, order)
        values = np.array([panel.genes.value(place, 2) for place in range(panel.genes.n_shown)])
        assert (np.diff(sign * values) >= 0).all()
        assert np.ptp(values) > 0
    click(qtbot, panel.pin_button)
    assert panel.pinned == [panel.pathway]
    assert "Pinned (1 of 3)" in panel.pins.text()
    assert panel.pin_button.text() == "Unpin"
    panel.table.selectRow(2)
    assert panel.pin_button.text() == "Pin"
    panel.table.selectRow(1)
    click(qtbot, panel.pin_button)
    assert panel.pin_button.text() == "Pin"
    assert panel.pinned == []
    assert not panel.beside_button.isEnabled()


@pytest.mark.one_window
def test_a_file_whose_patients_are_others_asks_for_the_patient(
    predicted, dock, tmp_path, spin, bundle_path
) -> None:
    table = tmp_path / "others.csv"
    table.write_text("gene,one,two\nA,1,2\n")
    panel = dock("Pathways")
    panel.expression.read(table)
    spin(lambda: panel.expression.patient.count() == 2)
    assert panel.workspace.expression is None
    assert "choose the patient" in panel.expression.found.text()
    assert not panel.expression.run_button.isEnabled()
    panel.expression.read(tmp_path / "lost.csv")
    spin(lambda: "lost.csv" in predicted.error.text())


@pytest.mark.one_window
def test_up_to_three_pathways_are_pinned_beside_each_other(taught, dock, viewer, qtbot) -> None:
    panel = dock("Pathways")
    for place in range(4):
        panel.table.selectRow(place)
        click(qtbot, panel.pin_button)
    assert len(panel.pinned) == 3
    click(qtbot, panel.beside_button)
    beside = next(w for name, w in viewer.window.dock_widgets.items() if "side by side" in name)
    prediction = panel.workspace.prediction
    for canvas, name in zip(beside.row.canvases, panel.pinned, strict=True):
        np.testing.assert_array_equal(canvas.model.layers[1].data, heatmap(prediction, source=name).image)


@pytest.mark.one_window
def test_a_plot_that_is_named_without_an_ending_gets_the_chosen_one(  # noqa: PLR0917 (fixtures)
    predicted, dock, tmp_path, qtbot, spin, monkeypatch
) -> None:
    panel, answer = dock("Survival"), (str(tmp_path / "curve v1.2"), "SVG (*.svg)")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)
    spin(panel.save_button.isVisible)
    qtbot.mouseClick(panel.save_button, Qt.MouseButton.LeftButton)
    spin((tmp_path / "curve v1.2.svg").exists)
    qtbot.mouseClick(panel.save_button, Qt.MouseButton.LeftButton)
    assert predicted.error.text() == "curve v1.2.svg is there already; choose it to replace it"


@pytest.mark.one_window
def test_the_survival_panel_shows_saves_and_copies(predicted, dock, tmp_path, qtbot, spin) -> None:
    panel = dock("Survival")
    spin(lambda: panel.curve.figure is not None and panel.place.figure is not None)
    labels = panel.curve.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["training cohort, low risk", "training cohort, high risk", "this slide"]
    for expected in ("Median", "1 year", "3 years", "5 years", "50 patients"):
        assert expected in panel.facts.text
    told = told_until(predicted.outcome)
    for label in (panel.limits, predicted.result.told):
        assert f"Dashed, from {told:.0f} months on: the model has no months of its own" in label.text()
    assert ("(dashed part)" in panel.facts.text) == (told < 60)
    for kind in ("png", "svg", "csv"):
        path = tmp_path / f"curve.{kind}"
        panel.curve.save(path)
        spin(path.exists)
    with (tmp_path / "curve.csv").open() as table:
        rows = list(csv.DictReader(table))
    curve = panel.workspace.prediction.curve
    own = [float(row["survival"]) for row in rows if row["curve"] == "this slide"]
    np.testing.assert_allclose(own, curve.survival, rtol=1e-5)
    assert (tmp_path / "curve.svg").read_text().lstrip().startswith("<?xml")
    click(qtbot, panel.copy_button)
    assert not QGuiApplication.clipboard().image().isNull()
    panel.curve.save(tmp_path / "curve.bmp")
    spin(lambda: ".png, .svg or .csv" in predicted.error.text())


@pytest.mark.one_window
def test_an_earlier_slides_curve_is_neither_seen_nor_copied_while_the_new_one_is_drawn(
    predicted, dock, qtbot, spin, monkeypatch
) -> None:
    panel, clipboard, go = dock("Survival"), QGuiApplication.clipboard(), threading.Event()
    curve, drawn = panel.curve, figure_widget.rendered
    spin(lambda: curve._image is not None)
    monkeypatch.setattr(figure_widget, "rendered", lambda *given: (go.wait(10), drawn(*given))[1])
    curve.set_colours(replace(curve._colours))
    curve.resize(curve.width() + 1, curve.height())
    assert curve._image is not None, "the same curve at another size"
    clipboard.setText("before")
    panel.workspace.prediction_changed.emit()
    assert curve.figure is None
    assert np.unique(colours_of(curve.grab().toImage())).size == 1
    click(qtbot, panel.copy_button)
    assert clipboard.text() == "before"
    go.set()
    spin(lambda: curve.figure is not None)
    click(qtbot, panel.copy_button)
    assert not clipboard.image().isNull()
    go.clear()
    panel.workspace.prediction_changed.emit()
    monkeypatch.setattr(curve, "width", lambda: 10)
    curve.draw(lambda *given: None)  # waits for room; what is drawn meanwhile is the earlier one
    go.set()
    spin(lambda: panel.place.figure is not None and not predicted.session.tasks._latest)
    qtbot.wait(20)
    assert curve.figure is None
