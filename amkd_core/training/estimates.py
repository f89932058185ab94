"""A figure with its interval, or with the reason why there is none; nothing here raises."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from amkd_core.errors import AmkdError
from amkd_core.survival.cox import HazardRatio
from amkd_core.survival.metrics import Interval


class Record(BaseModel):
    """Part of a JSON file: frozen, without unknown fields or numbers that JSON has not."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(Record):
    """A figure, its interval where it has one, or the reason why there is none.

    Attributes
    ----------
    value, lower, upper
        None when undefined.
    level
        Coverage of the interval.
    p_value
        Of a test, where one belongs to the figure.
    reason
        Why there is no value; empty otherwise.
    """

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    level: float | None = None
    p_value: float | None = None
    reason: str = ""

    @classmethod
    def of(cls, compute: Callable[[], float | Interval | HazardRatio]) -> Estimate:
        """What a computation gives, or the sentence with which it refused."""
        try:
            found = compute()
        except AmkdError as error:
            return cls(reason=str(error))
        if isinstance(found, Interval):
            return cls(value=found.estimate, lower=found.lower, upper=found.upper, level=found.level)
        if isinstance(found, HazardRatio):
            return _ratio(found)
        if not math.isfinite(found):
            return cls(reason="it is not defined for these patients")
        return cls(value=found)

    def text(self, digits: int = 3, *, sign: bool = False) -> str:
        """For tables: ``0.651 [0.602, 0.700]``; "not estimable" without a value."""
        if self.value is None:
            return "not estimable"
        shown = f"{self.value:{'+' if sign else ''}.{digits}f}"
        if self.lower is None or self.upper is None:
            return shown
        return f"{shown} [{self.lower:.{digits}f}, {self.upper:.{digits}f}]"


def _ratio(found: HazardRatio) -> Estimate:
    try:
        lower, upper = math.exp(found.lower), math.exp(found.upper)
    except OverflowError:
        return Estimate(reason="the interval of the hazard ratio has no end: too few events")
    return Estimate(value=found.ratio, lower=lower, upper=upper, level=found.level, p_value=found.p_value)


class Spread(Record):
    """A figure over folds.

    Attributes
    ----------
    mean
        Over the folds where it is defined.
    std
        Sample standard deviation; None with fewer than two such folds.
    by_fold
        None where undefined.
    reason
        Why there is no mean.
    """

    mean: float | None = None
    std: float | None = None
    by_fold: dict[int, float | None] = Field(default_factory=dict)
    reason: str = ""

    @classmethod
    def over(cls, estimates: dict[int, Estimate]) -> Spread:
        """Mean and standard deviation of the folds' figures."""
        values = [item.value for item in estimates.values() if item.value is not None]
        by_fold = {fold: item.value for fold, item in estimates.items()}
        if not values:
            first = next((item.reason for item in estimates.values()), "there are no test patients")
            return cls(by_fold=by_fold, reason=first)
        mean = math.fsum(values) / len(values)
        std = None
        if len(values) > 1:
            std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
        return cls(mean=mean, std=std, by_fold=by_fold)

    def text(self, digits: int = 3) -> str:
        """For tables: ``0.651 ± 0.040``."""
        if self.mean is None:
            return "not estimable"
        return f"{self.mean:.{digits}f}" + (f" ± {self.std:.{digits}f}" if self.std is not None else "")


def finite(value: Any) -> float | None:
    """The number, or None where it is not finite: JSON has no NaN."""
    number = float(value)
    return number if math.isfinite(number) else None
