"""Layers of slides, and of what belongs to them: drawn, changed, and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_viewer import placement
from amkd_viewer.layer_facts import (
    DRAWN_ROLES,
    entry_of,
    fingerprint_of,
    given_mpp,
    in_role,
    info_of,
    is_away,
    mpp_of,
    overlay,
    overlays_of,
    role_of,
    slide_of,
    slides_in,
)
from amkd_viewer.placement import affine_of, set_changed
from amkd_viewer.reader import SLIDE_KEY, LayerData, pixel_geometry
from amkd_viewer.wording import FLAT_ONLY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from amkd_core.inference.prediction import Prediction
    from amkd_viewer.layers import MapLook

__all__ = [
    "affine_of", "entry_of", "fingerprint_of", "given_mpp", "info_of", "is_away", "mpp_of", "overlay", "overlays_of",
    "role_of", "set_changed", "slide_of", "slides_in",
]  # fmt: skip
"""What is known of layers, for those who draw as well."""

_FIT_MARGIN = 0.05
"""Share of the canvas that is left free, as napari leaves it."""
_SPECK = 0.1
"""A slide whose longer side takes less of the canvas is none that anybody looks at."""


def restate_mpp(viewer: ViewerModel, layer: Layer, mpp: tuple[float, float]) -> None:
    """Give a slide layer the scale that the user states, in (x, y) micrometres per level-0 pixel.

    Maps drawn at the scale before are taken away: they would no longer lie on the slide. Regions, in its pixels, stay.
    """
    remove_overlays(viewer, fingerprint_of(layer), *DRAWN_ROLES)
    turned, before = placement.placement_of(layer), placement.mpp_or_pixels(layer)
    units, factor = pixel_geometry(mpp)["units"], np.array(mpp[::-1]) / before[::-1]
    for one in viewer.layers:
        if fingerprint_of(one) == fingerprint_of(layer):
            one.units = units
            if role_of(one) == "slide":
                entry_of(one)["mpp"] = mpp
            else:
                placement.rescale_home(one, factor)
    placement.set_place(layer, placement.home_of(layer, turned))
    placement.note_place(layer)
    placement.follow(layer, viewer.layers)
    fit(viewer, layer)


def own_viewer(viewer: ViewerModel) -> ViewerModel:
    """The viewer itself: plugins are given a proxy of it, which shows nothing private and is not the window's own."""
    own: ViewerModel = getattr(viewer, "__wrapped__", viewer)
    return own


def add_layer(viewer: ViewerModel, data: LayerData) -> Layer:
    """Add a layer that is described by a tuple."""
    from napari.layers import Layer

    added: Layer = viewer.add_layer(Layer.create(*data))
    return added


def draw_overlay(viewer: ViewerModel, data: LayerData) -> Layer:
    """Draw a map or boxes: into the layer of the same slide and role where there is one, else in a new one.

    New content in an old layer keeps its opacity and colours, and costs napari a tenth of a new layer; what is equal
    costs nothing.
    """
    content, options, kind = data
    entry = options["metadata"][SLIDE_KEY]
    show_flat(viewer)
    old = next(iter(in_role(entry["role"], entry["fingerprint"], viewer.layers)), None)
    slide = slide_of(entry["fingerprint"], viewer.layers)
    if slide is not None:
        # A turned slide turns what is drawn on it later, too.
        options["affine"] = placement.placement_of(slide)
    home = (options["scale"], options.get("translate", (0.0, 0.0)))
    if old is not None and kind == "shapes" and len(old.data) != len(content):
        viewer.layers.remove(old)
        old = None
    if old is None:
        added = _add_overlay(viewer, data)
        placement.note_home(added, *home)
        return added
    if not _holds(old, content):
        old.data = content
    if "features" in options and not _tells(old, options["features"]):
        old.features = options["features"]
    with placement.setting():
        placement.note_home(old, *home)
        for name in ("scale", "translate", "affine", "contrast_limits"):
            if name in options:
                set_changed(old, name, options[name])
    return old


def _holds(layer: Layer, content: Any) -> bool:
    """Whether a layer's image, or its shapes one by one, are these already."""
    pairs = zip(layer.data, content, strict=True) if isinstance(content, list) else [(layer.data, content)]
    return all(np.array_equal(old, new, equal_nan=True) for old, new in pairs)


def _tells(layer: Layer, features: dict[str, NDArray[Any]]) -> bool:
    """Whether a layer's table says of each shape what this one says."""
    told = layer.features
    return list(told.columns) == list(features) and all(
        np.array_equal(told[name], values) for name, values in features.items()
    )


def _add_overlay(viewer: ViewerModel, data: LayerData) -> Layer:
    """Add what lies on a slide; a map below its boxes, marks and regions, which are read above it."""
    added, layers = add_layer(viewer, data), viewer.layers
    entry_of(added)["named"] = added.name
    if role_of(added) == "map":
        drawn = overlays_of(fingerprint_of(added), layers)
        above = [layers.index(one) for one in drawn if role_of(one) in ("boxes", "mark", "region")]
        if above and min(above) < layers.index(added):
            layers.move(layers.index(added), min(above))
    return added


def show_flat(viewer: ViewerModel) -> None:
    """Go back to napari's view in two dimensions, which is said: in three, shapes can be neither drawn nor changed."""
    if viewer.dims.ndisplay == 2:
        return
    from napari.utils.notifications import show_info

    viewer.dims.ndisplay = 2
    show_info(FLAT_ONLY)


def rename_overlays(viewer: ViewerModel, slide: Layer) -> None:
    """Give what lies on a slide the slide's name, but for layers that the user named himself."""
    from amkd_viewer.layers import OVERLAY_NAMES, overlay_name

    for one in overlays_of(fingerprint_of(slide), viewer.layers):
        entry = entry_of(one)
        if entry.get("named") == one.name and role_of(one) in OVERLAY_NAMES:
            one.name = overlay_name(role_of(one), slide.name)
            entry["named"] = one.name


def limits_of(layer: Layer) -> tuple[float, float]:
    """Values that the ends of a map's colours stand for."""
    low, high = layer.contrast_limits
    return float(low), float(high)


def restyle_map(viewer: ViewerModel, slide: Layer, prediction: Prediction, look: MapLook) -> None:
    """Show a slide's map otherwise, in the layer that is there; without one nothing is done."""
    from amkd_viewer.layers import map_layer

    layer, mpp = overlay(viewer, slide, "map"), mpp_of(slide)
    if layer is None or mpp is None:
        return
    restyle_image(layer, map_layer(prediction, look, mpp=mpp, name=layer.name))


def restyle_image(layer: Layer, data: LayerData) -> None:
    """Make a map's layer that of another map, which costs a tenth of a new layer; what is equal is left alone."""
    image, options, _ = data
    if not _holds(layer, image):
        layer.data = image
    with placement.setting():
        placement.note_home(layer, options["scale"], options["translate"])
        for name in ("scale", "translate", "contrast_limits", "opacity"):
            if name in options:
                set_changed(layer, name, options[name])
    if layer.colormap.name != options["colormap"].name:
        layer.colormap = options["colormap"]


def heat_at(viewer: ViewerModel, slide: Layer, world: Any) -> float | None:
    """Value of a slide's map at a place in the world; None outside, on glass, and where there is no map in view."""
    layer = overlay(viewer, slide, "map")
    if layer is None or not layer.visible:
        return None
    row, column = np.rint(layer.world_to_data(np.asarray(world, dtype=float)[-2:])).astype(int)
    rows, columns = layer.data.shape
    if not (0 <= row < rows and 0 <= column < columns):
        return None
    value = float(layer.data[row, column])
    return value if np.isfinite(value) else None


def add_slide(viewer: ViewerModel, layer: LayerData) -> Layer:
    """Add a slide layer and fit it into the canvas."""
    added = add_layer(viewer, layer)
    fit(viewer, added)
    return added


def fit(viewer: ViewerModel, slide: Layer | None) -> None:
    """Fit a slide into the canvas, whatever else is open; without one all that is there."""
    box = None if slide is None else _box_on_canvas(viewer, slide)
    if box is None:
        viewer.reset_view()
        return
    low, high = box
    viewer.scene.camera.center = (0.0, *((low + high) / 2))
    viewer.scene.camera.zoom = (1 - _FIT_MARGIN) * np.min(
        np.array(viewer.canvas.viewbox_size(viewer.layers)) / (high - low)
    )


def fit_where_lost(viewer: ViewerModel, slide: Layer) -> None:
    """Fit a slide into the canvas where it is out of view, or so small that it cannot be told for a slide."""
    box = _box_on_canvas(viewer, slide)
    if box is None:
        return
    low, high = box
    field = np.array(viewer.canvas.size) / viewer.scene.camera.zoom
    away = np.abs((low + high) / 2 - np.array(viewer.scene.camera.center[-2:]))
    if np.any(away > (high - low + field) / 2) or np.max(high - low) < _SPECK * np.min(field):
        fit(viewer, slide)


def _box_on_canvas(viewer: ViewerModel, slide: Layer) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Lowest and highest world coordinates of a slide along the canvas's (vertical, horizontal) axis; None in 3D."""
    axes = [axis - viewer.dims.ndim + slide.ndim for axis in viewer.dims.displayed]
    if len(axes) != 2 or min(axes) < 0:
        return None
    low, high = slide.extent.world[:, axes]
    return low, high


def remove_overlays(viewer: ViewerModel, fingerprint: str, *roles: str) -> None:
    """Take a slide's maps and boxes away, and all else that lies on it; or only what has one of these roles."""
    for layer in overlays_of(fingerprint, list(viewer.layers)):
        if not roles or role_of(layer) in roles:
            viewer.layers.remove(layer)
