"""What of a wait is the machine's doing and not the code's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

OURS_MS = 100.0
YARDSTICK_S = 0.014
"""Of `allowed_ms`, on a machine of the speed for which `OURS_MS` was set."""


def allowed_ms() -> float:
    """How long our code may hold the window here: `OURS_MS`, and as much more as this machine is slower."""

    def once() -> float:
        started = time.thread_time()
        for _ in range(10):
            json.loads(json.dumps(list(range(10_000))))
        return time.thread_time() - started

    return OURS_MS * max(1.0, min(once() for _ in range(5)) / YARDSTICK_S)


def queue_clock() -> Callable[[], float]:
    """A clock of the seconds that the calling thread has spent in the system's queue; stays at 0 where none tells."""
    waits = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    return lambda: int(waits.read_text().split()[1]) / 1e9 if waits.exists() else 0.0
