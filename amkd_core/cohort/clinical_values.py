"""What cells of a clinical table say: numbers, flags, ages, sexes and stages, as the common sources write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

OLDEST_YEARS = 130.0
DAYS_PER_YEAR = 365.25

_STAGES = {"I": 1, "II": 2, "III": 3, "IV": 4}
_SEXES = {"female": "female", "f": "female", "woman": "female", "male": "male", "m": "male", "man": "male"}
_DEATH_WORDS = {
    "dead": True,
    "deceased": True,
    "alive": False,
    "living": False,
}
# cBioPortal writes 1:DECEASED and 0:ALIVE OR DEAD TUMOR FREE: the number is the flag, whatever the endpoint.
_CODED = re.compile(r"([01])\s*:\s*(\S.*)")
_TRUTHS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
_UNTOLD = frozenset(
    (
        "not reported",
        "unknown",
        "not available",
        "not applicable",
        "unspecified",
        "na",
        "n/a",
        "nan",
        "--",
        "-",
    )
)


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing."""
    import pandas as pd

    return bool(pd.isna(value)) or (isinstance(value, str) and not value.strip())


def is_untold(value: Any) -> bool:
    """Whether a cell is empty or says in words that nothing is known ("Not Reported", "[Not Available]")."""
    return is_empty(value) or str(value).strip().strip("'[]").lower() in _UNTOLD


def number_of(value: Any) -> float | None:
    """A cell as a number; None where it is none, and for TRUE and FALSE, which Python takes for 1 and 0."""
    import numpy as np

    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def in_words(values: Iterable[Any]) -> bool:
    """Whether an event column tells of the living and the dead in words, rather than by flags."""
    told = list(values)
    return sum(map(is_death_word, told)) > sum(flag_of(value, words=False) is not None for value in told)


def is_death_word(value: Any) -> bool:
    """Whether a cell of an event column says in a word who lives."""
    return flag_of(value, words=True) is not None


def flag_of(value: Any, words: bool) -> bool | None:
    """Flag of an event column, or whether a word of a column of words means death; None for anything else.

    Words are such as Dead and Alive, and cBioPortal's ``1:DECEASED``, unless number and word contradict each other.
    """
    text = str(value).strip().lower()
    if not words:
        return _TRUTHS.get(text)
    coded = _CODED.fullmatch(text)
    if coded is None:
        return _DEATH_WORDS.get(text)
    flag = coded.group(1) == "1"
    return flag if _DEATH_WORDS.get(coded.group(2), flag) == flag else None


def age_number(value: Any, unit_years: float) -> float | None:
    """Age in years; None where it is no number ("> 89") or no age.

    Parameters
    ----------
    value
        Of the table.
    unit_years
        Years in one unit of the column, as `age_unit` tells.
    """
    number = number_of(value)
    if number is None or not 0 <= number * unit_years <= OLDEST_YEARS:
        return None
    return number * unit_years


def age_unit(column: str, values: Iterable[Any]) -> float:
    """Years in one unit of a column of ages: 1, or that of a day in GDC's ``age_at_diagnosis``, where ages are in days.

    Taken as days only where no lifetime has as many years; elsewhere ages that are none count as unknown.
    """
    numbers = sorted(number for number in map(number_of, values) if number is not None and number > 0)
    in_days = column.strip().lower().split(".")[-1] == "age_at_diagnosis"
    if in_days and numbers and numbers[len(numbers) // 2] > OLDEST_YEARS:
        return 1 / DAYS_PER_YEAR
    return 1.0


def stage_number(text: str) -> int | None:
    """Stage I to IV as 1 to 4, from texts such as "Stage IIB", "iii", "2" or "2.0"; None where none is told."""
    found = re.fullmatch(r"(?:stage\s*)?(iv|iii|ii|i|[1-4])(?:[a-c]\d?|\.0)?", text.strip(), re.IGNORECASE)
    if found is None:
        return None
    part = found.group(1).upper()
    return int(part) if part.isdigit() else _STAGES[part]


def sex_text(value: Any, *, is_flag: bool) -> str:
    """A cell of a column of sexes in lower case, empty where it holds nothing; `is_flag` where 1 means female."""
    text = "" if is_empty(value) else str(value).strip().lower()
    flag = flag_of(value, words=False) if is_flag else None
    return text if flag is None else ("female" if flag else "male")


def sex_of(text: str) -> str | None:
    """``female`` or ``male``, from texts such as "F"; None for numbers too, whose meaning differs between tables."""
    return _SEXES.get(text.strip().lower())


def sex_notes(column: str, values: Iterable[Any], *, is_flag: bool) -> list[str]:
    """What of the sexes of a column was not understood, in sentences; `is_flag` as for `sex_text`."""
    return _misread(column, values, lambda value: sex_of(sex_text(value, is_flag=is_flag)))


def age_notes(column: str, values: Iterable[Any], unit_years: float) -> list[str]:
    """How the ages of a column were read, where that is not plain, in sentences."""
    notes = [f"Age is column {column}, in days."] if unit_years != 1 else []
    return notes + _misread(column, values, lambda value: age_number(value, unit_years))


def stage_notes(column: str, values: Iterable[Any]) -> list[str]:
    """What of the stages of a column was not understood, in sentences."""
    return _misread(column, values, lambda value: stage_number(str(value)))


def _misread(column: str, values: Iterable[Any], read: Callable[[Any], object]) -> list[str]:
    """Who counts as unknown: the clinical baseline is the weaker for it, and subgroups are the smaller."""
    told = [value for value in values if not is_untold(value)]
    wrong = [str(value).strip() for value in told if read(value) is None]
    if not wrong:
        return []
    kinds = list(dict.fromkeys(wrong))
    some = ", ".join(kinds[:4]) + (", ..." if len(kinds) > 4 else "")
    return [
        f"{len(wrong)} of {len(told)} values of column {column} were not understood and count as unknown ({some})."
    ]
