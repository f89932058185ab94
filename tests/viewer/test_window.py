"""The panel in real napari windows, driven by its buttons."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from closing import close_by_x
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from amkd_core.errors import AmkdError
from amkd_core.inference.survival_summary import told_until
from amkd_viewer import in_view, slide_layers
from amkd_viewer.events import Opened
from amkd_viewer.wording import RESEARCH_USE


def click(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def roles(viewer) -> list[str]:
    return [slide_layers.role_of(layer) for layer in viewer.layers]


def finished(panel):
    return lambda: panel.outcome is not None


@pytest.fixture
def opened(panel, viewer, second_slide_path, spin):
    """The panel with a slide in it that was not encoded before."""
    return opened_in(panel, viewer, second_slide_path, spin)


def opened_in(panel, viewer, slide_path: Path, spin):
    panel.open_slide(slide_path)
    spin(lambda: roles(viewer) == ["slide"])
    return panel


def test_the_panels_stand_under_plugins_amkd_and_an_entry_docks_its_panel(viewer) -> None:
    from napari._app_model import get_app_model

    menu = viewer.window._qt_window.menuBar()
    plugins = next(action for action in menu.actions() if action.text().replace("&", "") == "Plugins").menu()
    plugins.aboutToShow.emit()
    ours = [action for action in plugins.actions() if action.text() == "AMKD"]
    assert len(ours) == 1
    entries = [action.text() for action in ours[0].menu().actions()]
    assert entries == [
        "Predict survival risk",
        "View and heatmap",
        "Top patches",
        "Compare teacher and student",
        "Pathways",
        "Survival",
        "Patient and region",
        "Folder of slides",
        "Export",
        "Settings",
        "Slide information",
        "Help and shortcuts",
    ]
    get_app_model().commands.execute_command("amkd-viewer.predict").result()
    docked = viewer.window.dock_widgets
    assert any("Predict survival risk" in name for name in docked)


def test_a_click_on_predict_brings_risk_map_and_boxes_over_the_sample_from_the_menu(  # noqa: PLR0917 (fixtures)
    kept, panel, viewer, slide_path, qtbot, spin, monkeypatch
) -> None:
    monkeypatch.setattr("amkd_core.inference.demo.demo_slide_path", lambda: slide_path)
    actions = panel.window().menuBar().actions()
    for name in ("File", "Open Sample"):
        menu = next(action for action in actions if action.text().replace("&", "") == name).menu()
        menu.aboutToShow.emit()
        actions = menu.actions()
    ours = [action for action in actions if "Demo slide (synthetic)" in action.text()]
    assert len(ours) == 1, [action.text() for action in actions]
    ours[0].trigger()
    spin(lambda: roles(viewer) == ["slide"])
    assert panel.inputs.slide is viewer.layers[0]
    click(qtbot, panel.run_button)
    spin(finished(panel))
    assert roles(viewer) == ["slide", "map", "boxes"]
    risk_is_shown(panel, spin)
    spin(lambda: viewer.canvas.overlays.scale_bar.visible)
    # The map is the chosen layer: heat under the cursor stands in the status bar.
    assert slide_layers.role_of(viewer.layers.selection.active) == "map"
    a_second_run_draws_into_the_same_layers_and_they_leave_with_the_slide(panel, viewer, qtbot, spin)


def risk_is_shown(opened, spin) -> None:
    result = opened.result
    assert result.isVisible()
    assert result.percentile.text() == f"{opened.outcome.risk_percentile:.0f}"
    assert result.group.text() in ("DOUBTFUL:\nLOW RISK", "DOUBTFUL:\nHIGH RISK"), "it lies outside the range"
    assert opened.research_use.text() == RESEARCH_USE
    assert opened.research_use.isVisible()
    assert any("trained on simulated slides" in sentence for sentence in result.notices.sentences)
    assert any("outside the range" in sentence for sentence in result.notices.sentences)
    facts = result.facts.text
    for expected in (
        "texture",
        "BSD-3-Clause",
        "0.5 µm per pixel, from the TIFF resolution tags",
        "50 patients",
    ):
        assert expected in facts
    # low, high, the patient, and the patient where the model tells how many and not when
    spin(lambda: result.plot.figure is not None)
    *solid, dashed = result.plot.figure.axes[0].get_lines()
    assert [line.get_linestyle() for line in (*solid, dashed)] == ["-", "-.", "-", "--"]
    assert dashed.get_xdata()[0] == solid[-1].get_xdata()[-1] == told_until(opened.outcome)
    assert not opened.error.isVisible()


def a_second_run_draws_into_the_same_layers_and_they_leave_with_the_slide(
    opened, viewer, qtbot, spin
) -> None:
    viewer.layers[1].opacity = 0.3
    before, image = list(viewer.layers), viewer.layers[1].data.copy()
    click(qtbot, opened.run_button)
    spin(finished(opened))
    assert list(viewer.layers) == before
    assert viewer.layers[1].opacity == 0.3
    np.testing.assert_array_equal(viewer.layers[1].data, image)
    viewer.layers.remove(viewer.layers[0])
    assert list(viewer.layers) == []
    assert not opened.result.isVisible()


def test_cancel_acts_within_a_second(opened, viewer, qtbot, spin) -> None:
    click(qtbot, opened.run_button)
    spin(lambda: "patches" in opened.stage.text(), 60)
    start = time.monotonic()
    click(qtbot, opened.cancel_button)
    spin(lambda: opened.run_button.isEnabled() and opened.stage.text() == "Cancelled", 5)
    assert time.monotonic() - start < 1
    assert opened.session.wait(10), "the thread must follow soon"
    assert roles(viewer) == ["slide"]
    assert opened.outcome is None
    # and the next run works
    click(qtbot, opened.run_button)
    spin(finished(opened))
    assert roles(viewer) == ["slide", "map", "boxes"]


def test_a_file_that_is_no_slide_or_not_its_hashs_is_a_sentence_and_a_missing_bundle_in_panel_and_notification(  # noqa: PLR0917
    panel, viewer, slide_path, qtbot, spin, tmp_path
) -> None:
    path = tmp_path / "empty.svs"
    path.touch()
    panel.open_slide(path, run=True)
    spin(finished(panel))
    assert "is empty" in panel.error.text()
    slide = Path(shutil.copy(slide_path, tmp_path))  # the others of this session have no hash beside them
    opened = opened_in(panel, viewer, slide, spin)
    hash_file = slide.with_name(f"{slide.name}.sha256")
    hash_file.write_text(f"{'ab' * 32}  {slide.name}\n")
    click(qtbot, opened.run_button)
    spin(finished(opened))
    hash_file.unlink()
    assert "first.tif: is not the file of first.tif.sha256" in opened.error.text()
    assert roles(viewer) == ["slide"]
    opened.bundle_path = tmp_path / "lost.amkd"
    heard: list[str] = []
    notification_manager.notification_ready.connect(lambda note: heard.append(note.message))
    click(qtbot, opened.run_button)
    spin(finished(opened))
    assert isinstance(opened.outcome, AmkdError)
    assert "lost.amkd" in opened.error.text()
    assert opened.error.isVisible()
    assert heard == [opened.error.text()]
    assert opened.run_button.isEnabled()
    assert not opened.cancel_button.isEnabled()


def test_a_slide_without_scale_is_asked_for_it(panel, viewer, slide_without_scale, qtbot, spin) -> None:
    panel.open_slide(slide_without_scale)
    spin(lambda: roles(viewer) == ["slide"])
    assert panel.inputs.mpp.isVisible()
    assert panel.inputs.scale_question.isVisible()
    click(qtbot, panel.run_button)
    assert "does not tell its scale" in panel.error.text()
    assert panel.session.running is None
    panel.inputs.mpp.setValue(0.5)
    assert not panel.inputs.scale_question.isVisible()
    assert tuple(viewer.layers[0].scale) == (0.5, 0.5)
    assert {str(unit) for unit in viewer.layers[0].units} == {"micrometer"}
    click(qtbot, panel.run_button)
    spin(finished(panel))
    assert not isinstance(panel.outcome, BaseException), panel.outcome
    assert panel.outcome.bag.slide_mpp_source == "user"
    assert "given by you" in panel.result.facts.text


CONTRADICTIONS = {
    "power": (
        "records 0.5 micrometres per pixel, but its objective power means about 0.25",
        ["0.5", "0.25"],
        1,
    ),
    "oblong": (
        "records 0.25 x 0.5 micrometres per pixel, which are not square",
        ["0.25 × 0.5", "0.25", "0.5"],
        0,
    ),
}
"""What a slide says, which scales are offered, and which of them is taken."""


def test_a_slide_that_contradicts_itself_is_asked_for_its_scale(panel, viewer, tmp_path, qtbot, spin) -> None:
    from slide_files import tissue_like, write_svs, write_tiff

    image = tissue_like(1536, 1536, seed=6)
    for kind in CONTRADICTIONS:
        if kind == "power":
            path = write_svs(tmp_path / "doubt.svs", [image], mpp=0.5, power=40)
        else:
            path = write_tiff(tmp_path / "doubt.tif", [image], mpp=(0.25, 0.5))
        opened_in(panel, viewer, path, spin)
        it_is_asked_for(panel, viewer, kind, qtbot, spin)
        viewer.layers.clear()


def it_is_asked_for(panel, viewer, kind: str, qtbot, spin) -> None:
    why, offered, chosen = CONTRADICTIONS[kind]
    inputs = panel.inputs
    assert inputs.mpp.isVisible()
    assert inputs.mpp.value() == 0
    assert inputs.scale_question.isVisible()
    assert (
        inputs.scale_question.text() == f"This slide {why}; enter the right micrometres per pixel, or choose:"
    )
    assert [button.text() for button in inputs.candidates] == offered
    assert all(button.isVisible() for button in inputs.candidates)
    click(qtbot, panel.run_button)
    assert f"doubt {why}; bring it into view" in panel.error.text()
    assert panel.session.running is None
    click(qtbot, inputs.candidates[chosen])
    assert not inputs.scale_question.isVisible()
    assert not any(button.isVisible() for button in inputs.candidates)
    x, y = (0.25, 0.25) if kind == "power" else (0.25, 0.5)
    assert tuple(viewer.layers[0].scale) == pytest.approx((y, x), rel=1e-5)
    assert inputs.mpp.text() == ("0.2500" if kind == "power" else "0.2500 × 0.5")
    click(qtbot, panel.run_button)
    spin(finished(panel))
    assert not isinstance(panel.outcome, BaseException), panel.outcome
    assert panel.outcome.bag.slide_mpp == pytest.approx((x, y), rel=1e-5)
    assert panel.outcome.bag.slide_mpp_source == "user"
    assert f"{offered[chosen]} µm per pixel, given by you" in panel.result.facts.text


def test_taking_the_slide_away_ends_its_run_and_closing_the_panel_in_mid_run_its_threads(
    opened, viewer, second_slide_path, qtbot, spin
) -> None:
    click(qtbot, opened.run_button)
    spin(lambda: "patches" in opened.stage.text())
    viewer.layers.clear()
    assert opened.session.running is None
    assert not opened.run_button.isEnabled()
    assert opened.session.wait(20)
    qtbot.wait(200)
    assert list(viewer.layers) == []
    assert not opened.result.isVisible()
    opened_in(opened, viewer, second_slide_path, spin)
    click(qtbot, opened.run_button)
    spin(lambda: "patches" in opened.stage.text())
    session, workspace, shut = opened.session, opened.workspace, []
    close_by_x(opened, spin)
    assert session.running is None
    assert session.wait(20)
    n_layers = len(viewer.layers)
    workspace._on_told(Opened(SimpleNamespace(close=lambda: shut.append(True))))  # was on its way
    assert shut
    assert len(viewer.layers) == n_layers


def test_a_map_is_shown_on_its_own_slide_only(  # noqa: PLR0917 (fixtures)
    panel, viewer, slide_path, second_slide_path, qtbot, spin
) -> None:
    opened = opened_in(panel, viewer, slide_path, spin)
    click(qtbot, opened.run_button)
    spin(lambda: "patches" in opened.stage.text())
    # opened, and thereby chosen, in the middle of the first slide's run
    opened.open_slide(second_slide_path)
    spin(lambda: roles(viewer).count("slide") == 2)
    assert opened.stage.text().startswith("first: ")  # whose run it is
    spin(lambda: "boxes" in roles(viewer))
    visible = {layer.name for layer in viewer.layers if layer.visible}
    assert visible == {"second"}
    spin(finished(opened))
    assert opened.workspace.slide.name == "second"
    assert in_view.selected(viewer) is opened.workspace.slide
    assert not opened.result.isVisible()
    opened.inputs.slides.setCurrentIndex(0)
    visible = {layer.name for layer in viewer.layers if layer.visible}
    assert visible == {"first", "Attention: first", "Student's top patches: first"}
    assert opened.result.isVisible()


def test_two_slides_are_told_of_and_looked_at_one_by_one_and_closed_together(
    predicted, viewer, second_slide_path, spin
) -> None:
    """The list of layers hears each of ours, a slide is in view when the other goes, a window closes with both."""
    predicted.open_slide(second_slide_path)
    spin(lambda: roles(viewer).count("slide") == 2)
    told: list[object] = []
    viewer.layers.events.connect(lambda event: event.type == "visible" and told.extend(event.sources))
    assert {"slide", "map", "boxes"} <= set(roles(viewer))
    for layer in viewer.layers:
        told.clear()
        layer.visible = not layer.visible
        assert any(source is layer for source in told), layer.name
        layer.visible = not layer.visible
    viewer.layers.remove(viewer.layers["second"])
    spin(predicted.result.isVisible)
    assert predicted.inputs.slide is viewer.layers["first"]
    assert all(layer.visible for layer in viewer.layers)
    assert roles(viewer).count("boxes") == 1
    predicted.open_slide(second_slide_path, run=True)
    spin(lambda: roles(viewer).count("boxes") == 2)
    # napari takes the layers away one by one when it can draw no other any more.
    viewer.close()
    assert list(viewer.layers) == []


def test_napari_opens_slides_itself_and_slide_information_tells_and_asks(
    panel, viewer, slide_without_scale, slide_path, spin
) -> None:
    _, widget = viewer.window.add_plugin_dock_widget("amkd-viewer", "Slide information")
    spin(widget.empty.isVisible)
    (layer,) = viewer.open(slide_path, plugin="amkd-viewer")
    assert panel.inputs.slide is layer
    spin(lambda: layer.loaded)
    assert layer.extent.world[1] == pytest.approx((1151.5, 1535.5), abs=1)
    assert "3,072 × 2,304" in widget.facts.text
    assert "1.54 × 1.15 mm" in widget.facts.text
    assert not widget.mpp.isVisible()
    viewer.layers.clear()
    viewer.open(slide_without_scale, plugin="amkd-viewer")
    assert widget.mpp.isVisible()
    widget.mpp.setValue(0.25)
    assert tuple(viewer.layers[0].scale) == (0.25, 0.25)
    assert "0.25 µm per pixel, given by you" in widget.facts.text


def test_immunohistochemistry_is_noticed(panel, viewer, shared: Path, spin) -> None:
    panel.open_slide(shared / "slides" / "real" / "OS-2-ndpi.ome.tif", run=True)
    spin(finished(panel), 120)
    assert not isinstance(panel.outcome, BaseException), panel.outcome
    assert any(notice.code == "not_he" for notice in panel.outcome.notices)
    shown = " ".join(panel.result.notices.sentences)
    assert next(notice for notice in panel.outcome.notices if notice.code == "not_he").sentence in shown
