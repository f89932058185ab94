"""Cox regression on a few covariates, by lifelines."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from amkd_core.errors import OutcomeError
from amkd_core.survival.outcome import FloatArray, Outcome

if TYPE_CHECKING:
    import pandas as pd

# Newton's steps; rare covariates need the smaller ones.
_STEPS = (0.95, 0.5, 0.2)


@dataclass(frozen=True)
class HazardRatio:
    """How many times higher the hazard is per unit of a covariate, the others held equal.

    Attributes
    ----------
    log_ratio, lower, upper : float
        Logarithm of the ratio with its confidence interval; above 0 is worse.
    p_value : float
        Of Wald's test against a ratio of 1.
    level : float
        Coverage of the interval.
    """

    log_ratio: float
    lower: float
    upper: float
    p_value: float
    level: float

    @property
    def ratio(self) -> float:
        """The ratio itself; 1 is no effect."""
        return float(np.exp(self.log_ratio))


def ridge_cox(
    outcome: Outcome, covariates: ArrayLike, penaliser: float, *, stratum: ArrayLike | None = None
) -> FloatArray:
    """Coefficients of a Cox model with a ridge penalty, shape (n_covariates,).

    lifelines scales covariates before it penalises them, and divides the likelihood by the number of patients: equal
    penalisers mean the same for cohorts of any size.

    Parameters
    ----------
    outcome : Outcome
        Training patients.
    covariates : array, shape (n, n_covariates)
    penaliser : float
        0 for none.
    stratum : array, shape (n,), optional
        Patients with a baseline hazard of their own, such as folds.

    Raises
    ------
    OutcomeError
        When nobody died, inputs disagree, or the fit does not converge.
    """
    values = _matrix(outcome, covariates)
    varies = np.ptp(values, axis=0) > 0
    coefficients = np.zeros(values.shape[1])
    if varies.any():
        fitted = _fit(outcome, values[:, varies], penaliser=penaliser, stratum=stratum)
        coefficients[varies] = fitted.params_.to_numpy(np.float64)
    return coefficients


def hazard_ratio(
    outcome: Outcome,
    covariate: ArrayLike,
    *,
    adjusted_for: ArrayLike | None = None,
    stratum: ArrayLike | None = None,
    level: float = 0.95,
) -> HazardRatio:
    """Hazard ratio of one covariate in a Cox model without penalty.

    Parameters
    ----------
    outcome : Outcome
    covariate : array, shape (n,)
        The ratio is per unit of it.
    adjusted_for : array, shape (n, n_others), optional
        Held equal; columns that do not vary, or that follow from those before them, are left out.
    stratum : array, shape (n,), optional
        Patients with a baseline hazard of their own, such as folds.
    level : float
        Coverage of the interval.

    Raises
    ------
    OutcomeError
        When nobody died, inputs disagree, the covariate does not vary, or the fit does not converge.
    """
    own = _matrix(outcome, np.asarray(covariate, dtype=np.float64)[:, None])
    if np.ptp(own) == 0:
        raise OutcomeError(
            f"the hazard ratio is undefined: the covariate is the same in all {len(outcome)} patients"
        )
    columns = own
    if adjusted_for is not None:
        columns = np.hstack([own, _independent(_matrix(outcome, adjusted_for))])
    fitted = _fit(outcome, columns, stratum=stratum, level=level)
    row = fitted.summary.iloc[0]
    bounds = fitted.confidence_intervals_.iloc[0]
    return HazardRatio(
        float(row["coef"]), float(bounds.iloc[0]), float(bounds.iloc[1]), float(row["p"]), level
    )


def _independent(columns: FloatArray) -> FloatArray:
    """Columns without those that are sums of a constant and of others before them.

    Where the same patients lack age and stage, "age unknown" and "stage unknown" are one column twice.
    """
    kept = np.ones((len(columns), 1))
    for column in columns.T:
        wider = np.column_stack([kept, column])
        if np.linalg.matrix_rank(wider / np.linalg.norm(wider, axis=0).clip(min=1e-300)) == wider.shape[1]:
            kept = wider
    return kept[:, 1:]


def _matrix(outcome: Outcome, covariates: ArrayLike) -> FloatArray:
    values = np.asarray(covariates, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(outcome):
        raise OutcomeError(
            f"expected one row of covariates per patient ({len(outcome)}), found {values.shape}"
        )
    if not np.isfinite(values).all():
        raise OutcomeError(f"{int((~np.isfinite(values)).sum())} covariates are not finite numbers")
    if not outcome.n_events:
        raise OutcomeError(f"a Cox model needs at least one event, found none in {len(outcome)} patients")
    return values


def _fit(
    outcome: Outcome,
    values: FloatArray,
    *,
    penaliser: float = 0.0,
    stratum: ArrayLike | None = None,
    level: float = 0.95,
) -> Any:
    import pandas as pd
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError, ConvergenceWarning

    frame: pd.DataFrame = pd.DataFrame(values, columns=[f"x{index}" for index in range(values.shape[1])])
    frame["months"], frame["death"] = outcome.time, outcome.event
    if stratum is not None:
        frame["stratum"] = np.asarray(stratum)
    problem = ""
    for step in _STEPS:
        fitter = CoxPHFitter(penalizer=penaliser, alpha=1 - level)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of rare values in a covariate, for which the penalty is there
                warnings.filterwarnings("error", message=".*failed to converge", category=ConvergenceWarning)
                fitter.fit(
                    frame, "months", "death", strata=None if stratum is None else ["stratum"],
                    fit_options={"step_size": step},
                )  # fmt: skip
        except (ConvergenceError, ConvergenceWarning, np.linalg.LinAlgError, ValueError) as error:
            problem = str(error).strip().split(". ")[0].splitlines()[0]
            continue
        if np.isfinite(fitter.params_.to_numpy()).all():
            return fitter
    raise OutcomeError(
        f"the Cox model of {values.shape[1]} covariates does not converge on {outcome.n_events} events ({problem})"
    )
