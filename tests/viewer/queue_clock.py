"""How long a thread was ready to run while the system gave its processor to others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path


def queue_clock() -> Callable[[], float]:
    """A clock of the seconds that the calling thread has spent in the system's queue; stays at 0 where none tells."""
    waits = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    return lambda: int(waits.read_text().split()[1]) / 1e9 if waits.exists() else 0.0
