"""The grid holds exactly the patches it should, read from the right level, in order, and stops when told."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from slide_files import halved, tissue_like, write_tiff

from amkd_core.errors import MissingMicronsError, SlideReadError, TissueError
from amkd_core.slides.grid import PatchGrid, PatchSpec, lay_patches
from amkd_core.slides.info import Bounds, Level, Microns, SlideInfo
from amkd_core.slides.patches import _read_batch, read_patches, scale_patch
from amkd_core.slides.slide import open_slide
from amkd_core.slides.tissue import TissueMask, find_tissue


def info_of(
    size: tuple[int, int],
    *,
    mpp: tuple[float, float] | None = (0.5, 0.5),
    downsamples: tuple[float, ...] = (1.0,),
    bounds: Bounds | None = None,
) -> SlideInfo:
    levels = tuple(
        Level(index, (int(size[0] / factor), int(size[1] / factor)), (factor, factor))
        for index, factor in enumerate(downsamples)
    )
    microns = None if mpp is None else Microns(*mpp, "user")
    bounds = Bounds(0, 0, *size) if bounds is None else bounds
    return SlideInfo(Path("a.svs"), "a", "f", "test", "test", levels, microns, None, bounds)


def mask_of(mask: np.ndarray, downsample: float = 16.0, origin: tuple[int, int] = (0, 0)) -> TissueMask:
    return TissueMask(mask, (downsample, downsample), "test", float(mask.mean()), {}, origin)


def full(info: SlideInfo, downsample: float = 16.0) -> TissueMask:
    shape = (int(info.bounds.height / downsample) + 1, int(info.bounds.width / downsample) + 1)
    return mask_of(np.ones(shape, dtype=bool), downsample, (info.bounds.x, info.bounds.y))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([4.0, 7.3, 16.0, 31.9]),
    st.tuples(st.integers(0, 500), st.integers(0, 500)),
    st.floats(0.24, 0.6),
)
def test_fractions_equal_a_count_by_hand(
    seed: int, downsample: float, origin: tuple[int, int], mpp: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(30, 90), rng.integers(30, 90))) < rng.random()
    size = (int(mask.shape[1] * downsample), int(mask.shape[0] * downsample))
    bounds = Bounds(*origin, *size)
    info = info_of((size[0] + 1000, size[1] + 1000), mpp=(mpp, mpp), bounds=bounds)
    spec = PatchSpec(size_px=64, min_tissue=0.0)
    try:
        grid = lay_patches(info, mask_of(mask, downsample, origin), spec)
    except TissueError:
        assert not mask.any() or min(size) < 64 / mpp * 0.5 * 1.02
        return
    width, height = grid.size_level0
    for (x, y), fraction in zip(grid.xy_level0 - origin, grid.tissue_fraction, strict=True):
        assert x + width <= size[0]
        assert y + height <= size[1]
        across = _overlaps(x / downsample, (x + width) / downsample, mask.shape[1])
        down = _overlaps(y / downsample, (y + height) / downsample, mask.shape[0])
        expected = down @ mask @ across / (width * height / downsample**2)
        assert fraction == pytest.approx(expected, abs=1e-5)


def _overlaps(start: float, stop: float, n: int) -> np.ndarray:
    edges = np.arange(n)
    return np.clip(np.minimum(stop, edges + 1) - np.maximum(start, edges), 0, 1)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0.1, 1.5),
    st.lists(st.floats(1.2, 8.0), max_size=5),
    st.sampled_from([224, 256, 512]),
)
def test_the_read_level_is_the_coarsest_that_needs_no_upscaling(
    mpp: float, steps: list[float], size_px: int
) -> None:
    downsamples = tuple(np.cumprod([1.0, *steps]))
    info = info_of((20_000, 20_000), mpp=(mpp, mpp), downsamples=downsamples)
    grid = lay_patches(info, full(info, 64.0), PatchSpec(size_px=size_px))
    assert grid.xy_level0.min() >= 0
    assert (grid.xy_level0 + grid.size_level0).max() <= 20_000
    assert grid.size_level0[0] * mpp == pytest.approx(size_px * 0.5, rel=0.03)
    for level, downsample in enumerate(downsamples):
        enough = round(grid.size_level0[0] / downsample) >= size_px
        if level == grid.read_level:
            assert enough or level == 0
            assert grid.read_size_px == (round(grid.size_level0[0] / downsample),) * 2
        else:
            assert not enough or level < grid.read_level
    coarse = "coarse_scale" in [notice.code for notice in grid.notices]
    assert coarse == (mpp > 0.5 * 1.05)
    assert (min(grid.read_size_px) >= size_px) or mpp > 0.5


def test_order_is_row_by_row_from_the_bounds_origin() -> None:
    info = info_of((2000, 1500), bounds=Bounds(100, 50, 1100, 800))
    grid = lay_patches(info, full(info))
    assert grid.shape == (3, 4)
    assert grid.xy_level0[:5].tolist() == [[100, 50], [356, 50], [612, 50], [868, 50], [100, 306]]
    assert grid.row_column[4].tolist() == [1, 0]
    assert len(grid) == 12
    assert repr(grid).startswith("PatchGrid(12 of 3 x 4 patches, 256 x 256 px on level 0")


@pytest.mark.parametrize(("side", "told"), [(256, False), (400, True)])
def test_tissue_that_no_patch_holds_is_told(side: int, told: bool) -> None:
    """A piece of 400 px gives one patch of 256 and loses the rest; nothing said so."""
    info = info_of((512, 512))
    mask = np.zeros((64, 64), dtype=bool)
    mask[: side // 8, : side // 8] = True
    grid = lay_patches(info, mask_of(mask, 8.0), PatchSpec(min_tissue=0.6))
    assert len(grid) == 1
    assert grid.tissue_in_patches == pytest.approx(256**2 / side**2, rel=0.01)
    sentences = [notice.sentence for notice in grid.notices if notice.code == "tissue_left_out"]
    assert bool(sentences) == told
    if told:
        assert sentences[0].startswith(
            "Only 41% of the slide's tissue lies in its patches of 128 um and was weighed"
        )


def test_least_tissue_decides() -> None:
    info = info_of((512, 256))
    mask = np.zeros((16, 32), dtype=bool)
    mask[:, :8] = True  # the left patch half, the right one empty
    assert lay_patches(info, mask_of(mask), PatchSpec(min_tissue=0.5)).tissue_fraction.tolist() == [0.5]
    assert (
        len(lay_patches(info, mask_of(mask), PatchSpec(min_tissue=0.0))) == 1
    )  # an empty patch is never kept
    with pytest.raises(
        TissueError, match=r"No patch of 128 um on a\.svs is at least 51% tissue \(the fullest has 50%\)"
    ):
        lay_patches(info, mask_of(mask), PatchSpec(min_tissue=0.51))


@pytest.mark.parametrize(
    ("mpp", "size"), [(0.2525, 512), (0.499, 256), (0.2462, 512), (0.2282, 561), (0.55, 233)]
)
def test_a_scale_within_two_percent_is_cut_without_resampling(mpp: float, size: int) -> None:
    info = info_of((4000, 4000), mpp=(mpp, mpp))
    assert lay_patches(info, full(info)).size_level0 == (size, size)


def test_pixels_that_are_not_square_are_scaled_apart_and_noticed() -> None:
    info = info_of((4000, 4000), mpp=(0.25, 0.3))
    grid = lay_patches(info, full(info))
    assert grid.size_level0 == (512, 427)
    assert [notice.code for notice in grid.notices] == ["non_square_pixels"]
    assert "0.25 x 0.3 um" in grid.notices[0].sentence


def test_a_coarse_slide_is_read_from_level_0_and_noticed() -> None:
    info = info_of((2000, 2000), mpp=(1.0, 1.0), downsamples=(1.0, 2.0))
    grid = lay_patches(info, full(info))
    assert (grid.size_level0, grid.read_level) == ((128, 128), 0)
    assert [notice.code for notice in grid.notices] == ["coarse_scale"]
    assert "1 um per pixel, coarser than the 0.5 um" in grid.notices[0].sentence


@pytest.mark.parametrize(
    ("info", "error", "match"),
    [
        (
            info_of((200, 4000)),
            TissueError,
            r"a\.svs is 200 x 4000 px, smaller than one patch of 256 x 256 px",
        ),
        (info_of((4000, 4000), mpp=None), MissingMicronsError, "does not tell its micrometres per pixel"),
        (
            info_of((4000, 4000), mpp=(8.0, 8.0)),
            TissueError,
            "At 8 um/px a patch of 128 um .* is only 16 x 16 px",
        ),
    ],
)
def test_refusals(info: SlideInfo, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        lay_patches(info, full(info))


@pytest.mark.parametrize(
    "arguments",
    [{"size_px": 0}, {"mpp": 0.0}, {"mpp": float("nan")}, {"min_tissue": 1.5}, {"scale_tolerance": 0.2}],
)
def test_senseless_specs_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        PatchSpec(**arguments)  # type: ignore[arg-type]


def test_thirty_thousand_patches_of_a_large_slide() -> None:
    info = info_of((100_000, 80_000), mpp=(0.25, 0.25), downsamples=(1.0, 4.0, 16.0))
    grid = lay_patches(info, full(info, 32.0))
    assert grid.shape == (156, 195)
    assert len(grid) == 30_420
    assert grid.tissue_fraction.min() == 1


SAME_SLIDE = (
    ("real/CMU-1-Small-Region.svs", None),
    ("real/CMU-1-Small-Region-dicom", None),
    ("derived/derived_emulated-philips_cmu1.tiff", None),
    ("derived/derived_cmu1_pyramid.ome.tif", None),
    ("derived/derived_cmu1_j2k33005_nompp.svs", 0.499),
)


def test_the_same_slide_in_five_containers_gives_the_same_patches(shared: Path) -> None:
    grids = []
    for file, mpp in SAME_SLIDE:
        with open_slide(shared / "slides" / file, mpp=mpp) as slide:
            grids.append(lay_patches(slide, find_tissue(slide)))
    for grid in grids[1:]:
        assert grid.xy_level0.tolist() == grids[0].xy_level0.tolist()
        assert np.abs(grid.tissue_fraction - grids[0].tissue_fraction).max() < 0.1
        assert (grid.size_level0, grid.read_level, grid.read_size_px) == ((256, 256), 0, (256, 256))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return tissue_like(1600, 1100)


@pytest.fixture
def slide_file(tmp_path: Path, pixels: np.ndarray) -> Path:
    return write_tiff(tmp_path / "a.tif", [pixels, halved(pixels)], mpp=0.25, compression="deflate")


def grid_of(info: SlideInfo, spec: PatchSpec | None = None) -> PatchGrid:
    return lay_patches(info, full(info), PatchSpec(size_px=64) if spec is None else spec)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (7, 3), (1000, 2)])
def test_patches_come_in_order_with_the_right_pixels(
    slide_file: Path, pixels: np.ndarray, batch_size: int, workers: int
) -> None:
    with open_slide(slide_file) as slide:
        grid = grid_of(slide.info)
        assert (grid.read_level, grid.read_size_px) == (1, (64, 64))
        batches = list(read_patches(slide, grid, batch_size=batch_size, workers=workers))
    assert [batch.start for batch in batches] == list(range(0, len(grid), batch_size))
    images = np.concatenate([batch.images for batch in batches])
    assert all(batch.valid.all() for batch in batches)
    level = halved(pixels)
    for image, (x, y) in zip(images, grid.xy_level0 // 2, strict=True):
        assert (image == level[y : y + 64, x : x + 64]).all()


def test_whole_factors_are_exact_block_means_and_others_stay_close(pixels: np.ndarray) -> None:
    region = pixels[:512, :768]
    exact = scale_patch(region, 256)
    blocks = region.reshape(256, 2, 256, 3, 3).mean(axis=(1, 3))
    assert np.abs(exact - blocks).max() <= 0.51
    smooth = pixels[:561, :561]
    scaled = scale_patch(smooth, 256)
    assert scaled.shape == (256, 256, 3)
    assert scaled.mean() == pytest.approx(smooth.mean(), abs=0.5)
    assert scale_patch(region[:256, :256], 256) is not None
    assert (scale_patch(region[:256, :256], 256) == region[:256, :256]).all()


class _Failing:
    """A slide on which the patches at some corners cannot be read, and reads take a while."""

    def __init__(self, info: SlideInfo, bad: set[tuple[int, int]], seconds: float = 0.0) -> None:
        self.info, self._bad, self._seconds, self.reads = info, bad, seconds, 0

    def read_patch(self, xy: tuple[int, int], level: int, read: tuple[int, int], size: int) -> np.ndarray:
        self.reads += 1
        time.sleep(self._seconds)
        if xy in self._bad:
            raise SlideReadError("a damaged tile")
        return np.full((size, size, 3), 7, dtype=np.uint8)


@pytest.mark.parametrize("n_bad", [0, 1, 10, 100])
def test_unreadable_patches_are_white_not_valid_and_counted_exactly(n_bad: int) -> None:
    info = info_of((2560, 2560))
    grid = grid_of(info, PatchSpec())
    bad = {tuple(xy) for xy in grid.xy_level0[:: 100 // n_bad].tolist()} if n_bad else set()
    slide = _Failing(info, bad)
    batches = list(read_patches(slide, grid, batch_size=16))  # type: ignore[arg-type]
    valid = np.concatenate([batch.valid for batch in batches])
    images = np.concatenate([batch.images for batch in batches])
    assert int((~valid).sum()) == len(bad) == n_bad
    assert (images[~valid] == 255).all()
    assert (images[valid] == 7).all()


def test_the_zeroed_tiles_of_a_real_slide_are_found_again(shared: Path) -> None:
    intact, damaged = (
        shared / "slides" / file
        for file in ("real/CMU-1-Small-Region.svs", "malformed/derived_cmu1_10-tiles-zeroed.svs")
    )
    with open_slide(intact) as slide:
        grid = grid_of(slide.info, PatchSpec())
        good = np.concatenate([batch.images for batch in read_patches(slide, grid)])
    with open_slide(damaged) as slide:
        batches = list(read_patches(slide, grid))
    valid = np.concatenate([batch.valid for batch in batches])
    images = np.concatenate([batch.images for batch in batches])
    # Tiles 65 to 74 of 240 px, ten in a row: columns 5 to 9 of row 6 and 0 to 4 of row 7.
    touched = np.array([_touches(xy, range(65, 75)) for xy in grid.xy_level0])
    assert (valid == ~touched).all()
    assert (images[valid] == good[valid]).all()


def _touches(xy: np.ndarray, tiles: range, side: int = 240, per_row: int = 10) -> bool:
    columns = range(xy[0] // side, (xy[0] + 255) // side + 1)
    rows = range(xy[1] // side, (xy[1] + 255) // side + 1)
    return any(row * per_row + column in tiles for row in rows for column in columns)


def test_closing_stops_the_readers_within_a_second_and_leaves_no_thread() -> None:
    info = info_of((25_600, 2560))
    grid = grid_of(info, PatchSpec())
    slide = _Failing(info, set(), seconds=0.01)
    batches = read_patches(slide, grid, batch_size=64, workers=4)  # type: ignore[arg-type]
    next(batches)
    started = time.monotonic()
    batches.close()
    assert time.monotonic() - started < 1
    reads = slide.reads
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("amkd-patches")]
    assert reads < len(grid) / 2
    time.sleep(0.05)
    assert slide.reads == reads


def test_a_stop_is_noticed_before_the_next_patch_and_not_the_next_batch() -> None:
    info, stop = info_of((2560, 2560)), threading.Event()

    class Stopping(_Failing):
        def read_patch(self, xy: tuple[int, int], level: int, read: tuple[int, int], size: int) -> np.ndarray:
            if self.reads == 2:
                stop.set()
            return super().read_patch(xy, level, read, size)

    slide = Stopping(info, set())
    _read_batch(slide, grid_of(info, PatchSpec()), range(20), stop)  # type: ignore[arg-type]
    assert slide.reads == 3


def test_reading_ahead_is_bounded() -> None:
    info = info_of((25_600, 2560))
    slide = _Failing(info, set())
    batches = read_patches(slide, grid_of(info, PatchSpec()), batch_size=10, workers=2)  # type: ignore[arg-type]
    next(batches)
    time.sleep(0.2)
    assert slide.reads <= 4 * 10  # one taken, workers + 1 waiting
    batches.close()


def test_an_error_that_is_no_read_error_surfaces() -> None:
    info = info_of((2560, 2560))
    slide = _Failing(info, set())
    slide.read_patch = None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError):
        list(read_patches(slide, grid_of(info, PatchSpec())))  # type: ignore[arg-type]


def test_senseless_batches_are_refused_at_once() -> None:
    info = info_of((2560, 2560))
    with pytest.raises(ValueError, match="at least 1, got 0 and 2"):
        read_patches(_Failing(info, set()), grid_of(info), batch_size=0)  # type: ignore[arg-type]


def test_patches_of_a_coarse_slide_are_scaled_up(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_tiff(tmp_path / "coarse.tif", [pixels], mpp=1.0, compression="deflate")
    with open_slide(path) as slide:
        grid = replace(grid_of(slide.info), notices=())
        images = next(iter(read_patches(slide, grid))).images
    assert grid.read_size_px == (32, 32)
    first = np.asarray(Image.fromarray(pixels[:32, :32]).resize((64, 64), Image.Resampling.BILINEAR))
    assert (images[0] == first).all()
