"""Fixtures for all tests: the shared real inputs, and quiet, deterministic defaults."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real slides and cohorts that lies beside the checkout; absent elsewhere."""
    folder = Path(os.environ.get("AMKD_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "slides" / "real").is_dir():
        pytest.skip(f"real slides and cohorts are not at {folder} (set AMKD_SHARED to their folder)")
    return folder
