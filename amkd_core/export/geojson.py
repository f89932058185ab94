"""Patches and their scores as GeoJSON, in the form that QuPath reads.

QuPath (0.4 and newer) takes a FeatureCollection whose features carry ``objectType``, ``name``, ``color``,
``classification``, ``isLocked`` and ``measurements``; coordinates are full-resolution pixels from the upper-left
corner of what it shows, which of slides with ``openslide.bounds-*`` is the scanned area alone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import write_text
from amkd_core.errors import BagError
from amkd_core.export.pseudonym import shown_name, shown_provenance
from amkd_core.inference.maps import map_scores, percentile_ranks, top_patches
from amkd_core.inference.prediction import Prediction

TOP_COLOUR = [0, 229, 255]
# Identifiers are made from slide, source and row, so that an export read twice replaces itself.
_NAMESPACE = uuid.UUID("6f0d6c5e-6f5b-5d2e-9f6b-1f6a0b8f3a11")


def write_geojson(
    path: Path,
    prediction: Prediction,
    *,
    bounds_xy: tuple[int, int] | None = None,
    n_top: int = 5,
    source: str = "student",
    identified: bool = False,
) -> None:
    """Write all patches as tiles with their scores, and the most telling ones as annotations, atomically.

    Parameters
    ----------
    bounds_xy
        Level-0 (x, y) of the corner that the viewer counts from: `SlideInfo.bounds`. By default what the bag records;
        where it records none, places are counted from level 0's corner and the origin is said to be unknown.
    n_top
        Number of annotations; 0 writes tiles alone.
    source
        "student", "teacher" or the name of a pathway.
    identified
        Name the slide instead of a pseudonym.

    Raises
    ------
    BagError
        When the patches have no place on one slide.
    ModalityError
        When the source needs expression that was not given.
    OSError
        When the disk is full or the folder not writable; nothing is left under `path`.
    """
    bag = prediction.bag
    if not prediction.has_map or bag.coords is None or bag.patch_size_level0 is None:
        raise BagError(
            f"{bag.slide_id}: the bag records no places on one slide, so nothing can be drawn on it"
        )
    name = shown_name(prediction, identified=identified)
    bounds_xy = bag.slide_bounds_xy if bounds_xy is None else bounds_xy
    corners = bag.coords - np.array(bounds_xy or (0, 0))
    scores = map_scores(prediction, source)
    features = list(_tiles(corners, bag.patch_size_level0, scores, f"{name}/{source}"))
    for patch in top_patches(prediction, n_top, source=source) if n_top else ():
        features.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(_NAMESPACE, f"{name}/{source}/top/{patch.rank}")),
                "geometry": _square(corners[patch.row], patch.size_level0),
                "properties": {
                    "objectType": "annotation",
                    "name": f"AMKD {source} {patch.rank}",
                    "color": TOP_COLOUR,
                    "classification": {"name": "AMKD most telling", "color": TOP_COLOUR},
                    "isLocked": True,
                    "measurements": _measurements(patch.score, patch.percentile),
                },
            }
        )
    collection = {
        "type": "FeatureCollection",
        "features": features,
        "amkd": {
            "slide": name,
            "source": source,
            "origin_level0": None if bounds_xy is None else list(bounds_xy),
            "notices": [notice.sentence for notice in prediction.notices],
            "provenance": shown_provenance(prediction, identified=identified),
        },
    }
    write_text(path, json.dumps(collection, allow_nan=False))


def _tiles(
    corners: NDArray[np.int64], size: tuple[int, int], scores: NDArray[np.float64], name: str
) -> Iterator[dict[str, Any]]:
    raw, ranks = scores * len(scores), percentile_ranks(scores)
    for row, corner in enumerate(corners):
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(_NAMESPACE, f"{name}/{row}")),
            "geometry": _square(corner, size),
            "properties": {
                "objectType": "tile",
                "measurements": _measurements(float(raw[row]), float(ranks[row])),
            },
        }


def _measurements(raw: float, percentile: float) -> dict[str, float]:
    return {"AMKD weight / mean": raw, "AMKD percentile": percentile}


def _square(corner: NDArray[np.int64], size: tuple[int, int]) -> dict[str, Any]:
    x, y = (int(value) for value in corner)
    width, height = size
    ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}
