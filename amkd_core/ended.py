"""How a child process ended, as its exit status tells."""

from __future__ import annotations

import signal


def signal_of(status: int | None) -> str:
    """Name of the signal that ended a process; empty where it ended by itself, or its end is not known.

    Real-time signals have a number and no name.
    """
    if status is None or status >= 0:
        return ""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def cause_of_death(status: int | None) -> str:
    """The same as the end of a sentence whose subject is the process."""
    name = signal_of(status)
    return f"was ended by {name}" if name else f"ended with status {status}"
