from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from amkd_core.errors import CohortError
from amkd_core.simulate import slides
from amkd_core.simulate.slides import SlideSpec, render_slide
from amkd_core.simulate.tissue_map import Look, Region
from amkd_core.simulate.truth import TruthMask, is_current, patch_truth, read_truth

SPEC = SlideSpec((1536, 1280), look=Look(0.6, 0.8, 0.8), seed=(5, 1), pen=True)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "a.tif"
    render_slide(SPEC, path, path.with_suffix(".png"))
    return path


@pytest.fixture(scope="module")
def pixels(rendered: Path) -> np.ndarray:
    return tifffile.imread(rendered)


@pytest.fixture(scope="module")
def inner_labels(rendered: Path, pixels: np.ndarray) -> np.ndarray:
    """Labels at level 0, background where a label's border is nearer than a map pixel."""
    labels = read_truth(rendered.with_suffix(".png")).labels
    same = (ndimage.maximum_filter(labels, 3) == labels) & (ndimage.minimum_filter(labels, 3) == labels)
    inner = np.where(same, labels, 255)
    return inner.repeat(16, axis=0).repeat(16, axis=1)[: pixels.shape[0], : pixels.shape[1]]


def test_equal_specs_give_equal_bytes_and_other_seeds_others(rendered: Path, tmp_path: Path) -> None:
    render_slide(SPEC, tmp_path / "b.tif", tmp_path / "b.png")
    assert (tmp_path / "b.tif").read_bytes() == rendered.read_bytes()
    assert (tmp_path / "b.png").read_bytes() == rendered.with_suffix(".png").read_bytes()
    other = SlideSpec(SPEC.size_px, look=SPEC.look, seed=(5, 2), pen=True)
    render_slide(other, tmp_path / "c.tif", tmp_path / "c.png")
    assert (tmp_path / "c.tif").read_bytes() != rendered.read_bytes()


def test_blocks_join_without_seams(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slides, "BLOCK_PX", 640)
    render_slide(SPEC, tmp_path / "b.tif", tmp_path / "b.png")
    assert (tmp_path / "b.tif").read_bytes() == rendered.read_bytes()


def test_openslide_reads_levels_and_scale(rendered: Path, pixels: np.ndarray) -> None:
    with openslide.OpenSlide(rendered) as slide:
        assert slide.dimensions == SPEC.size_px
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5)
        assert slide.level_downsamples == pytest.approx((1.0, 4.0))
        assert "SYNTHETIC" in slide.properties["tiff.ImageDescription"]
        region = np.asarray(slide.read_region((512, 256), 0, (300, 200)).convert("RGB"))
        coarse = np.asarray(slide.read_region((0, 0), 1, (384, 320)).convert("RGB")).astype(float)
    assert np.abs(region.astype(int) - pixels[256:456, 512:812]).max() <= 2  # two JPEG decoders
    means = pixels.reshape(320, 4, 384, 4, 3).mean(axis=(1, 3))
    assert np.abs(coarse - means).mean() < 5  # both levels went through JPEG
    assert np.corrcoef(coarse.ravel(), means.ravel())[0, 1] > 0.98


def test_file_is_a_tiled_jpeg_pyramid_whose_tags_tell_each_levels_scale(rendered: Path) -> None:
    with tifffile.TiffFile(rendered) as file:
        assert len(file.pages) == 2
        for page, mpp in zip(file.pages, (0.5, 2.0), strict=True):
            assert page.compression == tifffile.COMPRESSION.JPEG
            assert (page.tilewidth, page.tilelength) == (256, 256)
            assert page.tags["ResolutionUnit"].value == 3
            numerator, denominator = page.tags["XResolution"].value
            assert 1e4 * denominator / numerator == pytest.approx(mpp, rel=1e-6)


def test_sizes_that_no_tile_divides_are_filled_up(tmp_path: Path) -> None:
    path = tmp_path / "odd.tif"
    render_slide(SlideSpec((777, 1203), seed=(1,)), path, tmp_path / "odd.png")
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (777, 1203)
        last = np.asarray(slide.read_region((767, 1193), 0, (10, 10)).convert("RGB"))
    assert last.min() > 200  # glass up to the corner
    assert tifffile.imread(path).shape == (1203, 777, 3)


def test_large_files_are_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amkd_core.simulate.pyramid_file.BIGTIFF_BYTES", 1e5)
    render_slide(SlideSpec((600, 512), seed=(1,)), tmp_path / "a.tif", tmp_path / "a.png")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
    assert openslide.OpenSlide(tmp_path / "a.tif").dimensions == (600, 512)


def test_every_region_lies_where_the_truth_says(pixels: np.ndarray, inner_labels: np.ndarray) -> None:
    # Tolerances are wide of what one slide's stain may do, and narrow beside the differences between regions.
    light = pixels.mean(axis=2)
    dark = pixels[..., 0] < 120  # nuclei take away red light
    red, blue = pixels[..., 0].astype(float), pixels[..., 2].astype(float)
    found = {region: inner_labels == region for region in Region}
    assert all(mask.sum() > 4000 for mask in found.values())
    share = {region: float(dark[mask].mean()) for region, mask in found.items()}
    assert light[found[Region.BACKGROUND]].mean() > 232
    assert light[found[Region.BACKGROUND]].std() < 4
    assert share[Region.BACKGROUND] == 0
    assert share[Region.LYMPHOCYTES] > 3 * share[Region.STROMA]
    assert share[Region.HIGH_GRADE] > 3 * share[Region.STROMA]
    assert share[Region.NECROSIS] < 0.5 * share[Region.HIGH_GRADE]
    assert share[Region.GLAND] > share[Region.STROMA]
    pinkness = red - blue
    assert pinkness[found[Region.NECROSIS]].mean() > pinkness[found[Region.HIGH_GRADE]].mean() + 8
    assert light[found[Region.PEN]].mean() < light[found[Region.STROMA]].mean() - 30


def test_truth_is_not_shifted_against_the_pixels(pixels: np.ndarray, rendered: Path) -> None:
    # The glass seen in the pixels fits the truth's background best where neither is moved.
    labels = read_truth(rendered.with_suffix(".png")).labels
    seen = (pixels.mean(axis=2) > 225).reshape(labels.shape[0], 16, labels.shape[1], 16).mean(
        axis=(1, 3)
    ) > 0.9
    truth = labels == Region.BACKGROUND
    agreement = {
        (down, right): float((np.roll(seen, (down, right), (0, 1)) == truth).mean())
        for down in (-2, -1, 0, 1, 2)
        for right in (-2, -1, 0, 1, 2)
    }
    assert max(agreement, key=lambda shift: agreement[shift]) == (0, 0)
    assert agreement[0, 0] > 0.97


def test_nuclei_of_high_grade_tumour_follow_proliferation(tmp_path: Path) -> None:
    shares = []
    for name, drive in (("low", -1.5), ("high", 1.5)):
        path = tmp_path / f"{name}.tif"
        render_slide(SlideSpec((1024, 1024), look=Look(drive), seed=(8,)), path, path.with_suffix(".png"))
        labels = read_truth(path.with_suffix(".png")).labels.repeat(16, axis=0).repeat(16, axis=1)
        shares.append(float((tifffile.imread(path)[..., 0] < 130)[labels == Region.HIGH_GRADE].mean()))
    assert shares[1] > 1.5 * shares[0]


def test_another_scale_shows_the_same_tissue(rendered: Path, tmp_path: Path) -> None:
    spec = SlideSpec((3072, 2560), 0.25, SPEC.look, SPEC.seed, pen=True)
    render_slide(spec, tmp_path / "x40.tif", tmp_path / "x40.png")
    coarse, fine = read_truth(rendered.with_suffix(".png")), read_truth(tmp_path / "x40.png")
    np.testing.assert_array_equal(coarse.labels, fine.labels)
    assert (coarse.downsample, fine.downsample) == (16.0, 32.0)
    with openslide.OpenSlide(tmp_path / "x40.tif") as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
    fine_look, coarse_look = (
        np.asarray(Image.fromarray(tifffile.imread(path)).reduce(factor)).astype(float).mean(axis=2)
        for path, factor in ((tmp_path / "x40.tif", 32), (rendered, 16))
    )
    assert np.corrcoef(fine_look.ravel(), coarse_look.ravel())[0, 1] > 0.9


def test_sidecar_names_the_labels(rendered: Path) -> None:
    sidecar = json.loads(rendered.with_suffix(".json").read_text(encoding="utf-8"))
    assert sidecar["synthetic"] is True
    assert sidecar["labels"] == {str(int(region)): region.name.lower() for region in Region}
    assert is_current(rendered.with_suffix(".png"))


def test_patch_truth_counts_pixels() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, (40, 50)).astype(np.uint8)
    truth = TruthMask(labels, 16.0)
    cells = rng.integers(0, 30, (25, 2))
    shares = patch_truth(truth, cells * 16, (128, 160), [Region.GLAND, Region.NECROSIS])
    for (x, y), share in zip(cells, shares, strict=True):
        window = labels[y : y + 10, x : x + 8]
        assert share == pytest.approx(np.isin(window, [2, 5]).mean())
    whole = patch_truth(truth, np.array([[0, 0]]), (800, 640), list(Region))
    assert whole == pytest.approx([1.0])


def test_damaged_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"none\.png: not a readable truth mask"):
        read_truth(tmp_path / "none.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    (tmp_path / "rgb.json").write_text('{"level0_px_per_mask_px": 16}', encoding="utf-8")
    with pytest.raises(CohortError, match=r"rgb\.png: expected one label of 8 bits per pixel"):
        read_truth(tmp_path / "rgb.png")
    assert not is_current(tmp_path / "rgb.png")
