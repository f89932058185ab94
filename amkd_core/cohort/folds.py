"""Who is trained, validated and tested on; always split by patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.barcodes import patient_of
from amkd_core.cohort.clinical import PARTS, Patient
from amkd_core.cohort.columns import PATIENT_NAMES
from amkd_core.cohort.tables import read_table
from amkd_core.errors import CohortError

if TYPE_CHECKING:
    from amkd_core.cohort.cohort import Cohort

_PART_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}

# Fewer deaths than this in training or validation teach or choose nothing.
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


def make_split(patients: Sequence[Patient], *, seed: int) -> Split:
    """The table's own split where every patient has one, else 64/16/20 stratified by event.

    The table may leave out the test part; a test part without deaths is kept, and scores nothing.

    Raises
    ------
    CohortError
        When only some patients have a split, or training or validation has too few deaths to be of use.
    """
    marked = [patient for patient in patients if patient.split]
    if marked and len(marked) < len(patients):
        raise CohortError(
            f"split is given for {len(marked)} of {len(patients)} patients, expected all or none of them"
        )
    split = _marked_split(patients) if marked else stratified_split(patients, seed=seed)
    _refuse_few(split, patients, "")
    return split


def make_folds(cohort: Cohort, *, n_folds: int, seed: int) -> tuple[Split, ...]:
    """Training, validation and test part of each fold of a cross-validation.

    In this order of precedence: the clinical table's own split, which is one fold; the cohort's file of folds; groups
    that folds keep apart; deaths shared out alike, 64/16/20. Every patient is tested in exactly one fold, except where
    a file says otherwise.

    Parameters
    ----------
    n_folds
        Not used with a split or a file.
    seed
        Of the folds, or of the validation part where a file gives only the tested one.

    Raises
    ------
    CohortError
        When a file of folds does not know the patients, or a part has too few deaths to be of use.
    """
    if any(patient.split for patient in cohort.patients):
        return (make_split(cohort.patients, seed=seed),)
    names = np.array([patient.patient_id for patient in cohort.patients])
    event = np.array([patient.event for patient in cohort.patients])
    group = np.array([patient.group for patient in cohort.patients])
    if cohort.file.folds is not None:
        splits = read_folds(cohort.file.folds, cohort.patients, seed=seed)
    else:
        if cohort.file.group:
            _refuse_groups(group, cohort.file.group, n_folds)
        splits = tuple(
            _carve(names, event, group if cohort.file.group else None, tested, [seed, fold])
            for fold, tested in enumerate(_tested(event, group if cohort.file.group else None, n_folds, seed))
        )
    for fold, split in enumerate(splits, start=1):
        _refuse_few(split, cohort.patients, f"fold {fold}: ")
    return splits


def read_folds(path: Path, patients: Sequence[Patient], *, seed: int) -> tuple[Split, ...]:
    """Folds of a file: a column of fold numbers, or one column a fold with train, val or test in it.

    With a column of numbers (``val_fold``, ``fold`` or ``test_fold``) the patients of a number are tested in that fold,
    and a fifth of the others, stratified by event, chooses the epoch.

    Raises
    ------
    CohortError
        When the file has neither kind of column, lacks patients, or names an unknown part.
    """
    frame = read_table(path)
    ids = next((name for name in frame.columns if str(name).lower() in PATIENT_NAMES), None)
    if ids is None:
        raise CohortError(
            f"{path.name}: no column of patients, expected patient_id; found {_listed(frame.columns)}"
        )
    rows = {patient_of(str(name)): place for place, name in enumerate(frame[ids])}
    absent = [patient.patient_id for patient in patients if patient.patient_id not in rows]
    if absent:
        raise CohortError(
            f"{path.name}: {len(absent)} patients of the cohort are in no fold ({', '.join(absent[:5])})"
        )
    names = np.array([patient.patient_id for patient in patients])
    event = np.array([patient.event for patient in patients])
    places = [rows[name] for name in names.tolist()]
    parts = [name for name in frame.columns if re.fullmatch(r"(fold|split)_?\d+", str(name))]
    number = next((name for name in ("test_fold", "val_fold", "fold") if name in frame.columns), None)
    if parts:
        return tuple(_marked(path.name, str(name), frame[name].iloc[places], names) for name in parts)
    if number is None:
        raise CohortError(
            f"{path.name}: expected a column val_fold, or fold0, fold1, ...; found {_listed(frame.columns)}"
        )
    folds = frame[number].iloc[places].to_numpy()
    return tuple(
        _carve(names, event, None, np.flatnonzero(folds == fold), [seed, place])
        for place, fold in enumerate(sorted(set(folds.tolist())))
    )


def _marked(file_name: str, column: str, marks: Any, names: NDArray[Any]) -> Split:
    words = [_PART_WORDS.get(str(mark).strip().lower()) for mark in marks]
    if None in words:
        wrong = str(list(marks)[words.index(None)])
        raise CohortError(f"{file_name}: column {column} says {wrong}, expected train, val or test")
    return Split(
        *(
            tuple(name for name, word in zip(names.tolist(), words, strict=True) if word == part)
            for part in PARTS
        )
    )


def _tested(
    event: NDArray[np.bool_], group: NDArray[Any] | None, n_folds: int, seed: int
) -> list[NDArray[np.int64]]:
    """Places of the patients tested in each fold."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    smallest = min(int(event.sum()), int((~event).sum()))
    if int(event.sum()) < n_folds:
        raise CohortError(
            f"the cohort has {int(event.sum())} deaths, expected at least one for each of {n_folds} folds"
        )
    labels = event if smallest >= n_folds else np.zeros_like(event)
    empty = np.zeros((len(event), 1))
    if group is None:
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(empty, labels)
    else:
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed).split(empty, labels, group)
    return [tested for _, tested in folds]


def _carve(
    names: NDArray[Any],
    event: NDArray[np.bool_],
    group: NDArray[Any] | None,
    tested: NDArray[np.int64],
    seed: list[int],
) -> Split:
    """A fold from the patients that it tests: a fifth of the others, in groups of their own, chooses the epoch."""
    rest = np.setdiff1d(np.arange(len(names)), tested)
    groups = None if group is None else group[rest]
    n_parts = 5 if groups is None else min(5, len(set(groups.tolist())))
    number = int(np.random.default_rng(seed).integers(2**31))
    chosen = rest[_tested(event[rest], groups, n_parts, number)[0]]
    parts = (np.setdiff1d(rest, chosen), chosen, tested)
    return Split(*(tuple(sorted(names[part].tolist())) for part in parts))


def _refuse_groups(group: NDArray[Any], column: str, n_folds: int) -> None:
    found = set(group.tolist())
    if "" in found:
        raise CohortError(
            f"{int((group == '').sum())} patients have no group in {column}, by which folds are kept apart"
        )
    if len(found) < n_folds:
        raise CohortError(
            f"{column} has {len(found)} groups, expected at least one for each of {n_folds} folds"
        )


def _refuse_few(split: Split, patients: Sequence[Patient], which: str) -> None:
    event = {patient.patient_id: patient.event for patient in patients}
    for part in ("train", "validation"):
        n_events = sum(event[name] for name in getattr(split, part))
        if n_events < MIN_EVENTS:
            raise CohortError(f"{which}the {part} part has {n_events} deaths, expected at least {MIN_EVENTS}")


def _listed(columns: Any) -> str:
    return ", ".join(str(name) for name in list(columns)[:12])


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


def _marked_split(patients: Sequence[Patient]) -> Split:
    return Split(
        *(tuple(patient.patient_id for patient in patients if patient.split == part) for part in PARTS)
    )
