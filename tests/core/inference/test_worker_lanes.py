"""Workers that do not start, die in odd ways, or are asked to stop while they are busy."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amkd_core.cli.terminal import drain
from amkd_core.inference import workers
from amkd_core.inference.extract import ExtractSettings, SlideOutcome, SlideTask
from amkd_core.inference.workers import SlideWorker, run_in_workers
from amkd_core.progress import Progress

TASKS = [SlideTask(Path("first.svs")), SlideTask(Path("second.svs"))]


def extract(out: Path) -> list[SlideOutcome]:
    return drain(run_in_workers(TASKS, out, ExtractSettings(), jobs=1))


def test_a_worker_that_cannot_be_started_costs_its_slide_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[SlideWorker] = []

    class Second(SlideWorker):
        def __init__(self, *arguments: Any) -> None:
            begun.append(self)
            if len(begun) == 1:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            super().__init__(*arguments)

    monkeypatch.setattr(workers, "SlideWorker", Second)
    first, second = extract(tmp_path)
    assert (first.state, second.state) == ("failed", "failed")
    assert first.reason.startswith("no process could be started for it (Resource temporarily unavailable)")
    assert "second.svs" in second.reason  # read, and not found


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
def test_a_death_by_a_signal_without_a_name_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    number = signal.SIGRTMIN + 3

    class Dying(SlideWorker):
        def run(self, task: SlideTask, stop: threading.Event) -> Generator[Progress, None, SlideOutcome]:
            os.kill(self.pid or 0, number)
            self._process.join()
            return (yield from super().run(task, stop))

    monkeypatch.setattr(workers, "SlideWorker", Dying)
    found = extract(tmp_path)
    assert [outcome.state for outcome in found] == ["failed", "failed"]
    assert f"the process that read it died by signal {int(number)}" in found[0].reason


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), SystemExit()])
def test_whatever_a_lane_raises_the_run_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    def broken(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(workers, "SlideWorker", broken)
    expected = {
        "ZeroDivisionError": "its worker failed (ZeroDivisionError: a bug)",
        "SystemExit": "the thread that waited for it ended; extract it again",
    }
    assert {outcome.reason for outcome in extract(tmp_path)} == {expected[type(error).__name__]}


class Talking:
    """A worker's pipe at which progress always waits, each message a while after the one before."""

    def __init__(self, clock: list[float], messages: int, step_s: float) -> None:
        self.clock, self.left, self.step_s = clock, messages, step_s

    def send(self, task: SlideTask) -> None:
        pass

    def poll(self, timeout_s: float) -> bool:
        self.clock[0] += self.step_s
        return self.left >= 0

    def recv(self) -> Progress | SlideOutcome:
        self.left -= 1
        return Progress("Reading", 1, 9) if self.left else SlideOutcome(TASKS[0].path, "done", 9)

    def close(self) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def talking_worker(pipe: Talking) -> SlideWorker:
    worker = object.__new__(SlideWorker)
    worker._stall_s, worker._pipe = 10.0, pipe  # type: ignore[assignment]
    worker._process = SimpleNamespace(kill=lambda: None, join=lambda timeout=None: None)  # type: ignore[assignment]
    return worker


def test_a_stop_is_noticed_while_progress_flows(clock: list[float]) -> None:
    stop, pipe = threading.Event(), Talking(clock, 1000, 0.05)
    steps = talking_worker(pipe).run(TASKS[0], stop)
    next(steps)
    stop.set()
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value.reason == "stopped before it was finished"
    assert pipe.left == 999


def test_a_slow_slide_is_not_taken_for_one_that_hangs(clock: list[float]) -> None:
    outcome = drain(talking_worker(Talking(clock, 5, 9.0)).run(TASKS[0], threading.Event()))
    assert (outcome.state, clock[0]) == ("done", 45.0)


def test_a_slide_that_falls_silent_is_given_up(clock: list[float]) -> None:
    pipe = Talking(clock, 5, 9.0)
    steps = talking_worker(pipe).run(TASKS[0], threading.Event())
    next(steps)
    pipe.poll = lambda timeout_s: clock.__setitem__(0, clock[0] + 0.1)  # type: ignore[assignment,method-assign]
    outcome = drain(steps)
    assert "no progress for 10 s" in outcome.reason
    assert clock[0] == pytest.approx(9.0 + 10.0, abs=0.2)
