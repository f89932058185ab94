"""Fixtures for all tests: the shared real inputs, and quiet, deterministic defaults."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest
from fault_count import FaultCount

os.environ.setdefault("NO_COLOR", "1")

# Sockets are closed here and in every process that a test starts; a hook cannot be taken back.
_NO_NETWORK = Path(__file__).parent / "no_network"
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_NO_NETWORK), os.environ.get("PYTHONPATH")]))
_spec = importlib.util.spec_from_file_location("no_network", _NO_NETWORK / "sitecustomize.py")
assert _spec is not None
assert _spec.loader is not None
_spec.loader.exec_module(importlib.util.module_from_spec(_spec))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Bags that a test keeps are found by no other test and stay out of the user's cache."""
    monkeypatch.setenv("AMKD_CACHE_DIR", str(tmp_path / "user-cache"))
    return tmp_path / "user-cache"


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tests neither read nor write the user's settings."""
    monkeypatch.setenv("AMKD_CONFIG_DIR", str(tmp_path / "user-config"))
    return tmp_path / "user-config" / "settings.json"


@pytest.fixture(scope="session")
def sksurv() -> ModuleType:
    """scikit-survival with its parts; setup.cfg says why the newest Pythons go without it."""
    if sys.version_info >= (3, 13):
        pytest.importorskip(
            "sksurv", reason="scikit-survival installs here with a compiler only: pip install it"
        )
    for part in ("compare", "linear_model", "metrics", "nonparametric", "util"):
        importlib.import_module(f"sksurv.{part}")
    return importlib.import_module("sksurv")


@pytest.fixture(scope="module", autouse=True)
def own_names() -> None:
    """Slides of other files of tests are named in no log here: one called ``made`` hid that word in sentences."""
    from amkd_core import private_names

    private_names._names.clear()


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[list[FaultCount]]:
    """What a test counts; it travels with the test's report, also from another process."""
    counts: list[FaultCount] = []
    yield counts
    request.node.user_properties += [("faults", asdict(count)) for count in counts]


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs draw no figures, where nobody looks at them."""
    from training_fixtures import draw_nothing

    draw_nothing(monkeypatch)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real slides and cohorts that lies beside the checkout; absent elsewhere."""
    folder = Path(os.environ.get("AMKD_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "slides" / "real").is_dir():
        pytest.skip(f"real slides and cohorts are not at {folder} (set AMKD_SHARED to their folder)")
    return folder


@pytest.fixture(scope="session")
def timm_imports() -> Iterator[None]:
    """Make ``import timm`` work beside a CPU build of torch.

    The torchvision of the public index is built for the CUDA torch; beside the CPU one it stops at import
    because two operators of its compiled part, for which it registers shapes, are not there. They are
    declared here and never called. Users are told to install both from one index.
    """
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    pytest.importorskip("timm")
    yield
    library._destroy()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the fault tests counted: cases, deaths, hangs, silent acceptances, slowest."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    rows = [
        count
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, count in report.user_properties
        if name == "faults"
    ]
    if not rows:
        return
    terminalreporter.section("faults")
    heads = {
        "cases": "cases",
        "refused": "refused",
        "same": "same data",
        "told": "other, told",
        "different": "silent",
    }
    heads |= {"deaths": "deaths", "hangs": "hangs", "slowest": "slowest s"}
    terminalreporter.write_line(f"{'family':<40}" + "".join(f"{head:>12}" for head in heads.values()))
    # A family whose count grows over several tests is told once, with all its cases.
    largest = {row["family"]: row for row in sorted(rows, key=lambda row: int(row["cases"]))}
    for _, row in sorted(largest.items()):
        figures = [round(row[name], 2) for name in heads]
        terminalreporter.write_line(f"{row['family']:<40}" + "".join(f"{value:>12}" for value in figures))
