"""Teacher and student side by side, pathways, survival, in real windows."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication

from amkd_core.inference.comparison import compare_maps
from amkd_core.inference.maps import heatmap
from amkd_core.inference.pathway_table import pathway_genes, ranked_pathways
from amkd_viewer.wording import agreement_text


def click(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_teacher_and_student_side_by_side_with_one_camera(taught, dock, viewer, qtbot, spin) -> None:
    compare = dock("Compare teacher and student")
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


def test_without_expression_nothing_is_compared_and_it_is_said(predicted, dock, spin) -> None:
    compare = dock("Compare teacher and student")
    spin(compare.missing.isVisible)
    assert "expression" in compare.missing.text()
    assert compare.beside is None


def test_two_slides_are_shown_beside_one_another_without_a_number(
    predicted, dock, viewer, second_slide_path, spin
) -> None:
    predicted.open_slide(second_slide_path, run=True)
    spin(lambda: predicted.outcome is not None and predicted.outcome.slide_id == "second")
    compare = dock("Compare teacher and student")
    names = {canvas.model.layers[0].name for canvas in compare.beside.row.canvases}
    assert names == {"first", "second"}
    assert "different patches or slides" in compare.agreement.text()


def test_the_pathways_panel_says_what_is_missing(predicted, dock, spin) -> None:
    panel = dock("Pathways")
    spin(panel.missing.isVisible)
    assert "z-scores" in panel.missing.text()
    assert not panel.table.isVisible()


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
    spin(lambda: panel.bars.figure is not None)
    click(qtbot, panel.back_button)
    np.testing.assert_array_equal(shown.data, heatmap(prediction).image)


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


def test_the_survival_panel_shows_saves_and_copies(predicted, dock, tmp_path, qtbot, spin) -> None:
    panel = dock("Survival")
    spin(lambda: panel.curve.figure is not None and panel.place.figure is not None)
    labels = panel.curve.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["training cohort, low risk", "training cohort, high risk", "this slide"]
    for expected in ("Median", "1 year", "3 years", "5 years", "50 patients"):
        assert expected in panel.facts.text
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
