"""Clocks, locales and names of files change no number; a folder that cannot be written is a sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_count import FaultCount
from odd_clock import CLOCKS, SWITCH
from slide_files import tissue_like, write_tiff
from stopped import child_environment
from surroundings_child import NAMES
from training_fixtures import run_amkd

CHILD = Path(__file__).with_name("surroundings_child.py")
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "decimal comma": {"LC_ALL": "de_DE.UTF-8"},
    "no locale": {"LC_ALL": "C"},
    "file names in ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "half a day ahead": {"TZ": "Pacific/Kiritimati"},
}
SAME = ("codes", "features", "kept", "risk", "predictions", "metrics")


def outcome(case: str, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(CHILD), case, str(folder)],
        capture_output=True,
        text=True,
        env={**child_environment(), "AMKD_CACHE_DIR": str(folder / "cache"), SWITCH: case, **environment},
    )
    assert done.returncode == 0, f"{case}: {done.stderr[-3000:]}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = outcome("plain", tmp_path_factory.mktemp("plain"), {})
    assert found["codes"] == [0] * 5, found["said"]
    return found


def german(folder: Path) -> dict[str, str]:
    """A locale with a decimal comma, made where the system has its description but not itself."""
    if shutil.which("localedef") is None:
        pytest.skip("localedef is not installed, and a locale with a decimal comma may be missing")
    words = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    done = subprocess.run(words, capture_output=True, text=True)
    if not (folder / "de_DE.UTF-8").is_dir():
        pytest.skip(f"the locale de_DE cannot be made here: {done.stderr.strip()}")
    return {"LOCPATH": str(folder)}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", [*CLOCKS, *NAMES, *ENVIRONMENTS])
def test_numbers_are_the_same(
    case: str, plain: dict[str, Any], tmp_path: Path, counted: list[FaultCount]
) -> None:
    environment = ENVIRONMENTS.get(case, {})
    if case == "decimal comma":
        environment = {**environment, **german(tmp_path)}
    work = tmp_path / "work"
    work.mkdir()
    found = outcome(case, work, environment)
    count = FaultCount("odd surroundings", cases=1)
    counted.append(count)
    count.same = int(all(found[name] == plain[name] for name in SAME))
    for name in SAME:
        assert found[name] == plain[name], (name, found["said"])
    told = {"clock in 1971": 1971, "clock in 2100": 2100}
    if case in told:  # in processes that are started anew as well
        assert found["years"] == [told[case]] * 2
        assert {*found["written"]} <= {told[case], told[case] - 1}  # a year of 365 days is shorter than most
    assert found["decimal point"] == ("," if case == "decimal comma" else ".")


def test_there_are_twelve_of_them() -> None:
    assert len({*CLOCKS, *NAMES, *ENVIRONMENTS}) == 12


@pytest.mark.parametrize("command", ["extract", "predict"])
def test_a_name_longer_than_the_system_takes_is_a_sentence(command: str, tmp_path: Path) -> None:
    slide = write_tiff(tmp_path / "s.tif", [tissue_like(512, 512, seed=1)])
    for words in (
        (command, slide, "--out", tmp_path / ("o" * 256)),
        (command, tmp_path / ("s" * 256), "--out", tmp_path),
    ):
        code, output = run_amkd(*words)
        assert code == 2, output
        errors = [line for line in output.splitlines() if line.startswith(("Error", "FAILED"))]
        assert errors, output
        assert "Traceback" not in output


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine may enter."""
    folder = Path(tempfile.mkdtemp(prefix="amkd-faults-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


AS_NOBODY = """
import json, os, sys
from typer.testing import CliRunner
from amkd_core.cli.main import app
words = ["extract", sys.argv[1], "--out"]
assert CliRunner().invoke(app, [*words, sys.argv[2] + "/warm"]).exit_code == 0  # imports all
os.setgid(65534)
os.setuid(65534)
results = [CliRunner().invoke(app, [*words, out]) for out in sys.argv[3:]]
print(json.dumps([[result.exit_code, result.stderr] for result in results]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root may become an ordinary user")
def test_an_ordinary_user_without_the_right_to_write_is_told_so(open_folder: Path, tmp_path: Path) -> None:
    slide = write_tiff(open_folder / "s.tif", [tissue_like(512, 512, seed=1)])
    bags = open_folder / "bags"
    bags.mkdir(mode=0o755)
    outs = [bags, bags / "new"]
    words = [sys.executable, "-c", AS_NOBODY, *map(str, (slide, tmp_path, *outs))]
    own = {"AMKD_CONFIG_DIR": str(open_folder / "config")}  # pytest's folders are root's alone
    done = subprocess.run(words, capture_output=True, text=True, env={**child_environment(), **own})
    assert done.returncode == 0, done.stderr[-2000:]
    for (code, said), out in zip(json.loads(done.stdout), outs, strict=True):
        assert code == 2, said
        assert said.startswith("Error: ")
        assert len(said.strip().splitlines()) == 1
        assert "Permission denied" in said
        assert str(out) in said
    assert list(bags.iterdir()) == []
