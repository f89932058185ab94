"""Floors of the libraries that parse foreign files: refused at the start, and the same everywhere."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import openslide
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from training_fixtures import run_amkd, run_train

from amkd_core import versions
from amkd_core.errors import ConfigError
from amkd_core.versions import FLOORS, installed, is_older, require_versions

ROOT = Path(__file__).resolve().parents[2]


# Requirements that read no file which a user hands in, each with what it reads or does instead.
READS_NO_USERS_FILE = {
    "filelock": "locks",
    "jinja2": "our own templates",
    "lifelines": "numbers",
    "matplotlib": "draws",
    "numpy": "numbers; of its own format only what we kept ourselves, without pickles",
    "opencv-python-headless": "pixels that were decoded before",
    "openslide-python": "hands file names on to openslide-bin",
    "packaging": "version numbers",
    "platformdirs": "names of folders",
    "psutil": "the system's tables",
    "scikit-image": "pixels",
    "scikit-learn": "numbers",
    "scipy": "numbers",
    "torchsurv": "numbers",
    "tqdm": "draws",
    "typer": "the command line",
}


def promises(*extras: str) -> list[Requirement]:
    """What setup.cfg requires, of some extras too."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [
        config["options"]["install_requires"],
        *(config["options.extras_require"][name] for name in extras),
    ]
    return [Requirement(line) for text in texts for line in text.splitlines() if line.strip()]


@pytest.fixture
def old_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    require_versions.cache_clear()
    monkeypatch.setattr(
        versions, "installed", lambda name: "2.9.1+cpu" if name == "torch" else installed(name)
    )
    yield
    require_versions.cache_clear()


def test_this_environment_is_new_enough() -> None:
    require_versions.cache_clear()
    require_versions()


@pytest.mark.usefixtures("old_torch")
@pytest.mark.parametrize(
    "command", [("predict", "slide.svs"), ("extract", "slide.svs"), ("cohort", "c.toml"), ("train",)]
)
def test_every_command_refuses_old_libraries_with_a_sentence(command: tuple[str, ...]) -> None:
    code, text = run_train("--init") if command == ("train",) else run_amkd(*command)
    assert code == 2
    said = " ".join(text.split())
    assert "torch 2.9.1+cpu (expected 2.10 or newer); run pip install 'torch>=2.10'" in said
    assert "Traceback" not in text


@pytest.fixture
def distributions_openslide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenSlide as Debian 11 has it, without the package that brings a newer one."""
    require_versions.cache_clear()
    monkeypatch.setattr(
        versions, "installed", lambda name: None if name == "openslide-bin" else installed(name)
    )
    monkeypatch.setitem(sys.modules, "openslide", SimpleNamespace(__library_version__="3.4.1"))
    yield
    require_versions.cache_clear()


@pytest.mark.usefixtures("distributions_openslide")
def test_a_distributions_old_openslide_is_refused_too() -> None:
    code, text = run_amkd("predict", "slide.svs")
    assert code == 2
    said = " ".join(text.split())
    assert "OpenSlide 3.4.1 (expected 4.0.1 or newer); run pip install 'openslide-bin>=4.0.1'" in said
    assert "Traceback" not in text


def test_without_openslide_the_package_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that read no slide start; an old package is refused by its own number."""
    assert versions.loaded_openslide() == openslide.__library_version__
    monkeypatch.setitem(sys.modules, "openslide", None)
    assert versions.loaded_openslide() is None
    require_versions.cache_clear()
    require_versions()
    monkeypatch.setattr(
        versions, "installed", lambda name: "4.0.0.6" if name == "openslide-bin" else installed(name)
    )
    require_versions.cache_clear()
    with pytest.raises(ConfigError, match=r"OpenSlide 4\.0\.0\.6 \(expected 4\.0\.1"):
        require_versions()
    require_versions.cache_clear()


@pytest.mark.usefixtures("old_torch")
def test_the_viewers_reader_refuses_too(tmp_path: Path) -> None:
    from amkd_viewer.reader import read_slides

    with pytest.raises(ConfigError, match=r"torch 2\.9\.1"):
        read_slides(tmp_path / "slide.svs")


@pytest.mark.usefixtures("old_torch")
def test_the_doctor_still_comes() -> None:
    _, text = run_amkd("doctor")
    assert "Python" in text
    assert "too old to be safe" not in text


@pytest.mark.parametrize(
    ("version", "floor", "older"),
    [("2.9.1", "2.10", True), ("2.10.0+cpu", "2.10", False), ("4.0.1.2", "4.0.1", False), ("4.0.0", "4.0.1", True),
     ("2.10.0rc1", "2.10", True), ("13.0.0", "10.3", False)],
)  # fmt: skip
def test_versions_are_compared_as_versions(version: str, floor: str, *, older: bool) -> None:
    assert is_older(version, floor) is older


@pytest.mark.parametrize("package", FLOORS)
def test_the_packaging_asks_for_the_same_floor_and_installs_above_it(package: str) -> None:
    (asked,) = (item for item in promises() if item.name == package)
    (floor,) = (part.version for part in asked.specifier if part.operator == ">=")
    assert Version(floor) == Version(FLOORS[package])
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    assert not is_older(pins[package], FLOORS[package])


def test_the_oldest_versions_that_are_tried_are_those_that_are_promised() -> None:
    """`make check-oldest` installs constraints-oldest.txt; the lower ends of setup.cfg's ranges are nothing else."""
    pins = [line for line in (ROOT / "constraints-oldest.txt").read_text().splitlines() if line[0] != "#"]
    tried = {item.name: Version(next(iter(item.specifier)).version) for item in map(Requirement, pins)}
    promised = {item.name: item for item in promises("viewer", "encoders", "distributed", "dev")}
    assert set(tried) == set(promised)
    for name, item in promised.items():
        (floor,) = (part.version for part in item.specifier if part.operator == ">=")
        # A floor of fewer numbers is the first release that begins with them.
        assert tried[name].release[: len(Version(floor).release)] == Version(floor).release, name


def test_the_list_of_libraries_with_known_faults_tells_the_same_floors() -> None:
    """docs/soup.md, versions.py and setup.cfg: whoever raises a floor in one has to say so in the others."""
    page = (ROOT / "docs" / "soup.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    listed = {row[0]: row for row in rows if row[0] != "library"}
    assert set(listed) >= {*FLOORS, "imagecodecs", "pandas"}
    assert {name: row[1] for name, row in listed.items() if row[1] != "-"} == FLOORS
    for name, row in listed.items():
        assert len(row) == 5
        assert all(row), name
        assert installed(name) is not None
        guards = [word for word in row[4].split("`")[1::2] if word.endswith(".py")]
        assert all((ROOT / "amkd_core" / guard).is_file() for guard in guards), name
    required = {item.name for item in promises()}
    assert set(READS_NO_USERS_FILE) <= required, "what is no longer required is not listed either"
    assert set(listed) == required - set(READS_NO_USERS_FILE), "each requirement is in one of the two lists"
    parsers = {"h5py", "imagecodecs", "openslide-bin", "pandas", "pillow", "safetensors", "tifffile", "torch"}
    assert parsers & required <= set(listed)
