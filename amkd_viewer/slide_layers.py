"""Which layers of a viewer are slides, and which belong to one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_viewer.reader import SLIDE_KEY, LayerData, pixel_geometry

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from amkd_core.inference.maps import TopPatch
    from amkd_core.inference.prediction import Prediction
    from amkd_core.slides import SlideInfo
    from amkd_viewer.layers import MapLook


_FIT_MARGIN = 0.05
"""Share of the canvas that is left free, as napari leaves it."""
_SPECK = 0.1
"""A slide whose longer side takes less of the canvas is none that anybody looks at."""


def role_of(layer: Layer) -> str:
    """Role of a layer of ours ("slide", "map", "boxes", "mark", "region"); empty for all others."""
    return str(entry_of(layer).get("role", ""))


def fingerprint_of(layer: Layer) -> str:
    """Fingerprint of the slide that a layer shows or belongs to; empty for layers that are not ours."""
    return str(entry_of(layer).get("fingerprint", ""))


def info_of(layer: Layer) -> SlideInfo:
    """Facts about the slide that a slide layer shows."""
    info: SlideInfo = entry_of(layer)["info"]
    return info


def mpp_of(layer: Layer) -> tuple[float, float] | None:
    """Return (x, y) micrometres per level-0 pixel of a slide layer, from the file or the user; None where unknown."""
    given = entry_of(layer).get("mpp")
    if given is not None:
        return (float(given[0]), float(given[1]))
    microns = info_of(layer).microns
    return None if microns is None else (microns.x, microns.y)


def given_mpp(layer: Layer) -> tuple[float, float] | None:
    """Return what the user gave for a slide layer, here or when he opened it; None where the file's own value holds."""
    microns = info_of(layer).microns
    own = microns is not None and microns.source != "user"
    return None if own else mpp_of(layer)


def restate_mpp(viewer: ViewerModel, layer: Layer, mpp: tuple[float, float]) -> None:
    """Give a slide layer the scale that the user states, in (x, y) micrometres per level-0 pixel.

    Maps drawn at the scale before are taken away: they would no longer lie on the slide. Regions, in its pixels, stay.
    """
    remove_overlays(viewer, fingerprint_of(layer), but="region")
    entry_of(layer)["mpp"] = mpp
    geometry = pixel_geometry(mpp)
    for kept in (layer, *overlays_of(fingerprint_of(layer), viewer.layers)):
        kept.units = geometry["units"]
        kept.scale = geometry["scale"]
    fit(viewer, layer)


def slides_in(layers: Iterable[Layer]) -> list[Layer]:
    """Slide layers, bottom first."""
    return [layer for layer in layers if role_of(layer) == "slide"]


def slide_of(fingerprint: str, layers: Iterable[Layer]) -> Layer | None:
    """Find the slide layer with this content, or None."""
    return next((layer for layer in slides_in(layers) if fingerprint_of(layer) == fingerprint), None)


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

    New content in an old layer keeps its opacity and colours, and costs napari a tenth of a new layer.
    """
    content, options, kind = data
    entry = options["metadata"][SLIDE_KEY]
    old = next(
        (one for one in overlays_of(entry["fingerprint"], viewer.layers) if role_of(one) == entry["role"]),
        None,
    )
    slide = slide_of(entry["fingerprint"], viewer.layers)
    if slide is not None:
        # A turned slide turns what is drawn on it later, too.
        options["affine"] = affine_of(slide)
    if old is None:
        return add_layer(viewer, data)
    if kind == "shapes" and len(old.data) != len(content):
        viewer.layers.remove(old)
        return add_layer(viewer, data)
    old.data = content
    for name in ("scale", "translate", "features", "affine", "contrast_limits"):
        if name in options:
            set_changed(old, name, options[name])
    return old


def affine_of(layer: Layer) -> NDArray[Any]:
    """How a layer is turned, (3, 3)."""
    matrix: NDArray[Any] = layer.affine.affine_matrix[-3:, -3:]
    return matrix


def set_changed(layer: Layer, name: str, value: Any) -> None:
    """Set what is another value: napari slices and draws a layer anew at every setting."""
    now = affine_of(layer) if name == "affine" else getattr(layer, name)
    if not np.array_equal(np.asarray(now), np.asarray(value)):
        setattr(layer, name, value)


def is_away(layer: Layer) -> bool:
    """Whether a layer shows what no result stands for any more, and is hidden for that."""
    return bool(entry_of(layer).get("away"))


def overlay(viewer: ViewerModel, layer: Layer, role: str) -> Layer | None:
    """The layer of a role that belongs to a slide layer, or None; what is put away is none."""
    found = overlays_of(fingerprint_of(layer), viewer.layers)
    return next((one for one in found if role_of(one) == role and not is_away(one)), None)


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
    if not np.array_equal(layer.data, image, equal_nan=True):
        layer.data = image
    for name in ("scale", "translate", "contrast_limits", "opacity"):
        if name in options:
            set_changed(layer, name, options[name])
    if layer.colormap.name != options["colormap"].name:
        layer.colormap = options["colormap"]


def mark(viewer: ViewerModel, slide: Layer, patch: TopPatch | None) -> None:
    """Mark one patch on a slide by a frame, or none; the layer that was active stays so."""
    from amkd_viewer.layers import mark_layer

    layer = overlay(viewer, slide, "mark")
    if patch is None:
        if layer is not None:
            layer.visible = False
        return
    data = mark_layer(patch, mpp=mpp_of(slide), fingerprint=fingerprint_of(slide))
    active = viewer.layers.selection.active
    layer = draw_overlay(viewer, data)
    layer.visible = True
    viewer.layers.selection.active = active


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


def overlays_of(fingerprint: str, layers: Iterable[Layer]) -> list[Layer]:
    """Maps and boxes of one slide."""
    return [layer for layer in layers if fingerprint_of(layer) == fingerprint and role_of(layer) != "slide"]


def remove_overlays(viewer: ViewerModel, fingerprint: str, *, but: str = "") -> None:
    """Take a slide's maps and boxes away, but for those of one role."""
    for layer in overlays_of(fingerprint, list(viewer.layers)):
        if role_of(layer) != but:
            viewer.layers.remove(layer)


def entry_of(layer: Layer) -> dict[str, Any]:
    """What we note on a layer of ours; empty for all others."""
    entry = layer.metadata.get(SLIDE_KEY)
    return entry if isinstance(entry, dict) else {}
