"""Take guards out of a copy of the code, one at a time, and demand that a test notices; `make check-guards` runs this.

    python scripts/check_guards.py [--rows 3 7] [--jobs 2]

scripts/guards.toml names for each row of docs/faults.md a guard (text that stands once in a file), the code without it
and the test that must then fail. Each test is run on the unchanged copy as well: one that fails anyway proves nothing.

Exit code: 0 when every guard's test fails without it, 1 when one can be removed unnoticed or an entry fits no longer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).resolve().with_name("guards.toml")
FAILS, PASSES, CRASHES, UNNOTICED = "fails without it", "passed", "crashed", "can be removed unnoticed"
_TEST_S, _RUN_S = 120, 200  # one test, and its whole process
_BROKEN = ("ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError")
# Plugins of pytest that take most of a short run to load, and that only windows need, or none of these tests.
_WINDOWS, _HEAVY = Path("tests/viewer"), ("napari", "napari-plugin-engine", "npe2", "hypothesispytest")


class UnfitError(Exception):
    """An entry of the table does not fit the code; the message says how."""


@dataclass(frozen=True)
class Guard:
    """One entry of the table: ``find`` stands once in ``file``; with ``replace`` instead, ``test`` must fail."""

    row: int
    file: str
    find: str
    replace: str
    test: str
    why: str = ""
    crash: bool = False  # without the guard the interpreter itself dies

    def taken_out(self, root: Path) -> str:
        """The file's text without the guard.

        Raises
        ------
        UnfitError
            The guard's text does not stand exactly once in the file, or what is left does not compile.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if (n_found := text.count(self.find)) != 1:
            raise UnfitError(f"its text stands {n_found} times in {self.file}, expected once")
        changed = text.replace(self.find, self.replace)
        if path.suffix == ".py":
            try:
                compile(changed, self.file, "exec")
            except SyntaxError as error:
                raise UnfitError(f"{self.file} does not compile without it: {error}") from None
        return changed


def read_guards(table: Path) -> list[Guard]:
    """All entries of a table, by their row."""
    entries = tomllib.loads(table.read_text(encoding="utf-8"))["guard"]
    return sorted((Guard(**entry) for entry in entries), key=lambda guard: guard.row)


def copy_tracked(root: Path, into: Path) -> None:
    """Copy the files that git knows, as they now stand; nothing is ever run or changed in the checkout itself."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, into / name)


def write_source(path: Path, text: str) -> None:
    """Write a module and forget how it was compiled: a change of the same size within a second would not be seen."""
    path.write_text(text, encoding="utf-8")
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()


def run_test(copy: Path, environment: dict[str, str], test: str) -> str:
    """How one test ends in the copy: ``passed``, ``fails without it``, ``crashed``, or what else came of it."""
    report, scratch = copy.with_suffix(".xml"), copy.with_suffix(".tmp")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--timeout={_TEST_S}"]
    command += [f"--basetemp={scratch}", f"--junitxml={report}", test]
    if not Path(test).is_relative_to(_WINDOWS):
        command += [word for plugin in _HEAVY for word in ("-p", f"no:{plugin}")]
    env = {**environment, "PYTHONPATH": str(copy)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=copy, env=env, stdout=quiet, stderr=quiet, start_new_session=True
    ) as process:
        try:
            code = process.wait(_RUN_S)
        except subprocess.TimeoutExpired:
            return f"ran past {_RUN_S} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with all that a test without its guard left running
    if code < 0:
        return CRASHES
    if not report.is_file():
        return f"pytest ended with exit code {code} and no report"
    cases = ET.parse(report).getroot().findall(".//testcase")
    failures = [failure.get("message", "") for case in cases for failure in case.findall("failure")]
    if any("Timeout (>" in message for message in failures):
        return f"ran past {_TEST_S} s"
    if broken := [said for said in failures if said.startswith(_BROKEN)]:
        return f"what is left does not run: {broken[0].splitlines()[0]}"
    if code == 1 and failures:
        return FAILS
    if code == 0 and any(case.find("skipped") is None for case in cases):
        return PASSES
    return f"pytest ended with exit code {code}, {len(cases)} tests and no failed one"


def check(guard: Guard, copy: Path, environment: dict[str, str], known: dict[str, str]) -> str:
    """``fails without it``, or what is wrong; ``known`` is how unchanged tests ended, and grows."""
    path = copy / guard.file
    try:
        changed = guard.taken_out(copy)
    except UnfitError as error:
        return f"does not fit the code: {error}"
    whole = known.get(guard.test) or known.setdefault(guard.test, run_test(copy, environment, guard.test))
    if whole != PASSES:
        return f"proves nothing: with the guard, {'it fails' if whole == FAILS else whole}"
    kept = path.read_text(encoding="utf-8")
    write_source(path, changed)
    try:
        found = run_test(copy, environment, guard.test)
    finally:
        write_source(path, kept)
    if found == CRASHES and guard.crash:
        return FAILS
    return UNNOTICED if found == PASSES else found


def main() -> int:
    """Check all rows, or those asked for, a line each; the exit code."""
    parser = argparse.ArgumentParser(
        description="take guards out of a copy of the code and see their tests fail"
    )
    parser.add_argument("--rows", type=int, nargs="+", help="rows of docs/faults.md (all)")
    parser.add_argument("--jobs", type=int, default=1, help="tests at a time, each in a copy of its own (1)")
    parser.add_argument(
        "--table", type=Path, default=TABLE, help="table of guards, in a folder of the checkout"
    )
    options = parser.parse_args()
    root = options.table.resolve().parents[1]
    guards = [one for one in read_guards(options.table) if not options.rows or one.row in options.rows]
    environment = {"AMKD_SHARED": str(root.parent / "shared"), **os.environ}
    copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
    known: dict[str, str] = {}

    def in_a_copy(guard: Guard) -> str:
        copy = copies.get()
        try:
            return check(guard, copy, environment, known)
        finally:
            copies.put(copy)

    with tempfile.TemporaryDirectory(prefix="guards-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        for number in range(options.jobs):
            copies.put(Path(folder) / f"copy{number}")
            copy_tracked(root, Path(folder) / f"copy{number}")
        n_held = 0
        for guard, found in zip(guards, pool.map(in_a_copy, guards), strict=True):
            n_held += found == FAILS
            print(
                f"{guard.row:>3}  {guard.test}  {found}{'' if found == FAILS else f' ({guard.file})'}",
                flush=True,
            )
    print(f"{n_held} of {len(guards)} guards are held by their tests")
    return 0 if guards and n_held == len(guards) else 1


if __name__ == "__main__":
    sys.exit(main())
