"""What is exported from real slides lies on their tissue, seen by readers that are not ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from amkd_core.bundle import Bundle
from amkd_core.bundle_file import open_bundle
from amkd_core.cli.terminal import drain
from amkd_core.export.geojson import write_geojson
from amkd_core.export.ome_tiff import write_heatmap_tiff
from amkd_core.inference.demo import demo_bundle_path
from amkd_core.inference.predict import predict_slide
from amkd_core.slides import open_slide

DICOM = "real/CMU-1-Small-Region-dicom/1.2.826.0.1.3680043.8.498.58740178995208579534253317996600852419.dcm"
CASES = {
    "svs": ("real/CMU-1-Small-Region.svs", None),
    "dicom": (DICOM, None),
    "crop of an ndpi": ("real/OS-1-detail.ome.tif", None),
    "ome-tiff": ("derived/derived_cmu1_pyramid.ome.tif", None),
    "philips": ("derived/derived_emulated-philips_cmu1.tiff", None),
    "tiff, scale given": ("derived/derived_c3l-00601-26_pyramid_nompp.tif", 0.5),
}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(demo_bundle_path())


def whole_image(path: Path) -> np.ndarray:
    """Level 0 by OpenSlide, or where it cannot by tifffile; (height, width, 3)."""
    if openslide.OpenSlide.detect_format(path) is None:
        return tifffile.imread(path)[..., :3]
    with openslide.OpenSlide(path) as slide:
        pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))
    return np.where(pixels[..., 3:] == 0, 255, pixels[..., :3])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_tissue_lies_under_what_is_exported(bundle: Bundle, shared: Path, tmp_path: Path, case: str) -> None:
    name, mpp = CASES[case]
    path = shared / "slides" / name
    prediction = drain(predict_slide(path, bundle, mpp=mpp))
    with open_slide(path, mpp=mpp) as slide:
        bounds, size, own = slide.info.bounds, slide.size_px, (slide.microns.x, slide.microns.y)
    write_geojson(tmp_path / "patches.geojson", prediction, bounds_xy=(bounds.x, bounds.y))
    write_heatmap_tiff(tmp_path / "map.ome.tif", prediction)
    image = whole_image(path)
    assert image.shape[1::-1] == size
    # Stained: clearly coloured. Glass is grey or white.
    stained = np.ptp(image.astype(np.int16), axis=2) > 20
    covered, shares = np.zeros(stained.shape, dtype=bool), []
    for feature in json.loads((tmp_path / "patches.geojson").read_text())["features"]:
        if feature["properties"]["objectType"] == "tile":
            ring = np.array(feature["geometry"]["coordinates"][0]) + np.array((bounds.x, bounds.y))
            (left, top), (right, bottom) = ring.min(axis=0), ring.max(axis=0)
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
            covered[top:bottom, left:right] = True
            shares.append(stained[top:bottom, left:right].mean())
    assert len(shares) == len(prediction.bag)
    assert min(shares) >= 0.2
    if stained.mean() < 0.9:  # one is a crop without glass
        # Had the rectangles been moved, they would hold no more tissue than what they leave out.
        assert stained[covered].mean() > 1.5 * stained[~covered].mean()
    heat = tifffile.imread(tmp_path / "map.ome.tif")
    with tifffile.TiffFile(tmp_path / "map.ome.tif") as file:
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    step = np.array([pixels["PhysicalSizeX"], pixels["PhysicalSizeY"]]) / own
    columns, rows = (
        (np.arange(side) / size_px).astype(int) for side, size_px in zip(size, step, strict=True)
    )
    drawn = np.isfinite(heat)[
        np.minimum(rows, heat.shape[0] - 1)[:, None], np.minimum(columns, heat.shape[1] - 1)
    ]
    assert (drawn & covered).sum() / (drawn | covered).sum() >= 0.99
