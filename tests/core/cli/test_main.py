from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

from amkd_core import __version__
from amkd_core.cli.main import app

HEAVY = {
    "torch",
    "napari",
    "qtpy",
    "PyQt6",
    "PySide6",
    "vispy",
    "magicgui",
    "matplotlib",
    "pandas",
    "h5py",
    "scipy",
}
GUI = {"napari", "qtpy", "PyQt6", "PySide6", "vispy", "magicgui", "superqt"}


def modules_after(code: str) -> tuple[set[str], str]:
    """Top-level packages that a fresh interpreter holds after `code`, and what it printed before."""
    script = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    printed, _, listed = answer.stdout.rstrip().rpartition("\n")
    return set(json.loads(listed)), printed


def test_help_imports_nothing_heavy_and_names_every_command() -> None:
    code = (
        "import sys\nsys.argv = ['amkd', '--help']\nfrom amkd_core.cli.main import main\ntry:\n    main()\n"
    )
    modules, printed = modules_after(code + "except SystemExit as end:\n    assert not end.code")
    assert not modules & HEAVY
    for command in ("view", "predict", "extract", "simulate", "demo", "doctor"):
        assert command in printed
    assert "Research use only" in printed


def test_importing_the_core_imports_nothing_heavy() -> None:
    modules, _ = modules_after("import amkd_core, amkd_core.inference, amkd_core.export, amkd_core.cli")
    assert not modules & HEAVY


def test_no_module_of_the_core_brings_a_window_along() -> None:
    code = (
        "import importlib, pkgutil, amkd_core\n"
        "names = [m.name for m in pkgutil.walk_packages(amkd_core.__path__, 'amkd_core.')]\n"
        "assert len(names) > 60\n"
        "for name in names: importlib.import_module(name)"
    )
    modules, _ = modules_after(code)
    assert not modules & GUI
    assert "torch" in modules


def test_the_version_is_told() -> None:
    command = [sys.executable, "-m", "amkd_core.cli.main", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == f"amkd {__version__}\n"


def test_a_wrong_option_is_a_usage_error() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "amkd_core.cli.main", "predict", "--colour"], capture_output=True, text=True
    )
    assert answer.returncode == 2
    assert "No such option" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_every_command_of_the_readme_exists_with_its_options_and_the_trained_model_is_opened() -> None:
    readme = Path(__file__).resolve().parents[3] / "README.md"
    block = readme.read_text(encoding="utf-8").split("## For the researcher")[1].split("```")[1]
    lines = [shlex.split(line, comments=True) for line in block.replace("\\\n", "").splitlines()]
    assert lines[1] == [".", ".venv/bin/activate"]
    assert ["amkd", "view", "slide.svs", "--bundle", "RUN/model.amkd"] in lines
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in lines:
        if line and line[0] == "amkd":
            known = {option for parameter in commands[line[1]].params for option in parameter.opts}
            assert {word for word in line if word.startswith("--")} <= known, line
