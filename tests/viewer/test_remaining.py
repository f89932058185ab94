"""How long a stage will still take, by a clock of the test's own; without a window."""

from __future__ import annotations

import pytest

from amkd_core.progress import Progress
from amkd_viewer.remaining import Remaining


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_is_told_by_the_pace_of_the_stage() -> None:
    clock = Clock()
    remaining = Remaining(clock)

    def after(seconds: float, done: int, stage: str = "Encoding", total: int = 7000) -> str:
        clock.now = 100.0 + seconds
        return remaining.after(Progress(stage, done, total))

    assert after(0, 1000) == "", "what was kept from an interrupted run was not made at this pace"
    assert after(5, 1500) == "", "too early to tell"
    assert after(20, 2000) == "about 2 min left"
    assert after(100, 6900) == "less than a minute left"
    assert after(110, 7000) == ""
    assert after(120, 0, "Predicting") == "", "another stage begins anew"


@pytest.mark.parametrize(
    ("seconds", "left"), [(59.0, "less than a minute left"), (60 * 95.0, "about 2 h left")]
)
def test_hours_and_seconds(seconds: float, left: str) -> None:
    clock = Clock()
    remaining = Remaining(clock)
    remaining.after(Progress("Encoding", 0, 200))
    clock.now += seconds
    assert remaining.after(Progress("Encoding", 100, 200)) == left
