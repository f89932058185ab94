"""Wheel, keys and names of what the panels are worked with, in real windows."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from pixels import colours_of
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QHelpEvent, QWheelEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QSlider,
    QSpinBox,
    QToolTip,
    QWidget,
)

from amkd_core.settings import read_settings
from amkd_viewer.actions import ACTIONS
from amkd_viewer.beside_widget import dock_of
from amkd_viewer.colours import window_colours
from amkd_viewer.plots import draw_risk_place, draw_survival
from amkd_viewer.shortcuts_widget import key_text

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


def named(field: QWidget) -> bool:
    """Whether a screen reader can tell what a field is for."""
    window = field.window()
    return bool(field.accessibleName()) or any(one.buddy() is field for one in window.findChildren(QLabel))


def test_slides_whose_long_names_differ_at_the_end_alone_are_told_apart(
    panel, slide_path, second_slide_path, tmp_path, spin
) -> None:
    box, pictures, said = panel.inputs.slides, [], []
    for path, end in ((slide_path, "DX1"), (second_slide_path, "DX2")):
        named = tmp_path / f"{'TCGA-AA-0001-01Z-00-of-a-patient-with-several-slides-' * 2}{end}.tif"
        named.symlink_to(path)
        panel.open_slide(named)
        spin(lambda end=end: box.currentText().endswith(end))
        assert box.shown_text.startswith("TCGA-AA")
        assert box.shown_text.endswith(end)
        assert box.fontMetrics().horizontalAdvance(box.shown_text) < box.width()
        pictures.append(box.grab().toImage())
        place = box.rect().center()
        QApplication.sendEvent(box, QHelpEvent(QEvent.Type.ToolTip, place, box.mapToGlobal(place)))
        said.append(QToolTip.text())
    assert pictures[0] != pictures[1]
    assert said == [slide.name for slide in panel.workspace.slides]
    QToolTip.hideText()


def test_every_field_has_a_name_every_button_says_what_it_does_and_the_wheel_changes_none_without_focus(
    taught, dock, viewer, qtbot, spin
) -> None:
    fields = (QComboBox, QAbstractSpinBox, QSlider, QAbstractItemView, QLineEdit)
    panels = [dock(name) for name in PANELS]
    qtbot.wait(50)  # until all are laid out
    for panel in panels:
        inner = [
            field
            for kind in fields
            for field in panel.findChildren(kind)
            # What boxes and tables are made of.
            if not isinstance(field, QHeaderView)
            and not isinstance(field.parent(), QAbstractSpinBox | QComboBox)
            and not isinstance(field.parent().parent(), QComboBox)
        ]
        for field in inner:
            assert named(field), f"{type(panel).__name__}: {type(field).__name__} {field.objectName()}"
    by_name = dict(zip(PANELS, panels, strict=True))
    for name in ("Predict survival risk", "View and heatmap", "Patient and region", "Folder of slides"):
        for button in by_name[name].findChildren(QPushButton):
            assert button.toolTip(), f"{name}: {button.text()}"
    predict, view = by_name["Predict survival risk"], by_name["View and heatmap"]
    for button, key in (
        (predict.run_button, "Ctrl+Return"), (predict.cancel_button, "Ctrl+."), (view.presets[1], "Alt+2"),
        (view.fit, "Alt+0"), (view.quarter, "Alt+E"), (view.upright, "Alt+A"),
    ):  # fmt: skip
        spin(lambda button=button, key=key: button.toolTip().endswith(f"({key_text(key)})"), 10)
    the_wheel_changes_nothing_that_has_no_focus(taught.workspace, panels, viewer)


def the_wheel_changes_nothing_that_has_no_focus(workspace, panels: list, viewer) -> None:
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


def test_focus_is_seen(taught, viewer, dock, spin) -> None:
    view, gallery = dock("View and heatmap"), dock("Top patches")
    for theme in ("dark", "light"):
        viewer.theme = theme
        viewer.window.activate()
        for widget in (
            view.fit,
            view.heat.kind,
            view.heat.smooth,
            view.angle,
            view.heat.opacity,
            gallery.number,
        ):
            dock_of(view if view.isAncestorOf(widget) else gallery).raise_()
            spin(widget.isVisible)
            size = widget.size()
            pictures = []
            for target in (view.scroll_area, widget):
                target.setFocus()
                spin(target.hasFocus)
                pictures.append(colours_of(widget.grab().toImage()))
            before, after = pictures
            lit = (before != after) & (after == int(window_colours(theme).text[1:], 16))
            assert lit.sum() >= 2 * after.shape[1], (theme, type(widget).__name__)
            assert widget.size() == size, (theme, type(widget).__name__)


def test_patches_and_overview_are_worked_by_keys(taught, viewer, dock, qtbot, spin) -> None:
    gallery, view = dock("Top patches"), dock("View and heatmap")
    wall, marked, chosen = gallery.view, [], []
    viewer.window.activate()
    dock_of(gallery).raise_()
    spin(lambda: wall.isVisible() and len(wall.cards) > 3)
    wall.hovered.connect(marked.append)
    wall.clicked.connect(chosen.append)
    gallery.source.setFocus()
    qtbot.keyClick(gallery.source, Qt.Key.Key_Tab)
    spin(wall.hasFocus)
    cards = {card.source: [one for one in wall.cards if one.source == card.source] for card in wall.cards}
    assert marked[-1] is wall.cards[0].patch
    left, right = cards["teacher"], cards["student"]
    for key, expected in (
        (Qt.Key.Key_Down, left[1]), (Qt.Key.Key_Right, right[1]), (Qt.Key.Key_Up, right[0]),
        (Qt.Key.Key_Up, right[0]), (Qt.Key.Key_Left, left[0]), (Qt.Key.Key_Down, left[1]),
    ):  # fmt: skip
        qtbot.keyClick(wall, key)
        assert marked[-1] is expected.patch
        assert expected.source in wall.accessibleName()
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Space):
        qtbot.keyClick(wall, key)
    assert chosen == [left[1].patch] * 2
    dock_of(view).raise_()
    spin(lambda: view.overview.has_picture and view.overview.isVisible())
    view.presets[3].click()
    spin(lambda: view.overview.field is not None and np.ptp(view.overview.field[:, 0]) < 2000)
    before = view.overview.field.mean(axis=0)
    view.overview.setFocus()
    spin(lambda: marked[-1] is None)
    qtbot.keyClick(view.overview, Qt.Key.Key_Right)
    spin(lambda: view.overview.field.mean(axis=0)[0] > before[0] + 10)


def test_low_and_high_risk_are_told_apart_without_colours(predicted) -> None:
    from matplotlib.figure import Figure

    from amkd_core.export.curve_figure import GROUP_COLOURS, GROUP_LINES, draw_curve

    prediction = predicted.workspace.prediction
    assert {"low": window_colours("light").low, "high": window_colours("light").high} == GROUP_COLOURS
    assert window_colours("dark").high == window_colours("light").high
    window, paper, place = Figure(), Figure(), Figure()
    draw_survival(window, window_colours("dark"), prediction=prediction)
    draw_curve(paper.add_subplot(), prediction)
    for figure in (window, paper):
        styles = [line.get_linestyle() for line in figure.axes[0].get_lines()]
        low, high, told, drawn_on = [styles[0], styles[1], *styles[-2:]]
        assert len({low, high, drawn_on}) == 3
        assert low == told == GROUP_LINES["low"]
        assert high == GROUP_LINES["high"]
    draw_risk_place(place, window_colours("dark"), prediction=prediction)
    legend = [text.get_text() for text in place.axes[0].get_legend().get_texts()]
    assert {"low risk", "high risk"} < set(legend)
