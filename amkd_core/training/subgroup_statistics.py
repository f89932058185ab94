"""How well each model orders the patients of a subgroup: read off its out-of-fold predictions, nothing is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.subgroups import Grouping, groupings_of
from amkd_core.survival.metrics import FEW_EVENTS
from amkd_core.training.estimates import Estimate
from amkd_core.training.model_statistics import c_index_within_folds
from amkd_core.training.scored import Scored
from amkd_core.training.statistics_record import Subgroup, SubgroupFigure, Subgroups

TOO_FEW = f"fewer than {FEW_EVENTS} events"


def subgroup_statistics(
    cohort: Cohort, models: Mapping[str, Scored], *, seed: int, n_resamples: int = 1000
) -> list[Subgroups]:
    """C-indices by age, sex, stage and site of the patients that any model scored, each pair within a fold.

    They are `c_index_within_folds` of the subgroup's patients, with its interval; of fewer than ten events they are
    None and say so.

    Parameters
    ----------
    cohort
        Whose clinical table tells the subgroups.
    models
        By name.
    seed, n_resamples
        As for `amkd_core.training.model_statistics.model_statistics`.
    """
    tested = list(dict.fromkeys(name for item in models.values() for name in item.patients))
    event = {patient.patient_id: patient.event for patient in cohort.patients}

    def subgroup(name: str, patients: Sequence[str]) -> Subgroup:
        return Subgroup(
            name=name,
            n_patients=len(patients),
            n_events=sum(event[one] for one in patients),
            models={
                model: _figure(item, frozenset(patients), seed, n_resamples) for model, item in models.items()
            },
        )

    def by(grouping: Grouping) -> Subgroups:
        return Subgroups(
            by=grouping.by,
            groups=[subgroup(name, patients) for name, patients in grouping.groups.items()],
            pooled_groups=grouping.pooled_groups,
            pooled_patients=len(grouping.pooled),
            unknown=len(grouping.unknown),
        )

    return [by(grouping) for grouping in groupings_of(cohort, tested)]


def _figure(scored: Scored, patients: frozenset[str], seed: int, n_resamples: int) -> SubgroupFigure:
    own = scored.take(np.array([name in patients for name in scored.patients], dtype=bool))
    n_events = own.outcome.n_events
    if n_events < FEW_EVENTS:
        found = Estimate(reason=TOO_FEW)
    else:
        found = c_index_within_folds(own, seed=seed, n_resamples=n_resamples)
    return SubgroupFigure(n_patients=len(own.outcome), n_events=n_events, c_index=found)
