"""The chance line: how high a C-index luck alone reaches on a cohort of this size.

Outcomes are shuffled among the patients, and a cheap model is trained and tested on the same folds as the networks. Its
mean C-index over folds is then luck. A figure below the 95th percentile of many such shuffles is no evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.genes import GeneScaling
from amkd_core.cohort.pathways import cover
from amkd_core.cohort.splits import Split
from amkd_core.errors import OutcomeError
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import Outcome
from amkd_core.training.optimisers import LBFGS

Array = NDArray[np.float64]
Index = NDArray[np.int64]
# Features of all patients as a fold sees them, scaled by its training patients.
FeaturesOf = Callable[[Split], Array]

# Ridge penalties from strong to weak; validation patients choose.
PENALTIES = (1.0, 0.1)
LEVEL = 0.95


@dataclass(frozen=True)
class ChanceLine:
    """C-indices that a cheap model reaches on shuffled outcomes.

    Attributes
    ----------
    percentile_95, mean : float
        Of the mean C-index over folds, over shuffles.
    true_outcomes : float
        What the same cheap model reaches on the outcomes as they are; NaN when undefined.
    n_shuffles : int
        In which the C-index was defined.
    features : str
        What the cheap model reads.
    """

    percentile_95: float
    mean: float
    true_outcomes: float
    n_shuffles: int
    features: str


def pathway_means(cohort: Cohort, *, min_coverage: float = 0.0) -> FeaturesOf:
    """Mean z-score of each pathway's measured genes, patients in the cohort's order.

    Genes are scaled by a fold's training patients.

    Raises
    ------
    AmkdError
        When the cohort has no expression, or no pathway is covered.
    """
    if not cohort.expression.patients:
        raise OutcomeError("the cohort has no expression, so there is nothing to train the cheap model on")
    membership = cover(cohort.pathways, cohort.expression.genes, min_coverage=min_coverage)
    values = cohort.expression.rows([p.patient_id for p in cohort.patients], membership.genes)
    place = {patient.patient_id: row for row, patient in enumerate(cohort.patients)}
    weights = membership.matrix / membership.matrix.sum(axis=1, keepdims=True)

    def features(split: Split) -> Array:
        scaling = GeneScaling.fit(values[[place[name] for name in split.train]])
        means: Array = scaling.apply(values) @ weights.T
        return means

    return features


def chance_line(
    cohort: Cohort,
    splits: Sequence[Split],
    features_of: FeaturesOf,
    *,
    seed: int,
    n_shuffles: int = 40,
    features: str = "pathway means",
) -> ChanceLine:
    """Train and test a ridge Cox model on shuffled outcomes, over the same folds.

    Time and event are shuffled together among all patients of the folds.

    Parameters
    ----------
    cohort, splits
        As the networks saw them.
    features_of
        Gives the features of all patients, in the cohort's order, for a fold.
    seed
        Of the shuffles.
    n_shuffles
        At least 20 say something about a 95th percentile.
    features
        Name of the features, for reports.

    Raises
    ------
    OutcomeError
        When no shuffle gives a C-index.
    """
    place = {patient.patient_id: row for row, patient in enumerate(cohort.patients)}
    parts = [
        tuple(np.array([place[name] for name in part], dtype=np.int64) for part in vars(split).values())
        for split in splits
        if split.test
    ]
    columns = [
        _scaled(features_of(split), [place[name] for name in split.train]) for split in splits if split.test
    ]
    used = np.unique(np.concatenate([np.concatenate(part) for part in parts])) if parts else np.zeros(0, int)
    outcome = cohort.outcome
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(n_shuffles):
        order = np.arange(len(outcome))
        order[used] = used[generator.permutation(used.size)]
        found.append(_mean_over_folds(outcome.take(order), parts, columns))
    defined = np.array([value for value in found if np.isfinite(value)])
    if not defined.size:
        raise OutcomeError(
            f"none of {n_shuffles} shuffles of the outcomes gives a C-index on the test patients"
        )
    return ChanceLine(
        float(np.quantile(defined, LEVEL)), float(defined.mean()), _mean_over_folds(outcome, parts, columns),
        int(defined.size), features,
    )  # fmt: skip


def _scaled(values: Array, train: Sequence[int]) -> Array:
    spread = values[train].std(axis=0)
    scaled: Array = (values - values[train].mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    return scaled


def _mean_over_folds(outcome: Outcome, parts: Sequence[tuple[Index, ...]], columns: Sequence[Array]) -> float:
    """Mean C-index of the folds where it is defined; NaN when it is nowhere."""
    scores = []
    for (train, validation, test), values in zip(parts, columns, strict=True):
        try:
            weights = _best(outcome, values, train, validation)
            scores.append(_score(outcome, values, test, weights))
        except OutcomeError:
            continue
    return float(np.mean(scores)) if scores else float("nan")


def _best(outcome: Outcome, values: Array, train: Index, validation: Index) -> Array:
    """Weights of the penalty that validation patients prefer; of the strongest where they cannot tell."""
    fits = ridge_path(outcome.take(train), values[train])
    try:
        scores = [_score(outcome, values, validation, fit) for fit in fits]
    except OutcomeError:
        return fits[0]
    return fits[int(np.argmax(scores))]


def _score(outcome: Outcome, values: Array, part: Index, weights: Array) -> float:
    seen = outcome.take(part)
    return concordance_index(seen.time, seen.event, values[part] @ weights)


def ridge_path(outcome: Outcome, values: Array, penalties: Sequence[float] = PENALTIES) -> list[Array]:
    """Ridge Cox models by the same loss as the networks' Cox head, from the strongest penalty to the weakest.

    ``cox_loss + penalty / 2 * |weights|^2`` in double precision, each fit starting at the one before. lifelines builds
    a Hessian over all features in Python, which takes too long for hundreds of features and of shuffles.

    Parameters
    ----------
    outcome : Outcome
        Training patients.
    values : array, shape (n, d)
        Scaled features.
    penalties
        From strong to weak.

    Returns
    -------
    list of arrays, shape (d,)

    Raises
    ------
    OutcomeError
        When nobody died.
    """
    import torch

    from amkd_core.survival.hazard import cox_loss

    matrix = torch.from_numpy(np.ascontiguousarray(values))
    time, event = torch.from_numpy(outcome.time.copy()), torch.from_numpy(outcome.event.copy())
    weights = torch.zeros(values.shape[1], dtype=torch.float64, requires_grad=True)
    fits = []
    for penalty in penalties:
        optimiser = LBFGS(
            [weights], max_iter=40, tolerance_grad=1e-5, tolerance_change=1e-7, line_search_fn="strong_wolfe"
        )

        def loss(penalty: float = penalty, optimiser: LBFGS = optimiser) -> torch.Tensor:
            optimiser.zero_grad()
            total = cox_loss(matrix @ weights, time, event) + penalty / 2 * weights.square().sum()
            torch.autograd.backward(total)
            return total

        optimiser.step(loss)  # type: ignore[no-untyped-call]
        fits.append(weights.detach().numpy().copy())
    return fits
