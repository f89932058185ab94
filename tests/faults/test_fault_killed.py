"""Extraction and training that are killed anywhere: the same command again ends with the bytes of a run left alone."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from fault_count import FaultCount
from stopped import BATCH, stopped

KILLED = {
    "index": -signal.SIGKILL,
    "moment": -signal.SIGKILL,
    "chain": -signal.SIGKILL,
    "border": -signal.SIGXFSZ,
}
PLACES = {f"fold-{fold}/{stage}" for fold in (1, 2) for stage in ("teacher", "student")}


def run(work: str, how: str, n_cases: int, folder: Path, counted: list[FaultCount]) -> list[dict[str, Any]]:
    lines = stopped(work, how, folder, n_cases)
    count = FaultCount(f"killed: {work}, by {how}", cases=sum(line["kills"] for line in lines))
    counted.append(count)
    count.same = sum(line["kills"] for line in lines if not line["differs"])
    count.different = count.cases - count.same
    count.hangs = sum("hang" in (line["ended"], line["again"]) for line in lines)
    count.slowest = max(line["seconds"] for line in lines)
    # A run that was over before its place came is no kill, but must be few.
    unlike = [line for line in lines if line["ended"] not in (0, KILLED[how]) or line["again"] != 0]
    assert unlike == []
    assert [line for line in lines if line["broken"] or line["differs"]] == []
    assert max(line["repeated"] for line in lines) <= BATCH
    assert sum(line["ended"] == KILLED[how] for line in lines) >= 0.8 * len(lines)
    assert count.cases >= n_cases or how == "index"
    return lines


def stages_hit(lines: list[dict[str, Any]]) -> list[str]:
    """Of each kill in training that left a stage in its midst, which one."""
    kills = [unfinished for line in lines for unfinished in line["unfinished"]]
    assert all(len(unfinished) <= 1 for unfinished in kills)
    return [stage for unfinished in kills for stage in unfinished]


@pytest.mark.parametrize(("work", "how", "n_cases"), [("extract", "index", 3), ("train", "chain", 2)])
def test_a_sample_of_kills(
    work: str, how: str, n_cases: int, tmp_path: Path, counted: list[FaultCount]
) -> None:
    lines = run(work, how, n_cases, tmp_path, counted)
    if how == "chain":
        assert stages_hit(lines)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    ("work", "how", "n_cases"),
    [
        ("extract", "index", 1000),  # every one there is
        ("extract", "border", 25),
        ("extract", "moment", 50),
        ("train", "chain", 50),
        ("train", "border", 6),
    ],
)
def test_kills_by_the_dozen(
    work: str, how: str, n_cases: int, tmp_path: Path, counted: list[FaultCount]
) -> None:
    lines = run(work, how, n_cases, tmp_path, counted)
    if how == "chain":
        hit = stages_hit(lines)
        assert len(hit) >= n_cases // 2
        assert set(hit) >= PLACES
        assert any(
            line["alone"] for line in lines
        )  # a run that was killed in every stage and came to its end
