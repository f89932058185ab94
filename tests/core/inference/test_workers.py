from __future__ import annotations

import signal
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from slide_files import tissue_like, write_tiff

from amkd_core.errors import AmkdError
from amkd_core.inference.extract import ExtractSettings, SlideOutcome, SlideTask, extract_slides
from amkd_core.progress import Progress


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[SlideTask]:
    folder = tmp_path_factory.mktemp("slides")
    images = [tissue_like(1024, 1024, seed=index) for index in range(3)]
    return [SlideTask(write_tiff(folder / f"s{i}.tif", [image])) for i, image in enumerate(images)]


def workers() -> list[psutil.Process]:
    """Worker processes of this one; the tracker of shared resources is none."""
    children = psutil.Process().children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def until_reading(
    steps: Generator[Progress, None, list[SlideOutcome]], name: str
) -> Generator[Progress, None, list[SlideOutcome]]:
    """Advance to the patches of one slide."""
    for step in steps:
        if step.message.startswith(f"{name}: 0 of"):
            return steps
    pytest.fail(f"{name} was never read")


def finish(steps: Generator[Progress, None, list[SlideOutcome]]) -> list[SlideOutcome]:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def test_progress_names_slides_and_patches(tasks: list[SlideTask], tmp_path: Path) -> None:
    steps = extract_slides(tasks, tmp_path, ExtractSettings(), jobs=2)
    seen: list[Progress] = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            outcomes = stop.value
            break
    assert [outcome.path for outcome in outcomes] == [task.path for task in tasks]
    assert all(outcome.state == "done" and outcome.n_patches > 0 for outcome in outcomes)
    assert (seen[0].done, seen[0].total, seen[-1].done) == (0, 3, 3)
    assert any(step.message.startswith("s1.tif: 0 of ") for step in seen)
    assert not workers()


def test_a_worker_that_dies_costs_its_slide_only(tasks: list[SlideTask], tmp_path: Path) -> None:
    steps = until_reading(extract_slides(tasks, tmp_path, ExtractSettings(), jobs=1), "s1.tif")
    (worker,) = workers()
    worker.send_signal(signal.SIGSEGV)
    outcomes = finish(steps)
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done"]
    assert "the process that read it died by SIGSEGV" in outcomes[1].reason
    assert not (tmp_path / "s1.h5").exists()
    assert not workers()


def test_the_interrupt_of_a_terminal_is_left_to_the_owner(tasks: list[SlideTask], tmp_path: Path) -> None:
    """It reaches every process of the group; a worker that took it would fail its slide before the owner decides."""
    steps = until_reading(extract_slides(tasks, tmp_path, ExtractSettings(), jobs=1), "s1.tif")
    (worker,) = workers()
    worker.send_signal(signal.SIGINT)
    assert [outcome.state for outcome in finish(steps)] == ["done", "done", "done"]


def test_a_worker_that_hangs_costs_its_slide_only(tasks: list[SlideTask], tmp_path: Path) -> None:
    settings = ExtractSettings(stall_s=6.0)
    steps = until_reading(extract_slides(tasks, tmp_path, settings, jobs=1), "s0.tif")
    (worker,) = workers()
    worker.suspend()
    start = time.monotonic()
    outcomes = finish(steps)
    assert [outcome.state for outcome in outcomes] == ["failed", "done", "done"]
    assert "no progress for 6 s" in outcomes[0].reason
    assert time.monotonic() - start < 60
    assert not workers()


def test_closing_stops_every_worker(tasks: list[SlideTask], tmp_path: Path) -> None:
    steps = until_reading(extract_slides(tasks, tmp_path, ExtractSettings(), jobs=2), "s0.tif")
    assert workers()
    start = time.monotonic()
    steps.close()
    assert time.monotonic() - start < 2
    assert not workers()
    assert not [path for path in tmp_path.glob("*.h5") if path.name == "s2.h5"]


def test_two_slides_for_one_bag_are_refused(tasks: list[SlideTask], tmp_path: Path) -> None:
    clash = [tasks[0], SlideTask(tmp_path / "s0.svs")]
    with pytest.raises(AmkdError, match=r"would both be written to s0\.h5"):
        next(extract_slides(clash, tmp_path, ExtractSettings()))
