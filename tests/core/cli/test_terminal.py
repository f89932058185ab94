"""Progress where nobody sees a bar."""

from __future__ import annotations

import ast
from collections.abc import Generator
from pathlib import Path

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


def test_names_from_files_repaint_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.sys.stderr, "isatty", lambda: True)

    def steps() -> Generator[Progress, None, None]:
        yield Progress("Read\x1b[31ming", 1, 4, "S1\x1b[2J.tif")

    terminal.drain(steps())
    said = capsys.readouterr().err
    assert "Read\\x1b[31ming" in said
    assert "S1\\x1b[2J.tif" in said


@pytest.mark.parametrize(
    "module", sorted(Path(terminal.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_no_command_writes_past_the_terminal_module(module: Path) -> None:
    """Whatever stands in a line may come from a file; only `terminal` writes, and `shown` makes it harmless."""
    calls = [node for node in ast.walk(ast.parse(module.read_text("utf-8"))) if isinstance(node, ast.Call)]
    written = [ast.unparse(call.func) for call in calls]
    banned = {"print", "typer.echo", "typer.secho", "echo", "sys.stdout.write", "sys.stderr.write"}
    found = banned & set(written)
    assert found == ({"typer.echo"} if module.stem == "terminal" else set())
