"""Nothing is shown, computed or exported for another patient, slide, scale or model than it belongs to."""

from __future__ import annotations

import csv
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from closing import close_by_x
from kept_slides import keep_features
from qtpy.QtCore import Qt
from qtpy.QtGui import QShortcut

from amkd_core.cohort.bare_tables import write_hashes
from amkd_core.inference.kept_files import user_folder
from amkd_core.inference.region import rows_inside
from amkd_viewer import jobs, slide_layers
from amkd_viewer.actions import ACTIONS
from amkd_viewer.layers import outline_of


@pytest.fixture
def second_kept(kept, second_slide_path, bundle_path, own_cache) -> None:
    """The user's cache holds the features of the second slide, too."""
    keep_features(second_slide_path, bundle_path, own_cache)


def opened(panel, path: Path, spin) -> None:
    panel.open_slide(path)
    spin(lambda: panel.workspace.slide is not None and panel.workspace.slide.name == path.stem)


def facts_of(panel) -> dict[str, str]:
    lines = panel.result.facts.text.split("\n")
    return dict(zip(lines[::2], lines[1::2], strict=True))


def curve_of(prediction):
    from matplotlib.figure import Figure

    from amkd_viewer.plots import PAPER, draw_survival

    figure = Figure()
    draw_survival(figure, PAPER, prediction=prediction)
    return figure


def one_patient(table: Path, folder: Path, patient: str, name: str = "one.csv") -> Path:
    rows = list(csv.reader(table.read_text().splitlines()))
    column = rows[0].index(patient)
    path = folder / name
    path.write_text("".join(f"{row[0]},{row[column]}\n" for row in rows))
    return path


def test_expression_of_one_patient_stays_out_of_anothers_prediction(  # noqa: PLR0917 (fixtures)
    second_kept, predicted, dock, viewer, second_slide_path, expression_path, tmp_path, spin
) -> None:
    workspace = predicted.workspace
    expression = dock("Pathways").expression
    expression.read(one_patient(expression_path, tmp_path, "first"))
    spin(lambda: workspace.expression is not None)
    predicted.run()
    spin(lambda: predicted.outcome is not None)
    assert facts_of(predicted)["Expression"] == "patient first, one.csv"

    opened(predicted, second_slide_path, spin)
    assert workspace.expression is None
    spin(lambda: expression.found.text() == "1 patient, not named as the slide; choose the patient.")
    predicted.run()
    spin(lambda: predicted.outcome is not None)
    assert predicted.outcome.teacher is None
    assert "Expression" not in facts_of(predicted)

    workspace.choose(slide_layers.slides_in(viewer.layers)[0])
    spin(lambda: workspace.expression is not None)  # its own is found again
    assert workspace.expression.patient == "first"
    assert facts_of(predicted)["Expression"] == "patient first, one.csv"


def test_expression_is_of_the_patient_whose_name_fits_best_in_a_panel_that_is_opened_anew_too(  # noqa: PLR0917 (fixtures)
    panel, dock, viewer, slide_path, second_slide_path, expression_path, tmp_path, spin
) -> None:
    table, workspace = tmp_path / "nested.csv", panel.workspace
    table.write_text(expression_path.read_text().replace("patient-a", "first-2"))
    longer = Path(shutil.copy(second_slide_path, tmp_path / "first-2 HE.tif"))
    opened(panel, slide_path, spin)
    pathways = dock("Pathways")
    pathways.expression.read(table)
    spin(lambda: workspace.expression is not None)
    assert workspace.expression.patient == "first"

    viewer.window.remove_dock_widget(pathways)
    expression = dock("Pathways").expression
    assert expression.patient.currentText() == "first"
    assert expression._patients == ("first-2", "first", "patient-b")
    opened(panel, longer, spin)
    spin(lambda: workspace.expression is not None and workspace.expression.patient == "first-2")
    assert expression.patient.currentText() == "first-2"
    # Who is chosen by hand for a slide stays that slide's.
    expression.patient.setCurrentText("patient-b")
    expression.patient.activated.emit(expression.patient.currentIndex())
    spin(lambda: workspace.expression is not None and workspace.expression.patient == "patient-b")
    workspace.choose(workspace.slide)
    assert workspace.expression.patient == "patient-b"


def test_a_run_that_starts_while_genes_are_read_goes_without_them_and_so_does_one_after_their_panel_is_closed(  # noqa: PLR0917 (fixtures)
    predicted,
    dock,
    viewer,
    second_slide_path,
    slide_without_scale,
    expression_path,
    tmp_path,
    spin,
    monkeypatch,
) -> None:
    import amkd_core.inference.expression as module

    path = tmp_path / "both.csv"
    path.write_text(expression_path.read_text().replace("patient-a", "second"))
    workspace, pathways = predicted.workspace, dock("Pathways")
    expression = pathways.expression
    expression.read(path)
    spin(lambda: workspace.expression is not None)
    go_on, read = threading.Event(), module.read_genes
    monkeypatch.setattr(module, "read_genes", lambda *given: (go_on.wait(60), read(*given))[1])
    opened(predicted, second_slide_path, spin)
    spin(lambda: expression.patient.currentText() == "second")
    assert workspace.expression is None
    assert not expression.run_button.isEnabled()
    go_on.set()
    spin(lambda: workspace.expression is not None)
    assert workspace.expression.patient == "second"
    viewer.window.remove_dock_widget(pathways)
    opened(predicted, slide_without_scale, spin)
    assert workspace.expression is None


def test_genes_in_the_table_are_of_the_pathway_and_the_patient_that_are_shown_and_none_of_a_table_before(
    taught, dock, expression_path, spin
) -> None:
    assert taught.outcome.provenance["genes"]["patient"] == "first"
    workspace, panel = taught.workspace, dock("Pathways")

    def shown() -> dict[str, float]:
        return {panel.genes.value(row, 0): panel.genes.value(row, 1) for row in range(panel.genes.n_shown)}

    panel.table.selectRow(0)
    spin(lambda: panel.genes.n_shown > 0)
    first = shown()
    panel.expression.read(expression_path)
    spin(lambda: workspace.expression is not None)
    panel.expression.patient.setCurrentText("patient-b")
    panel.expression.patient.activated.emit(panel.expression.patient.currentIndex())
    spin(lambda: workspace.expression is not None and workspace.expression.patient == "patient-b")
    panel.table.selectRow(1)
    assert panel.genes.n_shown == 0  # until those of the other pathway are read
    spin(lambda: panel.genes.n_shown > 0)
    panel.table.selectRow(0)
    spin(lambda: panel.genes.n_shown > 0)
    assert shown() == first  # the prediction is still that of the first patient
    panel.expression.clear()
    panel.table.selectRow(1)
    spin(lambda: panel.genes.n_shown > 0)
    assert shown() != first
    a_table_that_cannot_be_read_leaves_no_older_one_behind(taught, panel.expression, expression_path, spin)


def a_table_that_cannot_be_read_leaves_no_older_one_behind(taught, expression, path: Path, spin) -> None:
    workspace = taught.workspace
    expression.read(path)
    spin(lambda: "genes of patient first" in expression.found.text())
    assert "No SHA-256 lies beside expression.csv: a damaged digit there" in expression.found.text()
    write_hashes((path,))
    expression.read(path)
    spin(lambda: "genes of patient first" in expression.found.text())
    assert "SHA-256" not in expression.found.text()
    bad = path.with_name("bad.csv")
    bad.write_bytes(b"\x00\x01\x02 no table")
    expression.read(bad)
    assert workspace.expression is None
    spin(lambda: "bad.csv" in taught.error.text())
    assert workspace.expression is None
    assert expression.found.text() == ""


def test_a_patients_result_says_so_in_panel_and_report_and_is_written_beside_the_slides_own(  # noqa: PLR0917
    second_kept, predicted, dock, second_slide_path, tmp_path, spin
) -> None:
    workspace, export = predicted.workspace, dock("Export")
    for kind, box in export.kinds.items():
        box.setChecked(kind in ("scores", "report_html"))
    export.export(tmp_path / "out")
    spin(lambda: "Written" in export.written.text())
    opened(predicted, second_slide_path, spin)
    panel = dock("Patient and region")
    spin(lambda: panel.slides.count() == 2)
    for place in range(2):
        panel.slides.item(place).setCheckState(Qt.CheckState.Checked)
    panel.patient_id.setText("Mrs X")
    panel.together_button.click()
    spin(lambda: workspace.outcome is not None)
    workspace.choose(workspace.slides[0])
    prediction = workspace.prediction
    (sentence,) = [one for one in predicted.result.notices.sentences if "slides" in one and "together" in one]
    assert re.search(r"from 2 slides and \d+ patches of the patient together", sentence)
    assert f"{len(prediction.bag):,} of them are on this slide" in sentence
    record = prediction.provenance
    assert record["slide"]["fingerprint"] == slide_layers.fingerprint_of(workspace.slide)
    assert record["slide"]["mpp"] == (0.5, 0.5)
    assert record["patient"] == {"slides": 2, "patches": record["patches"]["count"]}
    assert record["patches"]["count"] > len(prediction.bag)
    export.export(tmp_path / "out")
    spin(lambda: "-patient" in export.written.text())
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 4
    assert sum("-patient" in name for name in names) == 2
    page = next((tmp_path / "out").glob("*-patient-report.html")).read_text()
    assert "of the patient together" in page
    assert "content not recorded" not in page
    texts = [text.get_text() for text in curve_of(prediction).axes[0].get_legend().get_texts()]
    assert texts[-1] == "this patient"
    assert "Mrs X" not in page
    assert "first" not in re.sub(r"<style.*?</style>|<img[^>]*>", "", page, flags=re.DOTALL)
    assert predicted.result.patient.text() == "Mrs X: one patient, 2 slides (first, second)"
    assert panel.outcome.text().startswith("Mrs X: ")
    assert f"{record['patches']['count']:,} on all of the patient's" in facts_of(predicted)["Tissue"]
    named = named_report(export, tmp_path / "named", spin)
    assert "Survival risk predicted for Mrs X from 2 slides" in named
    assert "2 slides together (first, second)" in named


def named_report(export, folder: Path, spin) -> str:
    export.identified.setChecked(True)
    export.export(folder)
    spin(lambda: "Written: first" in export.written.text())
    return next(folder.glob("*-patient-report.html")).read_text()


def test_a_scale_that_is_stated_anew_takes_the_old_result_along_and_is_asked_for_when_opened_again(  # noqa: PLR0917 (fixtures)
    panel, viewer, slide_without_scale, dock, spin, monkeypatch
) -> None:
    view, patient = dock("View and heatmap"), dock("Patient and region")
    opened(panel, slide_without_scale, spin)
    workspace = panel.workspace
    assert not any(button.isEnabled() for button in view.presets)
    panel.inputs.mpp.setValue(0.5)
    assert all(button.isEnabled() for button in view.presets)
    panel.run()
    spin(lambda: panel.outcome is not None)
    assert workspace.prediction.bag.slide_mpp == (0.5, 0.5)
    patient.draw_button.click()
    region = slide_layers.overlay(viewer, workspace.slide, "region")
    drawn = np.array([[0, 0], [0, 1536], [700, 1536], [700, 0]], dtype=float)
    region.add_polygons([drawn])

    panel.inputs.mpp.setValue(0.25)
    assert workspace.prediction is None
    assert not panel.result.isVisible()
    assert slide_layers.overlay(viewer, workspace.slide, "map") is None
    assert slide_layers.overlay(viewer, workspace.slide, "region") is region
    np.testing.assert_array_equal(region.data[0], drawn)
    assert tuple(region.scale) == (0.25, 0.25)
    assert not patient.region_button.isEnabled()
    panel.run()
    spin(lambda: panel.outcome is not None)
    assert workspace.prediction.bag.slide_mpp == (0.25, 0.25)
    panel.inputs.mpp.setValue(0.5)
    spin(lambda: workspace.prediction is not None)  # kept from before
    assert workspace.prediction.bag.slide_mpp == (0.5, 0.5)

    risk = workspace.prediction.risk
    viewer.layers.clear()
    opened(panel, slide_without_scale, spin)
    assert workspace.prediction is None
    assert panel.inputs.scale_question.isVisible()
    panel.inputs.mpp.setValue(0.5)
    spin(lambda: workspace.prediction is not None)
    assert workspace.prediction.risk == risk
    a_scale_that_was_corrected_before_its_result_was_found(panel, slide_without_scale, monkeypatch, spin)


def a_scale_that_was_corrected_before_its_result_was_found(panel, path: Path, monkeypatch, spin) -> None:
    """Both scales have a kept result; that of the mistaken one is being read when it is corrected."""
    workspace, go_on, reading, recall = panel.workspace, threading.Event(), threading.Event(), jobs.recall

    def recall_later(request, bundle):
        reading.set()
        assert go_on.wait(60)
        return recall(request, bundle)

    monkeypatch.setattr(jobs, "recall", recall_later)
    panel.inputs.mpp.setValue(0.25)
    assert reading.wait(60)
    panel.inputs.mpp.setValue(0.5)
    go_on.set()
    spin(lambda: workspace.prediction is not None)
    assert workspace.prediction.bag.slide_mpp == slide_layers.mpp_of(workspace.slide) == (0.5, 0.5)
    spin(lambda: not panel.result.isHidden())
    # Nor is one given out that was being read when the slide was closed, and is opened again without a scale.
    for event in (go_on, reading):
        event.clear()
    panel.inputs.mpp.setValue(0.25)
    assert reading.wait(60)
    panel._viewer.layers.clear()
    opened(panel, path, spin)
    go_on.set()
    workspace.session._recalls._pool.submit(int).result(60)  # after it
    assert workspace.prediction is None


def map_values(viewer, workspace) -> np.ndarray:
    layer = slide_layers.overlay(viewer, workspace.slide, "map")
    return np.empty(0) if layer is None else layer.data


def test_no_result_is_shown_under_another_models_name(  # noqa: PLR0917 (fixtures)
    predicted, dock, viewer, other_bundle_path, bundle_path, tmp_path, spin
) -> None:
    workspace, survival = predicted.workspace, dock("Survival")
    first, drawn = workspace.prediction, map_values(viewer, workspace).copy()
    assert survival.empty.isHidden()
    predicted.bundle_path = other_bundle_path
    assert workspace.prediction is None
    assert predicted.result.isHidden()
    assert not survival.empty.isHidden()
    for layer in viewer.layers:
        layer.visible = True  # in vain
    assert [layer.name for layer in viewer.layers if layer.visible] == ["first"]
    assert slide_layers.overlay(viewer, workspace.slide, "map") is None

    predicted.run()
    spin(lambda: predicted.outcome is not None)
    second = workspace.prediction
    assert second.provenance["bundle"]["sha256"] != first.provenance["bundle"]["sha256"]
    for path in (
        bundle_path,
        other_bundle_path,
        bundle_path,
    ):  # what is at hand is shown at once, with its map
        predicted.bundle_path = path
    assert workspace.prediction is first
    assert not predicted.result.isHidden()
    spin(lambda: np.array_equal(map_values(viewer, workspace), drawn, equal_nan=True))
    spin(lambda: all(layer.visible for layer in viewer.layers))
    assert facts_of(predicted)["Model"].endswith(f"({first.provenance['bundle']['sha256'][:12]})")

    workspace.session._results.clear()  # as from an earlier session: found among the kept ones
    predicted.bundle_path = other_bundle_path
    spin(lambda: not predicted.result.isHidden())
    assert workspace.prediction.risk == second.risk

    # Another model's file under the same name: when it is chosen, and when a slide is looked at again.
    own = Path(shutil.copy(bundle_path, tmp_path / "own.amkd"))
    predicted.bundle_path = own
    spin(lambda: workspace.prediction is not None and workspace.prediction.risk == first.risk)
    shutil.copy(other_bundle_path, own)
    predicted.bundle_path = own
    spin(lambda: workspace.prediction is not None and workspace.prediction.risk == second.risk)
    shutil.copy(bundle_path, own)
    workspace.choose(workspace.slide)
    spin(lambda: workspace.prediction is not None and workspace.prediction.risk == first.risk)
    own.unlink()
    workspace.choose(workspace.slide)
    assert workspace.prediction.risk == first.risk


def test_a_slide_that_is_opened_again_has_its_map_and_the_whole_slides_result_of_the_chosen_model(  # noqa: PLR0917
    predicted, dock, viewer, slide_path, other_bundle_path, bundle_path, spin
) -> None:
    workspace, panel = predicted.workspace, dock("Patient and region")
    whole = workspace.prediction
    viewer.layers.remove(workspace.slide)
    assert workspace.slide is None
    opened(predicted, slide_path, spin)
    spin(lambda: slide_layers.overlay(viewer, workspace.slide, "map") is not None)
    spin(lambda: slide_layers.overlay(viewer, workspace.slide, "boxes") is not None)
    for path in (bundle_path, other_bundle_path):
        predicted.bundle_path = path
        predicted.run()
        spin(lambda: predicted.outcome is not None)
        panel.draw_button.click()
        region = slide_layers.overlay(viewer, workspace.slide, "region")
        region.data = []
        region.add_polygons([np.array([[0, 0], [0, 1600], [2304, 1600], [2304, 0]], dtype=float)])
        panel.region_button.click()
        spin(lambda: workspace.outcome is not None)
        assert len(workspace.prediction.bag) < len(whole.bag)
    viewer.layers.clear()
    predicted.bundle_path = bundle_path
    opened(predicted, slide_path, spin)
    assert workspace.prediction.risk == whole.risk
    assert len(workspace.prediction.bag) == len(whole.bag)
    assert facts_of(predicted)["Model"].endswith(f"({whole.provenance['bundle']['sha256'][:12]})")
    spin(lambda: slide_layers.overlay(viewer, workspace.slide, "map") is not None)
    assert np.isfinite(map_values(viewer, workspace)).sum() == len(whole.bag)


def test_the_whole_slides_result_comes_back_when_its_region_is_taken_away_and_an_ellipse_is_none_of_lines(
    predicted, dock, viewer, spin
) -> None:
    workspace, panel = predicted.workspace, dock("Patient and region")
    whole = workspace.prediction
    panel.draw_button.click()
    region = slide_layers.overlay(viewer, workspace.slide, "region")
    polygon = np.array([[0, 0], [0, 1600], [2304, 1600], [2304, 0]], dtype=float)

    def last_shape_is_deleted() -> None:
        region.selected_data = {0}
        region.remove_selected()

    for take_away in (last_shape_is_deleted, lambda: viewer.layers.remove(region)):
        region.add_polygons([polygon])
        panel.region_button.click()
        spin(lambda: workspace.outcome is not None)
        assert workspace.prediction is not whole
        take_away()
        spin(lambda: np.isfinite(map_values(viewer, workspace)).sum() == len(whole.bag))
        assert workspace.prediction is whole
        assert not any("region" in sentence for sentence in predicted.result.notices.sentences)
        assert not panel.changed.text()
    an_ellipse_is_an_ellipse_and_a_line_is_refused(predicted, panel, viewer, spin)


def an_ellipse_is_an_ellipse_and_a_line_is_refused(predicted, panel, viewer, spin) -> None:
    workspace = predicted.workspace
    whole = workspace.prediction
    panel.draw_button.click()
    layer = slide_layers.overlay(viewer, workspace.slide, "region")
    centre, radius = np.array([1152.0, 1536.0]), np.array([1000.0, 1200.0])
    box = centre + radius * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
    layer.add_ellipses(box)
    middles = (whole.bag.coords + np.array(whole.bag.patch_size_level0) / 2)[:, ::-1]
    within = (((middles - centre) / radius) ** 2).sum(axis=1)
    panel.region_button.click()
    spin(lambda: workspace.outcome is not None)
    assert (within < 0.98).sum() <= len(workspace.prediction.bag) <= (within < 1.02).sum()
    assert len(workspace.prediction.bag) < len(rows_inside(whole.bag, [box[:, ::-1]]).nonzero()[0])
    turned = outline_of(np.array([[0.0, 1], [2, 3], [3, 2], [1, 0]]), "ellipse")
    assert np.abs(turned - turned.mean(axis=0)).max() < np.sqrt(2.5)
    layer.add_paths(np.array([[0.0, 0.0], [500.0, 0.0], [500.0, 500.0]]))
    panel.region_button.click()
    assert "a line encloses no tissue" in predicted.error.text()


def own_keys(viewer) -> list[str]:
    keys = {action.key for action in ACTIONS}
    bound = viewer.window._qt_window.findChildren(QShortcut)
    return [
        key
        for key in (shortcut.key().toString() for shortcut in bound if shortcut.isEnabled())
        if key in keys
    ]


def test_panels_that_are_opened_anew_find_the_result_and_none_leaves_a_map_behind(
    predicted, dock, viewer, bundle_path, spin
) -> None:
    from amkd_core.settings import change_settings

    change_settings(bundle=bundle_path)
    risk = predicted.workspace.prediction.risk

    def close(panel) -> None:
        workspace = panel.workspace
        close_by_x(panel, spin)
        assert workspace.closed

    close(predicted)
    assert own_keys(viewer) == []
    panel = dock("Predict survival risk")
    spin(lambda: panel.outcome is not None)
    # Of two that are bound neither does anything.
    assert own_keys(viewer).count("Alt+M") == 1
    assert panel.workspace.prediction.risk == risk
    assert panel.result.isVisible()
    assert [slide_layers.role_of(layer) for layer in viewer.layers] == ["slide", "map", "boxes"]

    close(panel)
    shutil.rmtree(user_folder("results"))
    panel = dock("View and heatmap")
    assert panel.workspace.prediction is None
    assert [layer.name for layer in viewer.layers if layer.visible] == ["first"]
    panel.workspace.session.close()


@pytest.fixture
def queue(second_kept, panel, dock, slide_path, second_slide_path, tmp_path, spin):  # noqa: PLR0917 (fixtures)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, path in (("a", slide_path), ("b", second_slide_path), ("c", slide_path)):
        shutil.copy(path, folder / f"{name}.tif")
    widget = dock("Folder of slides")
    widget.choose(folder)
    spin(lambda: len(widget.paths) == 3)
    return widget


def test_a_fault_of_ours_ends_a_folder_and_one_with_a_slide_costs_that_slide_and_no_single_slide_does(  # noqa: PLR0917
    panel, queue, slide_path, qtbot, spin, monkeypatch
) -> None:
    a_queue_that_ends_by_a_fault_can_be_started_again(panel, queue, qtbot, spin, monkeypatch)
    a_fault_with_one_slide_costs_that_slide(queue, spin, monkeypatch)
    a_folder_is_not_given_up_for_a_single_slide(panel, queue, slide_path, spin, monkeypatch)


def a_queue_that_ends_by_a_fault_can_be_started_again(panel, queue, qtbot, spin, monkeypatch) -> None:
    def broken(request, bundle):
        raise RuntimeError("a fault of ours")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(panel.session, "_predict", broken)
        with qtbot.capture_exceptions() as seen:
            queue.run()
            spin(lambda: "Stopped after 0 of 3 slides." in queue.stage.text())
    assert [str(error) for _, error, _ in seen] == ["a fault of ours"]
    assert queue.run_button.isEnabled()
    assert not queue.cancel_button.isEnabled()
    # It is started below.


def a_fault_with_one_slide_costs_that_slide(queue, spin, monkeypatch) -> None:
    from amkd_viewer import jobs

    real = jobs.predict_one

    def predict_one(request, bundle):
        if request.slide_path.name == "b.tif":
            raise RuntimeError("CUDA error: out of memory")
        return (yield from real(request, bundle))

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "predict_one", predict_one)
        queue.run()
        spin(lambda: queue.stage.text().startswith("Done"))
    assert queue.stage.text() == "Done: 2 predicted, 1 not."
    assert queue.rows[1].error == "b.tif: a fault in AMKD Viewer (RuntimeError); the log says more"
    assert queue.run_button.isEnabled()


def a_folder_is_not_given_up_for_a_single_slide(panel, queue, slide_path, spin, monkeypatch) -> None:
    from amkd_viewer import jobs

    go_on, real = threading.Event(), jobs.predict_one

    def predict_one(request, bundle):
        go_on.wait(60)
        return (yield from real(request, bundle))

    opened(panel, slide_path, spin)
    monkeypatch.setattr(jobs, "predict_one", predict_one)
    queue.run()
    spin(lambda: panel.session.running is not None)
    assert not panel.workspace.run()  # as Ctrl+Return does
    assert "folder are being predicted" in panel.error.text()
    go_on.set()
    spin(lambda: queue.stage.text() == "Done: 3 predicted, 0 not.")
