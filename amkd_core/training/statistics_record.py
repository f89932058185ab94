"""What a run's statistics hold, as they are written to ``metrics.json``.

A figure that cannot be computed is null and says why; nothing here raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from amkd_core.errors import AmkdError
from amkd_core.survival.cox import HazardRatio
from amkd_core.survival.metrics import Interval


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(_Record):
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
        return Estimate(reason="the interval of the hazard ratio has no end: too few deaths")
    return Estimate(value=found.ratio, lower=lower, upper=upper, level=found.level, p_value=found.p_value)


class Spread(_Record):
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
    by_fold: dict[int, float | None] = {}
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


class FoldSize(_Record):
    """Patients and deaths of a fold's test part."""

    fold: int
    n_patients: int
    n_events: int


class TimeCurve(_Record):
    """Figures over months; None where undefined, empty when there is no such month."""

    months: list[float] = []
    auc: list[float | None] = []
    brier: list[float | None] = []
    brier_without_model: list[float | None] = []


class HorizonAuc(_Record):
    """AUC at a month, over folds."""

    months: float
    auc: Spread


class CalibrationPoint(_Record):
    """Predicted and observed survival of a group of patients."""

    n_patients: int
    predicted: float
    observed: float | None
    lower: float | None
    upper: float | None


class Calibration(_Record):
    """Calibration at a month; `slope` is 1 when right."""

    months: float | None = None
    points: list[CalibrationPoint] = []
    slope: Estimate = Estimate()
    reason: str = ""


class RiskGroup(_Record):
    """Kaplan-Meier estimate of a risk group at some months."""

    n_patients: int
    n_events: int
    months: list[float] = []
    survival: list[float | None] = []
    at_risk: list[int] = []


class RiskGroups(_Record):
    """Low and high risk group, and the log-rank test between them."""

    low: RiskGroup
    high: RiskGroup
    log_rank: Estimate


class ModelStatistics(_Record):
    """Everything about one model's out-of-fold predictions; docs/statistics.md explains each figure."""

    c_index: Spread
    c_index_within_folds: Estimate
    c_index_pooled: Estimate
    uno: Spread
    follow_up_limit_months: float | None
    auc: list[HorizonAuc] = []
    integrated_brier: Estimate = Estimate()
    integrated_brier_without_model: Estimate = Estimate()
    curve: TimeCurve = TimeCurve()
    calibration: Calibration = Calibration()
    risk_groups: RiskGroups | None = None


class ClinicalStatistics(_Record):
    """Age and stage alone."""

    c_index: Spread = Spread()
    c_index_within_folds: Estimate = Estimate()
    penalisers: list[float] = []
    reason: str = ""


class AddedStatistics(_Record):
    """What a model adds to age and stage."""

    clinical: Estimate
    combined: Estimate
    gain: Estimate
    hazard_ratio: Estimate


class ChanceStatistics(_Record):
    """C-indices of a cheap model on shuffled outcomes."""

    percentile_95: float | None = None
    mean: float | None = None
    cheap_model_on_true_outcomes: float | None = None
    n_shuffles: int = 0
    features: str = ""
    reason: str = ""


class RunStatistics(_Record):
    """Statistics of a run, or of an external validation.

    Attributes
    ----------
    cohort, endpoint, synthetic
        Of whom.
    folds
        Sizes of the test parts.
    models
        "student" and "teacher".
    student_minus_teacher
        C-index within folds, paired.
    clinical, added, chance
        The three lines beside them; `added` by model. Chance is None for an external validation, where nothing is
        fitted.
    """

    format_version: int = 1
    cohort: str
    endpoint: str
    synthetic: bool
    n_patients: int
    n_events: int
    folds: list[FoldSize]
    models: dict[str, ModelStatistics]
    student_minus_teacher: Estimate
    clinical: ClinicalStatistics
    added: dict[str, AddedStatistics] = {}
    chance: ChanceStatistics | None = None

    def __str__(self) -> str:
        lines = [line for name, item in self.models.items() for line in _model_lines(name, item)]
        if len(self.models) > 1:
            lines.append(f"student minus teacher, paired: {self.student_minus_teacher.text(sign=True)}")
        lines.append(
            f"age and stage alone: C-index {self.clinical.c_index.text()}{_why(self.clinical.reason)}"
        )
        for name, item in self.added.items():
            if not self.clinical.reason:
                combined = f"C-index {item.combined.text()}, gain {item.gain.text(sign=True)}"
                lines.append(f"age, stage and {name}: {combined}")
            if item.hazard_ratio.value is not None:
                lines.append(
                    f"hazard ratio of the {name}'s risk per standard deviation, age and stage held equal: "
                    f"{item.hazard_ratio.text(2)}{_p(item.hazard_ratio)}"
                )
        if self.chance is not None:
            lines.append(_chance_line(self.chance))
        return "\n".join(lines)


def _model_lines(name: str, item: ModelStatistics) -> list[str]:
    folds = len(item.c_index.by_fold)
    within = item.c_index_within_folds.text()
    several = f"{item.c_index.text()} over {folds} folds; all test patients, within folds: {within}"
    lines = [f"{name} on test: C-index {several if folds > 1 else within}"]
    if item.risk_groups is not None:
        groups = item.risk_groups
        lines.append(
            f"{name}, {groups.high.n_patients} high and {groups.low.n_patients} low risk patients: log-rank"
            f"{_p(groups.log_rank).removeprefix(',') or ' not testable'}"
        )
    return lines


def _chance_line(chance: ChanceStatistics) -> str:
    if chance.percentile_95 is None:
        return f"chance line: not estimable{_why(chance.reason)}"
    return (
        f"chance line: {chance.percentile_95:.3f}, the 95th percentile of {chance.n_shuffles} shuffles of the outcomes "
        f"(ridge Cox on {chance.features})"
    )


def _p(estimate: Estimate) -> str:
    return "" if estimate.p_value is None else f", p = {estimate.p_value:.2g}"


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""


def finite(value: Any) -> float | None:
    """The number, or None where it is not finite: JSON has no NaN."""
    number = float(value)
    return number if math.isfinite(number) else None
