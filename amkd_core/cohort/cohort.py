"""A cohort: who the patients are, where their slides lie, and how long they were followed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from amkd_core.cohort.clinical import Finding, Patient, outcome_of, read_clinical
from amkd_core.cohort.genes import ExpressionTable, read_expression
from amkd_core.cohort.pathways import GeneSet, read_gmt
from amkd_core.errors import CohortError, ConfigError
from amkd_core.survival.outcome import Outcome

__all__ = ["Cohort", "CohortFile", "Finding", "Patient", "outcome_of", "read_cohort", "read_cohort_file"]

Endpoint = Literal["os", "dss", "pfi"]
Table = TypeVar("Table")


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


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Patients with slides, expression and follow-up, and the tables that belong to them.

    Attributes
    ----------
    path
        The TOML file.
    file
        Its settings, with absolute paths.
    patients
        Complete ones, in the order of the clinical table.
    expression, pathways
        As they were read.
    findings
        Who was kept out, and why.
    """

    path: Path
    file: CohortFile
    patients: tuple[Patient, ...]
    expression: ExpressionTable
    pathways: tuple[GeneSet, ...]
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        return f"Cohort({self.summary})"

    @property
    def outcome(self) -> Outcome:
        """Follow-up of all patients, in their order."""
        return outcome_of(self.patients)

    @property
    def summary(self) -> str:
        """One sentence from which a reader sees whether the event flag was taken the right way round."""
        n_patients, n_events = len(self.patients), sum(patient.event for patient in self.patients)
        months = float(np.median([patient.time for patient in self.patients])) if self.patients else 0.0
        share = n_events / n_patients if n_patients else 0.0
        return (
            f"{self.file.name}: {n_events} deaths among {n_patients} patients ({share:.0%}), "
            f"median follow-up {months:.1f} months"
        )

    def keep_only(self, has_slides: Callable[[Patient], bool], reason: str) -> Cohort:
        """The cohort without the patients that fail a test; they are named in the findings."""
        kept = tuple(patient for patient in self.patients if has_slides(patient))
        if len(kept) == len(self.patients):
            return self
        out = tuple(patient.patient_id for patient in self.patients if not has_slides(patient))
        return replace(self, patients=kept, findings=(*self.findings, Finding(reason, out)))


def read_cohort(path: Path) -> Cohort:
    """Read a cohort from its TOML file.

    Patients that lack follow-up, slide or expression are kept out and named in the findings.

    Raises
    ------
    ConfigError
        When the TOML file is damaged or has unknown keys.
    CohortError
        When tables are missing or contradict themselves; what is wrong with each of them is said at once.
    """
    file = read_cohort_file(path)
    problems: list[str] = []
    expression = _attempt(lambda: read_expression(file.expression), problems)
    measured = None if expression is None else frozenset(expression.patients)
    table = _attempt(lambda: read_clinical(file.clinical, file.endpoint, with_expression=measured), problems)
    pathways = _attempt(lambda: read_gmt(file.pathways), problems)
    if expression is None or table is None or pathways is None:
        raise CohortError("; ".join(problems))
    patients, findings = table
    if not patients:
        reasons = ", ".join(f"{len(item.patients)} have {item.reason}" for item in findings)
        raise CohortError(f"{file.clinical.name}: no patient is complete ({reasons or 'the table is empty'})")
    return Cohort(path, file, patients, expression, pathways, findings)


def _attempt(read: Callable[[], Table], problems: list[str]) -> Table | None:
    """What a reader gives, or None after its complaint was noted, so that one table does not hide another."""
    try:
        return read()
    except CohortError as error:
        problems.append(str(error))
        return None


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: is not TOML ({error})") from error
    problems = [f"there is no table [{name}], only [cohort]" for name in tables if name != "cohort"]
    values: dict[str, Any] = tables.get("cohort", {})
    problems += [_unknown(key) for key in values if key not in CohortFile.model_fields]
    known = {key: value for key, value in values.items() if key in CohortFile.model_fields}
    try:
        file = CohortFile.model_validate(known)
    except ValidationError as error:
        problems += [f"[cohort] {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    if problems:
        raise ConfigError(f"{path.name}: {'; '.join(problems)}")
    folder = path.resolve().parent
    places = {name: getattr(file, name) for name in ("clinical", "expression", "pathways", "slides", "bags")}
    return file.model_copy(
        update={name: folder / place for name, place in places.items() if place is not None}
    )


def _unknown(key: str) -> str:
    near = get_close_matches(key, CohortFile.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(CohortFile.model_fields)}"
    return f"[cohort] there is no key {key}; {hint}"
