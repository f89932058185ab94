"""Several slides, regions, queue, cache and export, in real windows."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from amkd_core.errors import AmkdError
from amkd_core.inference.patient import predict_patient
from amkd_core.inference.region import predict_region, rows_inside
from amkd_core.inference.user_cache import measure_cache
from amkd_viewer import events, slide_layers


def click(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def shown(table, row: int, column: int) -> str:
    """Text of a cell as it is read on the screen."""
    return table.model().index(row, column).data(Qt.ItemDataRole.DisplayRole)


def test_a_drawn_region_is_predicted_from_kept_features(  # noqa: PLR0917 (fixtures)
    predicted, dock, viewer, qtbot, spin, monkeypatch
) -> None:
    panel = dock("Patient and region")
    spin(panel.region_button.isVisible)
    click(qtbot, panel.region_button)
    assert "no region is drawn" in predicted.error.text()
    click(qtbot, panel.draw_button)
    slide, whole = panel.workspace.slide, panel.workspace.prediction
    layer = slide_layers.overlay(viewer, slide, "region")
    assert layer.mode == "add_polygon"
    middle = float(np.median(whole.bag.coords[:, 0]))
    rows, columns = slide.data[0].shape[:2]
    polygon = np.array([[0, 0], [0, middle], [rows, middle], [rows, 0]])
    layer.add_polygons([polygon])
    inside = rows_inside(whole.bag, [polygon[:, ::-1] + 0.5])
    click(qtbot, panel.region_button)
    spin(lambda: panel.workspace.outcome is not None)
    part = panel.workspace.prediction
    assert len(part.patch_scores) == inside.sum()
    assert f"{inside.sum():,} of {len(inside):,} tissue patches" in panel.outcome.text()
    panel.mode.setCurrentIndex(1)
    click(qtbot, panel.region_button)
    spin(lambda: panel.workspace.prediction is not part)
    assert len(panel.workspace.prediction.patch_scores) == (~inside).sum()
    assert columns > middle
    # Drawn anew, the result is that of another region, which is said until it is predicted from.
    spin(lambda: not panel.changed.text())  # nor of the region's other side
    layer.data = [polygon * [1, 0.5]]
    assert "changed since this result" in panel.changed.text()
    before = panel.workspace.prediction
    click(qtbot, panel.region_button)
    spin(lambda: panel.workspace.prediction is not before)
    spin(lambda: not panel.changed.text())
    layer.data = [polygon]
    assert panel.changed.text()
    click(qtbot, panel.whole_button)
    spin(lambda: "region" not in panel.workspace.prediction.provenance)
    spin(lambda: not panel.changed.text())
    layer.mode, layer.visible = "pan_zoom", False
    click(qtbot, panel.draw_button)
    assert (layer.mode, layer.visible) == ("add_polygon", True)
    a_region_that_is_deleted_takes_the_run_along_that_rests_on_it(panel, viewer, layer, spin, monkeypatch)


def a_region_that_is_deleted_takes_the_run_along_that_rests_on_it(
    panel, viewer, layer, spin, monkeypatch
) -> None:
    go, real = threading.Event(), predict_region

    def late(*args, **kwargs):
        assert go.wait(30)
        return real(*args, **kwargs)

    monkeypatch.setattr("amkd_core.inference.region.predict_region", late)
    whole = panel.workspace.prediction
    spin(panel.region_button.isEnabled)  # a result comes just before its run ends
    panel.region_button.click()
    assert panel.workspace.session.running is not None
    viewer.layers.remove(layer)
    spin(lambda: panel.workspace.session.running is None)
    go.set()
    spin(lambda: panel.workspace.outcome is not None)
    assert panel.workspace.prediction is whole


def assert_change_is_told(panel, region) -> None:
    assert not panel.changed.text()
    shape = region.data[0]
    region.data = [shape * [1, 0.5]]
    assert "changed since this result" in panel.changed.text()
    region.data = [shape]
    assert not panel.changed.text()


def two_slides_are_one_patient(panel, qtbot, spin) -> list[str]:
    """Fingerprints of the slides, which were then predicted together."""
    panel.patient_id.setText("P1")
    spin(panel.together_button.isVisible)
    click(qtbot, panel.together_button)
    spin(lambda: panel.workspace.outcome is not None)
    assert len(panel.workspace.slides) == 2
    names = [slide_layers.fingerprint_of(layer) for layer in panel.chosen]
    assert set(names) == {slide_layers.fingerprint_of(layer) for layer in panel.workspace.slides}
    results = [panel.workspace.session.result(name) for name in names]
    assert results[0].risk == results[1].risk
    assert {result.bag.slide_fingerprint for result in results} == set(names)
    return names


def test_two_slides_are_one_patient_and_regions_on_them_restrict_and_exclude_the_patients_tissue(  # noqa: PLR0917 (fixtures)
    predicted, dock, viewer, second_slide_path, qtbot, spin, monkeypatch
) -> None:
    predicted.open_slide(second_slide_path)
    panel, session = dock("Patient and region"), predicted.session
    spin(lambda: panel.slides.count() == 2 and panel.region_button.isVisible())
    for place in range(2):
        panel.slides.item(place).setCheckState(Qt.CheckState.Checked)
    names = two_slides_are_one_patient(panel, qtbot, spin)
    bags = [session.whole(name).bag for name in names]
    assert panel.region_button.text() == "Predict the patient from the regions"
    click(qtbot, panel.region_button)
    assert "first and second: no region is drawn" in predicted.error.text()
    drawn = []
    for slide, bag in zip(list(panel.chosen), bags, strict=True):
        # One after another, each drawn while its own slide is looked at.
        panel.workspace.choose(slide)
        click(qtbot, panel.draw_button)
        middle = float(np.median(bag.coords[:, 1])) + len(drawn) * 200
        polygon = np.array([[0, 0], [0, 9000], [middle, 9000], [middle, 0]])
        slide_layers.overlay(viewer, slide, "region").add_polygons([polygon])
        drawn.append(rows_inside(bag, [polygon[:, ::-1] + 0.5]))
    assert "first: 1 region; second: 1 region" in panel.drawn.text()
    # The features are there: no slide is opened, no encoder loaded.
    monkeypatch.delattr("amkd_core.inference.predict.encode_for")
    for exclude, kept in ((False, drawn), (True, [~rows for rows in drawn])):
        panel.mode.setCurrentIndex(int(exclude))
        click(qtbot, panel.region_button)
        spin(lambda: panel.workspace.outcome is not None)
        expected = predict_patient(
            [bag.subset(rows) for bag, rows in zip(bags, kept, strict=True)],
            session.bundle(panel.workspace.bundle_path),
            patient_id="P",
        )
        results = [session.result(name) for name in names]
        assert [result.risk for result in results] == [expected.risk] * 2
        for result, bag, rows, name in zip(results, bags, kept, names, strict=True):
            np.testing.assert_array_equal(result.bag.coords, bag.coords[rows])
            layer = slide_layers.overlay(viewer, slide_layers.slide_of(name, viewer.layers), "map")
            assert np.isfinite(layer.data).sum() == rows.sum()
        total = f"{sum(rows.sum() for rows in kept):,} of {sum(map(len, bags)):,} tissue patches on 2 slides"
        assert total in panel.outcome.text()
        assert_change_is_told(panel, slide_layers.overlay(viewer, panel.chosen[0], "region"))
        # What regions are made of is still all tissue.
        assert [len(session.whole(name).bag) for name in names] == [len(bag) for bag in bags]
    click(qtbot, panel.whole_button)
    spin(lambda: panel.workspace.outcome is not None)
    assert [len(session.result(name).bag) for name in names] == [len(bag) for bag in bags]
    assert panel.patient_id.text() == "P1"
    viewer.layers.clear()
    spin(lambda: not panel.slides.count())
    assert not panel.patient_id.text()  # what is opened next is another patient's


def test_a_slide_opened_again_shows_its_result_at_once_and_the_cache_is_measured_and_emptied(  # noqa: PLR0917
    predicted, dock, viewer, slide_path, qtbot, spin
) -> None:
    first = predicted.workspace.prediction
    fingerprint = slide_layers.fingerprint_of(predicted.workspace.slide)
    viewer.layers.clear()
    predicted.session._results.clear()
    predicted.open_slide(slide_path)
    spin(lambda: predicted.session.result(fingerprint) is not None)
    found = predicted.session.result(fingerprint)
    assert found is not first
    assert found.risk == first.risk
    spin(lambda: any(slide_layers.role_of(layer) == "map" for layer in viewer.layers))
    cache = dock("Settings").cache
    spin(lambda: "Features" in cache.facts.text)
    spin(cache.empty_button.isVisible)
    spin(cache.empty_button.isEnabled)
    # It asks first, and can be told no.
    click(qtbot, cache.empty_button)
    assert cache.asked.isVisible()
    click(qtbot, cache.keep_button)
    assert not cache.asked.isVisible()
    click(qtbot, cache.empty_button)
    assert measure_cache().size_bytes["bags"] > 0
    click(qtbot, cache.remove_button)
    spin(lambda: "freed" in cache.said.text())
    assert not cache.said.text().startswith("0.0")
    spin(lambda: not cache.empty_button.isEnabled())
    assert "0.0 MB of at most 4.0 GB" in cache.facts.text


@pytest.fixture
def mixed_folder(slide_path, slide_without_scale, tmp_path) -> Path:
    """Two slides, of which a.tif does not tell its scale."""
    folder = tmp_path / "slides"
    folder.mkdir()
    shutil.copy(slide_path, folder / "b.tif")
    shutil.copy(slide_without_scale, folder / "a.tif")
    return folder


def test_a_folder_is_predicted_with_its_failures_and_then_with_the_scale_that_was_missing(  # noqa: PLR0917 (fixtures)
    kept, panel, dock, mixed_folder, tmp_path, qtbot, spin
) -> None:
    queue = dock("Folder of slides")
    queue.choose(mixed_folder)
    spin(lambda: len(queue.paths) == 2 and queue.run_button.isVisible())
    click(qtbot, queue.run_button)
    spin(lambda: queue.stage.text().startswith("Done"))
    assert queue.stage.text() == "Done: 1 predicted, 1 not."
    states = {queue.table.value(place, 0): queue.table.value(place, 3) for place in range(2)}
    assert states["a.tif"].startswith("failed: ")
    assert "risk" in states["b.tif"]
    assert len(queue.predictions[0].bag) == 1, "features are not kept for a thousand slides"
    click(qtbot, queue.identified)
    queue.export(tmp_path / "table.csv")
    spin((tmp_path / "table.csv").exists)
    assert "b" in (tmp_path / "table.csv").read_text()
    rows = {row["slide"]: row for row in csv.DictReader((tmp_path / "table.csv").read_text().splitlines())}
    assert rows["b"]["outcome"] == "predicted"
    assert rows["a"]["outcome"] == "failed", "a slide without a result is in the file, too"
    assert rows["a"]["reason"].startswith("a.tif does not tell its scale")
    a_slide_without_a_scale_is_told_of_in_the_windows_words_and_given_one(queue, qtbot, spin)


def a_slide_without_a_scale_is_told_of_in_the_windows_words_and_given_one(queue, qtbot, spin) -> None:
    place = next(row for row in range(2) if queue.table.value(row, 0) == "a.tif")
    assert shown(queue.table, place, 3) == "failed"
    assert shown(queue.table, place, 4).startswith("does not tell its scale")
    queue.table.selectRow(place)
    assert "enter the µm per pixel of slides without a scale above the table" in queue.detail.text()
    assert "--" not in queue.detail.text()
    queue.mpp.setValue(0.5)
    click(qtbot, queue.run_button)
    spin(lambda: queue.stage.text() == "Done: 2 predicted, 0 not.")
    scales = {prediction.slide_id: prediction.bag.slide_mpp_source for prediction in queue.predictions}
    assert scales["a"] == "user"
    assert scales["b"] != "user", "the scale of a slide that tells its own stays"


def test_a_folder_is_queued_with_its_broken_slides_and_doubtful_results_do_not_read_as_plain_ones(
    panel, dock, slide_path, tmp_path, spin
) -> None:
    from dataclasses import replace

    from bundle_fixtures import random_bag, random_bundle

    from amkd_core.inference.predict import predict_bag
    from amkd_core.notices import Notice
    from amkd_viewer.events import Queued, QueueRequest, QueueRow

    queue = dock("Folder of slides")
    shutil.copy(slide_path, tmp_path / "b.tif")
    (tmp_path / "empty.svs").touch()
    (tmp_path / "notes.txt").write_text("no slide")
    queue.choose(tmp_path)
    spin(lambda: bool(queue.paths))
    assert [path.name for path in queue.paths] == ["b.tif", "empty.svs"]
    (tmp_path / "empty.svs").unlink()
    shutil.copy(slide_path, tmp_path / "a.tif")
    queue.choose(tmp_path)
    spin(lambda: [path.name for path in queue.paths] == ["a.tif", "b.tif"])
    plain = replace(
        predict_bag(random_bag(12), random_bundle()), notices=(Notice("research_only", "Research use only."),)
    )
    sentence = (
        "This slide does not look like H&E (blue); the models know H&E only, so do not use this result."
    )
    doubtful = replace(plain, notices=(*plain.notices, Notice("not_he", sentence)))
    request = QueueRequest(queue.paths, panel.workspace.bundle_path)
    for index, prediction in enumerate((plain, doubtful)):
        panel.workspace.told.emit(Queued(request, QueueRow(index, prediction)))
    rows = {queue.table.value(row, 0): row for row in range(2)}
    assert shown(queue.table, rows["a.tif"], 3) == f"{plain.risk_group} risk"
    assert shown(queue.table, rows["b.tif"], 3) == f"doubtful: {plain.risk_group} risk"
    assert shown(queue.table, rows["b.tif"], 4) == "not H&E"
    assert queue.table.columnWidth(4) > queue.table.fontMetrics().horizontalAdvance("not H&E") + 20
    tip = queue.table.model().index(rows["b.tif"], 4).data(Qt.ItemDataRole.ToolTipRole)
    assert sentence in tip.replace("\n", " ")
    queue.table.selectRow(rows["b.tif"])
    assert sentence in queue.detail.text()


def test_exports_are_written_one_by_one_and_of_each_model_and_a_full_disk_is_one_sentence(  # noqa: PLR0917 (fixtures)
    predicted, dock, bundle_path, tmp_path, spin, monkeypatch
) -> None:
    panel = dock("Export")
    an_export_under_way_is_not_dropped_for_another(panel, tmp_path, spin, monkeypatch)
    usual = {kind: box.isChecked() for kind, box in panel.kinds.items()}
    exports_of_two_models_are_both_kept(predicted, panel, bundle_path, tmp_path, spin)
    for kind, box in panel.kinds.items():
        box.setChecked(usual[kind])
    for kind in ("tiff", "curve_svg", "figure", "report_pdf", "report_html"):
        panel.kinds[kind].setChecked(True)
    panel.export(tmp_path / "all")
    spin(lambda: panel.written.text().startswith("Written"), 120)
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert len(names) == 7
    assert all(name.startswith("slide-") for name in names), "de-identified by default"
    geojson = next((tmp_path / "all").glob("*.geojson"))
    assert json.loads(geojson.read_text())["type"] == "FeatureCollection"

    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "scores.csv")

    monkeypatch.setattr("amkd_core.export.scores.write_scores_csv", full)
    panel.export(tmp_path / "more")
    spin(lambda: bool(panel.error.text()))
    assert panel.error.text().startswith("scores.csv: No space left on device")
    assert panel.export_button.isEnabled()


def an_export_under_way_is_not_dropped_for_another(panel, tmp_path: Path, spin, monkeypatch) -> None:
    go_on = threading.Event()

    def write_all(*_: object) -> list[str]:
        go_on.wait(60)
        return ["a.csv"]

    with monkeypatch.context() as patch:
        patch.setattr("amkd_viewer.exports.write_all", write_all)
        panel.export(tmp_path)
        panel.workspace.prediction_changed.emit()  # as where another slide is looked at meanwhile
        assert not panel.export_button.isEnabled()
        assert panel.written.text() == "Writing…"
        go_on.set()
        spin(lambda: panel.written.text() == "Written: a.csv")
    assert panel.export_button.isEnabled()


def exports_of_two_models_are_both_kept(predicted, export, bundle_path: Path, tmp_path: Path, spin) -> None:
    from dataclasses import replace

    from amkd_core.bundle_file import open_bundle, write_bundle

    first = predicted.outcome
    for kind, box in export.kinds.items():
        box.setChecked(kind == "scores")
    export.export(tmp_path / "out")
    spin(lambda: len(list((tmp_path / "out").glob("*.csv"))) == 1 and "Written" in export.written.text())
    # Of the same name, as a model that was trained again.
    bundle = open_bundle(bundle_path)
    write_bundle(
        tmp_path / "again.amkd", replace(bundle, card=bundle.card.model_copy(update={"cohort_events": 1}))
    )
    predicted.bundle_path = tmp_path / "again.amkd"
    predicted.run()
    spin(lambda: predicted.outcome is not None and predicted.outcome is not first)
    export.export(tmp_path / "out")
    spin(lambda: len(list((tmp_path / "out").iterdir())) == 2 and "Written" in export.written.text())


def test_a_replaced_slide_is_refused_at_export(  # noqa: PLR0917 (fixtures)
    kept, panel, dock, slide_path, second_slide_path, tmp_path, spin
) -> None:
    path = tmp_path / "own.tif"
    shutil.copy(slide_path, path)
    panel.open_slide(path, run=True)
    spin(lambda: panel.outcome is not None)
    shutil.copy(second_slide_path, tmp_path / "other.tif")
    (tmp_path / "other.tif").replace(path)
    export = dock("Export")
    for box in export.kinds.values():
        box.setChecked(False)
    export.kinds["figure"].setChecked(True)
    export.export(tmp_path / "out")
    spin(lambda: bool(export.error.text()))
    assert "was replaced since it was opened here" in export.error.text()


def test_a_task_whose_panel_is_gone_or_which_was_replaced_is_not_told() -> None:
    import threading

    from amkd_viewer.tasks import Tasks

    told: list[events.TaskEnded] = []
    tasks, go = Tasks(told.append), threading.Event()
    tasks.submit("a", go.wait)
    token = tasks.submit("a", lambda: "second")
    failing = tasks.submit("b", lambda: (_ for _ in ()).throw(OSError(13, "Permission denied", "x.csv")))
    go.set()
    deadline = threading.Event()
    for _ in range(100):
        if len(told) == 2:
            break
        deadline.wait(0.05)
    by_token = {event.token: event for event in told}
    assert by_token[token].value == "second"
    assert isinstance(by_token[failing].error, AmkdError)
    assert str(by_token[failing].error).startswith("x.csv: Permission denied")
    tasks.close()
    assert tasks.submit("a", lambda: 1) is None


def test_a_task_that_still_waits_for_a_thread_can_be_replaced() -> None:
    import threading

    from amkd_viewer.tasks import Tasks

    told: list[events.TaskEnded] = []
    tasks, go, done = Tasks(told.append), threading.Event(), threading.Event()
    for key in ("x", "y"):  # both threads are taken
        tasks.submit(key, go.wait)
    tasks.submit("a", lambda: "first")

    def replace_it() -> None:
        tasks.submit("a", lambda: "second")
        done.set()

    threading.Thread(target=replace_it, daemon=True).start()
    replaced = done.wait(10)
    go.set()
    assert replaced, "submitting over a waiting task hangs"
    for _ in range(100):
        if len(told) == 3:
            break
        done.clear()
        done.wait(0.05)
    assert sorted(str(event.value) for event in told) == ["True", "True", "second"]
    tasks.close()
