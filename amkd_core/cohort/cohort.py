"""A cohort: who the patients are, where their slides lie, and how long they were followed."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from amkd_core.cohort.genes import PATIENT_COLUMN, ExpressionTable, read_expression, read_table
from amkd_core.cohort.pathways import GeneSet, read_gmt
from amkd_core.errors import CohortError, ConfigError
from amkd_core.survival.outcome import Outcome

Endpoint = Literal["os", "dss", "pfi"]


class CohortFile(BaseModel):
    """The ``[cohort]`` table of a cohort's TOML file; paths are relative to the file.

    Attributes
    ----------
    name
        For reports.
    clinical
        Table with ``patient_id``, ``slide_ids`` (joined by ``;``), ``<endpoint>_months`` and
        ``<endpoint>_event`` (1 = death), and optionally ``split`` (train, validation, test).
    expression
        Table with patients in rows.
    pathways
        GMT file.
    slides, bags
        Folders; bags that are missing are extracted from the slides.
    encoder
        Patch encoder.
    endpoint
        Which columns of the clinical table.
    synthetic
        Whether the patients are simulated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    clinical: Path
    expression: Path
    pathways: Path
    slides: Path | None = None
    bags: Path | None = None
    encoder: str = "texture"
    endpoint: Endpoint = "os"
    synthetic: bool = False


@dataclass(frozen=True)
class Patient:
    """One patient with complete follow-up.

    Attributes
    ----------
    patient_id
    slide_ids
        At least one.
    time
        Months to death or censoring, above 0.
    event
        True when the death was seen.
    split
        "train", "validation", "test", or empty when the table does not say.
    """

    patient_id: str
    slide_ids: tuple[str, ...]
    time: float
    event: bool
    split: str = ""


@dataclass(frozen=True)
class Finding:
    """Patients that were kept out, and why."""

    reason: str
    patients: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.patients[:5]) + (", ..." if len(self.patients) > 5 else "")
        return f"{len(self.patients)} patients kept out: {self.reason} ({shown})"


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Patients with slides, expression and follow-up, and the tables that belong to them."""

    file: CohortFile
    patients: tuple[Patient, ...]
    expression: ExpressionTable
    pathways: tuple[GeneSet, ...]
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        events = sum(patient.event for patient in self.patients)
        return f"Cohort({self.file.name}: {len(self.patients)} patients, {events} deaths)"

    @property
    def outcome(self) -> Outcome:
        """Follow-up of all patients, in their order."""
        return outcome_of(self.patients)


def outcome_of(patients: Sequence[Patient]) -> Outcome:
    """Follow-up of patients, in their order."""
    return Outcome(
        np.array([patient.time for patient in patients]), np.array([patient.event for patient in patients])
    )


def read_cohort(path: Path) -> Cohort:
    """Read a cohort from its TOML file.

    Patients that lack follow-up or expression are kept out and named in the findings.

    Raises
    ------
    ConfigError
        When the TOML file is damaged or has unknown keys.
    CohortError
        When a table is missing or contradicts itself; all contradictions of the clinical table are listed.
    """
    file = read_cohort_file(path)
    expression = read_expression(file.expression)
    patients, findings = _read_patients(file, frozenset(expression.patients))
    return Cohort(file, patients, expression, read_gmt(file.pathways), findings)


def read_cohort_file(path: Path) -> CohortFile:
    """Read and check the TOML file; paths come back absolute.

    Raises
    ------
    ConfigError
        As `read_cohort`.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such cohort file")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        file = CohortFile.model_validate(tables.get("cohort", {}))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: is not TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path.name}: [cohort] {field}: {first['msg']}") from error
    folder = path.resolve().parent
    places = {name: getattr(file, name) for name in ("clinical", "expression", "pathways", "slides", "bags")}
    return file.model_copy(
        update={name: folder / place for name, place in places.items() if place is not None}
    )


def _read_patients(
    file: CohortFile, with_expression: frozenset[str]
) -> tuple[tuple[Patient, ...], tuple[Finding, ...]]:
    frame = read_table(file.clinical)
    time_column, event_column = f"{file.endpoint}_months", f"{file.endpoint}_event"
    needed = (PATIENT_COLUMN, "slide_ids", time_column, event_column)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        found = ", ".join(str(name) for name in frame.columns)
        raise CohortError(f"{file.clinical.name}: no column {', '.join(missing)}; found {found}")
    problems: list[str] = []
    kept: dict[str, Patient] = {}
    out: dict[str, list[str]] = {"no follow-up": [], "no expression": [], "no slide": []}
    for row in frame.to_dict("records"):
        name = str(row[PATIENT_COLUMN])
        if name in kept:
            problems.append(f"patient {name} stands there more than once")
            continue
        reason = _why_not(row, time_column, event_column, has_expression=name in with_expression)
        if reason in out:
            out[reason].append(name)
        elif reason:
            problems.append(f"patient {name}: {reason}")
        else:
            kept[name] = _patient(row, time_column, event_column)
    if problems:
        listed = "; ".join(problems[:10])
        raise CohortError(f"{file.clinical.name}: {len(problems)} problems: {listed}")
    findings = tuple(Finding(reason, tuple(names)) for reason, names in out.items() if names)
    return tuple(kept.values()), findings


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and np.isnan(value))


def _why_not(row: dict[Any, Any], time_column: str, event_column: str, *, has_expression: bool) -> str:
    """Why a row gives no patient; empty when it does."""
    time, event = row[time_column], row[event_column]
    if _is_empty(time) or _is_empty(event):
        return "no follow-up"
    if _is_empty(row["slide_ids"]):
        return "no slide"
    if not has_expression:
        return "no expression"
    if not isinstance(time, (int, float)) or not time > 0:
        return f"{time_column} is {time}, expected months above 0"
    if event not in (0, 1):
        return f"{event_column} is {event}, expected 1 (death) or 0 (censored)"
    split = row.get("split")
    if not _is_empty(split) and split not in ("train", "validation", "test"):
        return f"split is {split}, expected train, validation or test"
    return ""


def _patient(row: dict[Any, Any], time_column: str, event_column: str) -> Patient:
    slides = tuple(name.strip() for name in str(row["slide_ids"]).split(";") if name.strip())
    split = row.get("split")
    return Patient(
        str(row[PATIENT_COLUMN]),
        slides,
        float(row[time_column]),
        bool(row[event_column]),
        "" if _is_empty(split) else str(split),
    )
