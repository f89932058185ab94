"""Maps side by side in a small window: they have room, a legend and a scale bar that leaves them in view."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QDockWidget

from amkd_viewer.beside_widget import beside_of, dock_of


@pytest.fixture
def compare(taught, viewer, dock, qtbot, spin):
    """The comparison of a slide's teacher and student with their difference, in a small window."""
    viewer.window.resize(1280, 720)
    panel = dock("Compare teacher and student")
    spin(lambda: panel.beside is not None)
    panel.difference.setChecked(True)
    spin(lambda: len(beside_of(viewer).row.canvases) == 3)
    qtbot.wait(300)
    return panel


@pytest.mark.one_window
def test_maps_have_room_in_a_small_window(compare, viewer) -> None:
    window, canvases = viewer.window._qt_window, beside_of(viewer).row.canvases
    assert (window.width(), window.height()) == (1280, 720)
    assert dock_of(beside_of(viewer)).height() >= 0.4 * window.height()
    for canvas in canvases:
        assert canvas.qt_viewer.height() >= 180
        assert canvas.qt_viewer.width() >= 150
    # Beside napari's own lists, not below them: they keep their height.
    lists = [one for one in window.findChildren(QDockWidget) if one.windowTitle() == "layer list"]
    assert all(one.geometry().bottom() > dock_of(beside_of(viewer)).geometry().top() for one in lists)
    assert lists


@pytest.mark.one_window
def test_each_map_has_its_legend(compare, viewer) -> None:
    teacher, student, difference = (canvas.legend for canvas in beside_of(viewer).row.canvases)
    assert all(legend.isVisible() for legend in (teacher, student, difference))
    assert teacher.labels == student.labels == ("0", "50", "100")
    assert difference.labels == ("-100", "0", "100")
    assert "difference of percentiles" in difference.accessibleName()
    assert not np.allclose(difference.colours, teacher.colours)
    compare.workspace.set_look(kind="raw", colour_map="magma")
    raw = beside_of(viewer).row.canvases[0]
    assert "divided by the mean" in raw.legend.accessibleName()
    assert float(raw.legend.labels[2]) == pytest.approx(raw.model.layers[1].contrast_limits[1], rel=0.01)
    compare.difference.setChecked(False)
    assert all(canvas.legend.isVisible() for canvas in beside_of(viewer).row.canvases)


@pytest.mark.one_window
def test_the_scale_bar_leaves_the_maps_in_view(compare, viewer, spin) -> None:
    for canvas in beside_of(viewer).row.canvases:
        bar = canvas.model.canvas.overlays.scale_bar
        spin(lambda bar=bar: bar.visible)
        assert bar.font_size < viewer.canvas.overlays.scale_bar.font_size
        (drawn,) = canvas.qt_viewer.canvas._viewer_overlay_to_visual[bar]
        for zoom in np.geomspace(0.02, 20, 7):
            canvas.model.scene.camera.zoom = zoom
            assert 0 < drawn._current_length <= 0.5 * canvas.qt_viewer.width()
