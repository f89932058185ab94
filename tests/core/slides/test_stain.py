"""A slide that is not H&E is noticed; every H&E sample passes, with room on both sides of the limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amkd_core.slides.slide import open_slide
from amkd_core.slides.stain import LEAST_GREEN_SHARE, MOST_BROWN_SHARE, check_stain, measure_stain
from amkd_core.slides.tissue import TissueMask, find_tissue

HE_SLIDES = (
    ("real/CMU-1-Small-Region.svs", None),
    ("real/CMU-1-Small-Region-dicom", None),
    ("real/OS-1-detail.ome.tif", None),
    ("derived/derived_c3l-00601-26_pyramid_nompp.tif", 4.0),
    ("derived/derived_emulated-philips_cmu1.tiff", None),
    ("derived/derived_gigapixel_dedup_cmu1-c3l.tif", None),
)


@pytest.mark.parametrize(("file", "mpp"), HE_SLIDES)
def test_he_slides_pass(shared: Path, file: str, mpp: float | None) -> None:
    with open_slide(shared / "slides" / file, mpp=mpp) as slide:
        assert check_stain(slide, find_tissue(slide)) is None


@pytest.mark.parametrize(
    ("file", "seen"), [("OS-2-ndpi.ome.tif", "is brown"), ("test3-DAPI-2-(387).ndpi", "background is black")]
)
def test_ki67_and_fluorescence_are_noticed(shared: Path, file: str, seen: str) -> None:
    with open_slide(shared / "slides/real" / file) as slide:
        notice = check_stain(slide, find_tissue(slide))
    assert notice is not None
    assert notice.code == "not_he"
    assert seen in notice.sentence


def test_he_tiles_lie_far_from_the_limits(shared: Path) -> None:
    for path in sorted((shared / "slides/tiles").glob("nucls_*.png")):
        image = np.asarray(Image.open(path).convert("RGB").reduce(4))
        measures = measure_stain(image, np.ones(image.shape[:2], dtype=bool))
        assert measures.green_share > LEAST_GREEN_SHARE + 0.15
        assert measures.brown_share < MOST_BROWN_SHARE / 10


def _slide_of(colour: tuple[int, int, int]) -> tuple[np.ndarray, TissueMask]:
    image = np.full((60, 60, 3), 243, dtype=np.uint8)
    image[10:50, 10:50] = colour
    mask = (image != 243).any(axis=2)
    return image, TissueMask(mask, (8.0, 8.0), "test", float(mask.mean()))


@pytest.mark.parametrize(
    ("colour", "seen"),
    [
        ((120, 80, 150), None),  # haematoxylin
        ((220, 130, 180), None),  # eosin
        ((140, 95, 60), "is brown"),  # DAB
        ((150, 175, 200), "colours of haematoxylin"),  # pale blue counterstain
        ((90, 160, 110), "colours of haematoxylin"),  # a green stain
    ],
)
def test_pure_stains(colour: tuple[int, int, int], seen: str | None) -> None:
    notice = check_stain(*_slide_of(colour))
    assert (notice is None) if seen is None else (notice is not None and seen in notice.sentence)


def test_a_few_brown_pixels_do_not_make_a_slide_brown() -> None:
    image, tissue = _slide_of((120, 80, 150))
    image[10:11, 10:40] = (140, 95, 60)
    assert check_stain(image, tissue) is None


def test_the_mask_may_have_another_resolution() -> None:
    image, tissue = _slide_of((140, 95, 60))
    coarse = TissueMask(tissue.mask[::4, ::4], (32.0, 32.0), "test", tissue.fraction)
    assert check_stain(image, coarse) is not None


def test_unstained_tissue_gives_no_verdict() -> None:
    image = np.full((40, 40, 3), 240, dtype=np.uint8)
    measures = measure_stain(image, np.ones((40, 40), dtype=bool))
    assert np.isnan(measures.green_share)
    assert check_stain(image, TissueMask(np.ones((40, 40), dtype=bool), (8.0, 8.0), "test", 1.0)) is None
