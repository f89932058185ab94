"""Workers that die or hang among many, and two runs that want the same folder at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
from fault_count import FaultCount
from fault_processes import processes_of
from slide_files import tissue_like, write_tiff
from stopped import child_environment

from amkd_core.bag_file import read_bag

HERE = Path(__file__).parent
MOST_ATTEMPTS = 3
ORPHAN_S = 5.0


WRITTEN = {
    "extract": ({"s1.h5", "s2.h5"}, [".lock"], "extracts into"),
    "predict": ({"prediction.json", "heatmap.h5"}, [".lock", "heatmap.png"], "writes predictions into"),
}


def run_pairs(kind: str, n_pairs: int, folder: Path, counted: list[FaultCount]) -> None:
    words = [sys.executable, str(HERE / "pair_child.py"), kind, str(folder), str(n_pairs)]
    done = subprocess.run(words, capture_output=True, text=True, env=child_environment())
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    count = FaultCount(f"two runs on one folder: {kind}", cases=len(lines))
    counted.append(count)
    count.refused = sum(sorted(line["codes"]) == [0, 3] for line in lines)
    names, others, doing = WRITTEN[kind]
    for line in lines:
        assert sorted(line["codes"]) == [0, 3], line
        winner = line["codes"].index(0)
        assert line["found"] == dict.fromkeys(names, winner), line
        assert line["others"] == others, line
        sentence = line["said"][1 - winner].strip()
        assert sentence.startswith("Error: "), line
        assert f"another run {doing} this folder" in sentence
        assert f"process {line['processes'][winner]} on " in sentence
    assert count.refused == n_pairs


def test_a_pair_of_predictions(tmp_path: Path, counted: list[FaultCount]) -> None:
    run_pairs("predict", 2, tmp_path, counted)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["extract", "predict"])
def test_fifty_pairs(kind: str, tmp_path: Path, counted: list[FaultCount]) -> None:
    run_pairs(kind, 50, tmp_path, counted)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_bad_slides_of_a_hundred_cost_themselves_only(tmp_path: Path, counted: list[FaultCount]) -> None:
    slides, out, attempts = tmp_path / "slides", tmp_path / "bags", tmp_path / "attempts"
    slides.mkdir()
    whole = write_tiff(tmp_path / "whole.tif", [tissue_like(512, 512, seed=1)]).read_bytes()
    bad = [f"{kind}{index}" for kind, n in (("segv", 4), ("kill", 3), ("sleep", 3)) for index in range(n)]
    for name in [*(f"good{index:02d}" for index in range(90)), *bad]:
        (slides / f"{name}.tif").write_bytes(whole)
    mark = uuid.uuid4().hex
    environment = {**child_environment(), "ATTEMPTS": str(attempts), "MARK": mark}
    words = ["extract", str(slides), "--out", str(out), "--jobs", "2"]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(HERE / "worker_child.py"), *words],
        capture_output=True,
        text=True,
        env=environment,
    )
    count = FaultCount("ten bad slides of a hundred", cases=100, slowest=time.monotonic() - start)
    counted.append(count)
    failed = [line for line in done.stderr.splitlines() if line.startswith("FAILED ")]
    count.refused, count.same = len(failed), len(list(out.glob("*.h5")))
    assert done.returncode == 1, done.stderr[-2000:]
    assert "90 of 100 slides have a bag" in done.stdout
    assert sorted(line.split()[1].removesuffix(".tif:") for line in failed) == sorted(bad)
    for kind, words_of in (
        ("segv", "died by SIGSEGV"),
        ("kill", "died by SIGKILL"),
        ("sleep", "no progress for"),
    ):
        assert all(words_of in line for line in failed if line.startswith(f"FAILED {kind}"))
    assert count.same == 90
    features = {read_bag(path).features.tobytes() for path in out.glob("*.h5")}
    assert len(features) == 1
    assert max(Counter(attempts.read_text().split()).values()) <= MOST_ATTEMPTS
    deadline = time.monotonic() + ORPHAN_S
    while processes_of(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(mark) == []
