"""Every figure of a comparison's tables as numbers, as they are written to ``metrics.json`` beside them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from amkd_core.cohort.folds import folds_in_words
from amkd_core.studies.benchmark import Comparison
from amkd_core.studies.comparison_tables import Row
from amkd_core.studies.external_table import ExternalRow
from amkd_core.training.config import TrainingConfig
from amkd_core.training.estimates import Estimate, Record, Spread
from amkd_core.training.model_statistics import risk_groups
from amkd_core.training.recipes import TITLES
from amkd_core.training.statistics_record import RiskGroups


class RowFigures(Record):
    """A row of table 2, 5 or 6 or of switches, and of table 3.

    Attributes
    ----------
    name, title, modality
        As predictions.csv and as the tables call it; no modality for a row of switches.
    same_as
        Of a row that has the settings of another one: the name of that row, whose figures these are.
    c_index, c_index_within_folds
        Of test patients, by fold and over pairs of one fold.
    minus_amkd
        Paired difference to AMKD with its two-sided p value; None of AMKD itself.
    p_holm
        The p value by Holm, over all rows with a difference.
    p_is_bound
        Whether no resample turned the difference round, so that both p values are the least that so many can show.
    risk_groups
        Low and high risk group and the log-rank test between them.
    """

    name: str
    title: str
    modality: str
    same_as: str | None
    c_index: Spread
    c_index_within_folds: Estimate
    minus_amkd: Estimate | None
    p_holm: float | None
    p_is_bound: bool = False
    risk_groups: RiskGroups | None


class ExternalFigures(Record):
    """A row of table 4.

    Attributes
    ----------
    n_patients
        Whom the model scored; 0 with the reason why.
    c_index
        Of each fold's model.
    c_index_mean_rank
        Of the mean rank of all folds' risks.
    """

    name: str
    title: str
    n_patients: int
    c_index: Spread
    c_index_mean_rank: Estimate
    reason: str


class ExternalRecord(Record):
    """Table 4."""

    cohort: str
    n_patients: int
    n_events: int
    rows: list[ExternalFigures]


class ComparisonRecord(Record):
    """All tables; docs/benchmark.md tells what each figure is.

    Attributes
    ----------
    n_folds, folds
        How many, and how they came about.
    rows
        In the order of the tables.
    """

    format_version: int = 1
    cohort: str
    endpoint: str
    synthetic: bool
    n_patients: int
    n_events: int
    n_folds: int
    folds: str
    seed: int
    rows: list[RowFigures] = Field(default_factory=list)
    external: ExternalRecord | None = None


def comparison_record(
    comparison: Comparison, config: TrainingConfig, rows: Sequence[Row], external: Sequence[ExternalRow] = ()
) -> ComparisonRecord:
    """The figures of rows that were computed for the tables."""
    cohort = comparison.cohort
    return ComparisonRecord(
        cohort=cohort.file.name, endpoint=cohort.file.endpoint, synthetic=cohort.file.synthetic,
        n_patients=len(cohort.patients), n_events=cohort.outcome.n_events, n_folds=len(comparison.splits),
        folds=folds_in_words(cohort, config.folds, setting=True), seed=config.seed,
        rows=[_figures(comparison, row) for row in rows], external=_external(comparison, external),
    )  # fmt: skip


def _figures(comparison: Comparison, row: Row) -> RowFigures:
    within, gap = row.within, row.gap
    return RowFigures(
        name=row.name,
        title=row.title,
        modality=TITLES[row.name].modality if row.name in TITLES else "",
        same_as=row.same_as,
        c_index=row.folds,
        c_index_within_folds=Estimate(reason=row.folds.reason)
        if within is None
        else Estimate.of(lambda: within),
        minus_amkd=None
        if gap is None
        else Estimate.of(lambda: gap.interval).model_copy(update={"p_value": gap.p_value}),
        p_holm=row.p_corrected,
        p_is_bound=gap is not None and gap.is_least,
        risk_groups=risk_groups(comparison.scored[row.same_as or row.name]),
    )


def _external(comparison: Comparison, rows: Sequence[ExternalRow]) -> ExternalRecord | None:
    if comparison.external is None:
        return None
    figures = [
        ExternalFigures(
            name=row.name, title=row.title, n_patients=row.n_patients, c_index=row.folds,
            c_index_mean_rank=row.ranks, reason=row.reason,
        )
        for row in rows
    ]  # fmt: skip
    other = comparison.external
    return ExternalRecord(
        cohort=other.file.name, n_patients=len(other.patients), n_events=other.outcome.n_events, rows=figures
    )
