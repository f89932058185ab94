"""Panels beside text of another size, as it is set in napari's preferences, in real windows."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QLabel, QTableView

from amkd_viewer.actions import ACTIONS
from amkd_viewer.labels_widget import MUTED

PANELS = [action.title for action in ACTIONS if action.group == "Panels"]
LARGE_PT = 14


@pytest.fixture
def text_size(viewer):
    """The setting of napari; it is put back."""
    from napari.settings import get_settings

    appearance = get_settings().appearance
    usual = appearance.font_size
    yield appearance
    appearance.font_size = usual


def in_front(panel, spin) -> None:
    parent = panel.parentWidget()
    while not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    parent.raise_()
    spin(panel.isVisible)


def test_nothing_is_cut_with_a_larger_font_and_captions_of_patches_have_room(
    taught, dock, text_size, qtbot, spin
) -> None:
    by_name = {name: dock(name) for name in PANELS if not name.startswith("Compare")}
    panels, view = list(by_name.values()), by_name["Top patches"].view
    usual = text_size.font_size
    for size_pt in (9, 10, LARGE_PT):
        text_size.font_size = size_pt
        qtbot.wait(50)
        for panel in panels:
            in_front(panel, spin)
            page, area = panel.scroll_area.widget(), panel.scroll_area
            spin(lambda page=page, area=area: page.minimumSizeHint().width() <= area.viewport().width(), 5)
            assert area.horizontalScrollBar().maximum() == 0
    for panel in panels:
        for label in panel.findChildren(QLabel, "amkdMuted"):
            label.ensurePolished()
            assert label.font().pointSizeF() == pytest.approx(MUTED * LARGE_PT, abs=0.01)
        for table in panel.findChildren(QTableView):
            assert table.font().pointSizeF() == LARGE_PT
            assert table.verticalHeader().defaultSectionSize() > table.fontMetrics().height()
    in_front(by_name["Top patches"], spin)
    text_size.font_size = usual
    spin(lambda: bool(view.cards))
    qtbot.wait(50)
    width = view.cards[0].box.width()
    text_size.font_size = 2 * usual
    spin(lambda: view.cards[0].box.width() >= 1.9 * width, 5)


def test_what_a_small_screen_has_no_room_for_is_scrolled_to(
    viewer, dock, text_size, spin, monkeypatch
) -> None:
    monkeypatch.setattr("amkd_viewer.panel_widget._MOST_OF_SCREEN", 0.2)
    text_size.font_size = 20
    export = dock("Export")
    bar = export.scroll_area.horizontalScrollBar()
    viewer.window._qt_window.resize(900, 700)
    spin(lambda: bar.maximum() > 0)
    assert export.minimumWidth() == 340
    assert export.scroll_area.horizontalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAsNeeded
