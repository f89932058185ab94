"""What is planted on a slide, and what is drawn over it, land on the same pixels of the screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from slide_files import halved, write_svs, write_tiff

from amkd_core.inference.maps import Heatmap, TopPatch
from amkd_core.slides import open_slide
from amkd_viewer import slide_layers
from amkd_viewer.launch import settle
from amkd_viewer.layers import boxes_layer, heatmap_layer
from amkd_viewer.reader import slide_layer

# A black patch at (x, y) of (width, height), none of them a multiple of anything.
XY, SIDE = (1037, 611), (463, 463)
SIZE_PX = (2750, 2101)


def planted() -> np.ndarray:
    image = np.full((SIZE_PX[1], SIZE_PX[0], 3), 255, np.uint8)
    image[XY[1] : XY[1] + SIDE[1], XY[0] : XY[0] + SIDE[0]] = 0
    return image


def write_uneven(path: Path, image: np.ndarray) -> Path:
    """Levels that are no powers of two apart."""
    return write_tiff(path, [image, halved(image, 3)], mpp=0.23)


GEOMETRIES = {
    "20x tiff": lambda path: write_tiff(path.with_suffix(".tif"), [planted(), halved(planted())], mpp=0.5),
    "40x svs": lambda path: write_svs(path.with_suffix(".svs"), [planted(), halved(planted(), 4)], mpp=0.25),
    "0.23 um, levels 1/3": lambda path: write_uneven(path.with_suffix(".tif"), planted()),
    "non-square pixels": lambda path: write_tiff(path.with_suffix(".tif"), [planted()], mpp=(0.25, 0.3)),
}


def box_of(mask: np.ndarray) -> np.ndarray:
    """First and last row and column of what is True."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([rows[0], rows[-1], columns[0], columns[-1]])


def shot(viewer) -> np.ndarray:
    settle(viewer)
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


@pytest.mark.parametrize(
    ("geometry", "screen_px_per_pixel"), [*zip(GEOMETRIES, (0.4, 1.0, 0.4, 1.0), strict=True)]
)
def test_heat_and_box_cover_the_planted_patch(
    viewer, tmp_path, geometry: str, screen_px_per_pixel: float
) -> None:
    slide = open_slide(GEOMETRIES[geometry](tmp_path / "planted"), isolated=True)
    layer = slide_layers.add_slide(viewer, slide_layer(slide))
    mpp = slide_layers.mpp_of(layer)
    assert mpp is not None
    grid = np.full((2, 2), np.nan, np.float32)
    grid[1, 1] = 100
    origin = (XY[0] - SIDE[0], XY[1] - SIDE[1])
    heat = slide_layers.add_layer(
        viewer, heatmap_layer(Heatmap(grid, "percentile", origin, SIDE, "planted"), mpp=mpp, name="heat")
    )
    box = slide_layers.add_layer(
        viewer, boxes_layer([TopPatch(1, 0, XY, SIDE, 1.0, 100.0)], mpp=mpp, name="boxes")
    )
    box.edge_width, box.edge_color, box.text.visible = 2 / screen_px_per_pixel, "red", False
    viewer.scene.camera.center = (0, (XY[1] + SIDE[1] / 2) * mpp[1], (XY[0] + SIDE[0] / 2) * mpp[0])
    viewer.scene.camera.zoom = screen_px_per_pixel / mpp[0]

    heat.visible = box.visible = False
    ground = shot(viewer)
    black = box_of((ground.sum(axis=2) < 380) & ~outside(viewer, ground))
    layer.visible, heat.visible = False, True
    yellow = box_of(shot(viewer).sum(axis=2) > 150)
    heat.visible, box.visible = False, True
    drawn = shot(viewer)
    red = box_of((drawn[..., 0] > 128) & (drawn[..., 1] < 100))
    # Black and heat may differ by the slide's own rounding on the screen, the box by half its edge of 2 px.
    assert np.abs(black - yellow).max() <= 1, (black, yellow)
    assert np.abs(yellow - red).max() <= 2, (yellow, red)


def outside(viewer, picture: np.ndarray) -> np.ndarray:
    """Canvas beyond the slide, which is black as well: what is connected to the border."""
    from scipy import ndimage

    labels, _ = ndimage.label(picture.sum(axis=2) < 380)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return np.isin(labels, border[border > 0])
