"""Which processes a command has left."""

from __future__ import annotations

import psutil


def processes_of(mark: str) -> list[int]:
    """Processes that inherited a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
