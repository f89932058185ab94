"""Which column of a clinical table means what, under the names of the common sources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from amkd_core.errors import CohortError
from amkd_core.survival.endpoints import Endpoint

EventMeaning = Literal["death", "censored"]
TimeUnit = Literal["days", "months", "years"]

MONTHS_PER_YEAR = 12.0
TCGA_SITE = "tcga_site"

PATIENT_NAMES = (
    "patient_id",
    "case_submitter_id",  # before GDC's case_id, which is no barcode
    "cases_submitter_id",  # as GDC names its columns by now: cases.submitter_id, demographic.vital_status
    "submitter_id",
    "case_id",
    "_patient",
    "patient",
    "bcr_patient_barcode",
    "case",
)
MANY_SLIDES_NAMES = ("slide_ids",)
ONE_SLIDE_NAMES = ("slide_id", "filename", "slide", "image_id")
# GDC's newer tables and UCSC Xena's copies put the part of the record before or behind the name. GDC's age_at_diagnosis
# is in days; its age_at_index, in years, comes first.
AGE_NAMES = (
    "age_years",
    "age",
    "age_at_index",
    "demographic_age_at_index",
    "age_at_index_demographic",
    "age_at_initial_pathologic_diagnosis",
    "diagnosis_age",
    "age_at_diagnosis",
    "diagnoses_age_at_diagnosis",
    "age_at_diagnosis_diagnoses",
)
IS_FEMALE = "is_female"  # a flag of MCAT's and SurvPath's tables
SEX_NAMES = (
    "sex",
    "gender",
    "sex_at_birth",
    "demographic_gender",
    "gender_demographic",
    "demographic_sex_at_birth",
    IS_FEMALE,
)
STAGE_NAMES = (
    "ajcc_stage",
    "stage",
    "ajcc_pathologic_tumor_stage",
    "ajcc_pathologic_stage",
    "pathologic_stage",
    "diagnoses_ajcc_pathologic_stage",
    "ajcc_pathologic_stage_diagnoses",
    "neoplasm_disease_stage_american_joint_committee_on_cancer_code",
)
# GDC's two columns of time: that of the dead, and that of the others.
_DEATH_NAMES = ("days_to_death", "demographic_days_to_death", "days_to_death_demographic")
_LAST_CONTACT_NAMES = (
    "days_to_last_follow_up",
    "days_to_last_followup",
    "diagnoses_days_to_last_follow_up",
    "days_to_last_follow_up_diagnoses",
)


_EVENT_NAMES: dict[Endpoint, tuple[str, ...]] = {
    "os": (
        "overall_survival_status",
        "event",
        "vital_status",
        "demographic_vital_status",
        "vital_status_demographic",
        "death",
    ),
    "dss": ("disease_specific_survival_status",),
    "pfi": (),
}


class ClinicalKeys(BaseModel):
    """What a cohort file states about its clinical table; empty where it states nothing.

    Attributes
    ----------
    endpoint
        "os", "dss" or "pfi".
    patient_column, slide_column, time_column, event_column, age_column, sex_column, stage_column
        Names that override the recognised ones.
    event_means
        What 1 means in the event column; stating it also confirms an unusual share of deaths.
    time_unit
        Of the time column; overrides what its name tells.
    days_per_month
        Length of a month where days are converted.
    group
        Column whose groups folds keep apart, or "tcga_site" for the site in the barcode.
    nonpositive_time
        "refuse", or "drop": patients with a time of 0 or less are kept out and named.
    use_split
        Whether a column ``split`` counts.
    slide_table
        Table of the patients' slides, where the clinical table does not name them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: Endpoint = "os"
    patient_column: str = ""
    slide_column: str = ""
    time_column: str = ""
    event_column: str = ""
    age_column: str = ""
    sex_column: str = ""
    stage_column: str = ""
    event_means: EventMeaning | None = None
    time_unit: TimeUnit | None = None
    days_per_month: float = Field(default=30.4375, ge=28, le=31)
    group: str = ""
    nonpositive_time: Literal["refuse", "drop"] = "refuse"
    use_split: bool = True
    slide_table: Path | None = None


@dataclass(frozen=True)
class ClinicalColumns:
    """Columns by meaning; empty names where the table has none.

    Attributes
    ----------
    one_slide_a_row
        Whether each row names one slide, so that a patient has several rows.
    two_times
        Columns of the time of the dead and of that of the others, where the table has these in place of one; `time` is
        then a name for both.
    unit, months
        Of the time column, and months in one of it.
    other_times
        Further recognised columns of the same endpoint's time whose unit is known, and months in one of it.
    event_is_death
        What 1 means; words mean what they say.
    other_events
        Further recognised columns of the same endpoint's event, and what 1 means in each.
    notes
        Each interpretation in a sentence, except that of the event, which depends on what the column holds.
    """

    patient: str
    slide: str
    one_slide_a_row: bool
    time: str
    two_times: tuple[str, str] | None
    unit: TimeUnit
    months: float
    other_times: Mapping[str, float]
    event: str
    event_is_death: bool
    other_events: Mapping[str, bool]
    age: str
    sex: str
    stage: str
    group: str
    split: str
    notes: tuple[str, ...]

    @property
    def sex_is_flag(self) -> bool:
        """Whether the column of sexes is one of flags, 1 = female."""
        return plain(self.sex) == IS_FEMALE


def recognise(columns: Sequence[str], keys: ClinicalKeys, file_name: str) -> ClinicalColumns:
    """Find out which column means what.

    Raises
    ------
    CohortError
        When a column is missing, a stated one does not exist, or the unit of time cannot be told.
    """
    find = _Finder(columns, file_name)
    patient = find.column(keys.patient_column, PATIENT_NAMES, "patient_id", "patient_column")
    one = find.optional(keys.slide_column, () if keys.slide_column else ONE_SLIDE_NAMES)
    many = "" if keys.slide_column else find.optional("", MANY_SLIDES_NAMES)
    time, unit, times = _time(find, keys)
    two_times = None if time else _two_times(find, keys)
    if two_times is not None:
        time, unit = " or ".join(two_times), "days"
    find.require(time, f"{keys.endpoint}_months", "time_column")
    event, is_death, others = _event(find, keys)
    slide = many or one
    if not slide:
        find.missing["slide_ids"] = "slide_column"
    find.refuse_missing()
    if unit is None:
        raise CohortError(
            f"{file_name}: the unit of column {time} cannot be told from its name; state time_unit as days, months or "
            "years in the cohort file"
        )
    length = {"months": 1.0, "years": MONTHS_PER_YEAR, "days": 1 / keys.days_per_month}
    named = time if two_times is None else f"{two_times[0]} of the dead and {two_times[1]} of the others"
    notes = [f"Time is column {named}, in {unit}" + (_month(keys) if unit == "days" else "") + "."]
    group = "" if keys.group == TCGA_SITE else find.optional(keys.group, ())
    return ClinicalColumns(
        patient=patient,
        slide=slide,
        one_slide_a_row=slide != many,
        time=time,
        two_times=two_times,
        unit=unit,
        months=length[unit],
        other_times={name: length[other] for name, other in times.items()},
        event=event,
        event_is_death=is_death,
        other_events=others,
        age=find.optional(keys.age_column, AGE_NAMES),
        sex=find.optional(keys.sex_column, SEX_NAMES),
        stage=find.optional(keys.stage_column, STAGE_NAMES),
        group=group,
        split=find.optional("", ("split",)) if keys.use_split else "",
        notes=tuple(notes),
    )


def column_of(columns: Sequence[str], stated: str, names: Sequence[str], file_name: str) -> str:
    """The stated column, or the first of some names that a table has; empty without any.

    Raises
    ------
    CohortError
        When the stated one does not exist, or two columns are called the same.
    """
    return _Finder(columns, file_name).optional(stated, names)


def _month(keys: ClinicalKeys) -> str:
    return f" (a month is {keys.days_per_month:g} days)"


def _time(find: _Finder, keys: ClinicalKeys) -> tuple[str, TimeUnit | None, dict[str, TimeUnit]]:
    end = keys.endpoint
    named: dict[str, TimeUnit | None] = {
        f"{end}_months": "months",
        f"{end}_days": "days",
        f"{end}_years": "years",
        f"survival_months_{end}": "months",
        f"survival_days_{end}": "days",
    }
    if end == "os":
        named |= {"survival_months": "months", "overall_survival_months": "months"}
        named |= {"survival_days": "days", "overall_survival_days": "days"}
    if end == "dss":
        named |= {"months_of_disease_specific_survival": "months"}
    named |= {f"{end}_time": None}
    column = find.optional(keys.time_column, tuple(named))
    own = named.get(plain(column)) or _unit_in(column)
    if keys.time_unit and own and keys.time_unit != own:
        raise CohortError(
            f"{find.file_name}: column {column} is in {own} by its name, and time_unit says {keys.time_unit}; expected "
            "one of them: leave time_unit out, or rename the column"
        )
    unit = keys.time_unit or own
    others = [] if keys.time_column else [name for name in find.all(tuple(named)) if name != column]
    units = {name: named[plain(name)] or _unit_in(name) for name in others}
    return column, unit, {name: other for name, other in units.items() if other is not None}


def _two_times(find: _Finder, keys: ClinicalKeys) -> tuple[str, str] | None:
    """GDC's time of the dead and that of the others, for overall survival; None without both."""
    death, last = find.optional("", _DEATH_NAMES), find.optional("", _LAST_CONTACT_NAMES)
    return (death, last) if keys.endpoint == "os" and death and last else None


def _unit_in(column: str) -> TimeUnit | None:
    units: tuple[TimeUnit, ...] = ("days", "months", "years")
    return next((unit for unit in units if unit in plain(column).split("_")), None)


def _event(find: _Finder, keys: ClinicalKeys) -> tuple[str, bool, Mapping[str, bool]]:
    end = keys.endpoint
    deaths = (f"{end}_event", end, f"{end}_status", *_EVENT_NAMES[end])
    # A flag without an endpoint in its name is that of overall survival.
    censored = (f"{end}_censorship", f"censorship_{end}") + (
        ("censorship", "censored") if end == "os" else ()
    )
    column = find.column(keys.event_column, (*deaths, *censored), f"{end}_event", "event_column")
    is_death = _means_death(column) if keys.event_means is None else keys.event_means == "death"
    others = [] if keys.event_column else find.all((*deaths, *censored))
    return column, is_death, {name: _means_death(name) for name in others if name != column}


def _means_death(column: str) -> bool:
    return "censor" not in plain(column)


class _Finder:
    """Columns by name, upper and lower case and separators alike."""

    def __init__(self, columns: Sequence[str], file_name: str) -> None:
        self._by_name = {plain(name): str(name) for name in reversed([str(name) for name in columns])}
        self._columns = [str(name) for name in columns]
        self.file_name = file_name
        self.missing: dict[str, str] = {}

    def optional(self, stated: str, names: Sequence[str]) -> str:
        if stated:
            if stated not in self._columns:
                raise CohortError(
                    f"{self.file_name}: no column {stated}, which the cohort file names; found {self._found()}"
                )
            return stated
        found = next((name for name in names if name in self._by_name), "")
        alike = [name for name in self._columns if plain(name) == found]
        if len(alike) > 1:
            raise CohortError(
                f"{self.file_name}: columns {' and '.join(alike)} are called the same; keep or state one of them"
            )
        return self._by_name.get(found, "")

    def all(self, names: Sequence[str]) -> list[str]:
        return [self._by_name[name] for name in names if name in self._by_name]

    def column(self, stated: str, names: Sequence[str], usual: str, key: str) -> str:
        found = self.optional(stated, names)
        self.require(found, usual, key)
        return found

    def require(self, found: str, usual: str, key: str) -> None:
        if not found:
            self.missing[usual] = key

    def refuse_missing(self) -> None:
        slides = "; slides may have a table of their own, slide_table" if "slide_ids" in self.missing else ""
        if self.missing:
            raise CohortError(
                f"{self.file_name}: no column {', '.join(self.missing)}; found {self._found()}; columns with other "
                f"names are stated by {', '.join(self.missing.values())} in the cohort file{slides}"
            )

    def _found(self) -> str:
        return ", ".join(self._columns[:30]) + (", ..." if len(self._columns) > 30 else "")


def plain(name: str) -> str:
    """A column's name in lower case, without brackets, its spaces, line breaks, dots and dashes as underscores."""
    return re.sub(r"[\s.\-]+", "_", re.sub(r"[()\[\]]", " ", name).strip()).lower()
