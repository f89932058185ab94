"""Fault tests hand their counts to the table that `tests/conftest.py` prints at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "core" / "slides")]

from fault_count import FaultCount  # noqa: E402 - its folder is made known above


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[list[FaultCount]]:
    """What a test counts; it travels with the test's report, also from another process."""
    counts: list[FaultCount] = []
    yield counts
    request.node.user_properties += [("faults", asdict(count)) for count in counts]
