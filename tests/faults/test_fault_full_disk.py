"""A disk that takes no more bytes, at many places of every file: an OSError, no part of it, the old one as it was."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_count import FaultCount
from stopped import child_environment, stopped

CHILD = Path(__file__).with_name("full_disk_child.py")
QUICK = (
    "bag", "bundle", "text", "kept result", "packed cache", "heatmap.h5", "prediction.json", "scores.csv", "geojson",
    "ome-tiff",
)  # fmt: skip
DRAWN = ("png", "report.html", "report.pdf", "svg")


def run(
    kinds: tuple[str, ...], folder: Path, n_borders: int, counted: list[FaultCount], *, how: str = "size"
) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(CHILD), ",".join(kinds), str(folder), str(n_borders), how],
        capture_output=True,
        text=True,
        env=child_environment(),
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for kind in kinds:
        cases = [line for line in lines if line["kind"] == kind and "kept" in line]
        count = FaultCount(f"full disk, by {how}: {kind}", cases=len(cases))
        counted.append(count)
        count.refused = sum(line["result"].startswith("OSError") for line in cases)
        count.same = sum(line["result"] == "written" for line in cases)
        count.deaths = int({"kind": kind, "result": "completed"} not in lines)
        count.slowest = max((line["seconds"] for line in cases), default=0.0)
    assert done.returncode == 0, done.stderr[-2000:]
    cases = [line for line in lines if "kept" in line]
    assert len(cases) == 2 * n_borders * len(kinds)
    assert [line for line in cases if not line["result"].startswith(("OSError", "written"))] == []
    assert [line for line in cases if not line["kept"]] == []
    return cases


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_a_sample_of_borders(work: Path, counted: list[FaultCount]) -> None:
    cases = run((*QUICK, "report.pdf"), work, 3, counted)
    assert [line for line in cases if line["result"] == "written"] == []
    told = [line["result"] for line in cases if line["kind"] == "bag"]
    assert all(" after " in text and " are free; make room" in text for text in told)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("kinds", "n_borders"), [(QUICK, 100), (DRAWN, 8)])
def test_many_borders(kinds: tuple[str, ...], n_borders: int, work: Path, counted: list[FaultCount]) -> None:
    cases = run(kinds, work, n_borders, counted)
    assert [line for line in cases if line["result"] == "written"] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Six MiB, as only root may make them."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    try:
        done = subprocess.run(words, capture_output=True)
    except OSError as error:
        pytest.skip(f"a small disk cannot be mounted: {error}")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_small_disk_at_thirty_sizes(small_disk: Path, counted: list[FaultCount]) -> None:
    """As above with the system's own "no space left": what is written is whole, what is not leaves no part."""
    cases = run(QUICK, small_disk, 30, counted, how="space")
    refused = [line["result"] for line in cases if line["result"] != "written"]
    assert len(refused) > len(cases) // 2
    assert all(
        "no space left on device" in text.lower() or " are free; make room" in text for text in refused
    )
    assert os.listdir(small_disk)


TOLD = re.compile(
    r"DiskFullError: .*no space left on device after .* are free; make room there and repeat, or choose another folder"
    r"|OSError: \[Errno 28\] No space left on device: '.+'( -> '.+')?"
    r"|DiskFullError: \[Errno 28\] No space left on device: '.+'",
    re.IGNORECASE,
)


def run_refused(work: str, n_cases: int, folder: Path, counted: list[FaultCount]) -> None:
    """A step of each run fails as on a full disk, and the others do not, so that a swallowed error would show."""
    lines = stopped(work, "errno", folder, n_cases)
    count = FaultCount(f"no space at a step: {work}", cases=len(lines))
    counted.append(count)
    count.refused = sum(line["ended"] == 4 for line in lines)
    count.same = sum(not line["differs"] for line in lines)
    count.slowest = max(line["seconds"] for line in lines)
    assert [line for line in lines if line["ended"] not in (0, 4) or line["again"] != 0] == []
    assert [line for line in lines if line["broken"] or line["differs"] or line["left"]] == []
    told = [line["said"].strip() for line in lines if line["ended"] == 4]
    assert [text for text in told if not TOLD.fullmatch(text)] == []
    # Nobody needs the note of who holds a folder, nor a log of progress, to end well.
    assert count.refused >= 0.7 * len(lines)


def test_a_sample_of_steps_without_space(tmp_path: Path, counted: list[FaultCount]) -> None:
    run_refused("extract", 3, tmp_path, counted)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("work", "n_cases"), [("extract", 1000), ("train", 16)])
def test_every_step_without_space(work: str, n_cases: int, tmp_path: Path, counted: list[FaultCount]) -> None:
    """Extraction at each of its steps, training at steps over the whole of it."""
    run_refused(work, n_cases, tmp_path, counted)


def run_through(work: str, n_cases: int, folder: Path, counted: list[FaultCount]) -> None:
    lines = stopped(work, "full", folder, n_cases)
    count = FaultCount(f"full disk: whole {work}", cases=len(lines))
    counted.append(count)
    count.refused = sum(line["ended"] == 4 for line in lines)
    count.same = sum(not line["differs"] for line in lines)
    count.deaths = sum(isinstance(line["ended"], int) and line["ended"] < 0 for line in lines)
    count.hangs = sum("hang" in (line["ended"], line["again"]) for line in lines)
    count.slowest = max(line["seconds"] for line in lines)
    assert [line for line in lines if line["ended"] not in (0, 4) or line["broken"] or line["differs"]] == []
    assert count.refused >= len(lines) // 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("work", "n_cases"), [("extract", 20), ("train", 8)])
def test_a_run_on_a_full_disk_ends_with_a_sentence_and_the_next_one_completes_it(
    work: str, n_cases: int, tmp_path: Path, counted: list[FaultCount]
) -> None:
    run_through(work, n_cases, tmp_path, counted)
