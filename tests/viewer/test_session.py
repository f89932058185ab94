"""The session, without a window."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace

import pytest

from amkd_core.errors import BundleError, SlideError, TissueError
from amkd_core.progress import Progress
from amkd_viewer.events import Advanced, Cancelled, Crashed, Failed, Finished, Opened, PredictionRequest
from amkd_viewer.session import PROGRESS_INTERVAL_S, PredictionSession

REQUEST = PredictionRequest(Path("a.svs"), "content-a", Path("model.amkd"))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def prediction(fingerprint: str = "content-a") -> SimpleNamespace:
    return SimpleNamespace(bag=SimpleNamespace(slide_fingerprint=fingerprint))


class Steps:
    """A stand-in for `predict_slide` whose steps the test releases."""

    def __init__(self, result=None, error: Exception | None = None, n_steps: int = 3) -> None:
        self.result, self.error, self.n_steps = result, error, n_steps
        self.go, self.reached, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.n_begun = 0

    def __call__(self, request, bundle) -> Generator[Progress, None, SimpleNamespace]:
        try:
            for step in range(self.n_steps):
                self.n_begun = step + 1
                yield Progress("Working", step, self.n_steps)
                self.reached.set()
                assert self.go.wait(10)
            if self.error is not None:
                raise self.error
            return self.result or prediction(request.fingerprint)
        finally:
            self.closed.set()


def session_with(steps, events: list, **options) -> PredictionSession:
    return PredictionSession(
        events.append, predict=steps, load_bundle=options.pop("load_bundle", lambda path: "bundle")
    )


def kinds(events: list) -> list[type]:
    return [type(event) for event in events]


def test_a_run_tells_its_progress_and_keeps_its_result() -> None:
    events: list = []
    steps = Steps()
    session = session_with(steps, events)
    steps.go.set()
    session.start(REQUEST)
    assert session.wait(10)
    assert kinds(events)[0] is Advanced
    assert kinds(events)[-1] is Finished
    assert session.result("content-a") is events[-1].prediction
    assert session.result("content-b") is None
    assert session.running is None
    session.close()


def test_cancel_is_told_at_once_and_nothing_follows() -> None:
    events: list = []
    steps = Steps()
    session = session_with(steps, events)
    session.start(REQUEST)
    assert steps.reached.wait(10)
    session.cancel()
    assert not steps.closed.is_set(), "the step under way is not waited for"
    assert kinds(events)[-1] is Cancelled
    n_events = len(events)
    steps.go.set()
    assert session.wait(10)
    assert steps.closed.is_set(), "the generator must be closed, so that readers and files are let go"
    assert steps.n_begun == 2 < steps.n_steps, "what follows the step under way is not done for nobody"
    assert len(events) == n_events
    assert session.result("content-a") is None
    session.close()


def test_a_second_run_replaces_the_first() -> None:
    events: list = []
    first, second = Steps(), Steps()
    pending = [first, second]
    session = session_with(lambda request, bundle: pending.pop(0)(request, bundle), events)
    session.start(REQUEST)
    assert first.reached.wait(10)
    other = PredictionRequest(Path("b.svs"), "content-b", Path("model.amkd"))
    first.go.set()
    second.go.set()
    session.start(other)
    assert session.wait(10)
    assert [event.request.fingerprint for event in events if isinstance(event, Finished)] == ["content-b"]
    assert [event.request.fingerprint for event in events if isinstance(event, Cancelled)] == ["content-a"]
    assert session.result("content-a") is None
    session.close()


@pytest.mark.parametrize(
    ("error", "kind"), [(TissueError("no tissue on a.svs"), Failed), (ZeroDivisionError("a bug"), Crashed)]
)
def test_errors_of_users_and_faults_of_ours_are_told_apart(error: Exception, kind: type) -> None:
    events: list = []
    steps = Steps(error=error)
    steps.go.set()
    session = session_with(steps, events)
    session.start(REQUEST)
    assert session.wait(10)
    assert kinds(events)[-1] is kind
    assert events[-1].error is error
    session.close()


def test_a_bad_bundle_is_a_sentence() -> None:
    events: list = []

    def refuse(path: Path) -> None:
        raise BundleError(f"{path.name}: no such file, expected a model bundle (.amkd)")

    session = session_with(Steps(), events, load_bundle=refuse)
    session.start(REQUEST)
    assert session.wait(10)
    assert "model.amkd: no such file" in str(events[-1].error)
    session.close()


def test_a_slide_that_changed_since_it_was_opened_is_refused() -> None:
    events: list = []
    steps = Steps(result=prediction("other-content"))
    steps.go.set()
    session = session_with(steps, events)
    session.start(REQUEST)
    assert session.wait(10)
    assert isinstance(events[-1].error, SlideError)
    assert "has changed since it was opened" in str(events[-1].error)
    assert session.result("content-a") is None
    assert session.result("other-content") is None
    session.close()


def test_progress_is_told_at_a_bounded_rate() -> None:
    events: list = []
    steps = Steps(n_steps=20_000)
    steps.go.set()
    session = session_with(steps, events)
    start = time.monotonic()
    session.start(REQUEST)
    assert session.wait(30)
    told = [event for event in events if isinstance(event, Advanced) and event.progress.stage == "Working"]
    assert len(told) <= 2 + (time.monotonic() - start) / PROGRESS_INTERVAL_S
    session.close()


def test_a_bundle_is_read_once_while_its_file_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "model.amkd"
    path.write_bytes(b"one")
    loaded: list[Path] = []

    def load(path: Path) -> str:
        loaded.append(path)
        return "bundle"

    steps = Steps()
    steps.go.set()
    session = session_with(steps, [], load_bundle=load)
    for _ in range(2):
        session.start(PredictionRequest(Path("a.svs"), "content-a", path))
        assert session.wait(10)
    assert len(loaded) == 1
    path.write_bytes(b"another")
    session.start(PredictionRequest(Path("a.svs"), "content-a", path))
    assert session.wait(10)
    assert len(loaded) == 2
    # Two who want it at the same time, such as a run and the search for its kept result, wait for one another.
    path.write_bytes(b"a third")
    also = threading.Thread(target=session.bundle, args=(path,))
    both = threading.Event()

    def load_slowly(path: Path) -> str:
        loaded.append(path)
        if len(loaded) > 3:
            both.set()
        else:
            also.start()
        both.wait(0.2)
        return "bundle"

    session._load_bundle = load_slowly
    session.bundle(path)
    also.join(10)
    assert len(loaded) == 3
    session.close()


def test_closing_ends_the_threads_and_silences_them() -> None:
    events: list = []
    steps = Steps()
    session = session_with(steps, events)
    session.start(REQUEST)
    assert steps.reached.wait(10)
    n_events = len(events)
    session.close()
    session.close()
    steps.go.set()
    assert session.wait(10)
    assert len(events) == n_events
    with pytest.raises(RuntimeError, match="closed"):
        session.start(REQUEST)
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("amkd-prediction") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_slides_are_opened_off_the_callers_thread(slide_path: Path, tmp_path: Path) -> None:
    events: list = []
    told = threading.Event()

    def listen(event) -> None:
        events.append((event, threading.current_thread().name))
        told.set()

    session = PredictionSession(listen)
    session.open_slide(slide_path)
    assert told.wait(20)
    event, thread = events[0]
    assert isinstance(event, Opened)
    assert thread.startswith("amkd-opening")
    assert event.slide.size_px == (3072, 2304)
    event.slide.close()
    told.clear()
    empty = tmp_path / "empty.svs"
    empty.touch()
    session.open_slide(empty)
    assert told.wait(20)
    assert isinstance(events[1][0], Failed)
    assert "is empty" in str(events[1][0].error)
    session.close()


def test_the_real_thing_runs_from_a_script(second_slide_path: Path, bundle_path: Path) -> None:
    from amkd_core.slides import open_slide

    with open_slide(second_slide_path) as slide:
        fingerprint = slide.info.fingerprint
    events: list = []
    session = PredictionSession(events.append)
    session.start(PredictionRequest(second_slide_path, fingerprint, bundle_path))
    assert session.wait(120)
    assert isinstance(events[-1], Finished), events[-1]
    result = session.result(fingerprint)
    assert result is not None
    assert abs(result.patch_scores.sum() - 1) < 1e-6
    session.close()


def test_the_process_that_waits_for_a_slide_ends_with_the_session(slide_path: Path) -> None:
    import psutil

    def children() -> set[int]:
        return {child.pid for child in psutil.Process().children()}

    before = children()
    told = threading.Event()
    events: list = []

    def listen(event) -> None:
        events.append(event)
        told.set()

    session = PredictionSession(listen)
    session.expect_slide()
    session.open_slide(slide_path)
    assert told.wait(20)
    assert isinstance(events[0], Opened)
    # The one that waited has the slide now; it was the only one that was started.
    (reader,) = children() - before
    session.expect_slide()
    wait_for(lambda: len(children() - before) == 2)
    session.close()
    wait_for(lambda: children() - before == {reader})
    events[0].slide.close()
    session.expect_slide()  # closed: nothing happens
    assert children() == before
