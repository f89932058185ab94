"""Fixtures for all tests: the shared real inputs, and quiet, deterministic defaults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("NO_COLOR", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real slides and cohorts that lies beside the checkout; absent elsewhere."""
    folder = Path(os.environ.get("AMKD_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "slides" / "real").is_dir():
        pytest.skip(f"real slides and cohorts are not at {folder} (set AMKD_SHARED to their folder)")
    return folder
