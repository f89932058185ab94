"""Single rows of a clinical table: what contradicts itself in them, which slides they name, what their event means."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from amkd_core.cohort.barcodes import is_normal_tissue
from amkd_core.cohort.clinical_values import flag_of, in_words, is_empty, is_untold, number_of
from amkd_core.cohort.columns import ClinicalColumns, ClinicalKeys
from amkd_core.errors import CohortError
from amkd_core.file_names import fault_of_file_name, slide_named
from amkd_core.survival.endpoints import words_of

PARTS = ("train", "validation", "test")
_PART_WORDS = {"training": "train", "val": "validation", **{part: part for part in PARTS}}
LONGEST_MONTHS = 1_500.0
# Months of 30 days and of 30.44 differ by less.
_SAME_TIME = 0.05
_DECIMAL_COMMA = re.compile(r"\d+,\d+")


def slide_ids_of(row: Mapping[Any, Any], columns: ClinicalColumns) -> tuple[str, ...]:
    """Slides of tumours that a row names, without the endings of files; none where its cell is empty."""
    return tuple(name for name in _slides_named(row, columns) if not is_normal_tissue(name))


def normal_slides_of(row: Mapping[Any, Any], columns: ClinicalColumns) -> tuple[str, ...]:
    """Slides that a row names and whose barcodes say normal tissue: none tells of the tumour."""
    return tuple(name for name in _slides_named(row, columns) if is_normal_tissue(name))


def _slides_named(row: Mapping[Any, Any], columns: ClinicalColumns) -> tuple[str, ...]:
    value = row[columns.slide]
    if is_empty(value):
        return ()
    names = (name.strip() for name in str(value).split(";"))
    return tuple(slide_named(name) for name in names if name)


def part_of(value: Any) -> str | None:
    """Part of a split that a cell names ("train", "validation", "test", also "training" and "val"); None otherwise."""
    return _PART_WORDS.get(str(value).strip().lower())


def fault_of_row(row: Mapping[Any, Any], columns: ClinicalColumns, words: bool) -> str:
    """What contradicts itself in a complete row; empty when nothing does."""
    time, split = row[columns.time], row.get(columns.split)
    number = number_of(time)
    if number is None or not (math.isfinite(number) and number > 0):
        found = time if number is None else number
        point = (
            "; is the comma a decimal one? numbers have a point"
            if _DECIMAL_COMMA.fullmatch(str(time).strip())
            else ""
        )
        return f"{columns.time} is {found}, expected {columns.unit} above 0{point}"
    if number * columns.months > LONGEST_MONTHS:
        return f"{columns.time} is {number:g}, longer than anyone lives, expected another unit of time"
    if flag_of(row[columns.event], words) is None:
        meaning = "1 (death) or 0 (censored)" if columns.event_is_death else "1 (censored) or 0 (death)"
        if number_of(row[columns.event]) is None:  # yes and no, or another language
            meaning += ", or Dead and Alive in all rows"
        meaning = "Dead or Alive" if words else meaning
        return f"{columns.event} is {row[columns.event]}, expected {meaning}"
    if not is_empty(split) and part_of(split) is None:
        return f"split is {split}, expected train, validation or test"
    slides = slide_ids_of(row, columns)
    if not columns.one_slide_a_row and "," in str(row[columns.slide]):
        return f"{columns.slide} is {row[columns.slide]}, expected names joined by ;"
    unsafe = next((name for name in slides if fault_of_file_name(name)), "")
    if unsafe:
        return f"slide {unsafe!r} {fault_of_file_name(unsafe)}"
    if len(set(slides)) < len(slides):
        twice = next(name for name in slides if slides.count(name) > 1)
        return f"slide {twice} stands there more than once"
    return ""


def joined_times(
    columns: ClinicalColumns, two_times: tuple[str, str], rows: Sequence[Mapping[Any, Any]]
) -> tuple[list[Any], list[str]]:
    """Time of each row where the dead have a column of their own, and what contradicts itself in them, in sentences.

    A row that does not tell who died has no time.

    Parameters
    ----------
    two_times
        Columns of the time of the dead, and of that of the others.
    """
    death, last = two_times
    died = [event_of(row[columns.event], is_death=columns.event_is_death) for row in rows]
    times = [
        None if dead is None else row[death if dead else last] for dead, row in zip(died, rows, strict=True)
    ]
    odd = sum(dead is False and not is_untold(row[death]) for dead, row in zip(died, rows, strict=True))
    have = "1 row has" if odd == 1 else f"{odd} rows have"
    said = f"{have} a time in {death} and no death in {columns.event}; {last} is taken."
    return times, [said] if odd else []


def event_of(value: Any, *, is_death: bool) -> bool | None:
    """Whether a cell of an event column tells of an event; None where it does not tell.

    Parameters
    ----------
    is_death
        What 1 means in the column; words mean what they say.
    """
    words = flag_of(value, words=True)
    flag = flag_of(value, words=False)
    if words is not None or flag is None:
        return words
    return flag if is_death else not flag


def contradiction_notes(
    columns: ClinicalColumns, rows: Sequence[Mapping[Any, Any]], file_name: str
) -> list[str]:
    """In how many rows another recognised column says otherwise than the time or the event column that is taken.

    Raises
    ------
    CohortError
        When they disagree in more rows than they agree in: one of them is turned round, or means something else.
    """
    notes = []
    for other, months in columns.other_times.items():
        lasted = [(number_of(row[columns.time]), number_of(row[other])) for row in rows]
        known = [
            (one * columns.months, two * months)
            for one, two in lasted
            if one is not None and two is not None and one > 0 and two > 0
        ]
        differ = [abs(one - two) > max(_SAME_TIME * max(one, two), 1) for one, two in known]
        notes += _told(columns.time, other, differ, file_name, "state time_column, and time_unit")
    for other, is_death in columns.other_events.items():
        told = [
            (
                event_of(row[columns.event], is_death=columns.event_is_death),
                event_of(row[other], is_death=is_death),
            )
            for row in rows
        ]
        differ = [first != second for first, second in told if first is not None and second is not None]
        way_out = "state event_column, and event_means where 1 is not what its name says"
        notes += _told(columns.event, other, differ, file_name, way_out)
    return notes


def _told(taken: str, other: str, differ: Sequence[bool], file_name: str, way_out: str) -> list[str]:
    """What is said of two columns that contradict each other in some rows; a refusal where it is in most."""
    both = f"olumns {taken} and {other} contradict each other in {sum(differ)} of {len(differ)} rows"
    if 2 * sum(differ) > len(differ):
        raise CohortError(f"{file_name}: c{both}; {way_out}")
    return [f"C{both}; {taken} is taken."] if any(differ) else []


def event_note(columns: ClinicalColumns, keys: ClinicalKeys, values: Iterable[Any], file_name: str) -> str:
    """What the event column means, in a sentence: by 0 and 1, or by the words that it holds.

    Raises
    ------
    CohortError
        When the column holds words and the cohort file says that 1 means censored: words mean what they say.
    """
    told = list(values)
    event = words_of(keys.endpoint).event
    if not in_words(told):
        meaning = f"1 means {event}" if columns.event_is_death else f"1 means censored, 0 {event}"
        return f"Event is column {columns.event}: {meaning}."
    if keys.event_means == "censored":
        raise CohortError(
            f'{file_name}: column {columns.event} says in words who died, but event_means is "censored", expected none '
            'or "death"'
        )
    shown = []
    for flag, meaning in ((True, event), (False, "censored")):
        kinds = dict.fromkeys(str(value).strip() for value in told if flag_of(value, words=True) is flag)
        shown += [f"{' or '.join(kinds)} means {meaning}"] if kinds else []
    return f"Event is column {columns.event}, in words: {', '.join(shown)}."
