"""A window draws everything once before it is seen, so that it stands still less when it is looked at.

The first layer of each kind, the first numbered boxes and the scale bar cost a window up to a second each, in which it
answers nobody: their controls are made, and the graphics driver translates the programs that draw them. Drivers keep
what they translated, in the process and on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from amkd_core.private_names import private_logger
from amkd_viewer.steady_drawing import keep_drawing_steady
from amkd_viewer.waiting import wait_until

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from amkd_viewer.reader import LayerData

_PIXELS = 512
_MPP = (0.5, 0.5)
_TIMEOUT_S = 20.0
_log = private_logger(__name__)


def rehearse(viewer: Viewer) -> None:
    """Draw a made-up slide with map, boxes and scale bar in a window that is not shown yet, and take all away again.

    Parameters
    ----------
    viewer
        Without layers, and not shown. A window that cannot be drawn unseen is left as it is, and the first slide takes
        the longer.
    """
    from amkd_viewer.slide_layers import add_layer

    keep_drawing_steady()
    bar: Any = viewer.canvas.overlays.scale_bar
    try:
        for data in _made_up():
            add_layer(viewer, data)
        viewer.reset_view()
        bar.visible = bar.box = True
        wait_until(lambda: all(layer.loaded for layer in viewer.layers), _TIMEOUT_S, "the rehearsal")
        viewer.screenshot(canvas_only=True, flash=False)
    except Exception:  # noqa: BLE001 (whatever it is, the window opens)
        _log.debug("nothing could be drawn before the window was shown", exc_info=True)
    finally:
        bar.visible = bar.box = False
        viewer.layers.clear()


def _made_up() -> list[LayerData]:
    """Layers as of a slide with its prediction; without our metadata, so that nobody takes them for one."""
    from amkd_core.inference.maps import Heatmap, TopPatch
    from amkd_viewer.layers import N_TOP_PATCHES, boxes_layer, heatmap_layer
    from amkd_viewer.reader import pixel_geometry

    picture = np.full((_PIXELS, _PIXELS, 3), 240, np.uint8)
    options = {"rgb": True, "multiscale": True, "contrast_limits": (0, 255), **pixel_geometry(_MPP)}
    side = _PIXELS // 8
    heat = Heatmap(
        np.arange(64, dtype=np.float32).reshape(8, 8),
        "percentile",
        (0.0, 0.0),
        (float(side), float(side)),
        "",
    )
    patches = [
        TopPatch(rank, rank, (rank * side, 0), (side, side), 0.5, 99.0)
        for rank in range(1, N_TOP_PATCHES + 1)
    ]
    return [
        ([picture, picture[::2, ::2]], {"name": "slide", **options}, "image"),
        heatmap_layer(heat, mpp=_MPP, name="map"),
        boxes_layer(patches, mpp=_MPP, name="boxes"),
    ]
