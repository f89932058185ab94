"""Progress where nobody sees a bar."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from amkd_core.cli import terminal
from amkd_core.progress import Progress


def work() -> Generator[Progress, None, str]:
    yield Progress("Reading", 1, 0)
    yield Progress("Training", 3, 10, "fold 1, student, loss 0.7")
    return "done"


def test_long_work_leaves_lines_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY_S", 0)
    assert terminal.drain(work()) == "done"
    first, second = capsys.readouterr().err.splitlines()
    assert first[2] == ":"
    assert first.endswith(" Reading")
    assert second.endswith(" Training 3/10, fold 1, student, loss 0.7")


def test_short_work_leaves_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.drain(work()) == "done"
    assert capsys.readouterr().err == ""


def test_lines_are_a_while_apart(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0, 61, 61, 100, 119, 122, 122])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(seconds))

    def steps() -> Generator[Progress, None, None]:
        for number in range(1, 5):
            yield Progress("Training", number, 4)

    terminal.drain(steps())
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["1/4", "4/4"]
