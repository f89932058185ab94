"""Planted slides with predictions that see the mark, and their layers as the panels draw them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bundle_fixtures import random_bundle
from planted_slides import COLUMNS, GEOMETRIES, MARK_CELLS, ROWS, Geometry, bag_of_slide

from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.slides import open_slide
from amkd_viewer import slide_layers
from amkd_viewer.layers import MapLook, prediction_layers
from amkd_viewer.reader import slide_layer

N_MARKED = MARK_CELLS[0] * MARK_CELLS[1]
TOP_PERCENT = 100 * N_MARKED / (COLUMNS * ROWS)


class PlantedSlides:
    """Planted slides by the names of their geometries, each written once.

    A slide comes with a prediction whose scores are how violet its patches are, as the product laid and read them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, tuple[Geometry, Path, Prediction]] = {}

    def __call__(self, name: str) -> tuple[Geometry, Path, Prediction]:
        if name not in self._kept:
            geometry, folder = GEOMETRIES[name], self._folder / f"planted-{len(self._kept)}"
            folder.mkdir()
            path = geometry.write(folder / "slide", geometry.planted())
            self._kept[name] = (geometry, path, seen_by_product(geometry, path))
        return self._kept[name]


def seen_by_product(geometry: Geometry, path: Path) -> Prediction:
    """A prediction that scores each patch of a slide by how violet it is."""
    with open_slide(path, scene=geometry.scene) as slide:
        bag, violet = bag_of_slide(slide)
    return replace(predict_bag(bag, random_bundle()), patch_scores=violet)


def opened_with_map(
    viewer: Any, geometry: Geometry, path: Path, prediction: Prediction
) -> tuple[Any, Any, Any]:
    """Layers of a planted slide and of its map, its boxes hidden, and the slide's micrometres per pixel."""
    slide = open_slide(path, scene=geometry.scene, isolated=True)
    layer = slide_layers.add_slide(viewer, slide_layer(slide))
    mpp = slide_layers.mpp_of(layer)
    heat, _ = (
        slide_layers.draw_overlay(viewer, data)
        for data in prediction_layers(
            prediction,
            mpp=mpp,
            fingerprint=slide.info.fingerprint,
            name="planted",
            look=MapLook(top_percent=TOP_PERCENT),
        )
    )
    slide_layers.overlay(viewer, layer, "boxes").visible = False
    return layer, heat, mpp
