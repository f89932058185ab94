"""Who is trained, validated and tested on; always split by patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.barcodes import patient_of
from amkd_core.cohort.clinical_rows import PARTS, part_of
from amkd_core.cohort.clinical_values import is_empty, number_of
from amkd_core.cohort.columns import PATIENT_NAMES, plain
from amkd_core.cohort.patients import Patient, listed
from amkd_core.cohort.splits import MIN_EVENTS, Split, carve, deal_out, stratified_split
from amkd_core.cohort.tables import read_table
from amkd_core.errors import CohortError
from amkd_core.feature_range import MIN_SLIDES
from amkd_core.survival.endpoints import words_of

if TYPE_CHECKING:
    from amkd_core.cohort.cohort import Cohort

# A bundle's range of features is fitted on no fewer.
MIN_TRAINING = MIN_SLIDES
# From it on two whole numbers may be the same float.
_MOST_EXACT = 2**53


def make_split(patients: Sequence[Patient], *, seed: int, events: str = "deaths") -> Split:
    """The table's own split where every patient has one, else 64/16/20 stratified by event.

    The table may leave out the test part; a test part without deaths is kept, and scores nothing.

    Parameters
    ----------
    events
        What the endpoint's events are called.

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
    _refuse_few(split, patients, "", events)
    return split


def make_folds(cohort: Cohort, *, n_folds: int, seed: int) -> tuple[Split, ...]:
    """Training, validation and test part of each fold of a cross-validation.

    In this order of precedence: the clinical table's own split, which is one fold; the cohort's file of folds; groups
    that folds keep apart; deaths shared out alike, 64/16/20. Every patient is tested in exactly one fold, or in none
    where a file says so.

    Parameters
    ----------
    n_folds
        Not used with a split or a file.
    seed
        Of the folds, or of the validation part where a file gives only the tested one.

    Raises
    ------
    CohortError
        When a file of folds does not know the patients or tests one twice, or a part has too few patients or deaths
        to be of use.
    """
    file = cohort.file
    events = words_of(file.endpoint).events
    # The order of a table's rows decides nothing.
    patients = sorted(cohort.patients, key=lambda patient: patient.patient_id)
    if any(patient.split for patient in patients):
        if file.folds is not None:
            raise CohortError(
                f"the clinical table has a column split, and {file.folds.name} tells other folds; expected one of them "
                "(use_split = false, or --ignore-split, passes over the column)"
            )
        splits: tuple[Split, ...] = (make_split(patients, seed=seed, events=events),)
        _refuse_torn_groups(splits, patients, "the column split", file.group)
        return splits
    names = np.array([patient.patient_id for patient in patients])
    event = np.array([patient.event for patient in patients])
    group = np.array([patient.group for patient in patients])
    if file.group:
        _refuse_groups(group, file.group, 1 if file.folds is not None else n_folds)
    if file.folds is not None:
        splits = read_folds(
            file.folds,
            patients,
            seed=seed,
            patient_column=file.patient_column,
            grouped=bool(file.group),
            events=events,
        )
        _refuse_torn_groups(splits, patients, file.folds.name, file.group)
    else:
        apart = group if file.group else None
        splits = tuple(
            carve(names, event, apart, tested, [seed, fold], events=events)
            for fold, tested in enumerate(deal_out(event, apart, n_folds, seed, events=events))
        )
    for fold, split in enumerate(splits, start=1):
        _refuse_few(split, patients, f"fold {fold}: ", events)
    if file.folds is not None:
        _refuse_tested_twice(splits, file.folds.name)
    return splits


def folds_in_words(cohort: Cohort, n_folds: int, *, setting: bool = False) -> str:
    """What `make_folds` does with a cohort, as a part of a sentence for the reader of a report.

    Parameters
    ----------
    n_folds
        As for `make_folds`.
    setting
        Whether that is a setting of the user's, which is then named where it is not used.
    """
    file, unused = cohort.file, f"the setting folds = {n_folds} is not used"
    if any(patient.split for patient in cohort.patients):
        way_out = f" ({unused}; --ignore-split makes folds instead)" if setting else ""
        return f"one split, that of the clinical table's column split{way_out}"
    if file.folds is not None:
        return f"the folds of {file.folds.name}" + (f" ({unused})" if setting else "")
    kept = f", patients of one {file.group} kept together" if file.group else ""
    return f"{n_folds} folds, {words_of(file.endpoint).events} shared out alike{kept}"


def read_folds(
    path: Path,
    patients: Sequence[Patient],
    *,
    seed: int,
    patient_column: str = "",
    grouped: bool = False,
    events: str = "deaths",
) -> tuple[Split, ...]:
    """Folds of a file: a column of fold numbers, or one column a fold with train, val or test in it.

    With a column of numbers (``val_fold``, ``fold`` or ``test_fold``) the patients of a number are tested in that fold,
    and a fifth of the others, stratified by event, chooses the epoch.

    Parameters
    ----------
    patient_column
        What the clinical table's column of patients is stated to be called; looked for here before the common names.
    grouped
        Whether the patients that choose the epoch are to be of other groups than those trained on.
    events
        What the endpoint's events are called.

    Raises
    ------
    CohortError
        When the file has neither kind of column, lacks patients or contradicts itself, names an unknown part, or gives
        something else than a whole number as a fold.
    """
    frame = read_table(path, text=(patient_column,))
    common = (name for name in frame.columns if plain(str(name)) in PATIENT_NAMES)
    ids = patient_column if patient_column in frame.columns else next(common, None)
    if ids is None:
        raise CohortError(
            f"{path.name}: no column of patients, expected {patient_column or 'patient_id'}; "
            f"found {_listed(frame.columns)}"
        )
    rows: dict[str, int] = {}
    told = frame.drop(columns=ids)
    for place, written in enumerate(frame[ids]):
        first = rows.setdefault(patient_of(str(written)), place)
        if first != place and not told.iloc[place].equals(told.iloc[first]):
            raise CohortError(
                f"{path.name}: the rows of patient {patient_of(str(written))} contradict each other, expected one fold"
            )
    absent = [patient.patient_id for patient in patients if patient.patient_id not in rows]
    if absent:
        raise CohortError(
            f"{path.name}: {len(absent)} patients of the cohort are in no fold ({', '.join(absent[:5])})"
        )
    names = np.array([patient.patient_id for patient in patients])
    event = np.array([patient.event for patient in patients])
    group = np.array([patient.group for patient in patients]) if grouped else None
    places = [rows[name] for name in names.tolist()]
    parts = [name for name in frame.columns if re.fullmatch(r"(fold|split)_?\d+", str(name))]
    numbered = [name for name in ("test_fold", "val_fold", "fold") if name in frame.columns]
    if parts:
        return tuple(_marked(path.name, str(name), frame[name].iloc[places], names) for name in parts)
    if len(numbered) > 1:
        raise CohortError(
            f"{path.name}: has columns {' and '.join(numbered)}, expected one, the fold that tests each; columns "
            "fold0, fold1, ... with train, val and test say who chooses the epoch as well"
        )
    if not numbered:
        raise CohortError(
            f"{path.name}: expected a column val_fold, test_fold or fold, or fold0, fold1, ...; found "
            f"{_listed(frame.columns)}"
        )
    folds = _numbers(path.name, numbered[0], frame[numbered[0]].iloc[places], names)
    return tuple(
        carve(names, event, group, np.flatnonzero(folds == fold), [seed, place], events=events)
        for place, fold in enumerate(sorted(set(folds.tolist())))
    )


def _numbers(file_name: str, column: str, marks: Any, names: NDArray[Any]) -> NDArray[np.int64]:
    """Number of each patient's fold."""
    numbers = [number_of(mark) for mark in marks]
    wrong = [
        f"{name}: {'nothing' if is_empty(mark) else str(mark)[:40]}"
        for name, mark, number in zip(names.tolist(), marks, numbers, strict=True)
        if number is None or not float(number).is_integer() or not 0 <= number < _MOST_EXACT
    ]
    if wrong:
        raise CohortError(
            f"{file_name}: column {column} says no whole number from 0 for {len(wrong)} patients "
            f"({', '.join(wrong[:5])}); expected the number of the fold that tests each, or columns fold0, fold1, ... "
            "with train, val and test"
        )
    return np.array(numbers, dtype=np.int64)


def _marked(file_name: str, column: str, marks: Any, names: NDArray[Any]) -> Split:
    words = [part_of(mark) for mark in marks]
    if None in words:
        wrong = str(list(marks)[words.index(None)])
        raise CohortError(f"{file_name}: column {column} says {wrong}, expected train, val or test")
    return Split(
        *(
            tuple(name for name, word in zip(names.tolist(), words, strict=True) if word == part)
            for part in PARTS
        )
    )


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


def _refuse_torn_groups(
    splits: Sequence[Split], patients: Sequence[Patient], source: str, column: str
) -> None:
    """Folds that are given may not test a group that they also learn from, where groups are to be kept apart."""
    if not column:
        return
    group = {patient.patient_id: patient.group for patient in patients}
    for fold, split in enumerate(splits, start=1):
        learnt = {group[name] for name in (*split.train, *split.validation)}
        torn = sorted({group[name] for name in split.test} & learnt)
        if torn:
            raise CohortError(
                f"{source}: fold {fold} tests patients of {len(torn)} groups of {column} that it also learns from "
                f"({listed(torn)}), although group = {column} keeps them apart; expected one of the two"
            )


def _refuse_few(split: Split, patients: Sequence[Patient], which: str, events: str) -> None:
    event = {patient.patient_id: patient.event for patient in patients}
    for part in ("train", "validation"):
        n_events = sum(event[name] for name in getattr(split, part))
        if n_events < MIN_EVENTS:
            raise CohortError(
                f"{which}the {part} part has {n_events} {_of_number(events, n_events)}, "
                f"expected at least {MIN_EVENTS}"
            )
    if len(split.train) < MIN_TRAINING:
        raise CohortError(
            f"{which}the train part has {len(split.train)} patients, expected at least {MIN_TRAINING}"
        )


def _of_number(events: str, number: int) -> str:
    """``death`` for one, as in ``deaths from the disease``."""
    first, space, rest = events.partition(" ")
    return events if number != 1 else first.removesuffix("s") + space + rest


def _refuse_tested_twice(splits: Sequence[Split], file_name: str) -> None:
    """Predictions out of fold are one a patient, and a bundle of all folds needs a patient from each."""
    tested: dict[str, int] = {}
    for fold, split in enumerate(splits, start=1):
        if not split.test and len(splits) > 1:
            raise CohortError(
                f"{file_name}: fold {fold} tests nobody, expected a patient or more in each fold"
            )
        for name in split.test:
            if tested.setdefault(name, fold) != fold:
                raise CohortError(
                    f"{file_name}: patient {name} is tested in folds {tested[name]} and {fold}, expected one of them"
                )


def _listed(columns: Any) -> str:
    return ", ".join(str(name) for name in list(columns)[:12])


def _marked_split(patients: Sequence[Patient]) -> Split:
    return Split(
        *(tuple(patient.patient_id for patient in patients if patient.split == part) for part in PARTS)
    )
