"""Predictions as napari layers.

Geometry, once for all: level-0 pixel i covers [i, i + 1) along an axis. napari puts the centre of a layer's first
pixel at `translate`, so the slide's own pixel 0 is centred at 0 and its edge lies at -0.5. Whatever is given by level-0
edges is therefore shifted by half a level-0 pixel, and a map's cell of s pixels is centred (s - 1) / 2 pixels on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_viewer.colours import (
    BOX,
    COLOUR_MAPS,
    DEFAULT_MAP,
    HEAT_NAME,
    MARK,
    difference_colours,
    heat_colours,
)
from amkd_viewer.reader import SLIDE_KEY, LayerData, pixel_geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amkd_core.inference.map_style import MapStyle
    from amkd_core.inference.maps import Heatmap, MapKind, TopPatch
    from amkd_core.inference.prediction import Prediction

N_TOP_PATCHES = 5
OVERLAY_NAMES = {"map": "Attention: ", "boxes": "Student's top patches: ", "region": "Region: "}
"""How the names of layers of a role begin; the slide's follows."""
_NAPARI = "napari's "
_EDGE_SHARE = 0.05
"""Width of a box's edge as a share of the patch's side."""


@dataclass(frozen=True)
class MapLook:
    """How maps are shown: fields of the core's `MapStyle`, and colours.

    Attributes
    ----------
    source, kind, top_percent, smooth
        As for `MapStyle`.
    colour_map
        One of `amkd_viewer.colours.COLOUR_MAPS`, or one of napari's own as `look_colours` calls it.
    opacity
        Of the whole map, in [0, 1].
    """

    source: str = "student"
    kind: MapKind = "percentile"
    top_percent: float = 100.0
    smooth: bool = False
    colour_map: str = DEFAULT_MAP
    opacity: float = 1.0

    def style_for(self, prediction: Prediction) -> MapStyle:
        """What of a prediction to show: the student's where it has no such source."""
        from amkd_core.inference.map_style import MapStyle

        source = self.source if self.source in sources_of(prediction) else "student"
        return MapStyle(source, self.kind, self.top_percent, self.smooth)


def sources_of(prediction: Prediction) -> list[str]:
    """Maps that a prediction holds: "student", and with expression "teacher" and each pathway."""
    teacher = prediction.teacher
    return ["student"] if teacher is None else ["student", "teacher", *teacher.pathways]


def overlay_name(role: str, slide_name: str) -> str:
    """Name of the layer of a role on a slide."""
    return OVERLAY_NAMES[role] + slide_name


def prediction_layers(
    prediction: Prediction,
    *,
    mpp: tuple[float, float],
    fingerprint: str,
    name: str,
    look: MapLook | None = None,
) -> list[LayerData]:
    """Describe everything that a prediction draws on its slide, bottom layer first.

    Parameters
    ----------
    prediction
        Where its patches have no place on one slide the list is empty (a notice of the prediction says so).
    mpp
        (x, y) micrometres per level-0 pixel of the slide's layer.
    fingerprint
        Of the slide; written into every layer, so that a map can never be taken for another slide's.
    name
        The slide's, for the layers' names.
    look
        How the map is shown.

    Returns
    -------
    list of layer data tuples
        The map, and the boxes of the student's top patches, whosever map is shown.

    Raises
    ------
    BagError
        If the patches overlap or lie off their grid.
    """
    from amkd_core.inference.maps import top_patches

    if not prediction.has_map:
        return []
    layers = [map_layer(prediction, look or MapLook(), mpp=mpp, name=overlay_name("map", name))]
    boxes = top_patches(prediction, N_TOP_PATCHES)
    layers.append(boxes_layer(boxes, mpp=mpp, name=overlay_name("boxes", name)))
    for role, layer in zip(("map", "boxes"), layers, strict=True):
        layer[1]["metadata"] = {SLIDE_KEY: {"role": role, "fingerprint": fingerprint}}
    return layers


def map_layer(prediction: Prediction, look: MapLook, *, mpp: tuple[float, float], name: str) -> LayerData:
    """Describe a prediction's map as it is to be shown.

    Raises
    ------
    BagError
        When it has none.
    """
    from amkd_core.inference.map_style import styled_heatmap

    heat = styled_heatmap(prediction, look.style_for(prediction))
    layer = heatmap_layer(heat, mpp=mpp, name=name, colour_map=look.colour_map)
    layer[1]["opacity"] = look.opacity
    return layer


def difference_layer(heat: Heatmap, *, mpp: tuple[float, float], name: str) -> LayerData:
    """Describe a difference of two maps: clear where they agree, of two colours where either is higher."""
    image, options, kind = heatmap_layer(heat, mpp=mpp, name=name)
    options["contrast_limits"] = (-100.0, 100.0)
    options["colormap"] = _colormap("difference")
    return image, options, kind


def look_colours(layer_colours: str) -> str:
    """How `MapLook.colour_map` calls the colours of a layer, by their name there; napari has a "viridis", too."""
    ours = f"{HEAT_NAME} "
    return layer_colours.removeprefix(ours) if layer_colours.startswith(ours) else _NAPARI + layer_colours


def is_known_colour_map(name: str) -> bool:
    """Whether layers can be drawn in a colour map of this name, as `MapLook` has it."""
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    return name in COLOUR_MAPS or name.removeprefix(_NAPARI) in AVAILABLE_COLORMAPS


def _colormap(name: str) -> Any:
    from napari.utils.colormaps import Colormap, ensure_colormap

    if name.startswith(_NAPARI):
        return ensure_colormap(name.removeprefix(_NAPARI))
    colours = difference_colours() if name == "difference" else heat_colours(name)
    return Colormap(colours, name=f"{HEAT_NAME} {name}", nan_color=(0, 0, 0, 0))


def heatmap_layer(
    heat: Heatmap, *, mpp: tuple[float, float], name: str, colour_map: str = DEFAULT_MAP
) -> LayerData:
    """Describe a map as a small image at patch resolution, laid on the slide by scale and translation.

    NaN cells, where there is no tissue, stay clear.
    """
    pixel = np.array((mpp[1], mpp[0]))
    cell, corner = (
        np.array(heat.cell_level0[::-1]),
        np.array(heat.origin_level0[::-1]),
    )  # (x, y) to (row, column)
    options: dict[str, Any] = {
        "name": name,
        "scale": tuple(cell * pixel),
        "translate": tuple((corner + (cell - 1) / 2) * pixel),
        "units": pixel_geometry(mpp)["units"],
        "colormap": _colormap(colour_map),
        "contrast_limits": _limits(heat),
        "interpolation2d": "nearest",
        # Without depth: a second canvas draws slide and map at the same one, and the map would be lost.
        "blending": "translucent_no_depth",
        "rgb": False,
    }
    return np.asarray(heat.image, dtype=np.float32), options, "image"


def _limits(heat: Heatmap) -> tuple[float, float]:
    if heat.kind == "percentile":
        return 0.0, 100.0
    finite = heat.image[np.isfinite(heat.image)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return low, high if high > low else low + 1.0


def boxes_layer(patches: Sequence[TopPatch], *, mpp: tuple[float, float], name: str) -> LayerData:
    """Describe the most telling patches as numbered boxes.

    Returns
    -------
    layer data tuple
        A shapes layer in level-0 pixels (row, column), scaled as the slide; features hold rank, score and percentile.
    """
    side = max((max(patch.size_level0) for patch in patches), default=1)
    options: dict[str, Any] = {
        "name": name,
        "shape_type": "rectangle",
        "edge_color": BOX,
        "face_color": "transparent",
        "edge_width": max(1.0, _EDGE_SHARE * side),
        "opacity": 1.0,
        "features": {
            "rank": np.array([patch.rank for patch in patches], dtype=np.int64),
            "score": np.array([patch.score for patch in patches], dtype=np.float64),
            "percentile": np.array([patch.percentile for patch in patches], dtype=np.float64),
        },
        "text": {"string": "{rank}", "size": 12, "color": BOX, "anchor": "center"},
        **pixel_geometry(mpp),
    }
    return [_corners(patch) for patch in patches], options, "shapes"


def mark_layer(patch: TopPatch, *, mpp: tuple[float, float] | None, fingerprint: str) -> LayerData:
    """Describe a frame around one patch."""
    side = max(patch.size_level0)
    options: dict[str, Any] = {
        "name": "Marked patch",
        "shape_type": "rectangle",
        "edge_color": MARK,
        "face_color": "transparent",
        "edge_width": 2 * _EDGE_SHARE * side,
        "metadata": {SLIDE_KEY: {"role": "mark", "fingerprint": fingerprint}},
        **pixel_geometry(mpp),
    }
    return [_corners(patch)], options, "shapes"


def region_layer(*, mpp: tuple[float, float] | None, fingerprint: str, name: str) -> LayerData:
    """Describe an empty layer that the user draws regions into, in level-0 pixels.

    The outline's width on the screen is given by `region_outline_widget`; the fill hides nothing of slide and map.
    """
    options: dict[str, Any] = {
        "name": overlay_name("region", name),
        "ndim": 2,
        "edge_color": MARK,
        "face_color": [0.0, 0.9, 1.0, 0.03],
        "metadata": {SLIDE_KEY: {"role": "region", "fingerprint": fingerprint}},
        **pixel_geometry(mpp),
    }
    return [], options, "shapes"


def _corners(patch: TopPatch) -> NDArray[np.float64]:
    (x, y), (width, height) = patch.xy_level0, patch.size_level0
    rows, columns = (y, y, y + height, y + height), (x, x + width, x + width, x)
    return np.stack([rows, columns], axis=1) - 0.5  # (4, 2): row, column


LINES = frozenset({"line", "path"})
"""Shapes of napari's that enclose nothing."""
_ELLIPSE_POINTS = 64


def outline_of(shape: NDArray[np.floating], kind: str) -> NDArray[np.float64]:
    """Polygon of a drawn shape, (k, 2) in the layer's own order; of an ellipse napari keeps the corners of its box."""
    corners = np.asarray(shape, dtype=np.float64)
    if kind != "ellipse":
        return corners
    centre = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS, endpoint=False)[:, None]
    points: NDArray[np.float64] = centre + np.cos(angle) * first + np.sin(angle) * second
    return points
