"""A patient's pathways by attention, their genes, and whose expression a file holds (METHOD section 8; figure 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from amkd_core.bundle import Bundle
from amkd_core.cohort.genes import read_table
from amkd_core.errors import ModalityError
from amkd_core.inference.expression import column_of_patients
from amkd_core.inference.prediction import CohortReference, TeacherPrediction
from amkd_core.pathway_effects import PathwayEffects
from amkd_core.private_names import remember_name

N_SHOWN = 5
"""Pathways at either end of figure 4."""


Row = TypeVar("Row")


@dataclass(frozen=True)
class PathwayRow:
    """One pathway of one patient, or of a cohort.

    Attributes
    ----------
    rank
        1 for the most attended.
    name
    attention
        Mean attention of the patches, and of a cohort the mean of that over patients; all pathways together sum to 1.
    normalised
        0 for the least attended pathway of this patient or cohort, 1 for the most.
    """

    rank: int
    name: str
    attention: float
    normalised: float


@dataclass(frozen=True)
class EffectRow:
    """What one pathway does to the teacher's risk, by a linear reading (`PathwayEffects`).

    Attributes
    ----------
    rank
        1 for the strongest, whichever way it acts.
    name
    effect
        In units of the teacher's risk, above 0 where it raises it: of a cohort for one standard deviation more of the
        pathway's activity, of a patient what his activity adds against the training cohort's mean patient.
    """

    rank: int
    name: str
    effect: float


@dataclass(frozen=True)
class GeneValue:
    """One gene of a pathway in one patient.

    Attributes
    ----------
    gene
    value
        As in the patient's table; NaN where it lacks the gene.
    z_score
        Standard deviations above the training mean, averaged over the ensemble's scalings; NaN with `value`.
    """

    gene: str
    value: float
    z_score: float


def ranked_pathways(teacher: TeacherPrediction) -> tuple[PathwayRow, ...]:
    """Pathways of a patient, the most attended first; of equal ones the model's first."""
    return _ranked(teacher.pathways, teacher.pathway_importance)


def cohort_pathways(cohort: CohortReference, names: Sequence[str]) -> tuple[PathwayRow, ...]:
    """Pathways of the training cohort as `ranked_pathways`; none where the bundle keeps no attention.

    Parameters
    ----------
    names
        Of the teacher's pathways, in its order.
    """
    return () if cohort.pathway_attention is None else _ranked(names, cohort.pathway_attention)


def _ranked(names: Sequence[str], attention: NDArray[np.float64]) -> tuple[PathwayRow, ...]:
    span = float(np.ptp(attention))
    scaled = (attention - attention.min()) / span if span > 0 else np.zeros_like(attention)
    order = np.argsort(-attention, kind="stable")
    return tuple(
        PathwayRow(place + 1, names[row], float(attention[row]), float(scaled[row]))
        for place, row in enumerate(order)
    )


def ranked_effects(names: Sequence[str], effects: NDArray[np.float64]) -> tuple[EffectRow, ...]:
    """Pathways by the size of their effect, the strongest first; of equal ones the model's first."""
    order = np.argsort(-np.abs(effects), kind="stable")
    return tuple(EffectRow(place + 1, names[row], float(effects[row])) for place, row in enumerate(order))


def patient_effects(teacher: TeacherPrediction, cohort: CohortReference) -> tuple[EffectRow, ...]:
    """What each pathway adds to a patient's risk; none where no reading is kept, or it does not stand for the teacher.

    The strongest come first.
    """
    reading, added = cohort.pathway_effects, teacher.pathway_additions
    if reading is None or added is None or not reading.stands_for_teacher:
        return ()
    return ranked_effects(teacher.pathways, added)


def cohort_effects(cohort: CohortReference, names: Sequence[str]) -> tuple[EffectRow, ...]:
    """Effects in the training cohort, as `patient_effects`; `names` are the teacher's pathways, in its order."""
    return standing_effects(cohort.pathway_effects, names)


def standing_effects(reading: PathwayEffects | None, names: Sequence[str]) -> tuple[EffectRow, ...]:
    """Effects of a reading; none where there is none, or it does not stand for its teacher."""
    if reading is None or not reading.stands_for_teacher:
        return ()
    return ranked_effects(names, reading.effect)


def raising_and_lowering(
    rows: Sequence[EffectRow], n: int = N_SHOWN
) -> tuple[list[EffectRow], list[EffectRow]]:
    """The pathways that raise the risk most, and those that lower it most, the strongest first of both."""
    return [row for row in rows if row.effect > 0][:n], [row for row in rows if row.effect < 0][:n]


def both_ends(rows: Sequence[Row], n: int = N_SHOWN) -> tuple[list[Row], list[Row]]:
    """The most and the least attended, each the most attended first; no pathway is in both."""
    return list(rows[:n]), list(rows[n:][-n:])


def pathway_genes(bundle: Bundle, genes: Mapping[str, float], pathway: str) -> tuple[GeneValue, ...]:
    """Genes of a pathway that the model reads, the farthest from the training mean first, missing ones last.

    Raises
    ------
    ModalityError
        When the bundle has no teacher or no such pathway.
    """
    scalings = [member.scaling for member in bundle.members if member.scaling is not None]
    if bundle.membership is None or not scalings or pathway not in bundle.card.pathways:
        raise ModalityError(f"model {bundle.card.name} holds no pathway {pathway!r}")
    found = []
    for column in np.flatnonzero(bundle.membership[bundle.card.pathways.index(pathway)]):
        name = bundle.card.genes[column]
        value = float(genes.get(name, np.nan))
        z_scores = [(value - scaling.mean[column]) / scaling.std[column] for scaling in scalings]
        found.append(GeneValue(name, value, float(np.mean(z_scores))))
    return tuple(sorted(found, key=lambda gene: -abs(gene.z_score) if np.isfinite(gene.z_score) else np.inf))


def patients_in(path: Path) -> tuple[str, ...]:
    """Patients of an expression table, in either layout of `read_genes`.

    Raises
    ------
    CohortError
        When the file is no table.
    """
    remember_name(path, path.name)
    frame = read_table(path, first_is_text=True)
    column = column_of_patients(frame)
    if column is not None:
        return tuple(str(name).strip() for name in frame[column])
    return tuple(str(column).strip() for column in frame.columns[1:])


def patient_of_slide(patients: Sequence[str], slide_id: str) -> str | None:
    """Whose slide this is by its name, which begins with the patient's.

    ``TCGA-AB-1234-01Z-00-DX1`` is of ``TCGA-AB-1234``; of several that fit the longest counts. None where none fits,
    and then the user is asked.
    """
    fitting = {
        name for name in patients if re.match(rf"{re.escape(name)}(?![0-9A-Za-z])", slide_id, re.IGNORECASE)
    }
    return max(fitting, key=len, default=None)
