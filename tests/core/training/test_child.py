"""Children that are dead before they are asked, and those that fall silent."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from amkd_core.inference.extract import ExtractSettings, SlideTask
from amkd_core.training.child import Child
from amkd_core.training.cluster import run_slides, run_task


def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have children run some code in place of their own."""
    script = tmp_path / "interpreter"
    script.write_text(f"#!{sys.executable}\n{code}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


def test_a_child_that_dies_at_once_is_told_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter(tmp_path, monkeypatch, "raise SystemExit(3)")
    # More than a pipe holds: the writing meets the child's end, however late that comes.
    child = Child({"kind": "fold", "note": "x" * 1_000_000})
    try:
        assert list(child.answers()) == []
        assert "unexpected error (exit code 3)" in child.cause_of_death()
    finally:
        child.close()


def test_a_child_that_falls_silent_is_killed_and_keeps_its_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import time\n"
        "print('{\"alive\": 1}', flush=True)\n"
        'print(\'{"state": "done"}\', flush=True)\n'
        "time.sleep(3600)"
    )
    interpreter(tmp_path, monkeypatch, code)
    found = run_task({"kind": "slides", "slides": [{}, {}]}, 3.0)
    assert found == {
        "answers": [{"state": "done"}],
        "cause": "no progress for 3 s, so it was stopped; the file may be damaged",
    }


def test_a_child_that_tells_that_it_lives_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import time\n"
        "for _ in range(8):\n"
        "    print('{\"alive\": 1}', flush=True)\n"
        "    time.sleep(0.5)\n"
        'print(\'{"state": "done"}\', flush=True)'
    )
    interpreter(tmp_path, monkeypatch, code)
    assert run_task({"kind": "slides", "slides": [{}]}, 3.0) == {"answers": [{"state": "done"}]}


def test_all_that_is_told_of_a_slide_reaches_the_process_that_reads_it(tmp_path: Path) -> None:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "slides"))
    from slide_files import tissue_like, write_tiff

    path = write_tiff(tmp_path / "first.tif", [tissue_like(1024, 1024, seed=3)], mpp=None)
    task = SlideTask(path, default_mpp=0.5)
    (found,) = run_slides([task], str(tmp_path / "bags"), ExtractSettings())
    assert (found.state, found.reason) == ("done", "")
    (other,) = run_slides([SlideTask(path, mpp=0.5, scene=7)], str(tmp_path / "other"), ExtractSettings())
    assert other.state == "failed"
    assert "scene 7" in other.reason
