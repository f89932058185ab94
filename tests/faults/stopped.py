"""Starts `stopped_child.py` and gives back what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("stopped_child.py")
TESTS = CHILD.parents[1]
BATCH = 2
"""Patches a batch in the child."""


def child_environment() -> dict[str, str]:
    """With the folders of the fixtures, one thread, and whatever closes the network."""
    folders = [str(TESTS), str(TESTS / "core" / "slides"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}


def stopped(work: str, how: str, folder: Path, n_cases: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """One line a case, without the first, which tells how long a whole run is."""
    done = subprocess.run(
        [sys.executable, str(CHILD), work, how, str(folder), str(n_cases), str(seed)],
        capture_output=True,
        text=True,
        env=child_environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()][1:]
