"""Tiles that a file leaves out: under tissue their patches are counted as unreadable, on glass they are nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from scanner_files import write_mirax
from slide_files import halved, write_ome, write_striped, write_svs, write_tiff

from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.errors import SlideReadError
from amkd_core.slides import open_slide
from amkd_core.slides.encoders import encode_slide
from amkd_core.slides.grid import PatchSpec, lay_patches
from amkd_core.slides.holes import StainedPlaces
from amkd_core.slides.low_power import read_low_power
from amkd_core.slides.missing_tiles import patches_on_missing_tiles
from amkd_core.slides.patches import read_patches
from amkd_core.slides.tiff_tags import STRIP_BYTES, TILE_BYTES, TILE_OFFSETS, read_tiff_tags
from amkd_core.slides.tissue import find_tissue

TILES = 26
TISSUE = range(2, 24)
"""Rows and columns of tiles that hold tissue; the others are glass."""


class MeanColour:
    """Mean red, green, blue, and one."""

    mpp = 0.5
    identity = EncoderIdentity("mean", "1", 4, "0" * 64, "none", "none", "none")

    def __init__(self, patch_size_px: int) -> None:
        self.patch_size_px = patch_size_px

    def encode(self, images: np.ndarray) -> np.ndarray:
        means = images.mean(axis=(1, 2))
        return np.concatenate([means, np.ones((len(images), 1))], axis=1).astype(np.float32)


def picture(tile: int) -> np.ndarray:
    """Tissue with some grain amid glass."""
    image = np.full((TILES * tile, TILES * tile, 3), 243, np.uint8)
    inside = slice(TISSUE.start * tile, TISSUE.stop * tile)
    grain = np.random.default_rng(0).integers(-12, 13, (len(TISSUE) * tile,) * 2)[..., None]
    image[inside, inside] = np.array([176, 92, 160]) + grain
    return image


def svs(path: Path) -> tuple[Path, int]:
    image = picture(240)
    return write_svs(path, [image, halved(image, 4)], mpp=0.25, power=40), 120


def jpeg_tiff(path: Path) -> tuple[Path, int]:
    image = picture(128)
    return write_tiff(path, [image, halved(image), halved(image, 4)], tile=128), 128


def plain_tiff(path: Path) -> tuple[Path, int]:
    image = picture(128)
    return write_tiff(path, [image, halved(image, 4)], tile=128, compression=None), 128


def lzw_tiff(path: Path) -> tuple[Path, int]:
    image = picture(128)
    return write_tiff(path, [image, halved(image, 4)], tile=128, compression="lzw"), 128


def ome(path: Path) -> tuple[Path, int]:
    image = picture(128)
    return write_ome(path, [[image, halved(image, 4)]], tile=128), 128


FAMILIES: dict[str, Callable[[Path], tuple[Path, int]]] = {
    "a.svs": svs, "jpeg.tif": jpeg_tiff, "plain.tif": plain_tiff, "lzw.tif": lzw_tiff, "a.ome.tif": ome,
}  # fmt: skip
"""What writes a slide and tells how wide a patch is that covers one tile, in pixels at 0.5 um."""


def empty(path: Path, directory: int, indices: Iterable[int], tag: int = TILE_BYTES) -> None:
    """Set the byte counts of tiles to zero, in place."""
    with read_tiff_tags(path) as tags:
        entry = tags.directories[directory].tags[tag]
    width = entry.dtype.itemsize
    with path.open("r+b") as stream:
        for index in indices:
            stream.seek(entry.offset + index * width)
            stream.write(bytes(width))


def tissue_tiles(k: int, *, apart: bool = False) -> list[int]:
    """`k` tiles under tissue, by their numbers; no two side by side and none at the border where `apart`.

    OpenSlide leaves the place of an SVS white on every level, so that no tissue is seen in a hole of several tiles and
    no patch laid there; a hole of one tile of 60 um is closed by the mask.
    """
    places = TISSUE[1:-1:2] if apart else TISSUE
    inside = [row * TILES + column for row in places for column in places]
    return sorted(np.random.default_rng(k).choice(inside, k, replace=False).tolist())


def glass_tiles() -> list[int]:
    return [
        row * TILES + column
        for row in range(TILES)
        for column in range(TILES)
        if row not in TISSUE or column not in TISSUE
    ]


def encoded(path: Path, side: int, *, isolated: bool = False) -> FeatureBag:
    with open_slide(path, isolated=isolated) as slide:
        generator = encode_slide(slide, MeanColour(side))
        while True:
            try:
                next(generator)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]


SAMPLE = (3,)
"""Numbers of lost tiles that every family is tried with in `make test`."""


@pytest.mark.parametrize(
    ("family", "numbers"),
    [
        ("plain.tif", (0, 1, *SAMPLE, 10, 100)),
        *((family, SAMPLE) for family in FAMILIES if family != "plain.tif"),
        *(
            pytest.param(family, (0, 1, 10, 100), marks=pytest.mark.slow)
            for family in FAMILIES
            if family != "plain.tif"
        ),
    ],
)
def test_missing_tiles_under_tissue_are_counted_exactly_and_give_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, numbers: tuple[int, ...]
) -> None:
    """All tiles of glass are left out too, as scanners do: they count for nothing."""
    monkeypatch.setattr("amkd_core.slides.encoders.encode.MOST_INVALID_SHARE", 0.8)
    n = len(TISSUE) ** 2
    whole, side = FAMILIES[family](tmp_path / family)
    for k in numbers:
        path = Path(shutil.copy(whole, tmp_path / f"{k}_{family}"))
        lost = tissue_tiles(k, apart=family == "a.svs")
        empty(path, 0, [*lost, *glass_tiles()])
        bag = encoded(path, side, isolated=k == 3)
        assert len(bag) == n - k
        left = {divmod(index, TILES) for index in lost}
        tile = bag.patch_size_level0[0]
        assert not left & {(y // tile, x // tile) for x, y in bag.coords.tolist()}
        assert bag.features[:, :3].max() < 200  # no row is of white
        sentences = [notice.sentence for notice in bag.notices if notice.code == "invalid_patches"]
        assert sentences == (
            [
                f"{k} of {n} patches could not be read and were left out; {k} of them lie on tissue whose tiles "
                "hold no data."
            ]
            if k
            else []
        )


@pytest.mark.parametrize("family", ["a.svs", "plain.tif"])
def test_more_than_one_percent_on_missing_tiles_fails_before_any_is_encoded(
    tmp_path: Path, family: str
) -> None:
    path, side = FAMILIES[family](tmp_path / family)
    empty(path, 0, tissue_tiles(5, apart=True))
    with pytest.raises(
        SlideReadError,
        match=rf"{family} is damaged: 5 of 484 patches lie on tissue whose tiles hold no data, more than 1% of all",
    ):
        encoded(path, side)


def jpeg_ome(path: Path) -> tuple[Path, int]:
    image = picture(128)
    return write_ome(path, [[image, halved(image, 4)]], tile=128, compression="jpeg"), 128


def tear(path: Path, indices: Iterable[int], fill: str) -> None:
    """Overwrite the second half of tiles, but for their last two bytes, in place."""
    with read_tiff_tags(path) as tags:
        places = [tags.directories[0].numbers(tag).astype(int) for tag in (TILE_OFFSETS, TILE_BYTES)]
    rng = np.random.default_rng(0)
    with path.open("r+b") as stream:
        for index in indices:
            offset, length = (int(numbers[index]) for numbers in places)
            n_bytes = length - length // 2 - 2
            noise = rng.integers(0, 256, n_bytes, dtype=np.uint8).tobytes()
            stream.seek(offset + length // 2)
            stream.write(noise if fill == "noise" else bytes.fromhex(fill) * n_bytes)


@pytest.mark.parametrize(
    "fill", ["00", "noise", *(pytest.param(fill, marks=pytest.mark.slow) for fill in ("ff", "55"))]
)
@pytest.mark.parametrize(
    ("family", "write"), [("a.svs", svs), ("jpeg.tif", jpeg_tiff), ("jpeg.ome.tif", jpeg_ome)]
)
def test_tiles_that_are_torn_are_refused_and_counted(tmp_path: Path, family: str, write, fill: str) -> None:
    """libjpeg fills what it cannot read and only warns: patches of it were weighed without a word."""
    path, side = write(tmp_path / family)
    torn = tissue_tiles(4, apart=True)
    with open_slide(path) as slide:
        tile = slide.info.tile_size_px[0]
        corners = [(index % TILES * tile, index // TILES * tile) for index in torn]
        whole = slide.read_region((0, 0), 0, (tile, tile))
    tear(path, torn, fill)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (tile, tile)), whole)
        for corner in corners:
            with pytest.raises(SlideReadError):
                slide.read_region(corner, 0, (tile, tile))
    bag = encoded(path, side)
    assert len(bag) == len(TISSUE) ** 2 - len(torn)
    assert {tuple(corner) for corner in bag.coords.tolist()}.isdisjoint(corners)
    (said,) = (notice.sentence for notice in bag.notices if notice.code == "invalid_patches")
    assert said.startswith(f"{len(torn)} of {len(TISSUE) ** 2} patches could not be read and were left out")


def test_every_patch_that_touches_a_missing_tile_counts(tmp_path: Path) -> None:
    """Patches of another size than tiles, read from a finer and a coarser level."""
    path, tile = jpeg_tiff(tmp_path / "a.tif")
    lost = tissue_tiles(5)
    empty(path, 0, lost)
    empty(path, 1, [9, 27])
    with open_slide(path) as slide:
        tissue = find_tissue(slide)
        for spec, level, gone, columns in (
            (PatchSpec(72, 0.5), 0, lost, TILES),
            (PatchSpec(72, 1.0), 1, [9, 27], TILES // 2),
        ):
            grid = lay_patches(slide, tissue, spec)
            assert grid.read_level == level
            boxes = [(index % columns * tile, index // columns * tile) for index in gone]
            width, height = grid.read_size_px
            expected = [
                any(
                    left < x + width and x < left + tile and top < y + height and y < top + tile
                    for left, top in boxes
                )
                for x, y in (grid.xy_level0 >> level).tolist()
            ]
            assert 5 < sum(expected) < len(grid)
            assert patches_on_missing_tiles(slide, tissue, grid).tolist() == expected


def test_a_tile_that_openslide_fills_from_a_finer_level_is_not_missing(tmp_path: Path) -> None:
    path, _ = svs(tmp_path / "a.svs")
    empty(path, 2, [8, 9])  # of 7 in a row; directory 1 is the thumbnail
    empty(path, 0, [TILES * 5 + 9])  # beneath the second of them
    with open_slide(path) as slide:
        tissue = find_tissue(slide)
        grid = lay_patches(slide, tissue, PatchSpec(60, 1.0))
        assert grid.read_level == 1
        missing = patches_on_missing_tiles(slide, tissue, grid)
        white = [
            (slide.read_patch((int(x), int(y)), 1, grid.read_size_px, 60) > 250).all()
            for x, y in grid.xy_level0
        ]
    assert sum(white) == 1
    assert (missing >= np.array(white)).all()
    assert missing.sum() == 16  # all patches on that tile of the coarser level


def test_strips_without_bytes_count(tmp_path: Path) -> None:
    """Where the overview is made of the same level the place is white there, but for what the mask closes."""
    path = write_striped(tmp_path / "a.tif", picture(32), compression="deflate", rows=4)
    empty(path, 0, [50], STRIP_BYTES)
    with open_slide(path, mpp=0.5) as slide:
        tissue = find_tissue(slide)
        grid = lay_patches(slide, tissue, PatchSpec(32, 0.5))
        missing = patches_on_missing_tiles(slide, tissue, grid)
    rows = grid.row_column[missing, 0]
    assert set(rows.tolist()) == {6}  # strip 50 holds pixel rows 200 to 203
    assert len(rows) == len(TISSUE)


SIDE = 64
"""Of the pictures of a MIRAX slide here, 32 um."""


def mirax(path: Path, lost: Iterable[int]) -> Path:
    """A slide without pictures of glass and without `lost` ones on its finest level; the coarser ones have them."""
    return write_mirax(
        path, padded(picture(SIDE)), mpp=0.5, without={*map(in_padded, [*lost, *glass_tiles()])}
    )


def padded(image: np.ndarray) -> np.ndarray:
    """Glass on two sides up to whole pictures of all levels."""
    short = -image.shape[0] % (4 * SIDE)
    return np.pad(image, ((0, short), (0, short), (0, 0)), constant_values=243)


def in_padded(index: int) -> int:
    row, column = divmod(index, TILES)
    return row * (TILES + -TILES % 4) + column


def white_tiff(path: Path, lost: Iterable[int]) -> Path:
    """A TIFF whose finest level is white where the coarser ones show tissue; every tile has bytes."""
    image = picture(SIDE)
    fine = image.copy()
    for row, column in (divmod(index, TILES) for index in lost):
        fine[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = 255
    return write_tiff(path, [fine, halved(image), halved(image, 4)], tile=SIDE, compression="lzw")


HOLED = {"a.mrxs": mirax, "white.tif": white_tiff}


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("white.tif", (0, *SAMPLE, 100)),
        ("a.mrxs", SAMPLE),
        pytest.param("white.tif", (1, 10), marks=pytest.mark.slow),
        pytest.param("a.mrxs", (0, 1, 10, 100), marks=pytest.mark.slow),
    ],
)
def test_holes_that_the_overview_does_not_have_are_counted_exactly_and_give_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, numbers: tuple[int, ...]
) -> None:
    monkeypatch.setattr("amkd_core.slides.encoders.encode.MOST_INVALID_SHARE", 0.8)
    n = len(TISSUE) ** 2
    for k in numbers:
        (tmp_path / str(k)).mkdir()
        lost = tissue_tiles(k)
        bag = encoded(HOLED[name](tmp_path / str(k) / name, lost), SIDE, isolated=k == 3)
        assert len(bag) == n - k
        rows = {(y // SIDE, x // SIDE) for x, y in bag.coords.tolist()}
        assert not {divmod(index, TILES) for index in lost} & rows
        assert bag.features[:, :3].max() < 200  # no row is of white
        sentences = [notice.sentence for notice in bag.notices if notice.code == "invalid_patches"]
        assert sentences == ([f"{k} of {n} patches could not be read and were left out."] if k else [])


@pytest.mark.parametrize("name", HOLED)
def test_more_than_one_percent_of_holes_fails(tmp_path: Path, name: str) -> None:
    path = HOLED[name](tmp_path / name, tissue_tiles(5))
    with pytest.raises(
        SlideReadError, match=rf"{name} is damaged: 5 of the first \d+ patches \(of 484\) cannot be"
    ):
        encoded(path, SIDE)


@pytest.mark.parametrize(("size", "mpp"), [(100, 0.5), (120, 0.6), (72, 0.5)])
def test_patches_that_a_hole_reaches_into_are_left_out(tmp_path: Path, size: int, mpp: float) -> None:
    """A hole of less than three pixels of the overview may be two levels that do not lie exactly on each other."""
    lost = tissue_tiles(12)
    with open_slide(mirax(tmp_path / "a.mrxs", lost)) as slide:
        low = read_low_power(slide)
        tissue = find_tissue(slide, low_power=low)
        grid = lay_patches(slide, tissue, PatchSpec(size, mpp))
        assert grid.read_level == 0
        (batch,) = read_patches(slide, grid, batch_size=len(grid))
        holed = StainedPlaces.of(low, tissue).patches_with_holes(
            batch.images, grid.xy_level0, grid.size_level0
        )
    corners = np.array([(index % TILES * SIDE, index // TILES * SIDE) for index in lost])
    begin = np.maximum(grid.xy_level0[:, None], corners)
    stop = np.minimum(grid.xy_level0[:, None] + np.array(grid.size_level0), corners + SIDE)
    shared = (stop - begin).min(axis=2).max(axis=1)  # the shorter side of what a patch has of a hole
    assert holed[shared >= 5 * low.downsample[0]].all()
    assert not holed[shared < 2 * low.downsample[0]].any()
    assert holed.sum() >= 12


def test_glass_within_tissue_is_no_hole(tmp_path: Path) -> None:
    """Pure white on every level, whether the scanner left it out or not: lumina, clefts, torn places."""
    image = picture(SIDE)
    for index in tissue_tiles(40):
        row, column = divmod(index, TILES)
        image[row * SIDE + 9 : row * SIDE + 50, column * SIDE + 13 : column * SIDE + 55] = 255
    path = write_tiff(
        tmp_path / "a.tif", [image, halved(image), halved(image, 4)], tile=SIDE, compression="lzw"
    )
    assert not [notice for notice in encoded(path, SIDE).notices if notice.code == "invalid_patches"]


def test_levels_that_lie_a_pixel_beside_each_other_make_no_hole(tmp_path: Path) -> None:
    image = picture(SIDE)
    image[:, 13 * SIDE : 14 * SIDE] = 255
    shifted = np.roll(image, 8, axis=1)  # 4 um
    path = write_tiff(
        tmp_path / "a.tif", [image, halved(shifted), halved(shifted, 4)], tile=SIDE, compression="lzw"
    )
    assert not [notice for notice in encoded(path, SIDE).notices if notice.code == "invalid_patches"]


def test_no_hole_is_found_in_a_real_slide(shared: Path) -> None:
    for name in ("real/CMU-1-Small-Region-dicom", "derived/derived_c3l-00601-26_pyramid_nompp.tif"):
        with open_slide(shared / "slides" / name, default_mpp=0.5) as slide:
            low = read_low_power(slide)
            tissue = find_tissue(slide, low_power=low)
            grid = lay_patches(slide, tissue)
            (batch,) = read_patches(slide, grid, batch_size=len(grid))
            places = StainedPlaces.of(low, tissue)
            assert places.stained.mean() > 0.1
            assert not places.patches_with_holes(batch.images, grid.xy_level0, grid.size_level0).any(), name


def test_no_real_slide_is_taken_for_damaged(shared: Path) -> None:
    for name in (
        "real/CMU-1-Small-Region.svs",
        "derived/derived_c3l-00601-26_pyramid_nompp.tif",
        "derived/derived_emulated-philips_cmu1.tiff",
        "derived/derived_cmu1_j2k33005_nompp.svs",
        "derived/derived_cmu1_pyramid.ome.tif",
        "real/OS-2-ndpi.ome.tif",
    ):
        with open_slide(shared / "slides" / name, default_mpp=0.5) as slide:
            tissue = find_tissue(slide)
            grid = lay_patches(slide, tissue)
            assert not patches_on_missing_tiles(slide, tissue, grid).any(), name
