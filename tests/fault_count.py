"""What the table at the end of the fault tests counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FaultCount:
    """What came of one family of cases."""

    family: str
    cases: int = 0
    refused: int = 0
    same: int = 0
    different: int = 0
    """Accepted as other data without a word."""
    told: int = 0
    """Accepted as other data, and said that nothing would tell."""
    deaths: int = 0
    hangs: int = 0
    slowest: float = 0.0
