"""Direct tile decoding equals OpenSlide bit by bit, or is not used."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest
from PIL import Image
from slide_files import (
    gigapixel_tiles,
    halved,
    tile_kind,
    tissue_like,
    write_gigapixel,
    write_svs,
    write_tiff,
)

from amkd_core.errors import SlideReadError
from amkd_core.slides import open_slide, tile_cache
from amkd_core.slides.backends import direct
from amkd_core.slides.backends.direct import DirectBackend, direct_backend
from amkd_core.slides.backends.openslide import OpenSlideBackend
from amkd_core.slides.backends.tiled_level import tile_memory
from amkd_core.slides.precheck import checked_tags
from amkd_core.slides.tiff_tags import read_tiff_tags
from amkd_core.slides.tile_cache import TileCache

IMAGE = tissue_like(1100, 900)


def pyramid(factor: int = 2, n: int = 3) -> list[np.ndarray]:
    levels = [IMAGE]
    while len(levels) < n:
        levels.append(halved(levels[-1], factor))
    return levels


def aligned_files(folder: Path) -> list[Path]:
    return [
        write_svs(folder / "aperio.svs", pyramid(4, 2)),
        write_tiff(folder / "generic.tif", pyramid()),
        write_tiff(folder / "small_tiles.tif", pyramid(), tile=64),
        write_tiff(folder / "raw.tif", pyramid(), compression=None),
        write_tiff(folder / "rgb_jpeg.tif", pyramid(), stored="rgb"),
    ]


def differences(path: Path, regions: list[tuple[int, int, int, int]], level: int = 0) -> int:
    """Largest difference to OpenSlide over white of regions (x, y, width, height) at level 0."""
    with openslide.OpenSlide(path) as theirs, open_slide(path) as ours:
        assert ours.info.backend == "direct"
        worst = 0
        for x, y, width, height in regions:
            expected = over_white(theirs.read_region((x, y), level, (width, height)))
            found = ours.read_region((x, y), level, (width, height)).astype(int)
            worst = max(worst, int(np.abs(found - expected).max()))
        return worst


def over_white(image: object) -> np.ndarray:
    rgba = np.asarray(image).astype(int)
    opaque = rgba[..., 3:] == 255
    return np.where(opaque, rgba[..., :3], 255)


def test_a_patch_at_half_the_scale_is_the_halved_region_of_openslide(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    corners = [(0, 0), (256, 240), (701, 333), (588, 388), *rng.integers(0, (588, 388), (12, 2)).tolist()]
    outside = [(-9, 7), (900, 500)]
    for path in aligned_files(tmp_path):
        with (
            openslide.OpenSlide(path) as theirs,
            open_slide(path) as ours,
            open_slide(path, isolated=True) as third,
        ):
            assert ours.info.backend == third.info.backend == "direct"
            for x, y in corners + outside:
                region = over_white(theirs.read_region((x, y), 0, (512, 512))).astype(np.uint8)
                expected = np.asarray(Image.fromarray(region).reduce(2))
                assert np.array_equal(ours.read_patch((x, y), 0, (512, 512), 256), expected), (path, x, y)
                assert np.array_equal(third.read_patch((x, y), 0, (512, 512), 256), expected)


def test_tiles_are_decoded_where_rows_lie_off_multiples_of_32_bytes() -> None:
    for tile_px in ((256, 256), (240, 240), (17, 5)):
        memory = tile_memory(tile_px)
        assert memory.shape == (*tile_px[::-1], 3)
        assert memory.ctypes.data % 32 == 8


def test_identical_at_level_0_inside_across_edges_and_outside(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    inside = [(int(x), int(y), 256, 256) for x, y in rng.integers(0, (844, 644), (12, 2))]
    odd = [
        (0, 0, 1, 1),
        (239, 239, 3, 3),
        (700, 500, 512, 512),
        (-40, -30, 128, 128),
        (1090, 890, 64, 64),
        (0, 0, 1100, 900),
    ]
    for path in aligned_files(tmp_path):
        assert differences(path, inside + odd) == 0, path.name


def test_identical_at_lower_levels_where_the_grid_fits(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "even.tif", [tissue_like(1024, 768), halved(tissue_like(1024, 768))])
    assert differences(path, [(0, 0, 300, 200), (512, 256, 256, 256), (222, 444, 99, 77)], level=1) == 0


def test_real_slides_are_identical(shared: Path) -> None:
    rng = np.random.default_rng(0)
    for name, limits in (
        ("real/CMU-1-Small-Region.svs", (1700, 2400)),
        ("derived/derived_c3l-00601-26_pyramid_nompp.tif", (4900, 4600)),
        ("derived/derived_gigapixel_dedup_cmu1-c3l.tif", (91_000, 69_000)),
        ("derived/derived_emulated-philips_cmu1.tiff", (1700, 2400)),
    ):
        regions = [
            (int(x), int(y), size, size) for x, y in rng.integers(0, limits, (6, 2)) for size in (256, 512)
        ]
        assert differences(shared / "slides" / name, regions) == 0, name


def test_outside_is_white(tmp_path: Path) -> None:
    with open_slide(write_tiff(tmp_path / "a.tif", pyramid())) as slide:
        assert (slide.read_region((-300, -300), 0, (256, 256)) == 255).all()
        assert (slide.read_region((5000, 5000), 2, (8, 8)) == 255).all()
        corner = slide.read_region((1000, 800), 0, (256, 256))
        assert (corner[100:] == 255).all()
        assert (corner[:, 100:] == 255).all()
        assert (corner[:100, :100] != 255).any()


@pytest.mark.parametrize("kind", ["deflate", "lzw", None])
def test_other_compressions_are_left_to_openslide_or_equal(tmp_path: Path, kind: str | None) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE], compression=kind)
    with open_slide(path) as slide:
        assert slide.info.backend == ("direct" if kind is None else "openslide")
        assert np.array_equal(slide.read_region((0, 0), 0, (1100, 900)), IMAGE)


def test_a_decoder_that_differs_by_one_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiff(tmp_path / "a.tif", pyramid())
    true_decode = direct.TiledLevel.decode

    def off_by_one(level: direct.TiledLevel, raw: bytes) -> np.ndarray:
        tile = true_decode(level, raw).copy()
        tile[100, 100, 1] ^= 1
        return tile

    monkeypatch.setattr(direct.TiledLevel, "decode", off_by_one)
    with open_slide(path) as slide:
        assert slide.info.backend == "openslide"
        expected = open_by_openslide(path).read(0, (0, 0), (300, 300))
        assert np.array_equal(slide.read_region((0, 0), 0, (300, 300)), expected)


def open_by_openslide(path: Path) -> OpenSlideBackend:
    return OpenSlideBackend(path)


def test_only_the_differing_level_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiff(tmp_path / "a.tif", pyramid())
    true_decode = direct.TiledLevel.decode

    def wrong_on_level_1(level: direct.TiledLevel, raw: bytes) -> np.ndarray:
        tile = true_decode(level, raw)
        return tile if level.size_px != (550, 450) else 255 - tile

    monkeypatch.setattr(direct.TiledLevel, "decode", wrong_on_level_1)
    with checked_tags(path) as tags:
        backend = direct_backend(OpenSlideBackend(path), tags, seed=1)
    assert backend is not None
    assert backend.direct_levels == (0, 2)


def test_a_level_is_compared_once_and_not_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    true_read = OpenSlideBackend.read

    def noting(
        self: OpenSlideBackend, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]
    ) -> np.ndarray:
        compared.append(level)
        time.sleep(0.002)
        return true_read(self, level, xy_px, size_px)

    monkeypatch.setattr(OpenSlideBackend, "read", noting)
    with checked_tags(write_tiff(tmp_path / "a.tif", pyramid())) as tags:
        backend = direct_backend(OpenSlideBackend(tags.path), tags, seed=1)
    assert backend is not None
    assert set(compared) == {0}
    compared.clear()
    with ThreadPoolExecutor(4) as pool:
        regions = list(pool.map(lambda _: backend.read(2, (0, 0), (64, 64)), range(8)))
    assert set(compared) == {2}
    once = len(compared)
    backend.read_halved(2, (0, 0), (64, 64))
    backend.read(0, (0, 0), (64, 64))
    assert len(compared) == once <= 2 * direct.SAMPLES_PER_LEVEL
    assert all(np.array_equal(region, regions[0]) for region in regions)


def test_missing_tile_is_as_openslide_shows_it(tmp_path: Path) -> None:
    path = write_gigapixel(tmp_path / "giga.tif", (2048, 1024), factors=(1,))
    with read_tiff_tags(path) as tags:
        lengths = tags.directories[0].tags[325].offset
    body = bytearray(path.read_bytes())
    body[lengths + 8 * 9 : lengths + 8 * 10] = bytes(8)  # tile in row 1, column 1
    path.write_bytes(body)
    behind = OpenSlideBackend(path)
    with open_slide(path) as slide:
        assert slide.info.backend == "direct"
        for xy in ((256, 256), (200, 200), (600, 300)):
            try:
                expected = behind.read(0, xy, (256, 256))
            except SlideReadError:
                with pytest.raises(SlideReadError, match="cannot be read"):
                    slide.read_region(xy, 0, (256, 256))
            else:
                assert np.array_equal(slide.read_region(xy, 0, (256, 256)), expected)


def test_damaged_tiles_fail_alone_and_are_counted_exactly(shared: Path) -> None:
    path = shared / "slides/malformed/derived_cmu1_10-tiles-zeroed.svs"
    whole = shared / "slides/real/CMU-1-Small-Region.svs"
    with open_slide(path) as damaged, open_slide(whole) as sound:
        failed = []
        for index in range(130):
            xy = (index % 10 * 240, index // 10 * 240)
            try:
                region = damaged.read_region(xy, 0, (240, 240))
            except SlideReadError as error:
                assert "cannot be read" in str(error)  # noqa: PT017 - which regions fail is the point
                failed.append(index)
            else:
                assert np.array_equal(region, sound.read_region(xy, 0, (240, 240)))
        assert failed == list(range(65, 75))


def test_good_reads_beside_failing_ones_are_not_lost(shared: Path) -> None:
    path = shared / "slides/malformed/derived_cmu1_10-tiles-zeroed.svs"
    backend = OpenSlideBackend(path)  # where one failure breaks the native handle

    def read(index: int) -> bool:
        try:
            backend.read(0, (index % 10 * 240, index // 10 * 240), (240, 240))
        except SlideReadError:
            return False
        return True

    order = np.random.default_rng(0).permutation(130)
    with ThreadPoolExecutor(4) as pool:
        outcome = dict(zip(order.tolist(), pool.map(read, order.tolist()), strict=True))
    assert {index for index, fine in outcome.items() if not fine} == set(range(65, 75))


def test_reading_after_close_is_an_error(tmp_path: Path) -> None:
    for path in (
        write_tiff(tmp_path / "a.tif", [IMAGE]),
        write_tiff(tmp_path / "b.tif", [IMAGE], compression="lzw"),
    ):
        slide = open_slide(path)
        slide.close()
        with pytest.raises(SlideReadError, match="was closed"):
            slide.read_region((0, 0), 0, (10, 10))


def test_threads_agree_and_share_decoded_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    true_decode = direct.TiledLevel.decode

    def counting(level: direct.TiledLevel, raw: bytes) -> np.ndarray:
        decoded.append(raw)
        return true_decode(level, raw)

    path = write_tiff(tmp_path / "a.tif", [IMAGE])
    with open_slide(path) as slide:
        monkeypatch.setattr(direct.TiledLevel, "decode", counting)
        with ThreadPoolExecutor(8) as pool:
            regions = list(pool.map(lambda _: slide.read_region((100, 100), 0, (500, 500)), range(16)))
    assert all(np.array_equal(region, regions[0]) for region in regions)
    # 3 x 3 tiles, each decoded once, but for the middle one: it lies whole inside and is not kept
    assert sorted(Counter(decoded).values())[:-1] == [1] * 8


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "not kept"])
def test_cache_makes_a_tile_once_for_all_who_want_it_now(monkeypatch: pytest.MonkeyPatch, keep: bool) -> None:
    waiting = threading.Semaphore(0)

    class Told(Future):  # type: ignore[type-arg]
        def result(self, timeout: float | None = None) -> object:
            waiting.release()
            return super().result(timeout)

    monkeypatch.setattr(tile_cache, "Future", Told)
    cache, made = TileCache(1 << 20), []

    def make() -> np.ndarray:
        made.append(1)
        assert all(waiting.acquire(timeout=20) for _ in range(7))  # until the seven others wait for this one
        return np.zeros((4, 4, 3), np.uint8)

    with ThreadPoolExecutor(8) as pool:
        tiles = list(pool.map(lambda _: cache.get("a", make, keep=keep), range(8)))
    assert made == [1]
    assert all(tile is tiles[0] for tile in tiles)
    assert (cache.peek("a") is not None) is keep


def test_cache_decodes_different_tiles_at_the_same_time() -> None:
    cache = TileCache(1 << 20)
    meeting = threading.Barrier(3, timeout=20)

    def make() -> np.ndarray:
        meeting.wait()  # returns only when three makers are inside at once
        return np.zeros((4, 4, 3), np.uint8)

    with ThreadPoolExecutor(3) as pool:
        assert len(list(pool.map(lambda key: cache.get(key, make), range(3)))) == 3


def test_cache_is_limited_in_bytes_and_forgets_the_oldest() -> None:
    cache = TileCache(10_000)
    made: list[int] = []

    def maker(key: int) -> Callable[[], np.ndarray]:
        def make() -> np.ndarray:
            made.append(key)
            return np.zeros((32, 32, 3), np.uint8)

        return make

    for key in (0, 1, 2, 0, 3):  # three fit; 1 is the oldest when 3 comes
        cache.get(key, maker(key))
    assert cache.n_bytes <= 10_000
    cache.get(0, maker(0))
    cache.get(1, maker(1))
    assert made == [0, 1, 2, 3, 1]


def test_cache_gives_an_error_to_all_who_wait_and_keeps_nothing() -> None:
    cache = TileCache(1 << 20)
    entered = threading.Event()

    def fail() -> np.ndarray:
        entered.set()
        time.sleep(0.05)
        raise SlideReadError("damaged")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "tile", fail)
        assert entered.wait(5)
        second = pool.submit(cache.get, "tile", fail)
        for waiting in (first, second):
            with pytest.raises(SlideReadError, match="damaged"):
                waiting.result(5)
    assert cache.get("tile", lambda: np.ones((1, 1, 3), np.uint8)).sum() == 3


def test_native_decoding_lets_other_threads_run(tmp_path: Path) -> None:
    """Two threads that read other regions get more than one thread's share of a pure-Python counter's time."""
    path = write_tiff(tmp_path / "a.tif", [tissue_like(2048, 2048)], compression="lzw")
    backend = OpenSlideBackend(path)
    stop, counted = threading.Event(), [0]

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)

    counter = threading.Thread(target=count)
    counter.start()
    for _ in range(4):
        backend.read(0, (0, 0), (2048, 2048))
    stop.set()
    counter.join()
    # With the lock held the counter would run between the four calls only.
    assert counted[0] > 100


def test_gigapixel_tiles_lie_in_their_places(tmp_path: Path) -> None:
    path = write_gigapixel(tmp_path / "giga.tif", (100_000, 80_000))
    tiles = gigapixel_tiles()
    with open_slide(path) as slide:
        assert slide.info.backend == "direct"
        assert slide.size_px == (100_000, 80_000)
        for column, row in ((0, 0), (390, 0), (17, 311), (200, 150)):
            expected = tiles[tile_kind(column, row)]
            found = slide.read_region((column * 256, row * 256), 0, (256, 256))
            width = min(256, 100_000 - column * 256)
            assert np.array_equal(found[:, :width], expected[:, :width])


def test_fallback_backend_type(tmp_path: Path) -> None:
    with checked_tags(write_svs(tmp_path / "a.svs", pyramid(4, 2))) as tags:
        backend = direct_backend(OpenSlideBackend(tags.path), tags, seed=0)
    assert isinstance(backend, DirectBackend)
    assert backend.facts.compression == "jpeg"
    assert backend.facts.tile_size_px == (240, 240)
