"""What a run's statistics hold, as they are written to ``metrics.json``.

A figure that cannot be computed is null and says why; nothing here raises.
"""

from __future__ import annotations

from pydantic import Field

from amkd_core.bundle_words import rest_text
from amkd_core.cohort.subgroup_names import By
from amkd_core.notices import processor_remark
from amkd_core.training.estimates import Estimate, Record, Spread

# Fewer shuffles than this have no 95th percentile to speak of.
ENOUGH_SHUFFLES = 20


class FoldSize(Record):
    """Patients and deaths of a fold's test part."""

    fold: int
    n_patients: int
    n_events: int


class TimeCurve(Record):
    """Figures over months; None where undefined, empty when there is no such month."""

    months: list[float] = Field(default_factory=list)
    auc: list[float | None] = Field(default_factory=list)
    brier: list[float | None] = Field(default_factory=list)
    brier_without_model: list[float | None] = Field(default_factory=list)


class HorizonAuc(Record):
    """AUC at a month, over folds."""

    months: float
    auc: Spread


class CalibrationPoint(Record):
    """Predicted and observed survival of a group of patients."""

    n_patients: int
    predicted: float
    observed: float | None
    lower: float | None
    upper: float | None


class Calibration(Record):
    """Calibration at a month; `slope` is 1 when right."""

    months: float | None = None
    points: list[CalibrationPoint] = Field(default_factory=list)
    slope: Estimate = Estimate()
    reason: str = ""


class RiskGroup(Record):
    """Kaplan-Meier estimate of a risk group at some months."""

    n_patients: int
    n_events: int
    months: list[float] = Field(default_factory=list)
    survival: list[float | None] = Field(default_factory=list)
    at_risk: list[int] = Field(default_factory=list)


class RiskGroups(Record):
    """Low and high risk group, and the log-rank test between them."""

    low: RiskGroup
    high: RiskGroup
    log_rank: Estimate


class ModelStatistics(Record):
    """Everything about one model's out-of-fold predictions; docs/statistics.md explains each figure.

    `n_patients` are those that it scored: without expression a teacher scores nobody. None in records of before.
    """

    n_patients: int | None = None
    c_index: Spread
    c_index_within_folds: Estimate
    c_index_pooled: Estimate
    uno: Spread
    follow_up_limit_months: float | None
    auc: list[HorizonAuc] = Field(default_factory=list)
    integrated_brier: Estimate = Estimate()
    integrated_brier_without_model: Estimate = Estimate()
    curve: TimeCurve = TimeCurve()
    calibration: Calibration = Calibration()
    risk_groups: RiskGroups | None = None


class ClinicalStatistics(Record):
    """Age and stage alone; `covariates` are those of the two that the clinical table tells of anybody."""

    covariates: list[str] = Field(default_factory=lambda: ["age", "stage"])
    c_index: Spread = Spread()
    c_index_within_folds: Estimate = Estimate()
    penalisers: list[float] = Field(default_factory=list)
    reason: str = ""

    @property
    def named(self) -> str:
        """What the baseline rests on, as in "age and stage"."""
        return " and ".join(self.covariates) or "age and stage"

    def named_with(self, model: str) -> str:
        """The same beside a model, as in "age, stage and student"."""
        return ", ".join(self.covariates) + f" and {model}"


class AddedStatistics(Record):
    """What a model adds to age and stage."""

    clinical: Estimate
    combined: Estimate
    gain: Estimate
    hazard_ratio: Estimate


class ChanceStatistics(Record):
    """C-indices of a cheap model, or of a network itself, on shuffled outcomes."""

    percentile_95: float | None = None
    mean: float | None = None
    cheap_model_on_true_outcomes: float | None = None
    n_shuffles: int = 0
    features: str = ""
    reason: str = ""

    @property
    def caution(self) -> str:
        """What to think of a percentile over few shuffles; empty where there are enough."""
        if not 0 < self.n_shuffles < ENOUGH_SHUFFLES:
            return ""
        return f"only {self.n_shuffles} shuffles, too few for a 95th percentile"


class SubgroupFigure(Record):
    """C-index of one model on a subgroup's patients that it scored, pairs within folds."""

    n_patients: int
    n_events: int
    c_index: Estimate


class Subgroup(Record):
    """Tested patients and events of a subgroup, and the C-index of each model there."""

    name: str
    n_patients: int
    n_events: int
    models: dict[str, SubgroupFigure]


class Subgroups(Record):
    """Subgroups by one property; `amkd_core.cohort.subgroups` makes them.

    Attributes
    ----------
    by
        "age", "sex", "stage" or "site".
    groups
        In the order of their names.
    pooled_groups, pooled_patients
        Sites that are only counted: of too few events, or with a name that could be a person's.
    unknown
        Patients of whom the property is not told.
    """

    by: By
    groups: list[Subgroup]
    pooled_groups: int = 0
    pooled_patients: int = 0
    unknown: int = 0


class RunStatistics(Record):
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
    network_chance
        The chance line of the networks themselves by model, where it was asked for.
    subgroups
        C-indices by age, sex, stage and site; empty where the cohort tells none of them, and in records of before.
    remark
        Which patients or models were left out, and why; empty where none were.
    n_on_processor
        Of an external validation: patients whose patches the device's memory did not hold, so that the processor
        stood in.
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
    added: dict[str, AddedStatistics] = Field(default_factory=dict)
    chance: ChanceStatistics | None = None
    network_chance: dict[str, ChanceStatistics] = Field(default_factory=dict)
    subgroups: list[Subgroups] = Field(default_factory=list)
    remark: str = ""
    n_on_processor: int = 0

    def of_how_many(self, name: str) -> str:
        """`` (52 of 56 patients)`` where a model scored only some of them; else empty."""
        scored = self.models[name].n_patients if name in self.models else None
        return f" ({scored} of {self.n_patients} patients)" if scored not in (None, self.n_patients) else ""

    def __str__(self) -> str:
        lines = [
            line
            for name, item in self.models.items()
            for line in _model_lines(name, self.of_how_many(name), item)
        ]
        if self.remark:
            lines.insert(0, self.remark)
        if self.n_on_processor:
            lines.insert(0, processor_remark(self.n_on_processor))
        if len(self.models) > 1:
            lines.append(
                f"student minus teacher, paired: {self.student_minus_teacher.text(sign=True)}"
                f"{self.of_how_many('teacher')}"
            )
        lines.append(f"{self.clinical.named} alone: C-index {_clinical(self.clinical)}")
        for name, item in self.added.items():
            if not self.clinical.reason:
                lines.append(f"{self.clinical.named_with(name)}: C-index {_combined(item)}")
            if item.hazard_ratio.value is not None:
                lines.append(
                    f"hazard ratio of the {name}'s risk per standard deviation, {self.clinical.named} held equal: "
                    f"{item.hazard_ratio.text(2)}{_p(item.hazard_ratio)}"
                )
        if self.chance is not None:
            lines.append(_chance_line(self.chance, f"ridge Cox on {self.chance.features}"))
        lines += [_chance_line(item, f"the {name} itself") for name, item in self.network_chance.items()]
        lines += [_subgroup_line(item, several=len(self.folds) > 1) for item in self.subgroups]
        return "\n".join(lines)


def _model_lines(name: str, some: str, item: ModelStatistics) -> list[str]:
    folds = len(item.c_index.by_fold)
    within = item.c_index_within_folds.text()
    several = f"{item.c_index.text()} over {folds} folds; all test patients, within folds: {within}"
    lines = [f"{name} on test{some}: C-index {several if folds > 1 else within}"]
    if item.risk_groups is not None:
        groups = item.risk_groups
        lines.append(
            f"{name}, {groups.high.n_patients} high and {groups.low.n_patients} low risk patients: log-rank"
            f"{_p(groups.log_rank).removeprefix(',') or ' not testable'}"
        )
    return lines


def _clinical(item: ClinicalStatistics) -> str:
    """In the mean over folds and within them; what a model adds is the gain over the latter."""
    own = item.c_index_within_folds
    if item.c_index.mean is None:
        return f"{item.c_index.text()}{_why(item.reason or item.c_index.reason)}"
    folds = len(item.c_index.by_fold)
    several = f"{item.c_index.text()} over {folds} folds; all test patients, within folds: {own.text()}"
    return several if folds > 1 else own.text()


def _combined(item: AddedStatistics) -> str:
    if item.combined.value is None:
        return f"{item.combined.text()}{_why(item.combined.reason)}"
    without = "" if item.clinical.value is None else f" over {item.clinical.value:.3f}"
    return f"{item.combined.text()} within folds, gain {item.gain.text(sign=True)}{without}{_why(item.gain.reason)}"


def _subgroup_line(item: Subgroups, *, several: bool) -> str:
    """The first model's C-indices by one property; the report has all of them."""
    model = next((name for group in item.groups for name in group.models), "student")
    told = [f"{group.name} {_subgroup_text(group.models[model])}" for group in item.groups]
    if item.by == "site":
        told = [f"{len(item.groups)} stand in the report"]
    rest = rest_text(item.pooled_groups, item.pooled_patients, item.unknown)
    told += [rest] if rest else []
    return f"{model} by {item.by}{', within folds' if several else ''}: {'; '.join(told)}"


def _subgroup_text(figure: SubgroupFigure) -> str:
    return f"{figure.c_index.text()} ({figure.n_patients} patients, {figure.n_events} events)"


def _chance_line(chance: ChanceStatistics, of: str) -> str:
    if chance.percentile_95 is None:
        return f"chance line: not estimable{_why(chance.reason)}"
    return (
        f"chance line: {chance.percentile_95:.3f}, the 95th percentile of {chance.n_shuffles} shuffles of the outcomes "
        f"({of}){_why(chance.caution)}"
    )


def _p(estimate: Estimate) -> str:
    return "" if estimate.p_value is None else f", p = {estimate.p_value:.2g}"


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""
