"""A model file that is dropped on a window becomes the chosen one."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize("docked", [True, False])
def test_a_dropped_model_is_chosen(viewer, request, other_bundle_path: Path, docked: bool, spin) -> None:
    from napari.utils.notifications import notification_manager

    said: list[str] = []
    notification_manager.notification_ready.connect(lambda event: said.append(event.message))
    if docked:
        request.getfixturevalue("panel")
    viewer.window._qt_viewer._qt_open([str(other_bundle_path)], stack=False, choose_plugin=False)
    (panel,) = (widget for widget in viewer.window.dock_widgets.values() if hasattr(widget, "bundle_path"))
    assert panel.bundle_path == panel.workspace.bundle_path == other_bundle_path
    assert panel.isVisible()
    assert panel.inputs.bundle_name.text() == other_bundle_path.name
    assert not viewer.layers
    spin(lambda: "other.amkd is the chosen model now." in said)
    if not docked:
        panel.session.close()
