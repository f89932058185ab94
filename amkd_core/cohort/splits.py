"""Patients divided into training, validation and test parts; always by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.clinical_rows import PARTS
from amkd_core.cohort.patients import Patient
from amkd_core.errors import CohortError

# Fewer events than this in training or validation teach or choose nothing.
MIN_EVENTS = 2


@dataclass(frozen=True)
class Split:
    """Patient identifiers of the three parts; no patient is in two.

    Raises
    ------
    CohortError
        When a patient is in two parts.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        everyone = (*self.train, *self.validation, *self.test)
        if len(set(everyone)) < len(everyone):
            twice = next(name for name in everyone if everyone.count(name) > 1)
            raise CohortError(f"patient {twice} is in two parts of the split, expected one")

    def to_record(self) -> dict[str, list[str]]:
        """Parts as they are written into a run's ``folds.json``."""
        return {name: list(getattr(self, name)) for name in PARTS}


def stratified_split(
    patients: Sequence[Patient], *, seed: int, validation: float = 0.16, test: float = 0.20
) -> Split:
    """Random split of patients, deaths and censored patients shared out alike (METHOD section 6)."""
    rng = np.random.default_rng(seed)
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for event in (True, False):
        names = sorted(patient.patient_id for patient in patients if patient.event is event)
        shuffled = [names[index] for index in rng.permutation(len(names))]
        n_test, n_validation = round(test * len(names)), round(validation * len(names))
        parts["test"] += shuffled[:n_test]
        parts["validation"] += shuffled[n_test : n_test + n_validation]
        parts["train"] += shuffled[n_test + n_validation :]
    return Split(**{name: tuple(sorted(names)) for name, names in parts.items()})


def deal_out(
    event: NDArray[np.bool_],
    group: NDArray[Any] | None,
    n_folds: int,
    seed: int,
    *,
    of: str = "the cohort",
    parts: str = "folds",
    events: str = "deaths",
) -> list[NDArray[np.int64]]:
    """Places of the patients tested in each fold; deaths shared out alike, groups kept whole.

    Parameters
    ----------
    event : bool array, shape (n,)
    group : array, shape (n,), optional
        What folds keep apart.
    of, parts
        What is divided into what, for the sentence when it cannot be.
    events
        What the endpoint's events are called.

    Raises
    ------
    CohortError
        When there are fewer deaths than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    smallest = min(int(event.sum()), int((~event).sum()))
    if int(event.sum()) < n_folds:
        raise CohortError(
            f"{of} has {int(event.sum())} {events}, expected at least one for each of {n_folds} {parts}"
        )
    labels = event if smallest >= n_folds else np.zeros_like(event)
    empty = np.zeros((len(event), 1))
    if group is None:
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(empty, labels)
    else:
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed).split(empty, labels, group)
    return [tested for _, tested in folds]


def carve(
    names: NDArray[Any],
    event: NDArray[np.bool_],
    group: NDArray[Any] | None,
    tested: NDArray[np.int64],
    seed: list[int],
    *,
    events: str = "deaths",
) -> Split:
    """A fold from the patients that it tests: a fifth of the others, in groups of their own, chooses the epoch.

    Which groups these are is drawn for each fold: the parts that groups are dealt out to are not alike, for the largest
    and least balanced groups go to the first of them.

    Parameters
    ----------
    names, event, group : array, shape (n,)
        Of all patients.
    tested
        Places of those that the fold tests.
    seed
        Of the choice.
    events
        What the endpoint's events are called.

    Raises
    ------
    CohortError
        When the others have too few deaths, or are of one group.
    """
    rest = np.setdiff1d(np.arange(len(names)), tested)
    groups = None if group is None else group[rest]
    n_parts = 5 if groups is None else min(5, len(set(groups.tolist())))
    if n_parts < 2:
        raise CohortError(
            "all patients that one of the folds does not test are of one group, expected at least two, one to train on "
            "and one that chooses the epoch; ask for more folds or for a column of more groups"
        )
    rng = np.random.default_rng(seed)
    number = int(rng.integers(2**31))
    of = "what is left when a fold's tested patients are taken out"
    which = "parts of which one chooses the epoch"
    dealt = deal_out(event[rest], groups, n_parts, number, of=of, parts=which, events=events)
    chosen = rest[dealt[0] if groups is None else _drawn(dealt, event[rest], rng)]
    parts = (np.setdiff1d(rest, chosen), chosen, tested)
    return Split(*(tuple(sorted(names[part].tolist())) for part in parts))


def _drawn(
    parts: list[NDArray[np.int64]], event: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """One of the parts, of those that have events enough and leave enough where there are any."""
    events = [int(event[part].sum()) for part in parts]
    enough = [
        part
        for part, own in zip(parts, events, strict=True)
        if own >= MIN_EVENTS and sum(events) - own >= MIN_EVENTS
    ]
    choice = enough or parts
    return choice[int(rng.integers(len(choice)))]
