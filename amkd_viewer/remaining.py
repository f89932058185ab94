"""How long a stage of a prediction will still take, by how long it has taken; no Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amkd_core.progress import Progress

TOLD_AFTER_S = 10.0
"""What is reckoned from less swings."""


class Remaining:
    """Reckons from the pace since a stage began; what was there already, as after an interruption, does not count.

    Parameters
    ----------
    clock
        Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage, self._done, self._since = "", 0, 0.0

    def after(self, progress: Progress) -> str:
        """Say what is left after this step; empty where that cannot be told yet, or is over in a moment."""
        now = self._clock()
        if progress.stage != self._stage or progress.done < self._done:
            self._stage, self._done, self._since = progress.stage, progress.done, now
        passed, made = now - self._since, progress.done - self._done
        if passed < TOLD_AFTER_S or made <= 0 or progress.done >= progress.total:
            return ""
        return _left_text(passed / made * (progress.total - progress.done))


def _left_text(seconds: float) -> str:
    if seconds < 60:
        return "less than a minute left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < 90 else f"about {seconds / 3600:.0f} h left"
