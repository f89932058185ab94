"""Readers in a process of their own: crashes and hangs cost one region, never the caller."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from slide_files import halved, tissue_like, write_svs, write_tiff

from amkd_core.errors import SlideError, SlideReadError
from amkd_core.slides import open_slide
from amkd_core.slides.isolate import IsolatedBackend, keep_reader_ready
from amkd_core.slides.reader_launch import end_spare

IMAGE = tissue_like(1400, 1300)
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _openers_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tiff(tmp_path / "a.tif", [IMAGE, halved(IMAGE)])


@pytest.fixture
def trapped(path: Path) -> Iterator[IsolatedBackend]:
    backend = IsolatedBackend(path, opener="hostile_openers:trapped", read_timeout_s=3)
    yield backend
    backend.close()


def test_same_facts_and_pixels_as_in_process(path: Path) -> None:
    with open_slide(path) as ours, open_slide(path, isolated=True) as theirs:
        assert theirs.info == ours.info
        for xy, level, size in (
            ((3, 5), 0, (256, 256)),
            ((0, 0), 1, (700, 650)),
            ((0, 0), 0, (1400, 1300)),
            ((-9, 7), 0, (33, 21)),
        ):
            assert np.array_equal(ours.read_region(xy, level, size), theirs.read_region(xy, level, size))
        assert np.array_equal(ours.thumbnail(300), theirs.thumbnail(300))


def test_associated_images_travel_too(shared: Path) -> None:
    slide_path = shared / "slides/real/CMU-1-Small-Region.svs"
    with open_slide(slide_path) as ours, open_slide(slide_path, isolated=True) as theirs:
        assert np.array_equal(ours.associated_image("macro"), theirs.associated_image("macro"))
        with pytest.raises(
            SlideReadError, match=r"no associated image 'map'; it has: label, macro, thumbnail"
        ):
            theirs.associated_image("map")


def test_abort_inside_openslide_is_an_error_and_the_slide_lives_on(shared: Path) -> None:
    backend = IsolatedBackend(
        shared / "slides/malformed/crash_tilewidth.svs", opener="hostile_openers:unchecked"
    )
    with pytest.raises(
        SlideReadError, match=r"region at x=0, y=0 of level 0 cannot be read: the process .* SIG"
    ):
        backend.read(0, (0, 0), (256, 256))
    assert backend.pid is None  # the next call starts a fresh one
    with pytest.raises(SlideReadError, match="cannot be read"):
        backend.read(0, (0, 0), (256, 256))
    backend.close()


def test_crash_costs_its_own_region_only(trapped: IsolatedBackend) -> None:
    first = trapped.pid
    before = trapped.read(0, (0, 0), (64, 64))
    with pytest.raises(SlideReadError, match=r"x=13, y=13 .* was ended by SIGABRT"):
        trapped.read(0, (13, 13), (64, 64))
    assert np.array_equal(trapped.read(0, (0, 0), (64, 64)), before)
    assert trapped.pid not in (None, first)


def test_reads_under_way_at_a_crash_are_not_lost(trapped: IsolatedBackend) -> None:
    places = [(16, 16), (13, 13), (16, 16), (16, 16), (13, 13)]

    def read(xy: tuple[int, int]) -> bool:
        try:
            trapped.read(0, xy, (32, 32))
        except SlideReadError:
            return False
        return True

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(read, places)) == [True, False, True, True, False]


def test_hang_ends_at_the_time_limit(trapped: IsolatedBackend) -> None:
    started = time.monotonic()
    with pytest.raises(SlideReadError, match=r"x=14, y=14 .* did not answer within 3 s and was stopped"):
        trapped.read(0, (14, 14), (64, 64))
    assert time.monotonic() - started < 8
    assert trapped.read(0, (0, 0), (64, 64)).shape == (64, 64, 3)


def test_printing_libraries_do_not_disturb_the_messages(trapped: IsolatedBackend) -> None:
    assert trapped.read(0, (15, 15), (64, 64)).shape == (64, 64, 3)


def test_unexpected_errors_become_read_errors(trapped: IsolatedBackend) -> None:
    with pytest.raises(SlideReadError, match=r"a\.tif cannot be read: ZeroDivisionError: inside"):
        trapped.read(0, (17, 17), (64, 64))


def test_crash_at_opening_is_one_sentence(path: Path) -> None:
    with pytest.raises(
        SlideReadError, match=r"a\.tif cannot be opened: the process that reads it was ended by SIGSEGV"
    ):
        IsolatedBackend(path, opener="hostile_openers:dies_at_opening")


def test_errors_keep_their_type_and_words(shared: Path) -> None:
    with pytest.raises(SlideError, match="claims tiles of 218104048 x 240 px"):
        open_slide(shared / "slides/malformed/crash_tilewidth.svs", isolated=True)


def test_reads_of_several_threads_overlap(trapped: IsolatedBackend) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: trapped.read(0, (16, 16), (16, 16)), range(6)))
    assert time.monotonic() - started < 6 * 0.3 * 0.7


def test_many_reads_from_threads_are_right(path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = [(int(x), int(y)) for x, y in rng.integers(0, 1000, (60, 2))]
    with open_slide(path) as ours, open_slide(path, isolated=True) as theirs, ThreadPoolExecutor(8) as pool:
        expected = [ours.read_region(xy, 0, (256, 256)) for xy in corners]
        found = list(pool.map(lambda xy: theirs.read_region(xy, 0, (256, 256)), corners))
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def test_child_ends_with_close_and_with_garbage_collection(path: Path) -> None:
    slide = open_slide(path, isolated=True)
    child = psutil.Process(slide._backend.pid)  # type: ignore[attr-defined]
    slide.close()
    assert not child.is_running()
    with pytest.raises(SlideReadError, match="was closed"):
        slide.read_region((0, 0), 0, (8, 8))
    forgotten = IsolatedBackend(path)
    child = psutil.Process(forgotten.pid)
    del forgotten
    gc.collect()
    child.wait(5)


def test_child_ends_with_its_parent(path: Path) -> None:
    program = (
        "import os, sys\n"
        "from amkd_core.slides import open_slide\n"
        "slide = open_slide(sys.argv[1], isolated=True)\n"
        "print(slide._backend.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = str(HERE.parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    _wait_until_gone(int(done.stdout))


def test_child_is_light(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "modules.txt"
    monkeypatch.setenv("AMKD_TEST_OUT", str(out))
    started = time.monotonic()
    IsolatedBackend(path, opener="hostile_openers:modules_of_child").close()
    assert time.monotonic() - started < 5  # 0.3 s on a quiet machine
    loaded = set(out.read_text().split())
    assert "openslide" in loaded
    assert not loaded & {"torch", "PyQt6", "PySide6", "napari", "qtpy", "matplotlib", "pandas", "scipy"}


def test_svs_opens_isolated(tmp_path: Path) -> None:
    with open_slide(
        write_svs(tmp_path / "a.svs", [IMAGE, halved(IMAGE, 4)]), isolated=True, mpp=0.3
    ) as slide:
        assert slide.microns.source == "user"
        assert slide.info.backend == "direct"


@pytest.fixture
def waiting() -> Iterator[psutil.Process]:
    """A reader process that waits for its slide."""
    before = _children()
    keep_reader_ready()
    keep_reader_ready()  # one is enough
    (pid,) = _children() - before
    yield psutil.Process(pid)
    end_spare()
    assert not psutil.pid_exists(pid)


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_a_process_that_waits_takes_the_next_slide_and_only_that(path: Path, waiting: psutil.Process) -> None:
    with open_slide(path) as ours, open_slide(path, isolated=True) as first:
        assert first._backend.pid == waiting.pid  # type: ignore[attr-defined]
        assert first.info == ours.info
        assert np.array_equal(
            first.read_region((3, 5), 0, (256, 256)), ours.read_region((3, 5), 0, (256, 256))
        )
        with open_slide(path, isolated=True) as second:
            assert second._backend.pid != waiting.pid  # type: ignore[attr-defined]
            assert np.array_equal(
                second.read_region((0, 0), 1, (99, 98)), ours.read_region((0, 0), 1, (99, 98))
            )


def test_errors_of_a_process_that_waited_are_the_same(shared: Path, waiting: psutil.Process) -> None:
    slide_path = shared / "slides/malformed/crash_tilewidth.svs"
    with pytest.raises(SlideError) as fresh:
        open_slide(slide_path)
    with pytest.raises(SlideError) as waited:
        open_slide(slide_path, isolated=True)
    assert str(waited.value) == str(fresh.value)


def test_a_process_that_died_while_it_waited_is_not_missed(path: Path, waiting: psutil.Process) -> None:
    waiting.kill()
    _wait_until_gone(waiting.pid)
    with open_slide(path, isolated=True) as slide:
        assert slide._backend.pid != waiting.pid  # type: ignore[attr-defined]


@pytest.mark.parametrize("change", ["folder", "environment"])
def test_a_process_that_waits_elsewhere_takes_nothing(
    change: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: psutil.Process
) -> None:
    if change == "folder":
        monkeypatch.chdir(tmp_path)
    else:
        monkeypatch.setenv("AMKD_TEST_OUT", "elsewhere")
    with open_slide(Path(os.path.relpath(path)), isolated=True) as slide:
        assert slide._backend.pid != waiting.pid  # type: ignore[attr-defined]


def test_a_process_that_waits_ends_with_its_owner(tmp_path: Path) -> None:
    program = (
        "import os, sys, psutil\n"
        "from amkd_core.slides.isolate import keep_reader_ready\n"
        "keep_reader_ready()\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        "if sys.argv[1] == 'killed': os.kill(os.getpid(), 9)\n"
    )
    for end in ("killed", "ends"):
        done = subprocess.run(
            [sys.executable, "-c", program, end],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[2])},
        )  # fmt: skip
        _wait_until_gone(int(done.stdout))


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the reader process outlives its parent"
        time.sleep(0.05)
