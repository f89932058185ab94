"""A folder's queue: kept while its panel is closed, named by its model, and neither taking nor losing other runs."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from bundle_fixtures import random_bag, random_bundle
from closing import close_by_x
from kept_slides import keep_features
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QStyleOptionViewItem

from amkd_core.inference.kept_files import user_folder
from amkd_core.inference.predict import predict_bag
from amkd_core.notices import Notice, NoticeCode
from amkd_core.progress import Progress
from amkd_viewer import events, jobs, queue_rows, slide_layers
from amkd_viewer.events import Expression, QueueRequest, QueueRow
from amkd_viewer.queue_record import QueueRecord
from amkd_viewer.queue_rows import notice_words
from amkd_viewer.remaining import Remaining
from amkd_viewer.wording import LAST_CLOSED, slides_found_text

NAMES = ("a.tif", "b.tif", "c.tif")


@pytest.fixture
def folder(kept, bundle_path, slide_path: Path, second_slide_path: Path, own_cache, tmp_path: Path) -> Path:  # noqa: PLR0917
    """Three slides, encoded before, in a folder that is named after a patient."""
    keep_features(second_slide_path, bundle_path, own_cache)
    found = tmp_path / "Jane Doe 1950"
    found.mkdir()
    for name, path in zip(NAMES, (slide_path, second_slide_path, slide_path), strict=True):
        shutil.copy(path, found / name)
    return found


@pytest.fixture
def gate(monkeypatch):
    """Predictions of slides whose name is in `closed` wait until it is opened."""
    go_on, real = threading.Event(), jobs.predict_one
    closed: set[str] = set()

    def predict_one(request, bundle):
        if request.slide_path.name in closed:
            go_on.wait(60)
        return (yield from real(request, bundle))

    monkeypatch.setattr(jobs, "predict_one", predict_one)
    yield closed, go_on
    go_on.set()


@pytest.fixture
def queue(panel, dock, folder, spin):
    widget = dock("Folder of slides")
    assert not widget.export_button.isEnabled()
    widget.choose(folder)
    spin(lambda: len(widget.paths) == 3)
    return widget


def test_a_panel_opened_anew_shows_what_came_meanwhile_and_its_model(  # noqa: PLR0917 (fixtures)
    panel, queue, dock, gate, other_bundle_path, tmp_path, spin
) -> None:
    workspace = queue.workspace
    assert queue.model.text() == f"Predict all takes the model {panel.bundle_path.name}."
    (closed, go_on), session = gate, queue.workspace.session
    closed.add("b.tif")
    queue.mpp.setValue(0.5)
    queue.run()
    spin(lambda: len(queue.rows) == 1)
    # A slide that is done shows its result while the others are still to come.
    queue.table.doubleClicked.emit(queue.table.model().index(0, 0))
    spin(lambda: workspace.prediction is not None)
    assert workspace.prediction.slide_id == "a"
    spin(lambda: slide_layers.overlay(panel._viewer, workspace.slide, "map") is not None)
    assert not panel.result.isHidden()
    assert session.running is not None
    assert panel.stage.text()
    assert panel.cancel_button.isEnabled()
    close_by_x(queue, spin)
    assert session.running is not None
    go_on.set()
    spin(lambda: session.running is None)
    again = dock("Folder of slides")
    spin(lambda: again.stage.text() == "Done: 3 predicted, 0 not.")
    assert [path.name for path in again.paths] == list(NAMES)
    assert again.table.n_shown == 3
    assert again.run_button.isEnabled()
    assert again.mpp.value() == 0.5
    model = again.predictions[0].provenance["bundle"]
    assert f"by the model {model['name']} ({model['sha256'][:12]})." in again.model.text()
    panel.bundle_path = other_bundle_path
    assert f"({model['sha256'][:12]})" in again.model.text()
    assert f"Another one, {other_bundle_path.name}, is chosen now" in again.model.text()
    again.export(tmp_path / "t.csv")
    spin((tmp_path / "t.csv").exists)
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["outcome"].tolist() == ["predicted"] * 3
    assert set(table["bundle_sha256"]) == {model["sha256"]}


def test_a_folder_ends_with_the_last_panel_and_what_is_done_is_kept(  # noqa: PLR0917 (fixtures)
    panel, queue, dock, gate, folder, bundle_path, spin
) -> None:
    (closed, go_on), before = gate, queue.workspace
    closed.add("b.tif")
    queue.run()
    spin(lambda: len(queue.rows) == 1)
    (kept,) = (path for path in user_folder("results").rglob("*") if path.is_file())
    written = kept.stat().st_ino
    said = len(notification_manager.records)
    close_by_x(queue, spin)
    assert before.session.running is not None
    close_by_x(panel, spin)
    assert [record.message for record in notification_manager.records[said:]] == [LAST_CLOSED]
    assert before.closed
    assert before.session.running is None
    go_on.set()
    assert before.session.wait(20)
    again = dock("Folder of slides")
    assert again.workspace is not before
    again.workspace.set_inputs(bundle_path=bundle_path)
    again.choose(folder)
    spin(lambda: len(again.paths) == 3)
    again.run()
    spin(lambda: again.stage.text() == "Done: 3 predicted, 0 not.")
    assert kept.stat().st_ino == written, "found, not computed again"
    again.workspace.session.close()


def test_a_folder_is_listed_with_its_subfolders_and_a_row_that_is_read_stays_selected_while_others_come(  # noqa: PLR0917
    panel, queue, viewer, folder, gate, slide_path, spin
) -> None:
    workspace, table = queue.workspace, queue.table
    request = QueueRequest(queue.paths, panel.bundle_path)
    workspace.queue.begin(request)

    def come(place: int, why: str) -> None:
        workspace.told.emit(events.Queued(request, QueueRow(place, None, why)))

    come(0, "a.tif is damaged")
    table.sortByColumn(3, Qt.SortOrder.AscendingOrder)  # the state: rows move as others are done
    read = next(row for row in range(3) if table.value(row, 0) == "a.tif")
    table.selectRow(read)
    told = queue.detail.text()
    assert told == "a.tif was not predicted: a.tif is damaged"
    come(2, "Absent")
    come(1, "Absent")
    assert table.value(table.chosen, 0) == "a.tif"
    assert table.chosen != read
    assert queue.detail.text() == told
    assert sorted(table.value(row, 0) for row in range(3)) == list(NAMES)
    assert all(table.value(row, 3).startswith("failed") for row in range(3))
    option = QStyleOptionViewItem()
    table.itemDelegateForColumn(0).initStyleOption(option, table.model().index(0, 0))
    assert option.textElideMode == Qt.TextElideMode.ElideMiddle
    a_damaged_slide_does_not_read_as_a_sound_one(panel, queue)
    slides_in_subfolders_are_told_of(queue, folder, slide_path, spin)
    a_slide_taken_out_while_it_is_predicted_is_told_of(panel, viewer, gate, slide_path, spin)


def a_damaged_slide_does_not_read_as_a_sound_one(panel, queue) -> None:
    found = predict_bag(random_bag(12), random_bundle())
    damaged = replace(found, notices=(Notice("unreadable_places", "The slide is damaged: 12% of it."),))
    request = QueueRequest(queue.paths, panel.bundle_path)
    queue.workspace.queue.begin(request)
    queue.workspace.told.emit(events.Queued(request, QueueRow(0, damaged)))
    row = next(row for row in range(3) if queue.table.value(row, 0) == "a.tif")
    assert queue.table.value(row, 4).startswith("damaged slide\n")
    told_elsewhere = {"research_only", "region", "several_slides", "no_map"}
    without_words = {
        code
        for code in get_args(NoticeCode)
        if not notice_words(replace(found, notices=(Notice(code, "."),)))
    }
    assert without_words == told_elsewhere


def slides_in_subfolders_are_told_of(queue, folder, slide_path, spin) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        shutil.copy(slide_path, folder / name / "x.tif")
    (folder / "notes").mkdir()
    queue.choose(folder)
    spin(lambda: queue.stage.text() == "3 slides found. 2 sub-folders that hold slides, too, are left out.")
    for path in folder.glob("*.tif"):
        path.unlink()
    shutil.rmtree(folder / "two")
    queue.choose(folder)
    spin(lambda: queue.stage.text().startswith("No slides"))
    assert queue.stage.text() == (
        "No slides found in this folder. 1 sub-folder of it holds slides; choose one of them."
    )
    assert slides_found_text(1, 0) == "1 slide found."
    queue.choose(folder / "gone")
    spin(lambda: "gone cannot be listed" in queue.error.text())
    assert queue.stage.text().startswith("No slides")


def a_slide_taken_out_while_it_is_predicted_is_told_of(panel, viewer, gate, slide_path, spin) -> None:
    from napari.utils.notifications import notification_manager

    (closed, _), said = gate, []
    closed.add(slide_path.name)
    notification_manager.notification_ready.connect(lambda event: said.append(event.message))
    panel.open_slide(slide_path, run=True)
    spin(lambda: panel.session.running is not None)
    viewer.layers.remove(panel.workspace.slide)
    assert panel.session.running is None
    spin(lambda: bool(said))
    assert said == [
        "first was taken out of the window while it was being predicted; its prediction was cancelled."
    ]


def test_rows_of_another_queue_are_not_taken_for_ones_own() -> None:
    record = QueueRecord()
    record.choose((Path("a"), Path("b")))
    other = QueueRequest((Path("c"),), Path("m"))
    assert not record.hear(events.Queued(other, QueueRow(0, error="lost")))
    assert not record.rows
    record.begin(QueueRequest((Path("a"), Path("b")), Path("m")))
    assert record.hear(events.Queued(record.request, QueueRow(0, error="lost")))
    assert record.hear(events.Cancelled(record.request))
    assert record.stage == "Cancelled after 1 of 2 slides."


def test_predict_all_does_not_give_up_a_slide_under_way(panel, queue, gate, slide_path, spin) -> None:
    (closed, go_on), session = gate, panel.session
    closed.add(slide_path.name)
    panel.open_slide(slide_path, run=True)
    spin(lambda: session.running is not None)
    asked = session.running
    queue.run()
    assert session.running is asked
    for label in (queue.error, panel.error):
        assert label.text() == "A slide is being predicted; wait for it or cancel that first."
    go_on.set()
    spin(lambda: session.running is None and panel.workspace.prediction is not None)
    spin(lambda: not queue.error.text())
    queue.run()
    spin(lambda: queue.stage.text() == "Done: 3 predicted, 0 not.")


def test_a_slide_under_way_is_not_given_up_for_another_one(  # noqa: PLR0917 (fixtures)
    kept, panel, dock, gate, slide_path, second_slide_path, spin
) -> None:
    (closed, go_on), session, workspace = gate, panel.session, panel.workspace
    closed.add(slide_path.name)
    patient, pathways = dock("Patient and region"), dock("Pathways")
    panel.open_slide(slide_path, run=True)
    spin(lambda: session.running is not None)
    asked, first = session.running, workspace.slide
    clock = [0.0]
    panel._remaining = Remaining(lambda: clock[0])
    for done, clock[0] in ((0, 0.0), (1000, 20.0)):
        workspace.told.emit(events.Advanced(asked, Progress("Encoding", done, 7000)))
    assert panel.stage.text() == "Encoding: 1,000 of 7,000; about 2 min left"
    panel.open_slide(second_slide_path)
    spin(lambda: workspace.slide not in (None, first) and workspace.shortcuts is not None)
    workspace.set_inputs(expression=Expression(second_slide_path, "second", {"A": 1.0}))
    assert not pathways.expression.run_button.isEnabled()
    panel.window().activateWindow()
    spin(panel.window().isActiveWindow)
    QTest.keyClick(panel.window(), Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    spin(lambda: bool(panel.error.text()))
    assert session.running is asked
    for label in (panel.error, patient.error):
        assert label.text() == "A slide is being predicted; wait for it or cancel that first."
    go_on.set()
    spin(lambda: session.running is None and workspace.result_of(first) is not None)
    spin(lambda: not panel.error.text() and not patient.error.text())
    assert pathways.expression.run_button.isEnabled()
    assert workspace.prediction is None, "the second slide was never predicted"


def test_the_file_of_a_table_names_no_folders(folder: Path, tmp_path: Path, monkeypatch) -> None:
    path, others = folder / "a.tif", "/opt/weights of/uni/model.bin"
    reasons = (
        f"{path} is empty (0 bytes); {path} or {folder}/b.tif in {folder}: {others}",
        "/srv/keys/x.key cannot be read; 0.5 um/px, see https://a.org/b/c and either/or",
    )
    found = [queue_rows.table_rows([path], {0: QueueRow(0, error=reason)})[0].reason for reason in reasons]
    assert found[0].startswith("a.tif is empty (0 bytes); a.tif or b.tif in its folder: ")
    assert found[1] == "x.key cannot be read; 0.5 um/px, see https://a.org/b/c and either/or"
    for reason in found:
        assert not any(part in reason for part in ("Jane", str(tmp_path), "/srv", "/opt"))
    monkeypatch.chdir(folder)
    row = queue_rows.table_rows(
        [Path("a.tif")], {0: QueueRow(0, error=f"a.tif: {folder / 'a.tif'} is lost.")}
    )[0]
    assert row.reason == "a.tif: a.tif is lost."


def test_the_file_of_a_table_names_slides_only_where_that_is_asked_for(queue, folder, tmp_path, spin) -> None:
    (folder / "a.tif").rename(folder / "S21-48213_MUELLER.tif")
    (folder / "b.tif").unlink()
    (folder / "S21-48214_MEIER.tif").write_bytes(b"")
    (folder / "c.tif").unlink()
    queue.choose(folder)
    spin(lambda: len(queue.paths) == 2)
    queue.run()
    spin(lambda: queue.stage.text() == "Done: 1 predicted, 1 not.")
    queue.export(tmp_path / "hidden.csv")
    spin((tmp_path / "hidden.csv").exists)
    hidden = (tmp_path / "hidden.csv").read_text(encoding="utf-8")
    assert [
        part for part in ("MUELLER", "MEIER", "S21", "Jane", str(tmp_path), ".tif") if part in hidden
    ] == []
    table = pd.read_csv(tmp_path / "hidden.csv", keep_default_na=False)
    assert table["slide"].str.fullmatch(r"slide-[0-9a-f]{10}").all()
    assert table["slide"].is_unique
    assert sorted(table["outcome"]) == ["failed", "predicted"]
    assert table["reason"].tolist() == ["", ""]
    queue.identified.click()
    queue.export(tmp_path / "named.csv")
    spin((tmp_path / "named.csv").exists)
    named = pd.read_csv(tmp_path / "named.csv", keep_default_na=False)
    assert sorted(named["slide"]) == ["S21-48213_MUELLER", "S21-48214_MEIER"]
    assert "S21-48214_MEIER.tif" in "".join(named["reason"])
