"""What napari's own menus make of our layers is the user's: nothing of ours is drawn into it, and it breaks nothing."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels, _layer_actions

from amkd_viewer import in_view, navigation, slide_layers

pytestmark = [
    # napari's own, when it makes labels of a map with glass in it.
    pytest.mark.filterwarnings("ignore:projection mode:UserWarning"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning"),
]


@pytest.fixture
def done_by(viewer):
    """Apply one of napari's actions to a layer, and give what it made."""

    def act(action, layer):
        before = list(viewer.layers)
        viewer.layers.selection = {layer}
        action(viewer.layers)
        (made,) = [one for one in viewer.layers if one not in before]
        return made

    return act


def again(panel, spin) -> None:
    panel.run()
    spin(lambda: panel.outcome is not None)
    assert panel.outcome is panel.workspace.prediction


def roles(viewer) -> list[str]:
    return [slide_layers.role_of(layer) for layer in viewer.layers]


def test_labels_of_a_map_are_not_the_map(predicted, viewer, dock, done_by, spin) -> None:
    view, slide = dock("View and heatmap"), predicted.workspace.slide
    heat = slide_layers.overlay(viewer, slide, "map")
    labels = done_by(_layer_actions._convert_to_labels, heat)
    assert isinstance(labels, Labels)
    viewer.layers.remove(heat)
    assert slide_layers.overlay(viewer, slide, "map") is None
    again(predicted, spin)
    heat = slide_layers.overlay(viewer, slide, "map")
    assert heat.name == "Attention: first"
    predicted.workspace.set_look(kind="raw", colour_map="magma")
    assert not view.error.text()
    # It lies on its slide all the same, and goes out of view with it.
    navigation.turn(viewer, slide, 90)
    np.testing.assert_array_equal(slide_layers.affine_of(labels), slide_layers.affine_of(slide))
    labels.visible = True
    in_view.hide(heat)
    assert labels.visible
    assert "wanted" not in slide_layers.entry_of(labels)


def test_labels_of_boxes_and_regions_are_neither(predicted, viewer, dock, done_by, spin) -> None:
    slide, panel = predicted.workspace.slide, dock("Patient and region")
    done_by(_layer_actions._convert_to_labels, slide_layers.overlay(viewer, slide, "boxes"))
    panel.draw_button.click()
    region = slide_layers.overlay(viewer, slide, "region")
    region.add_polygons(np.array([[200, 200], [200, 1500], [1500, 1500], [1500, 200]]))
    region.mode = "pan_zoom"
    done_by(_layer_actions._convert_to_labels, region)
    viewer.layers.remove(slide_layers.overlay(viewer, slide, "boxes"))
    viewer.layers.remove(region)
    again(predicted, spin)
    panel.draw_button.click()
    assert sorted(roles(viewer)) == ["boxes", "copy", "copy", "map", "region", "slide"]
    assert not panel.error.text()


def test_a_duplicate_has_notes_of_its_own_and_the_map_is_drawn_into_the_first(
    predicted, viewer, done_by, spin
) -> None:
    slide = predicted.workspace.slide
    heat = slide_layers.overlay(viewer, slide, "map")
    copy = done_by(_layer_actions._duplicate_layer, heat)
    viewer.layers.move(viewer.layers.index(copy), 1)
    in_view.hide(heat)
    assert "wanted" not in slide_layers.entry_of(copy)
    assert slide_layers.overlay(viewer, slide, "map") is heat
    predicted.workspace.choose(slide)
    again(predicted, spin)
    assert slide_layers.overlay(viewer, slide, "map") is heat


def test_boxes_stay_above_a_map_that_was_deleted_and_is_predicted_again(
    predicted, viewer, dock, spin
) -> None:
    slide, panel = predicted.workspace.slide, dock("Patient and region")
    panel.draw_button.click()
    viewer.layers.remove(slide_layers.overlay(viewer, slide, "map"))
    again(predicted, spin)
    assert roles(viewer) == ["slide", "map", "boxes", "region"]
    viewer.layers.remove(slide_layers.overlay(viewer, slide, "map"))
    predicted.workspace.draw_map_again()
    assert roles(viewer) == ["slide", "map", "boxes", "region"]


def test_a_slide_is_duplicated_and_split(predicted, viewer, done_by, spin) -> None:
    workspace, slide = predicted.workspace, predicted.workspace.slide
    copy = done_by(_layer_actions._duplicate_layer, slide)
    assert workspace.slide is copy
    assert copy.data[0] is slide.data[0]
    assert workspace.prediction is not None
    viewer.layers.remove(slide)
    spin(lambda: roles(viewer) == ["slide", "map", "boxes"])
    np.testing.assert_array_equal(np.asarray(copy.data[0][:2, :2]).shape, (2, 2, 3))
    again(predicted, spin)
