"""`make check-guards`: its table fits the code, and guards that no test holds are told from those that one does."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "check_guards.py"

# A child process answers the test, so that it must have imported the copy too.
PACKAGE = """
def first(values):
    if not values:
        raise ValueError("no values")
    return values[0]


if __name__ == "__main__":
    try:
        first([])
    except ValueError as error:
        print(error)
    except IndexError:
        print("fell through")
"""
TESTS = """
import subprocess, sys

def test_first():
    done = subprocess.run([sys.executable, "-P", "-m", "made.one"], capture_output=True, text=True)
    assert done.stdout == "no values\\n"
    import made.one

def test_wrong():
    assert False

def test_nothing():
    import made.one
"""
GUARD = {
    "file": "made/one.py",
    "find": "if not values:",
    "replace": "if False:",
    "test": "test_made.py::test_first",
}
CRASH = {**GUARD, "find": "def first(values):", "replace": "import os; os.abort()\ndef first(values):"}
CASES = [
    (GUARD, "fails without it"),
    ({**GUARD, "test": "test_made.py::test_nothing"}, "can be removed unnoticed (made/one.py)"),
    ({**GUARD, "find": "if no values:"}, "its text stands 0 times in made/one.py, expected once"),
    ({**GUARD, "find": "values"}, "its text stands 4 times in made/one.py, expected once"),
    ({**GUARD, "replace": "if"}, "made/one.py does not compile without it"),
    (
        {**GUARD, "file": "test_made.py", "find": "assert done", "replace": "assert gone"},
        "what is left does not run: NameError: name 'gone' is not defined",
    ),
    ({**GUARD, "test": "test_made.py::test_wrong"}, "proves nothing: with the guard, it fails"),
    ({**GUARD, "test": "test_made.py::test_absent"}, "proves nothing: with the guard, pytest ended with exit code 4"),
    (
        {**GUARD, "file": "test_made.py", "find": "import subprocess, sys\n", "replace": "import absent\n"},
        "pytest ended with exit code 4, 1 tests and no failed one",
    ),
    ({**CRASH, "test": "test_made.py::test_nothing"}, "crashed"),
    ({**CRASH, "test": "test_made.py::test_nothing", "crash": True}, "fails without it"),
]  # fmt: skip


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_guards", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


def test_every_row_has_a_guard_that_fits_the_code(script: ModuleType) -> None:
    guards = script.read_guards(script.TABLE)
    assert {guard.row for guard in guards} == set(range(1, 41))
    assert len(set(guards)) == len(guards)
    for guard in guards:
        assert guard.taken_out(ROOT) != (ROOT / guard.file).read_text(encoding="utf-8"), guard


def test_every_test_that_is_named_exists_and_is_quick(script: ModuleType) -> None:
    for guard in script.read_guards(script.TABLE):
        file, name = guard.test.partition("[")[0].split("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        (found,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
        assert "pytest.mark.slow" not in map(ast.unparse, found.decorator_list), guard.test


def test_guards_that_no_test_holds_are_told(tmp_path: Path) -> None:
    for name, text in (("made/__init__.py", ""), ("made/one.py", PACKAGE), ("test_made.py", TESTS)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    table = tmp_path / "scripts" / "guards.toml"
    table.parent.mkdir()
    entries = [{"row": row, **guard} for row, (guard, _) in enumerate(CASES, start=1)]
    lines = [
        "\n".join(["[[guard]]", *(f"{key} = {toml(value)}" for key, value in one.items())]) for one in entries
    ]
    table.write_text("\n\n".join(lines))
    for words in (("init", "-q"), ("add", ".")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    # What the tests of this project need of plugins, the example does not, and it takes most of the time.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_timeout"}
    before = sorted(tmp_path.rglob("[!.]*"))

    def checked(*words: str) -> tuple[int, list[str]]:
        command = [sys.executable, str(SCRIPT), "--table", str(table), *words]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    code, said = checked("--jobs", "2")
    assert code == 1
    for row, (line, (guard, expected)) in enumerate(zip(said, CASES, strict=False), start=1):
        assert line.startswith(f"{row:>3}  {guard['test']}  ")
        assert expected in line
    assert said[len(CASES) :] == [f"2 of {len(CASES)} guards are held by their tests"]
    assert checked("--rows", "1") == (0, [said[0], "1 of 1 guards are held by their tests"])
    assert sorted(tmp_path.rglob("[!.]*")) == before, "nothing is written beside the files that are checked"


def toml(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value).lower()
