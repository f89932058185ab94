"""A cohort: who the patients are, where their slides lie, and how long they were followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import Field, ValidationError

from amkd_core.cohort.bare_tables import bare_note
from amkd_core.cohort.checks import follow_up_warnings
from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.expression import FoundScale, ReadExpression, Scale, read_cohort_expression
from amkd_core.cohort.genes import ExpressionTable, read_expression
from amkd_core.cohort.pathways import GeneSet, read_gmt, refuse_genes_as_descriptions
from amkd_core.cohort.patients import Finding, Patient, outcome_of
from amkd_core.errors import CohortError, ConfigError
from amkd_core.hash_beside import check_hash_beside
from amkd_core.survival.endpoints import words_of
from amkd_core.survival.outcome import Outcome
from amkd_core.toml_text import read_toml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["Cohort", "CohortFile", "Finding", "Patient", "outcome_of", "read_cohort", "read_cohort_file"]

PATHS = (
    "clinical",
    "slide_table",
    "expression",
    "pathways",
    "gene_groups",
    "slides",
    "bags",
    "folds",
    "probe_map",
)
LATER_KEYS = ("bag_mpp", "patch_size", "patch_size_level0", "slide_mpp", "min_genes", "min_pathway_genes")
"""Keys that came after the first release: unstated, they are None, and no run records them."""
_TOLD_BY = ("clinical", "expression", "pathways", "slides", "bags")
Table = TypeVar("Table")


class CohortFile(ClinicalKeys):
    """The ``[cohort]`` table of a cohort's TOML file; paths are relative to the file. docs/cohort.md tells more.

    What it states about the clinical table is in `amkd_core.cohort.columns.ClinicalKeys`.

    Attributes
    ----------
    name
        For reports.
    clinical
        Table of patients, slides and follow-up; see `amkd_core.cohort.columns` for the names of its columns.
    expression, probe_map, expression_scale
        Table of expression, a table from its identifiers to symbols, and its scale; see `amkd_core.cohort.expression`.
    pathways
        GMT file.
    min_genes, min_pathway_genes
        Least share of the genes of all pathways, and of any one's, that the expression table must have; stating less
        than 0.9 and 0.5 confirms that it has few.
    gene_groups
        GMT file of the groups of genes that MCAT and G-HANet read in place of pathways; only benchmarks need it.
    slides, bags
        Folders; bags that are missing are extracted from the slides.
    encoder
        Patch encoder; stated, also of bags of other tools that do not record theirs.
    bag_mpp, patch_size, patch_size_level0, slide_mpp
        What bags of other tools do not record: micrometres per pixel of a patch, its side in pixels, its side in
        level-0 pixels, micrometres per level-0 pixel.
    synthetic
        Whether the patients are simulated.
    folds
        Table of folds; see `amkd_core.cohort.folds.read_folds`.
    """

    name: str = "cohort"
    clinical: Path
    expression: Path
    pathways: Path
    min_genes: float | None = Field(default=None, ge=0, le=1)
    min_pathway_genes: float | None = Field(default=None, ge=0, le=1)
    gene_groups: Path | None = None
    slides: Path | None = None
    bags: Path | None = None
    encoder: str = "texture"
    synthetic: bool = False
    folds: Path | None = None
    probe_map: Path | None = None
    expression_scale: Scale = "auto"
    bag_mpp: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    patch_size: int | None = Field(default=None, gt=0)
    patch_size_level0: int | None = Field(default=None, gt=0)
    slide_mpp: float | None = Field(default=None, gt=0, allow_inf_nan=False)


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Patients with slides, expression and follow-up, and the tables that belong to them.

    Attributes
    ----------
    path
        The TOML file; None when the cohort was described by flags alone.
    file
        Its settings, with absolute paths.
    patients
        Complete ones, in the order of the clinical table.
    expression, pathways
        As they were read.
    findings
        Who was kept out, and why.
    notes
        Each interpretation that was taken, in a sentence.
    warnings
        What looks wrong and does not stop a run.
    gene_groups
        As they were read; empty where the file names none.
    expression_scale
        On which the expression file's values stand; `expression` holds logarithms (or compressed z-scores) of them.
    """

    path: Path | None
    file: CohortFile
    patients: tuple[Patient, ...]
    expression: ExpressionTable
    pathways: tuple[GeneSet, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    gene_groups: tuple[GeneSet, ...] = ()
    expression_scale: FoundScale = "log"

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
            f"{self.file.name}: {n_events} {words_of(self.file.endpoint).events} among {n_patients} patients "
            f"({share:.0%}), median follow-up {months:.1f} months"
        )

    def keep_only(self, has_slides: Callable[[Patient], bool], reason: str) -> Cohort:
        """The cohort without the patients that fail a test; they are named in the findings."""
        kept = tuple(patient for patient in self.patients if has_slides(patient))
        if len(kept) == len(self.patients):
            return self
        out = tuple(patient.patient_id for patient in self.patients if not has_slides(patient))
        return replace(self, patients=kept, findings=(*self.findings, Finding(reason, out)))


def read_cohort(
    path: Path | None, given: Mapping[str, Any] | None = None, *, trained_on: bool = False
) -> Cohort:
    """Read a cohort from its TOML file, from flags, or from a file some of whose keys are replaced by flags.

    Patients that lack follow-up, slide or expression are kept out and named in the findings.

    Parameters
    ----------
    path
        TOML file; None when everything is given.
    given
        Keys of ``[cohort]`` that come before the file's; paths are relative to the working folder.
    trained_on
        A finished run rests on it: what its event flag means was said then, and is asked for no more.

    Raises
    ------
    ConfigError
        When the TOML file is damaged or has unknown keys.
    CohortError
        When tables are missing or contradict themselves; what is wrong with each of them is said at once.
    """
    file = read_cohort_file(path, given)
    problems: list[str] = []
    table = _attempt(lambda: read_clinical_table(file.clinical, file), problems)
    known = frozenset() if table is None else frozenset(patient.patient_id for patient in table.patients)
    read = _attempt(lambda: expression_of(file, known), problems)
    pathways = _attempt(lambda: read_gmt(file.pathways), problems)
    groups = _attempt(lambda: () if file.gene_groups is None else read_gmt(file.gene_groups), problems)
    measured_genes = () if read is None else read.table.genes
    if pathways is not None:
        _attempt(lambda: refuse_genes_as_descriptions(file.pathways, measured_genes), problems)
    if problems or read is None or table is None or pathways is None or groups is None:
        raise CohortError("; ".join(problems))
    measured = set(read.table.patients)
    patients = tuple(patient for patient in table.patients if patient.patient_id in measured)
    without = tuple(patient.patient_id for patient in table.patients if patient.patient_id not in measured)
    findings = (*table.findings, *((Finding("no expression", without),) if without else ()))
    if not patients:
        reasons = ", ".join(f"{len(item.patients)} have {item.reason}" for item in findings)
        raise CohortError(f"{file.clinical.name}: no patient is complete ({reasons or 'the table is empty'})")
    warnings = follow_up_warnings(
        patients,
        confirmed=file.event_means is not None or table.in_words or trained_on,
        name=file.clinical.name,
        words=words_of(file.endpoint),
    )
    notes = (*table.notes, *read.notes, *bare_note(file))
    return Cohort(path, file, patients, read.table, pathways, findings, notes, warnings, groups, read.scale)


def expression_of(file: CohortFile, known: frozenset[str]) -> ReadExpression:
    """Expression of the patients of a clinical table, as the cohort's file says to read it.

    Raises
    ------
    CohortError
        As `read_cohort_expression`.
    """
    if not known:  # the clinical table is to blame, and says so itself
        return ReadExpression(read_expression(file.expression), ())
    return read_cohort_expression(
        file.expression, known, probe_map=file.probe_map, scale=file.expression_scale
    )


def _attempt(read: Callable[[], Table], problems: list[str]) -> Table | None:
    """What a reader gives, or None after its complaint was noted, so that one table does not hide another."""
    try:
        return read()
    except CohortError as error:
        problems.append(str(error))
        return None


def read_cohort_file(path: Path | None, given: Mapping[str, Any] | None = None) -> CohortFile:
    """Read and check the TOML file; paths come back absolute.

    Raises
    ------
    ConfigError
        As `read_cohort`.
    """
    tables = {} if path is None else _toml(path)
    values: dict[str, Any] = tables.pop("cohort", {})
    if not isinstance(values, dict):
        raise ConfigError(f"{'flags' if path is None else path.name}: cohort must be one table, [cohort]")
    if path is not None and not values and tables and not set(tables) & set(_TOLD_BY):
        found = ", ".join(f"[{name}]" if isinstance(value, dict) else name for name, value in tables.items())
        raise ConfigError(
            f"{path.name}: holds {found} and no table [cohort]; if this is a file of settings: --config"
        )
    above = {name: value for name, value in tables.items() if not isinstance(value, dict)}
    problems = [f"there is no table [{name}], only [cohort]" for name in tables if name not in above]
    if above:  # TOML takes what stands above the first header for keys of no table
        problems.append(f"{', '.join(above)}: the line [cohort] must stand above, and does not")
    values = {**above, **values}  # read all the same, so that what is wrong with them is said as well
    folder = Path.cwd() if path is None else path.resolve().parent
    stated = {key: value for key, value in (given or {}).items() if value is not None}
    problems += [_unknown(key) for key in (*values, *stated) if key not in CohortFile.model_fields]
    known = {key: value for key, value in values.items() if key in CohortFile.model_fields}
    placed = {**_placed(known, folder), **_placed(stated, Path.cwd())}
    try:
        file = CohortFile.model_validate(
            {key: placed[key] for key in placed if key in CohortFile.model_fields}
        )
    except ValidationError as error:
        problems += [_said(".".join(map(str, item["loc"])), item) for item in error.errors()]
    if problems:
        raise ConfigError(f"{'flags' if path is None else path.name}: {'; '.join(problems)}")
    return file


def _toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        what = "is a folder, expected a cohort's TOML file" if path.is_dir() else "no such cohort file"
        raise ConfigError(f"{path}: {what}")
    check_hash_beside(path, CohortError)
    return read_toml(path)


def _placed(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same keys, with paths made absolute; ``~`` is the home folder."""
    return {
        key: folder / os.path.expanduser(value) if key in PATHS and isinstance(value, (str, Path)) else value
        for key, value in values.items()
    }


def _said(key: str, error: ErrorDetails) -> str:
    """What is wrong with a key; of the tables also which part of the method is missing without them."""
    if error["type"] != "missing":
        return f"[cohort] {key}: {error['msg']}"
    what = {
        "clinical": "the table of patients and their follow-up",
        "expression": "the table of genes, without which no pathway is known and no model can be trained",
        "pathways": "the GMT file of gene sets, into which all models sort genes",
    }
    return f"[cohort] {key} is missing; name {what.get(key, 'it')}"


def _unknown(key: str) -> str:
    near = get_close_matches(key, CohortFile.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(CohortFile.model_fields)}"
    return f"[cohort] there is no key {key}; {hint}"
