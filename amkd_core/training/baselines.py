"""The clinical baseline: what age and stage say without any slide, and what a model adds to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.patients import Patient, outcome_of
from amkd_core.cohort.splits import Split
from amkd_core.errors import OutcomeError
from amkd_core.survival.comparison import PairedDifference, paired_difference
from amkd_core.survival.cox import HazardRatio, hazard_ratio, ridge_cox
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import Outcome

Array = NDArray[np.float64]

PENALISERS = (0.01, 0.1, 1.0)
COVARIATES = ("age", "stage", "age unknown", "stage unknown")
# The two weights of the combined risk need hardly any penalty; it keeps tiny folds from diverging.
COMBINED_PENALISER = 0.01


@dataclass(frozen=True, eq=False)
class ClinicalDesign:
    """Age and stage as covariates, with what was learnt from training patients.

    Attributes
    ----------
    mean, scale : array, shape (2,)
        Of known ages in years and known stages 1 to 4; the mean stands in for an unknown value.
    """

    mean: Array
    scale: Array

    @classmethod
    def fit(cls, table: Array) -> ClinicalDesign:
        """Learn from training patients, shape (n, 2) with NaN where unknown."""
        known = [column[np.isfinite(column)] for column in table.T]
        mean = np.array([column.mean() if column.size else 0.0 for column in known])
        spread = np.array([column.std() if column.size else 0.0 for column in known])
        return cls(mean, np.where(spread > 0, spread, 1.0))

    def apply(self, table: Array) -> Array:
        """Covariates of `COVARIATES`, shape (n, 4): two scores and two flags of unknown values."""
        unknown = ~np.isfinite(table)
        filled = (np.where(unknown, self.mean, table) - self.mean) / self.scale
        return np.hstack([filled, unknown.astype(np.float64)])


@dataclass(frozen=True, eq=False)
class ClinicalBaseline:
    """Out-of-fold risk by age and stage.

    Attributes
    ----------
    patients : tuple of str
        Test patients of all folds, one fold after another.
    fold : array of int, shape (n,)
        From 1.
    risk : array, shape (n,)
        Linear predictor of the fold's ridge Cox model; higher is worse.
    covariates : array, shape (n, 4)
        By the fold's `ClinicalDesign`.
    penalisers : tuple of float
        Chosen in each fold on its validation patients.
    """

    patients: tuple[str, ...]
    fold: NDArray[np.int64]
    risk: Array
    covariates: Array
    penalisers: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class AddedValue:
    """What a model's risk adds to age and stage.

    Attributes
    ----------
    combined : array, shape (n,)
        Out-of-fold risk of both together.
    difference : PairedDifference
        C-index within folds, of age and stage (first) and of both together (second).
    """

    combined: Array
    difference: PairedDifference


def covariates_told(patients: Sequence[Patient]) -> tuple[str, ...]:
    """Which of age and stage is known of any patient: what a baseline rests on, and may be named by."""
    known = np.isfinite(clinical_table(patients))
    return tuple(name for column, name in enumerate(COVARIATES[:2]) if known[:, column].any())


def clinical_table(patients: Sequence[Patient]) -> Array:
    """Age in years and stage 1 to 4, shape (n, 2); NaN where unknown."""
    rows = [(patient.age_years, patient.stage) for patient in patients]
    return np.array([[np.nan if value is None else float(value) for value in row] for row in rows])


def clinical_baseline(patients: Sequence[Patient], splits: Sequence[Split]) -> ClinicalBaseline:
    """Ridge Cox on age and stage, fitted and tested on the same folds as the networks.

    Stage counts as a number from 1 to 4. Unknown values are filled with the training mean and flagged. The
    penalty of `PENALISERS` with the best C-index on validation patients is taken; test patients only get a risk.

    Raises
    ------
    OutcomeError
        When nobody's age or stage is known, or a fold's model cannot be fitted; the sentence says which.
    """
    known = {patient.patient_id: patient for patient in patients}
    if not np.isfinite(clinical_table(patients)).any():
        raise OutcomeError("the clinical table tells neither age nor stage of any patient")
    names: list[str] = []
    folds, risks, covariates, penalisers = [], [], [], []
    for number, split in enumerate(splits, start=1):
        if not split.test:
            continue
        train, validation, test = (
            [known[name] for name in part] for part in (split.train, split.validation, split.test)
        )
        design = ClinicalDesign.fit(clinical_table(train))
        try:
            weights, penaliser = _fit(design, train, validation)
        except OutcomeError as error:
            raise OutcomeError(f"fold {number}: {error}") from error
        columns = design.apply(clinical_table(test))
        names += split.test
        folds += [number] * len(test)
        covariates.append(columns)
        risks.append(columns @ weights)
        penalisers.append(penaliser)
    if not names:
        raise OutcomeError("no fold has test patients")
    return ClinicalBaseline(
        tuple(names), np.array(folds), np.concatenate(risks), np.vstack(covariates), tuple(penalisers)
    )


def combined_risk(outcome: Outcome, fold: NDArray[np.int64], clinical: Array, risk: Array) -> Array:
    """Out-of-fold risk of a model together with age and stage, shape (n,).

    The two weights of a fold are fitted on the out-of-fold risks of the *other* folds' patients, so that a patient's
    outcome has no part in the weights of the own risk. Risks are taken about their folds' means, and each fold has a
    baseline hazard of its own: the networks of two folds have scales of their own. No weight is below 0: it would
    turn a risk that runs backwards round, and call that what it adds.

    Parameters
    ----------
    outcome : Outcome
        Of the test patients of all folds.
    fold : array of int, shape (n,)
    clinical, risk : array, shape (n,)
        Out-of-fold risks, higher is worse.

    Raises
    ------
    OutcomeError
        When there is a single fold, or a fold's weights cannot be fitted.
    """
    labels = np.unique(fold)
    if labels.size < 2:
        raise OutcomeError(
            "with a single split nobody is left to fit the weights of a combined risk on; it takes two folds or more"
        )
    both = np.column_stack([_centred(clinical, fold), _centred(risk, fold)])
    combined = np.empty(len(outcome))
    for label in labels:
        own = fold == label
        spread = both[~own].std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        weights = _not_turned(
            ridge_cox(outcome.take(~own), both[~own] / scale, COMBINED_PENALISER, stratum=fold[~own])
        )
        combined[own] = (both[own] / scale) @ weights
    return combined


def _not_turned(weights: Array) -> Array:
    """Weights of the clinical and the model's risk, none below 0: the model's alone goes before the clinical one.

    With one weight at 0 the other changes no order of patients, so it need not be fitted again.
    """
    clinical, model = weights
    if model <= 0:
        return np.array([1.0, 0.0])
    return np.array([max(float(clinical), 0.0), float(model)])


def added_value(
    outcome: Outcome,
    baseline: ClinicalBaseline,
    risk: Array,
    *,
    generator: np.random.Generator,
    n_resamples: int = 1000,
) -> AddedValue:
    """C-index of age, stage and the model's risk together, against age and stage alone.

    Parameters
    ----------
    outcome : Outcome
        In the order of the baseline's patients.
    risk : array, shape (n,)
        The model's out-of-fold risk in that order, higher is worse.

    Raises
    ------
    OutcomeError
        As `combined_risk`, or when no pair of patients is comparable.
    """
    combined = combined_risk(outcome, baseline.fold, baseline.risk, risk)
    difference = paired_difference(
        outcome, baseline.risk, combined, baseline.fold, generator=generator, n_resamples=n_resamples
    )
    return AddedValue(combined, difference)


def adjusted_hazard_ratio(outcome: Outcome, baseline: ClinicalBaseline, risk: Array) -> HazardRatio:
    """Hazard ratio of a model's out-of-fold risk per standard deviation, age and stage held equal.

    All folds are pooled; each has a baseline hazard of its own (strata), so that the folds' own scales do not matter.
    The standard deviation is that of the risks about their folds' means.

    Raises
    ------
    OutcomeError
        When the model cannot be fitted, such as with too few deaths.
    """
    centred = _centred(risk, baseline.fold)
    spread = float(centred.std())
    if spread < 1e-9:
        raise OutcomeError("the model gives all patients of a fold the same risk")
    return hazard_ratio(outcome, centred / spread, adjusted_for=baseline.covariates, stratum=baseline.fold)


def _centred(values: Array, fold: NDArray[np.int64]) -> Array:
    """Values about the mean of their fold."""
    _, place = np.unique(fold, return_inverse=True)
    means: Array = np.bincount(place, values) / np.bincount(place)
    return values - means[place]


def _fit(
    design: ClinicalDesign, train: Sequence[Patient], validation: Sequence[Patient]
) -> tuple[Array, float]:
    """Weights and penalty; the middle one where validation patients cannot tell."""
    outcome, columns = outcome_of(train), design.apply(clinical_table(train))
    fits: dict[float, Array] = {}
    problem = ""
    for penaliser in PENALISERS:
        try:
            fits[penaliser] = ridge_cox(outcome, columns, penaliser)
        except OutcomeError as error:
            problem = str(error)
    if not fits:
        raise OutcomeError(problem)
    chosen = PENALISERS[1] if PENALISERS[1] in fits else max(fits)
    if validation:
        seen, apart = outcome_of(validation), design.apply(clinical_table(validation))
        try:
            scores = {key: concordance_index(seen.time, seen.event, apart @ fit) for key, fit in fits.items()}
            chosen = max(scores, key=lambda key: scores[key])
        except OutcomeError:
            pass
    return fits[chosen], chosen
