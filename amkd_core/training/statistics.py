"""Statistics of a run: teacher beside student, and the three lines beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.splits import Split
from amkd_core.errors import AmkdError
from amkd_core.survival.comparison import PairedDifference, bootstrap_within, paired_difference
from amkd_core.survival.metrics import concordance_index
from amkd_core.training.baselines import (
    ClinicalBaseline,
    ClinicalDesign,
    added_value,
    adjusted_hazard_ratio,
    clinical_baseline,
    clinical_table,
    covariates_told,
)
from amkd_core.training.chance import LEVEL, FeaturesOf, chance_line, pathway_means
from amkd_core.training.estimates import Estimate, Spread
from amkd_core.training.model_statistics import model_statistics
from amkd_core.training.scored import Scored
from amkd_core.training.statistics_record import (
    AddedStatistics,
    ChanceStatistics,
    ClinicalStatistics,
    FoldSize,
    RunStatistics,
)
from amkd_core.training.subgroup_statistics import subgroup_statistics

__all__ = ["Effort", "RunStatistics", "run_statistics"]

STUDENT, TEACHER = "student", "teacher"


@dataclass(frozen=True)
class Effort:
    """How much is computed.

    Attributes
    ----------
    n_resamples
        Of each bootstrap.
    n_shuffles
        Of the chance line; 0 leaves it out.
    """

    n_resamples: int = 1000
    n_shuffles: int = 40


def run_statistics(
    cohort: Cohort,
    splits: Sequence[Split],
    models: Mapping[str, Scored],
    *,
    seed: int,
    effort: Effort | None = None,
    features_of: FeaturesOf | None = None,
    network_chance: Mapping[str, Sequence[float]] | None = None,
) -> RunStatistics:
    """Everything that a report shows.

    Parameters
    ----------
    cohort, splits
        As the networks saw them; without splits nothing is fitted, and the clinical baseline and the chance line are
        left out (an external validation).
    models
        By name, as `scored_models` gives them.
    seed
        Of bootstraps and shuffles.
    features_of
        What the chance line's cheap model reads; pathway means by default.
    network_chance
        C-indices that the networks themselves reached on shuffles of the outcomes, by model.
    """
    effort = effort or Effort()
    baseline, reason = _baseline(cohort, splits)
    first = next(iter(models.values()), None)
    sizes = [] if first is None else _sizes(first)
    return RunStatistics(
        cohort=cohort.file.name,
        endpoint=cohort.file.endpoint,
        synthetic=cohort.file.synthetic,
        n_patients=sum(size.n_patients for size in sizes),
        n_events=sum(size.n_events for size in sizes),
        folds=sizes,
        models={
            name: model_statistics(item, seed=seed, n_resamples=effort.n_resamples) for name, item in models.items()
        },
        student_minus_teacher=_student_minus_teacher(models, seed, effort),
        clinical=_clinical(baseline, reason, first, seed, effort).model_copy(
            update={"covariates": list(covariates_told(cohort.patients))}
        ),
        added={name: _added(cohort, baseline, item, seed, effort) for name, item in models.items()},
        chance=_chance(cohort, splits, seed, effort, features_of) if splits and effort.n_shuffles else None,
        network_chance={name: _network_chance(values) for name, values in (network_chance or {}).items()},
        subgroups=subgroup_statistics(cohort, models, seed=seed, n_resamples=effort.n_resamples),
    )  # fmt: skip


def _sizes(scored: Scored) -> list[FoldSize]:
    return [
        FoldSize(
            fold=fold,
            n_patients=int((scored.fold == fold).sum()),
            n_events=int(scored.outcome.event[scored.fold == fold].sum()),
        )
        for fold in scored.folds
    ]


def _baseline(cohort: Cohort, splits: Sequence[Split]) -> tuple[ClinicalBaseline | None, str]:
    if not splits:
        return None, "nothing is fitted on this cohort"
    try:
        return clinical_baseline(cohort.patients, splits), ""
    except AmkdError as error:
        return None, str(error)


def _student_minus_teacher(models: Mapping[str, Scored], seed: int, effort: Effort) -> Estimate:
    if not {STUDENT, TEACHER} <= set(models):
        return Estimate(reason="there is no teacher to compare with")
    student, teacher = models[STUDENT], models[TEACHER]
    shared = [name for name in student.patients if name in set(teacher.patients)]
    if not shared:
        return Estimate(reason="student and teacher predicted no patient in common")
    rows, others = student.in_order_of(shared), teacher.in_order_of(shared)
    return Estimate.of(
        lambda: paired_difference(
            student.outcome.take(rows), teacher.risk[others], student.risk[rows], student.fold[rows],
            generator=np.random.default_rng([seed, 3]), n_resamples=effort.n_resamples,
        ).interval
    )  # fmt: skip


def _clinical(
    baseline: ClinicalBaseline | None, reason: str, scored: Scored | None, seed: int, effort: Effort
) -> ClinicalStatistics:
    if baseline is None or scored is None:
        return ClinicalStatistics(reason=reason or "no patient was predicted", c_index=Spread(reason=reason))
    rows = _rows_of(baseline, scored)
    own = scored.in_order_of([baseline.patients[row] for row in rows])
    outcome, risk, fold = scored.outcome.take(own), baseline.risk[rows], baseline.fold[rows]

    def of_fold(label: int) -> Callable[[], float]:
        mask = fold == label
        return lambda: concordance_index(outcome.time[mask], outcome.event[mask], risk[mask])

    by_fold = {int(label): Estimate.of(of_fold(int(label))) for label in np.unique(fold)}
    return ClinicalStatistics(
        c_index=Spread.over(by_fold),
        c_index_within_folds=Estimate.of(
            lambda: bootstrap_within(
                outcome,
                risk,
                fold,
                generator=np.random.default_rng([seed, 4]),
                n_resamples=effort.n_resamples,
            )
        ),
        penalisers=list(baseline.penalisers),
    )


def _rows_of(baseline: ClinicalBaseline, scored: Scored) -> NDArray[np.int64]:
    """Rows of the baseline that the model predicted as well; a repeated run may report before all folds are done."""
    predicted = set(scored.patients)
    return np.array([row for row, name in enumerate(baseline.patients) if name in predicted], dtype=np.int64)


def _added(
    cohort: Cohort, baseline: ClinicalBaseline | None, scored: Scored, seed: int, effort: Effort
) -> AddedStatistics:
    if baseline is None:
        return _added_without_baseline(cohort, scored)
    rows = _rows_of(baseline, scored)
    kept = ClinicalBaseline(
        tuple(baseline.patients[row] for row in rows), baseline.fold[rows], baseline.risk[rows],
        baseline.covariates[rows], baseline.penalisers,
    )  # fmt: skip
    own = scored.in_order_of(kept.patients)
    outcome, risk = scored.outcome.take(own), scored.risk[own]
    ratio = Estimate.of(lambda: adjusted_hazard_ratio(outcome, kept, risk))
    try:
        found = added_value(
            outcome, kept, risk, generator=np.random.default_rng([seed, 5]), n_resamples=effort.n_resamples
        ).difference
    except AmkdError as error:
        none = Estimate(reason=str(error))
        return AddedStatistics(clinical=none, combined=none, gain=none, hazard_ratio=ratio)
    return _gain(found, ratio)


def _added_without_baseline(cohort: Cohort, scored: Scored) -> AddedStatistics:
    """The hazard ratio needs no prediction by age and stage, only their values."""
    known = {patient.patient_id: patient for patient in cohort.patients}
    table = clinical_table([known[name] for name in scored.patients])
    none = Estimate(reason="no clinical model was fitted")
    if not np.isfinite(table).any():
        unknown = Estimate(reason="the clinical table tells neither age nor stage of any patient")
        return AddedStatistics(clinical=none, combined=none, gain=none, hazard_ratio=unknown)
    covariates = ClinicalDesign.fit(table).apply(table)
    values = ClinicalBaseline(scored.patients, scored.fold, scored.risk, covariates, ())
    ratio = Estimate.of(lambda: adjusted_hazard_ratio(scored.outcome, values, scored.risk))
    return AddedStatistics(clinical=none, combined=none, gain=none, hazard_ratio=ratio)


def _gain(found: PairedDifference, ratio: Estimate) -> AddedStatistics:
    return AddedStatistics(
        clinical=Estimate(value=found.first),
        combined=Estimate(value=found.second),
        gain=Estimate.of(lambda: found.interval),
        hazard_ratio=ratio,
    )


def _chance(
    cohort: Cohort, splits: Sequence[Split], seed: int, effort: Effort, features_of: FeaturesOf | None
) -> ChanceStatistics:
    name = "the given features" if features_of is not None else "pathway means"
    try:
        features = features_of or pathway_means(cohort)
        found = chance_line(cohort, splits, features, seed=seed, n_shuffles=effort.n_shuffles, features=name)
    except AmkdError as error:
        return ChanceStatistics(reason=str(error))
    return ChanceStatistics(
        percentile_95=found.percentile_95,
        mean=found.mean,
        cheap_model_on_true_outcomes=None if np.isnan(found.true_outcomes) else found.true_outcomes,
        n_shuffles=found.n_shuffles,
        features=found.features,
    )


def _network_chance(values: Sequence[float]) -> ChanceStatistics:
    if not values:
        return ChanceStatistics(reason="no shuffle of the outcomes gives a C-index on the test patients")
    return ChanceStatistics(
        percentile_95=float(np.quantile(values, LEVEL)), mean=float(np.mean(values)), n_shuffles=len(values),
    )  # fmt: skip
