"""Time bins of a fold, and the check before any training that those of every fold can be cut."""

from __future__ import annotations

from collections.abc import Sequence

from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.folds import make_folds
from amkd_core.cohort.patients import outcome_of
from amkd_core.cohort.splits import Split
from amkd_core.errors import CohortError, OutcomeError
from amkd_core.survival.outcome import Outcome, TimeBins
from amkd_core.training.config import TrainingConfig


def time_bins_of(outcome: Outcome, config: TrainingConfig) -> TimeBins:
    """Bins of the likelihood, or under the Cox loss those of the baseline hazard.

    Parameters
    ----------
    outcome
        Of a fold's training patients.

    Raises
    ------
    OutcomeError
        When the bins cannot be cut.
    """
    return TimeBins.at_deaths(outcome) if config.is_cox else TimeBins.fit(outcome, config.n_bins)


def require_time_bins(cohort: Cohort, config: TrainingConfig, splits: Sequence[Split] | None = None) -> None:
    """Refuse a cohort in which a fold's time bins cannot be cut, before the folds ahead of it are trained.

    Parameters
    ----------
    cohort
        Patients with slides.
    splits
        One a fold; made as for a run when None.

    Raises
    ------
    CohortError
        Naming each such fold, or as `make_folds`.
    """
    if splits is None:
        splits = make_folds(cohort, n_folds=config.folds, seed=config.seed)
    patients = {patient.patient_id: patient for patient in cohort.patients}
    problems = []
    for fold, split in enumerate(splits, start=1):
        try:
            time_bins_of(outcome_of([patients[name] for name in split.train]), config)
        except OutcomeError as error:
            problems.append(f"fold {fold}: {error}")
    if problems:
        raise CohortError(f"{'; '.join(problems)} (the setting n_bins)")
