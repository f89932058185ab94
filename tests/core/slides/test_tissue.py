"""Tissue is found by colour; ink, black, background and what cannot be read are told apart from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slide_files import halved, tissue_like, write_tiff

from amkd_core.errors import SlideReadError, TissueError
from amkd_core.slides.low_power import read_low_power
from amkd_core.slides.slide import open_slide
from amkd_core.slides.tissue import METHOD, METHOD_DARK_FIELD, TissueMask, find_tissue, tissue_of_image

GLASS = (244, 242, 243)
EOSIN = (214, 140, 180)
MPP = (8.0, 8.0)


def thumbnail(colour: tuple[int, int, int] = EOSIN, size: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A stained disk with grain on glass, and where it is."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    disk = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (size / 3) ** 2
    image = np.where(disk[..., None], colour, GLASS) + rng.normal(0, 6, (size, size, 1)) * disk[..., None]
    return np.clip(image, 0, 255).astype(np.uint8), disk


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_the_stained_disk_is_found_on_glass() -> None:
    image, disk = thumbnail()
    mask, method, excluded = tissue_of_image(image, mpp=MPP)
    assert overlap(mask, disk) > 0.97
    assert method == METHOD
    assert sum(excluded.values()) == 0


@pytest.mark.parametrize(
    "glass", [(255, 255, 255), (228, 226, 237), (243, 238, 225), (238, 225, 205), (230, 208, 176)]
)
def test_the_background_may_have_any_pale_colour(glass: tuple[int, int, int]) -> None:
    image, disk = thumbnail()
    image = np.where(disk[..., None], image, np.array(glass, dtype=np.uint8))
    assert overlap(tissue_of_image(image, mpp=MPP)[0], disk) > 0.97


@pytest.mark.parametrize("padding", [0.0, 0.1])
def test_tinted_glass_is_no_tissue_beside_padding_of_pure_white(padding: float) -> None:
    image, disk = thumbnail()
    image = np.where(disk[..., None], image, np.array((238, 225, 205), dtype=np.uint8))
    image[: int(padding * len(image))] = 255
    assert overlap(tissue_of_image(image, mpp=MPP)[0], disk) > 0.97


def test_a_pale_region_without_glass_is_not_taken_for_glass() -> None:
    """Pale pink with the grain of tissue, wholly: nothing of it is even."""
    grain = np.random.default_rng(0).normal(0, 6, (200, 200, 1))
    image = np.clip(np.array((236, 190, 214)) + grain, 0, 255).astype(np.uint8)
    assert tissue_of_image(image, mpp=MPP)[0].mean() > 0.99


def test_a_region_that_is_tissue_everywhere_stays_whole() -> None:
    # Half haematoxylin, half eosin and no background: Otsu alone would drop one of the two.
    rng = np.random.default_rng(1)
    nuclei = rng.random((200, 200, 1)) < 0.5
    image = np.where(nuclei, (110, 80, 160), (225, 170, 205)).astype(np.uint8)
    assert tissue_of_image(image, mpp=MPP)[0].mean() > 0.99


@pytest.mark.parametrize(
    ("ink", "name"),
    [
        ((30, 150, 120), "green_ink"),
        ((20, 40, 190), "blue_ink"),
        ((205, 25, 35), "red_ink"),
        ((25, 22, 24), "black"),
    ],
)
def test_ink_is_no_tissue_and_is_named(ink: tuple[int, int, int], name: str) -> None:
    image, disk = thumbnail()
    image[:, 20:45] = ink
    mask, _, excluded = tissue_of_image(image, mpp=MPP)
    assert not mask[:, 20:45].any()
    assert excluded[name] == pytest.approx(25 / 300, abs=0.04)
    assert overlap(mask, disk & (np.arange(300) >= 60)) > 0.95


def test_ink_over_tissue_takes_the_tissue_away() -> None:
    image, _ = thumbnail()
    image[140:160] = (30, 150, 120)
    assert not tissue_of_image(image, mpp=MPP)[0][140:160].any()


def test_grey_glass_edges_and_hair_are_no_tissue() -> None:
    image = np.full((300, 300, 3), GLASS, dtype=np.uint8)
    image[:, 100:104] = (120, 119, 118)
    image[200:] = (225, 223, 222)
    assert not tissue_of_image(image, mpp=MPP)[0].any()


def test_specks_and_small_holes_go_by_area_in_um() -> None:
    image, disk = thumbnail()
    image[5:11, 5:11] = EOSIN  # 48 um wide: a speck
    image[148:152, 148:152] = GLASS  # 32 um: a hole in the middle
    image[60:90, 140:170] = GLASS  # 240 um: a real hole
    mask, _, _ = tissue_of_image(image, mpp=MPP)
    assert not mask[:20, :20].any()
    assert mask[148:152, 148:152].all()
    assert not mask[68:82, 148:162].any()
    assert disk[148, 148]


def test_brown_and_blue_nuclei_side_by_side_are_tissue() -> None:
    # Their colours average to grey, so the spread must be taken before the smoothing.
    rows, columns = np.mgrid[:300, :300]
    checks = ((rows // 2 + columns // 2) % 2 == 0)[..., None]
    stained = np.where(checks, (150, 105, 70), (130, 160, 190)).astype(np.uint8)
    image, disk = thumbnail()
    image = np.where(disk[..., None], stained, image)
    assert overlap(tissue_of_image(image, mpp=(2.0, 2.0))[0], disk) > 0.9  # grown by half the smoothing


def test_fluorescence_is_known_by_its_black_background() -> None:
    image = np.zeros((300, 300, 3), dtype=np.uint8)
    image[100:200, 50:250, 2] = 180
    mask, method, _ = tissue_of_image(image, mpp=MPP)
    assert method == METHOD_DARK_FIELD
    assert overlap(mask, image[..., 2] > 0) > 0.95


def test_unknown_scale_uses_shares_of_the_image() -> None:
    image, disk = thumbnail()
    assert overlap(tissue_of_image(image)[0], disk) > 0.97


@pytest.mark.parametrize("side", [1, 2, 16])
def test_tiny_images_do_not_fail(side: int) -> None:
    pink = np.full((side, side, 3), EOSIN, dtype=np.uint8)
    assert tissue_of_image(pink, mpp=(0.5, 0.5))[0].all()
    assert not tissue_of_image(np.full_like(pink, 255), mpp=(0.5, 0.5))[0].any()


def test_find_tissue_places_the_mask_on_level_0(tmp_path: Path) -> None:
    image, disk = thumbnail()
    large = np.asarray(Image.fromarray(image).resize((2400, 2400), Image.Resampling.NEAREST))
    path = write_tiff(tmp_path / "a.tif", [large, halved(large)], mpp=1.0, compression="deflate")
    with open_slide(path) as slide:
        tissue = find_tissue(slide)
    assert tissue.downsample == pytest.approx((8, 8), rel=0.01)
    assert tissue.mask.shape == disk.shape
    assert overlap(tissue.mask, disk) > 0.97
    assert tissue.fraction == pytest.approx(disk.mean(), rel=0.05)
    assert "% tissue" in repr(tissue)


def test_a_slide_without_tissue_is_one_sentence(tmp_path: Path) -> None:
    path = write_tiff(
        tmp_path / "empty.tif", [np.full((600, 600, 3), 243, dtype=np.uint8)], compression="deflate"
    )
    with (
        open_slide(path) as slide,
        pytest.raises(TissueError, match=r"No tissue was found on empty\.tif \(only backg"),
    ):
        find_tissue(slide)


def test_ink_alone_is_named_in_the_sentence(shared: Path) -> None:
    with (
        open_slide(shared / "slides/malformed/boxes.tiff", mpp=0.5) as slide,
        pytest.raises(TissueError, match=r"green ink .*blue ink .*of the area"),
    ):
        find_tissue(slide)


@pytest.mark.parametrize("pen", ["no-tissue-green-pen", "no-tissue-red-pen", "no-tissue-line"])
def test_real_pen_strokes_and_glass_edges_are_no_tissue(shared: Path, pen: str) -> None:
    image = np.asarray(Image.open(shared / f"slides/tiles/histolab_{pen}.png").convert("RGB").reduce(2))
    assert tissue_of_image(image, mpp=(2.0, 2.0))[0].mean() < 0.01


@pytest.mark.parametrize(
    ("file", "least", "most"),
    [
        ("real/CMU-1-Small-Region.svs", 0.33, 0.43),
        ("real/OS-1-detail.ome.tif", 0.99, 1.0),
        ("real/OS-2-ndpi.ome.tif", 0.65, 0.9),
        ("derived/derived_gigapixel_dedup_cmu1-c3l.tif", 0.25, 0.4),
    ],
)
def test_real_slides_have_the_tissue_seen_by_eye(shared: Path, file: str, least: float, most: float) -> None:
    with open_slide(shared / "slides" / file) as slide:
        assert least <= find_tissue(slide).fraction <= most


def test_low_power_is_the_same_with_and_without_a_pyramid(tmp_path: Path) -> None:
    image = tissue_like(2048, 1536)
    levels = [image, halved(image, 2), halved(image, 4), halved(image, 8)]
    images = []
    for name, kept in (("one.tif", levels[:1]), ("four.tif", levels)):
        with open_slide(write_tiff(tmp_path / name, kept, mpp=0.5, compression="deflate")) as slide:
            low = read_low_power(slide)
        assert low.downsample == (8.0, 8.0)  # 16 would leave 128 px, too few to see shapes
        assert low.mpp == pytest.approx((4.0, 4.0))
        images.append(low.image.astype(int))
    assert np.abs(images[0] - images[1]).max() <= 1  # rounding of the stored levels


class _Damaged:
    """A slide of which some squares cannot be read."""

    def __init__(self, slide: object, squares: list[tuple[int, int, int, int]]) -> None:
        self._slide, self.squares = slide, squares

    def __getattr__(self, name: str) -> object:
        return getattr(self._slide, name)

    def read_region(self, xy: tuple[int, int], level: int, size: tuple[int, int]) -> np.ndarray:
        for left, top, right, bottom in self.squares:
            if xy[0] < right and xy[0] + size[0] > left and xy[1] < bottom and xy[1] + size[1] > top:
                raise SlideReadError("a damaged tile")
        return self._slide.read_region(xy, level, size)  # type: ignore[attr-defined, no-any-return]


def test_what_cannot_be_read_counts_as_tissue_so_that_it_is_tried_and_counted(tmp_path: Path) -> None:
    path = write_tiff(
        tmp_path / "glass.tif", [np.full((2048, 2048, 3), 243, dtype=np.uint8)], compression="deflate"
    )
    with open_slide(path) as slide:
        tissue = find_tissue(_Damaged(slide, [(512, 256, 768, 512)]))  # type: ignore[arg-type]
    rows, columns = np.nonzero(tissue.mask)
    assert (columns.min() * 8, rows.min() * 8, columns.max() * 8 + 8, rows.max() * 8 + 8) == (
        512,
        256,
        768,
        512,
    )
    assert tissue.excluded["unreadable"] == pytest.approx(1 / 64)


def test_a_slide_that_is_mostly_damaged_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "bad.tif", [tissue_like(1024, 1024)])
    with (
        open_slide(path) as slide,
        pytest.raises(SlideReadError, match=r"bad\.tif cannot be read: 75% of level 0"),
    ):
        find_tissue(_Damaged(slide, [(0, 0, 768, 1024)]))  # type: ignore[arg-type]


def test_mask_repr_names_what_was_left_out() -> None:
    mask = TissueMask(np.ones((2, 3), dtype=bool), (8.0, 8.0), METHOD, 1.0, {"red_ink": 0.25, "black": 0.0})
    assert repr(mask) == "TissueMask(3 x 2 px, 100.0% tissue, besides red_ink 25.0%)"
