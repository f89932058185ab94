"""What the subgroups of patients are called by whom results are told; fixed here, before any result is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

By = Literal["age", "sex", "stage", "site"]
"""What patients are told apart by; "site" is the hospital, or another group that the folds keep apart."""
ALL_BY: tuple[By, ...] = get_args(By)

AGE_YEARS = 65
"""Where ages are split: a round number, never a cut that was fitted."""
NAMES: Mapping[By, tuple[str, ...]] = {
    "age": (f"below {AGE_YEARS} years", f"{AGE_YEARS} years and older"),
    "sex": ("female", "male"),
    "stage": ("I and II", "III and IV"),
}
"""Of each but the site, whose names are the cohort's."""

FEWEST_PATIENTS = 5
"""Of a group that a file made to be passed on tells of by itself: a smaller one could point to a patient."""
LONGEST_NAME = 64
MOST_SITES = 12
"""Sites that are told of by themselves, the largest first."""
