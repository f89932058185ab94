"""Wheel, keys and names of what the panels are worked with, in real windows."""

from __future__ import annotations

from contextlib import suppress

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QSlider, QSpinBox, QWidget

from amkd_core.settings import read_settings
from amkd_viewer.actions import ACTIONS

PANELS = [action.title for action in ACTIONS if action.group == "Panels"]
TURNED = (QComboBox, QAbstractSpinBox, QSlider)


def wheel(widget: QWidget, step: int = -120) -> None:
    """Turn the mouse wheel by one notch over the middle of a widget."""
    place = QPointF(widget.rect().center())
    QApplication.sendEvent(
        widget,
        QWheelEvent(
            place, QPointF(widget.mapToGlobal(place.toPoint())), QPoint(0, 0), QPoint(0, step),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        ),
    )  # fmt: skip


def turned(panel: QWidget) -> list[QWidget]:
    return [control for kind in TURNED for control in panel.findChildren(kind)]


def state(control: QWidget) -> object:
    if isinstance(control, QComboBox):
        return control.currentIndex()
    with suppress(AttributeError):
        return control.value()
    return control.text()


def test_the_wheel_changes_nothing_that_has_no_focus(taught, dock, viewer, qtbot) -> None:
    workspace, panels = taught.workspace, [dock(name) for name in PANELS]
    qtbot.wait(50)  # until all are laid out
    before = [(control, state(control)) for one in panels for control in turned(one)]
    assert len(before) > 20
    look, device, stored = workspace.look, workspace.device, read_settings()
    viewer.window._qt_window.setFocus()
    for control, shown in before:
        for step in (-120, 120, 120):
            wheel(control, step)
            assert not control.hasFocus()
            assert state(control) == shown, f"{type(control.parent()).__name__}: {control.accessibleName()}"
    assert (workspace.look, workspace.device) == (look, device)
    assert read_settings() == stored


def test_the_wheel_scrolls_the_panel_and_changes_what_has_focus(viewer, dock, spin) -> None:
    export, late, tall = dock("Export"), QSpinBox(), QWidget()
    tall.setFixedHeight(3000)
    export.add(late)
    export.add(tall)
    bar = export.scroll_area.verticalScrollBar()
    spin(lambda: bar.maximum() > 0)
    for control in (export.number, late):
        viewer.window._qt_window.setFocus()
        bar.setValue(0)
        wheel(control)
        assert bar.value() > 0
        assert control.value() == {export.number: 5, late: 0}[control]
    viewer.window.activate()
    export.number.setFocus()
    spin(export.number.hasFocus)
    wheel(export.number, 120)
    assert export.number.value() == 6


def test_a_folder_is_listed_from_a_to_z(dock, slide_path, tmp_path, spin) -> None:
    for name in ("b", "c", "a"):
        (tmp_path / f"{name}.tif").symlink_to(slide_path)
    queue = dock("Folder of slides")
    queue.choose(tmp_path)
    spin(lambda: queue.table.n_shown == 3)
    assert [queue.table.value(place, 0) for place in range(3)] == ["a.tif", "b.tif", "c.tif"]
