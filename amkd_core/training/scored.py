"""Out-of-fold predictions of one model, lined up with follow-up and with the patients that each fold was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.patients import outcome_of
from amkd_core.cohort.splits import Split
from amkd_core.errors import CohortError
from amkd_core.survival.curve import curve_end, survival_at
from amkd_core.survival.metrics import KaplanMeier, kaplan_meier
from amkd_core.survival.outcome import Outcome, TimeBins

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
# Months to predicted survival of all patients, shape (n, t).
SurvivalOf = Callable[[Array], Array]

COLUMNS = ("patient_id", "fold", "part", "model", "risk", "high_risk")


@dataclass(frozen=True, eq=False, repr=False)
class Scored:
    """One model's predictions of patients that it had not seen.

    Attributes
    ----------
    model : str
        "student" or "teacher".
    patients : tuple of str, length n
    fold : array of int, shape (n,)
        From 1.
    outcome : Outcome
        Of the patients, in their order.
    risk : array, shape (n,)
        Higher is worse; comparable within a fold.
    high : array of bool, shape (n,), optional
        Above the median risk of the fold's training patients; None where no such cut is known.
    survival_of : callable, optional
        Months, shape (t,), to predicted survival, shape (n, t).
    references : mapping of Outcome
        By fold: the patients whose follow-up gives the weights against censoring; a fold without weighs by itself.
    nulls : mapping of KaplanMeier
        By fold: what one would predict for everyone without a model.
    """

    model: str
    patients: tuple[str, ...]
    fold: NDArray[np.int64]
    outcome: Outcome
    risk: Array
    high: NDArray[np.bool_] | None
    survival_of: SurvivalOf | None
    references: Mapping[int, Outcome]
    nulls: Mapping[int, KaplanMeier]

    def __repr__(self) -> str:
        return f"Scored({self.model}: {self.outcome!r}, {len(self.folds)} folds)"

    @property
    def folds(self) -> tuple[int, ...]:
        """Numbers of the folds that have patients."""
        return tuple(int(value) for value in np.unique(self.fold))

    def take(self, rows: NDArray[np.bool_]) -> Scored:
        """The same of some patients, chosen by a mask of shape (n,)."""
        whole = self.survival_of
        return replace(
            self,
            patients=tuple(name for name, own in zip(self.patients, rows, strict=True) if own),
            fold=self.fold[rows],
            outcome=self.outcome.take(rows),
            risk=self.risk[rows],
            high=None if self.high is None else self.high[rows],
            survival_of=None if whole is None else lambda months: whole(months)[rows],
        )

    def in_order_of(self, patients: Sequence[str]) -> NDArray[np.int64]:
        """Positions of these patients.

        Raises
        ------
        CohortError
            When one of them was not predicted.
        """
        place = {name: row for row, name in enumerate(self.patients)}
        absent = [name for name in patients if name not in place]
        if absent:
            raise CohortError(
                f"the {self.model} predicted {len(self.patients)} patients, but not {', '.join(absent[:5])}"
            )
        return np.array([place[name] for name in patients], dtype=np.int64)


def scored_models(
    cohort: Cohort, splits: Sequence[Split], predictions: pd.DataFrame, bins: Mapping[int, TimeBins]
) -> dict[str, Scored]:
    """Models of a table of out-of-fold predictions, by name.

    Parameters
    ----------
    predictions
        Columns of `COLUMNS`, and ``hazard_1`` and so on; rows of other parts than "test" are passed over.
    bins
        By fold.

    Raises
    ------
    CohortError
        When columns are missing, a patient is unknown or predicted twice by a model, or a fold has no bins.
    """
    missing = [name for name in COLUMNS if name not in predictions.columns]
    if missing:
        raise CohortError(
            f"predictions: no column {', '.join(missing)}; found {', '.join(predictions.columns)}"
        )
    rows = predictions[predictions["part"] == "test"]
    known = {patient.patient_id: patient for patient in cohort.patients}
    strangers = sorted(set(rows["patient_id"]) - set(known))
    if strangers:
        raise CohortError(f"predictions: {', '.join(strangers[:5])} are not in cohort {cohort.file.name}")
    unfit = sorted({int(fold) for fold in rows["fold"]} - set(bins))
    if unfit:
        raise CohortError(f"predictions: fold {unfit[0]} has no time bins, found bins of {sorted(bins)}")
    references = {
        number: outcome_of([known[name] for name in split.train if name in known])
        for number, split in enumerate(splits, start=1)
    }
    nulls = {number: kaplan_meier(item.time, item.event) for number, item in references.items() if len(item)}
    models = {}
    for name, part in rows.groupby("model", sort=True):
        models[str(name)] = _scored(str(name), part, known, bins, (references, nulls))
    return models


def _scored(
    model: str,
    rows: pd.DataFrame,
    known: Mapping[str, Any],
    bins: Mapping[int, TimeBins],
    trained: tuple[Mapping[int, Outcome], Mapping[int, KaplanMeier]],
) -> Scored:
    names = [str(name) for name in rows["patient_id"]]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CohortError(
            f"predictions: the {model} predicts patient {twice} more than once, expected one fold"
        )
    fold = rows["fold"].to_numpy(np.int64)
    risk = rows["risk"].to_numpy(np.float64)
    if not np.isfinite(risk).all():
        raise CohortError(
            f"predictions: {int((~np.isfinite(risk)).sum())} risks of the {model} are not finite"
        )
    references, nulls = trained
    return Scored(
        model, tuple(names), fold, outcome_of([known[name] for name in names]), risk,
        rows["high_risk"].to_numpy(np.float64) > 0, _survival(rows, fold, bins, nulls), references, nulls,
    )  # fmt: skip


def _survival(
    rows: pd.DataFrame,
    fold: NDArray[np.int64],
    bins: Mapping[int, TimeBins],
    cohorts: Mapping[int, KaplanMeier],
) -> SurvivalOf | None:
    """Survival in months from hazards per bin, drawn as `survival_at` draws them; None without hazards."""
    columns = [name for name in rows.columns if name.startswith("hazard_")]
    columns.sort(key=lambda name: int(name.removeprefix("hazard_")))
    hazards = rows[columns].to_numpy(np.float64)
    if not columns or not np.isfinite(hazards[:, 0]).all():
        return None
    ends = {number: curve_end(bins[number], cohorts.get(number)) for number in set(fold.tolist())}

    def survival_of(months: Array) -> Array:
        drawn = np.empty((len(fold), len(months)))
        for row, number in enumerate(fold.tolist()):
            heights = np.cumprod(1 - hazards[row, : bins[number].n_bins])
            # Beyond the curve's end the model says nothing; its last value is held.
            until = np.minimum(months, ends[number])
            drawn[row] = survival_at(until, heights, bins[number], cohorts.get(number))
        return drawn

    return survival_of
