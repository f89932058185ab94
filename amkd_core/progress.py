"""Progress as a value that generators yield, so that a terminal bar and a window draw the same thing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a long task has come.

    Parameters
    ----------
    stage
        What is being done, as a short phrase for people ("Reading and encoding patches").
    done, total
        Finished and expected units of this stage; `total` 0 when it is not known.
    message
        One more detail, may be empty.
    """

    stage: str
    done: int = 0
    total: int = 0
    message: str = ""

    @property
    def fraction(self) -> float | None:
        """Share of this stage that is done, in [0, 1]; None when the total is unknown."""
        return min(1.0, self.done / self.total) if self.total > 0 else None
