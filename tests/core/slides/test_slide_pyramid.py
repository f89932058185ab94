"""Lazy levels for viewers: shapes, alignment, laziness, damage."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from slide_files import halved, tissue_like, write_gigapixel, write_striped, write_svs, write_tiff

from amkd_core.errors import SlideReadError
from amkd_core.slides import Slide, damaged_tiles, open_slide, slide_pyramid
from amkd_core.slides.damaged_tiles import FIRST_PAUSE_S
from amkd_core.slides.pyramid import COARSEST_PX, DAMAGED_GREY


def test_levels_between_four_and_sixteen_are_filled(tmp_path: Path) -> None:
    with open_slide(write_gigapixel(tmp_path / "g.tif", (100_000, 80_000), factors=(1, 4, 16))) as slide:
        pyramid = slide_pyramid(slide)
        factors = [level.downsample[0] for level in pyramid]
        assert factors == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128])
        assert [level.stored_level for level in pyramid] == [0, None, 1, None, 2, None, None, None]
        assert max(pyramid[-1].shape) <= COARSEST_PX
        steps = np.array(factors[1:]) / np.array(factors[:-1])
        assert steps.max() <= 2.001
        for level in pyramid:
            # what a viewer infers from the shapes is within a pixel of the truth over the whole slide
            for side, full, factor in zip(level.size_px, slide.size_px, level.downsample, strict=True):
                assert abs(side * factor - full) <= 2 * factor


def test_non_power_of_two_levels_keep_their_own_scale(tmp_path: Path) -> None:
    image = tissue_like(3000, 2100)
    with open_slide(write_tiff(tmp_path / "a.tif", [image, halved(image, 3), halved(image, 7)])) as slide:
        pyramid = slide_pyramid(slide)
        assert [level.stored_level for level in pyramid] == [0, None, 1, 2]
        assert pyramid[2].downsample == pytest.approx((3, 3))
        assert pyramid[3].downsample == pytest.approx((3000 / 428, 7))


def test_virtual_levels_are_the_mean_of_four_pixels(tmp_path: Path) -> None:
    image = tissue_like(1501, 1303)
    path = write_tiff(tmp_path / "a.tif", [image], compression="lzw")
    with open_slide(path) as slide:
        level = slide_pyramid(slide)[1]
        assert level.shape == (652, 751, 3)
        expected = np.asarray(Image.fromarray(image).reduce(2))
        assert np.array_equal(np.asarray(level), expected)
        assert np.array_equal(level[500:652, 700:751], expected[500:652, 700:751])


def test_indexing_is_numpys(tmp_path: Path) -> None:
    image = tissue_like(1200, 900)
    with open_slide(write_tiff(tmp_path / "a.tif", [image], compression="lzw")) as slide:
        level = slide_pyramid(slide)[0]
        assert (level.ndim, level.dtype, level.shape, len(level)) == (3, np.dtype(np.uint8), image.shape, 900)
        assert level.chunks == (256, 256, 3)
        keys = [
            (5, 7), (5, 7, 1), (-1, -1), (slice(10, 20),), (slice(None), 3), (slice(500, 530), slice(505, 520)),
            (slice(0, 900, 100), slice(1199, 0, -200)), (slice(5, 5), slice(0, 3)), (..., 0), (3, ...),
            (slice(-50, None), ..., 2),
            (slice(0, 5000), slice(1100, 9999)), (np.int64(4), slice(np.int64(1), np.int64(9))),
        ]  # fmt: skip
        for key in keys:
            assert np.array_equal(level[key], image[key]), key
        with pytest.raises(IndexError, match="out of bounds"):
            level[900]
        with pytest.raises(IndexError, match="3 axes"):
            level[0, 0, 0, 0]


def test_pixels_of_all_levels_lie_in_the_same_place(tmp_path: Path) -> None:
    image = np.full((2048, 3072, 3), 255, np.uint8)
    image[640:896, 1280:1664] = (200, 30, 90)
    path = write_svs(tmp_path / "a.svs", [image, halved(image, 4)])
    with open_slide(path) as slide:
        for level in slide_pyramid(slide):
            red = np.asarray(level)[..., 1] < 140
            rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
            x, y = level.downsample
            box = (columns[0] * x, (columns[-1] + 1) * x, rows[0] * y, (rows[-1] + 1) * y)
            assert box == pytest.approx((1280, 1664, 640, 896), abs=x), level


def test_only_asked_tiles_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_slide(write_gigapixel(tmp_path / "g.tif", (100_000, 80_000))) as slide:
        n_read: list[int] = []
        read_level = Slide.read_level

        def counting(self: Slide, level: int, xy: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
            n_read.append(size[0] * size[1])
            return read_level(self, level, xy, size)

        monkeypatch.setattr(Slide, "read_level", counting)
        pyramid = slide_pyramid(slide)
        assert not n_read
        pyramid[0][40_000:40_100, 50_000:50_100]
        assert sum(n_read) <= 4 * 512 * 512
        before = sum(n_read)
        pyramid[0][40_010:40_050, 50_010:50_050]
        assert sum(n_read) == before  # from the cache
        np.asarray(pyramid[-1])
        assert sum(n_read) < 20_000_000


def test_cache_is_limited(tmp_path: Path) -> None:
    with open_slide(write_gigapixel(tmp_path / "g.tif", (100_000, 80_000))) as slide:
        pyramid = slide_pyramid(slide, cache_bytes=8 << 20)
        for step in range(12):
            pyramid[0][4000 * step : 4000 * step + 900, 3000 : 3000 + 1200]
            assert pyramid.cached_bytes <= 8 << 20


def test_threads_see_the_same_pixels(tmp_path: Path) -> None:
    image = tissue_like(2500, 2000)
    with open_slide(write_tiff(tmp_path / "a.tif", [image], compression="lzw")) as slide:
        pyramid = slide_pyramid(slide, cache_bytes=4 << 20)
        expected = [np.asarray(level) for level in slide_pyramid(slide)]
        rng = np.random.default_rng(0)
        asked = [(int(rng.integers(len(pyramid))), rng.random(2)) for _ in range(80)]

        def matches(what: tuple[int, np.ndarray]) -> bool:
            index, (down, across) = what
            top, left = (
                int(down * (expected[index].shape[0] - 100)),
                int(across * (expected[index].shape[1] - 100)),
            )
            key = (slice(top, top + 100), slice(left, left + 100))
            return np.array_equal(pyramid[index][key], expected[index][key])

        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(matches, asked))


@pytest.mark.parametrize("index", [0, 1])
def test_blocks_of_one_region_are_read_at_the_same_time(
    index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = threading.Barrier(2, timeout=20)
    path = write_tiff(tmp_path / "a.tif", [tissue_like(4096, 2048)], compression="lzw")
    name = ("read_level", "read_halved")[index]
    true_read = getattr(Slide, name)

    def met(self: Slide, *args: Any) -> np.ndarray:
        meeting.wait()  # returns only when two are inside at once
        return true_read(self, *args)

    with open_slide(path) as slide:
        expected = slide_pyramid(slide)[index][:]
        monkeypatch.setattr(Slide, name, met)
        side = 2048 // 2**index
        found = slide_pyramid(slide)[index][:side, : 2 * side]
        assert np.array_equal(found, expected[:side, : 2 * side])


def test_what_is_kept_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []
    for name in ("read_level", "read_halved"):
        true_read = getattr(Slide, name)

        def noting(self: Slide, *args: Any, name: str = name, true_read: Any = true_read) -> np.ndarray:
            asked.append((name, args))
            return true_read(self, *args)

        monkeypatch.setattr(Slide, name, noting)
    with open_slide(write_tiff(tmp_path / "a.tif", [tissue_like(4096, 2048)], compression="lzw")) as slide:
        level = slide_pyramid(slide)[1]
        whole = level[:512, :768]
        assert asked == [("read_halved", (0, (0, 0), (1536, 1024)))]
        asked.clear()
        # The view moves down and to the right: a column beside what is kept and rows below it, no tile of it again.
        assert np.array_equal(level[:1024, :1024][:512, :768], whole)
        assert sorted(asked) == [
            ("read_halved", (0, (0, 1024), (1536, 1024))),
            ("read_halved", (0, (1536, 0), (512, 2048))),
        ]


def test_damage_is_grey_and_logged_while_patches_fail(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_slide(shared / "slides/malformed/derived_cmu1_10-tiles-zeroed.svs") as slide:
        level = np.asarray(slide_pyramid(slide)[0])
    assert level.shape == (2967, 2220, 3)
    assert (level[6 * 240 + 64 : 7 * 240 - 64, 5 * 240 + 64 : -64] == DAMAGED_GREY).all()
    assert (level[:1400] == DAMAGED_GREY).all(axis=2).mean() < 0.001
    assert "is damaged near x=" in caplog.text


def test_one_strip_file_gets_a_pyramid(tmp_path: Path) -> None:
    image = tissue_like(2300, 1100)
    with open_slide(write_striped(tmp_path / "strip.tif", image)) as slide:
        pyramid = slide_pyramid(slide)
        assert [level.shape[:2] for level in pyramid] == [(1100, 2300), (550, 1150), (275, 575)]
        assert np.array_equal(np.asarray(pyramid[1]), np.asarray(Image.fromarray(image).reduce(2)))


def test_a_failure_that_passes_is_not_shown_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a place tried at every look that fails again and again."""
    image, now, fails, tries = tissue_like(1501, 1303), [100.0], [True], [0]
    monkeypatch.setattr(damaged_tiles, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with open_slide(write_tiff(tmp_path / "a.tif", [image], compression="lzw")) as slide:
        read, read_halved = slide.read_level, slide.read_halved

        def reading(read: Any, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> np.ndarray:
            tries[0] += 1
            if fails[0]:
                raise SlideReadError("the network is away")
            return read(level, xy_px, size_px)

        monkeypatch.setattr(slide, "read_level", partial(reading, read))
        monkeypatch.setattr(slide, "read_halved", partial(reading, read_halved))
        pyramid = slide_pyramid(slide)
        virtual = pyramid[1]
        assert (virtual[:200, :200] == DAMAGED_GREY).all()
        for pause_s in (FIRST_PAUSE_S, 2 * FIRST_PAUSE_S):
            tried = tries[0]
            now[0] += pause_s - 1
            assert (virtual[:200, :200] == DAMAGED_GREY).all()
            assert tries[0] == tried
            now[0] += 1
            assert (virtual[:200, :200] == DAMAGED_GREY).all()
            assert tries[0] > tried
        fails[0], kept = False, pyramid.cached_bytes
        now[0] += 4 * FIRST_PAUSE_S
        assert np.array_equal(virtual[:200, :200], np.asarray(Image.fromarray(image).reduce(2))[:200, :200])
        assert pyramid.cached_bytes <= kept
