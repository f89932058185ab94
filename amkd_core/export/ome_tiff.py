"""A heatmap as OME-TIFF that lies on the slide when its pixel size alone is heeded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import atomic_path
from amkd_core.errors import BagError
from amkd_core.export.pseudonym import shown_name, shown_provenance
from amkd_core.inference.maps import Heatmap, MapKind, heatmap
from amkd_core.inference.prediction import Prediction

# A cell may be cut into as many pixels a side, so that the corner of the map falls on a whole pixel; into the
# larger number where the picture stays small all the same.
MAX_STEPS, FINE_STEPS = 64, 256
FINE_PIXELS = 100_000_000
TOLERANCE_LEVEL0_PX = 1.0
MAX_PIXELS = 400_000_000
TILE_PX = 256


def write_heatmap_tiff(
    path: Path,
    prediction: Prediction,
    *,
    kind: MapKind = "percentile",
    source: str = "student",
    origin_xy: tuple[int, int] = (0, 0),
    bounds_xy: tuple[int, int] | None = None,
    identified: bool = False,
) -> None:
    """Write a map as a tiled float32 OME-TIFF that covers the whole of level 0 from its corner, atomically.

    So do napari and all that reads by OpenSlide. QuPath shows the scanned area alone of slides with bounds; where that
    begins is told in the file's description.

    Pixels without a patch are NaN. The pixel size is a whole part of a patch, chosen so that the map lies within
    one level-0 pixel of its place, or on very large slides at worst within a 128th of a patch; it is stated in
    micrometres, or in level-0 pixels where the scale is unknown.

    Parameters
    ----------
    kind, source
        As for `heatmap`.
    origin_xy
        Level-0 (x, y) of the image's corner.
    bounds_xy
        Level-0 (x, y) of the scanned area's corner (`SlideInfo.bounds`), for the description. By default what the bag
        records; null there where it records none.
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
    import tifffile

    shown = heatmap(prediction, kind, source=source)
    image, (width, height) = slide_image(shown, prediction, origin_xy)
    name = shown_name(prediction, identified=identified)
    bounds_xy = prediction.bag.slide_bounds_xy if bounds_xy is None else bounds_xy
    note = {
        "source": source,
        "kind": kind,
        "origin_level0": list(origin_xy),
        "bounds_level0": None if bounds_xy is None else list(bounds_xy),
        "notices": [notice.sentence for notice in prediction.notices],
        "provenance": shown_provenance(prediction, identified=identified),
    }
    metadata: dict[str, Any] = {
        "axes": "YX",
        "Name": f"AMKD {source} {kind} of {name}",
        "Description": json.dumps(note),
        **_pixel_size(prediction, width, height),
    }
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, image, ome=True, tile=(TILE_PX, TILE_PX), compression="zlib", photometric="minisblack",
            metadata=metadata,
        )  # fmt: skip


def slide_image(
    shown: Heatmap, prediction: Prediction, origin_xy: tuple[int, int] = (0, 0)
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """The map on the whole slide, and the width and height of its pixels in level-0 pixels.

    Raises
    ------
    BagError
        When the slide is absurdly large for its patches.
    """
    origin = np.array(shown.origin_level0) - np.array(origin_xy)
    cell, shape = np.array(shown.cell_level0), np.array(shown.image.shape[::-1])
    size = prediction.bag.slide_size_level0
    end = origin + shape * cell
    if size is not None:
        end = np.maximum(end, np.array(size) - np.array(origin_xy))
    for most in (FINE_STEPS, MAX_STEPS):
        steps = np.array([_steps(*axis, most) for axis in zip(origin, cell, strict=True)])
        if np.prod(np.maximum(0, end) / cell * steps) <= FINE_PIXELS:
            break
    pixel = cell / steps
    corner = np.rint(origin / pixel).astype(int)
    cells = np.repeat(np.repeat(shown.image, steps[1], axis=0), steps[0], axis=1)
    far = np.maximum(0, np.maximum(corner + shape * steps, np.ceil(end / pixel).astype(int)))
    if int(far[0]) * int(far[1]) > MAX_PIXELS:
        raise BagError(
            f"{prediction.slide_id}: the map would have {far[0]} x {far[1]} pixels, expected at most {MAX_PIXELS:,}; "
            "the slide's size or the patches' places are wrong"
        )
    whole = np.full((far[1], far[0]), np.nan, dtype=np.float32)
    # A patch that stands over the viewer's corner is cut there.
    cut = np.maximum(0, -corner)
    corner = np.maximum(0, corner)
    cells = cells[cut[1] :, cut[0] :]
    whole[corner[1] : corner[1] + cells.shape[0], corner[0] : corner[0] + cells.shape[1]] = cells
    return whole, (float(pixel[0]), float(pixel[1]))


def _steps(offset: float, cell: float, most: int) -> int:
    """Fewest pixels a cell's side is cut into for the offset to be a whole number of them, nearly."""
    errors = []
    for steps in range(1, most + 1):
        pixel = cell / steps
        errors.append(abs(round(offset / pixel) * pixel - offset))
        if errors[-1] <= TOLERANCE_LEVEL0_PX:
            return steps
    return int(np.argmin(errors)) + 1


def _pixel_size(prediction: Prediction, width: float, height: float) -> dict[str, Any]:
    mpp = prediction.bag.slide_mpp
    if mpp is None:
        return {
            "PhysicalSizeX": width, "PhysicalSizeXUnit": "pixel", "PhysicalSizeY": height, "PhysicalSizeYUnit": "pixel",
        }  # fmt: skip
    return {
        "PhysicalSizeX": width * mpp[0],
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": height * mpp[1],
        "PhysicalSizeYUnit": "µm",
    }
