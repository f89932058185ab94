"""Every panel under napari's dark and light theme: its text is read from its pixels, nothing is cut."""

from __future__ import annotations

import numpy as np
import pytest
from pixels import colour_name, colours_of
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import QDockWidget, QLabel, QWidget

from amkd_viewer.actions import ACTIONS
from amkd_viewer.colours import contrast, ink_on, window_colours
from amkd_viewer.figure_widget import FigureWidget
from amkd_viewer.labels_widget import PathLabel
from amkd_viewer.legend_widget import LegendWidget

READABLE = 4.5
"""WCAG 2.2's least contrast of small text."""
PANELS = [action.title for action in ACTIONS if action.group == "Panels"]


def test_every_panel_is_read_in_both_themes(taught, viewer, dock, qtbot, spin) -> None:
    # The canvases of the comparison are napari's, and costly to draw; its panel is the same without a result.
    panels = {name: dock(name) for name in PANELS if not name.startswith("Compare")}
    qtbot.wait(50)
    for theme in ("light", "dark"):
        viewer.theme = theme
        colours = window_colours(theme)
        for name, panel in panels.items():
            bring_to_front(panel)
            spin(panel.isVisible)
            figures = [figure for figure in panel.findChildren(FigureWidget) if figure.isVisible()]
            spin(lambda figures=figures, colours=colours: all(in_colours(one, colours) for one in figures))
            assert_readable(panel, f"{name}, {theme}")
            assert_nothing_cut(panel, name)


def bring_to_front(panel: QWidget) -> None:
    parent = panel.parentWidget()
    while not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    parent.raise_()


def in_colours(figure: FigureWidget, colours) -> bool:
    from matplotlib.colors import to_hex

    if figure.figure is None or to_hex(figure.figure.get_facecolor()) != colours.background:
        return False
    texts = [text for axes in figure.figure.axes for text in (axes.xaxis.label, *axes.get_xticklabels())]
    return all(to_hex(text.get_color()) == colours.text for text in texts if text.get_text())


def assert_readable(panel, where: str) -> None:
    page = panel.scroll_area.widget()
    # Rows that a task has just added have their places when the loop comes to it; a grab does not wait for that.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
    image = colours_of(page.grab().toImage())
    for widget in page.findChildren(QWidget):
        text = widget.text() if isinstance(widget, QLabel) else "legend"
        if not widget.isVisible() or not text or not isinstance(widget, QLabel | LegendWidget):
            continue
        corner = widget.mapTo(page, widget.rect().topLeft())
        top = 16 if isinstance(widget, LegendWidget) else 0  # its numbers, not its bar
        part = image[
            corner.y() + top : corner.y() + widget.height(), corner.x() : corner.x() + widget.width()
        ]
        assert contrast_of(part) >= READABLE, f"{where}: {text}"


def contrast_of(part: np.ndarray) -> float:
    """Of the pixel that differs most from the commonest colour."""
    colours, counts = np.unique(part[:, ::2], return_counts=True)
    background = colour_name(colours[counts.argmax()])
    return max(contrast(background, colour_name(colour)) for colour in colours)


def assert_nothing_cut(panel, name: str) -> None:
    for label in panel.findChildren(QLabel):
        if not label.isVisible() or not label.text() or isinstance(label, PathLabel):
            continue
        if label.wordWrap():
            assert label.height() >= label.heightForWidth(label.width()), f"{name}: {label.text()}"
        elif label.sizePolicy().horizontalPolicy() != label.sizePolicy().Policy.Ignored:
            assert label.width() >= label.sizeHint().width() - 1, f"{name}: {label.text()}"
    assert panel.scroll_area.horizontalScrollBar().maximum() == 0, f"{name} must never scroll sideways"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_of_all_kinds_has_the_contrast_that_small_text_wants(theme: str) -> None:
    colours = window_colours(theme)
    for text in (colours.text, colours.muted):
        assert contrast(colours.background, text) >= READABLE
    for fill in (colours.low, colours.high):
        assert contrast(fill, ink_on(fill)) >= READABLE
        assert contrast(colours.background, fill) >= 3, "of lines and areas"


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert ink_on("#0072b2") == "#ffffff"
    assert np.isclose(contrast("#d55e00", "#d55e00"), 1)


def test_tick_boxes_of_a_patients_slides_are_seen(panel, viewer, dock, slide_path, spin) -> None:
    patient = dock("Patient and region")
    panel.open_slide(slide_path)
    spin(lambda: patient.slides.count() == 1 and patient.slides.isVisible())
    for theme in ("dark", "light"):
        viewer.theme = theme
        boxes = []
        for state in (Qt.CheckState.Unchecked, Qt.CheckState.Checked):
            patient.slides.item(0).setCheckState(state)
            picture = colours_of(patient.slides.grab().toImage())
            line = patient.slides.visualItemRect(patient.slides.item(0))
            # Left of the name.
            boxes.append(picture[: line.height(), 2:18])
            height, width = picture.shape
            ground = colour_name(picture[height - 10, width // 2])
            # Parts of controls want 3 by WCAG 2.2.
            seen = [contrast(colour_name(colour), ground) >= 3 for colour in boxes[-1].flat]
            assert sum(seen) > 20, (theme, state)
        assert (boxes[0] != boxes[1]).sum() > 10, f"a tick is seen in the box, {theme}"
