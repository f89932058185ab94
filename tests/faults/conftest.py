"""The table that ends a run of the fault tests: cases, deaths, hangs, silent acceptances, slowest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "core" / "slides")]

from fault_count import FaultCount  # noqa: E402 - its folder is made known above

COUNTS = pytest.StashKey[list[FaultCount]]()


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> list[FaultCount]:
    return request.config.stash.setdefault(COUNTS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = terminalreporter.config.stash.get(COUNTS, [])
    if not rows:
        return
    terminalreporter.section("faults")
    head = ("family", "cases", "refused", "same data", "other data", "deaths", "hangs", "slowest s")
    terminalreporter.write_line(f"{head[0]:<34}" + "".join(f"{name:>12}" for name in head[1:]))
    for row in rows:
        figures = (
            row.cases,
            row.refused,
            row.same,
            row.different,
            row.deaths,
            row.hangs,
            f"{row.slowest:.2f}",
        )
        terminalreporter.write_line(f"{row.family:<34}" + "".join(f"{value!s:>12}" for value in figures))
