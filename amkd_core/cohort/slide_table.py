"""A table of slides, which says whose each is where the clinical table does not: GDC's sample sheets, STAMP's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amkd_core.cohort.barcodes import patient_of
from amkd_core.cohort.clinical_values import is_empty
from amkd_core.cohort.columns import (
    MANY_SLIDES_NAMES,
    ONE_SLIDE_NAMES,
    PATIENT_NAMES,
    ClinicalKeys,
    column_of,
)
from amkd_core.cohort.patients import listed
from amkd_core.cohort.tables import named, read_table
from amkd_core.errors import CohortError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_NAMES = (*ONE_SLIDE_NAMES, "file_name")
_TISSUE_NAMES = ("sample_type", "tissue_type")  # as GDC's older and newer sample sheets say


def with_slide_table(
    frame: pd.DataFrame, keys: ClinicalKeys, file_name: str
) -> tuple[pd.DataFrame, list[str]]:
    """The clinical table with a column ``slide_ids`` that the table of slides tells, and how that was understood.

    Parameters
    ----------
    frame
        Clinical table; comes back as it is where no table of slides is named.
    keys
        With ``slide_table``; ``slide_column`` is then a column of that table.
    file_name
        Of the clinical table.

    Raises
    ------
    CohortError
        When the table of slides cannot be read or lacks a column, a slide has no patient, none of its patients is in
        the clinical table, or that names slides itself.
    """
    path = keys.slide_table
    if path is None:
        return frame, []
    own = column_of(frame.columns, "", (*MANY_SLIDES_NAMES, *ONE_SLIDE_NAMES), file_name)
    if own:
        raise CohortError(
            f"{file_name}: names slides in column {own}, and slide_table = {path.name} names them as well; expected "
            "one of them"
        )
    slides, note = _slides_by_patient(path, keys)
    patient = keys.patient_column or column_of(frame.columns, "", PATIENT_NAMES, file_name)
    if patient not in frame.columns:  # said with whatever else the clinical table lacks
        return frame.assign(slide_ids=""), []
    names = ["" if is_empty(value) else patient_of(str(value)) for value in frame[patient]]
    others = sorted(set(slides) - set(names))
    if len(others) == len(slides):
        raise CohortError(
            f"{path.name}: names no patient of {file_name} ({others[0]}, ...), expected such as "
            f"{min(filter(None, names), default='any')}"
        )
    notes = [note]
    if others:
        whose = "1 patient of it is" if len(others) == 1 else f"{len(others)} patients of it are"
        notes.append(f"{whose} not in {file_name} ({listed(others)}).")
    return frame.assign(slide_ids=[";".join(slides.get(name, ())) for name in names]), notes


def _slides_by_patient(path: Path, keys: ClinicalKeys) -> tuple[dict[str, list[str]], str]:
    """Slides of each patient, in the table's order, and the columns that tell them, in a sentence."""
    sheet = read_table(path, text=(keys.patient_column, keys.slide_column))
    source = named(path, sheet)
    stated = keys.patient_column if keys.patient_column in sheet.columns else ""
    patient = column_of(sheet.columns, stated, PATIENT_NAMES, source)
    slide = column_of(sheet.columns, keys.slide_column, _NAMES, source)
    if not patient or not slide:
        lacking = " and ".join(
            name for name, found in (("patient_id", patient), ("slide_id", slide)) if not found
        )
        raise CohortError(
            f"{source}: no column {lacking}; found {', '.join(map(str, sheet.columns[:12]))}; columns with other "
            "names are stated by patient_column, slide_column in the cohort file"
        )
    found: dict[str, list[str]] = {}
    cells: list[tuple[int, Any, Any]] = list(zip(sheet.index + 2, sheet[patient], sheet[slide], strict=True))
    tissue = column_of(sheet.columns, "", _TISSUE_NAMES, source)
    normal = [_says_normal(value) for value in sheet[tissue]] if tissue else [False] * len(cells)
    for (number, whose, name), is_normal in zip(cells, normal, strict=True):
        if is_empty(name) or is_normal:
            continue
        if is_empty(whose):
            raise CohortError(f"{source}: row {number}: slide {name} has no {patient}")
        found.setdefault(patient_of(str(whose)), []).append(str(name).strip())
    if not found:
        raise CohortError(f"{source}: names no slide in column {slide}")
    note = f"Slides are column {slide} of {source}, patients its column {patient}"
    if any(normal):
        note += f"; {sum(normal)} of its rows are of normal tissue by column {tissue} and left out"
    return found, f"{note}."


def _says_normal(value: Any) -> bool:
    """Whether all samples of a file are of normal tissue, as in GDC's "Solid Tissue Normal"."""
    kinds = [] if is_empty(value) else str(value).split(",")
    return bool(kinds) and all("normal" in kind.lower() for kind in kinds)
