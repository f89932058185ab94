"""Disks that fail and folders that may not be read, as the viewer tells of them; without a window."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from amkd_core import slides
from amkd_core.errors import SlideError, SlideReadError
from amkd_viewer import session
from amkd_viewer.events import TaskEnded
from amkd_viewer.jobs import has_kept_results
from amkd_viewer.tasks import Tasks, writing


def failing() -> None:
    raise OSError(5, "Input/output error", "slides")


def test_only_what_writes_says_that_nothing_was_written() -> None:
    told: SimpleQueue[TaskEnded] = SimpleQueue()
    tasks = Tasks(told.put)
    try:
        tasks.submit("read", failing)
        assert str(told.get(timeout=20).error) == "slides: Input/output error."
        tasks.submit("write", writing(failing))
        assert str(told.get(timeout=20).error) == (
            "slides: Input/output error; nothing was written there. Free some space or choose another folder."
        )
    finally:
        tasks.close()


def test_a_cache_that_may_not_be_looked_into_holds_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMKD_CACHE_DIR", str(tmp_path / ("x" * 300)))
    assert has_kept_results() is False


def test_a_slide_that_opens_and_cannot_be_shown_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    def unreadable(slide: object) -> None:
        raise SlideReadError("no level can be read")

    monkeypatch.setattr(
        slides, "open_slide", lambda *_, **__: SimpleNamespace(close=lambda: closed.append(True))
    )
    monkeypatch.setattr(slides, "slide_pyramid", unreadable)
    with pytest.raises(SlideError, match="no level can be read"):
        session._open_slide(Path("a.tif"), None)
    assert closed == [True]
