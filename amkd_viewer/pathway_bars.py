"""What the bars of the Pathways panel show: attention or effects, of the patient beside the training cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amkd_viewer.plots import BarGroup, effect_table, pathway_table
from amkd_viewer.wording import COHORT_PATHWAYS, EFFECTS, NO_COHORT_PATHWAYS, NO_EFFECTS, WEAK_EFFECTS

if TYPE_CHECKING:
    from amkd_core.inference.pathway_table import EffectRow, PathwayRow
    from amkd_core.inference.prediction import CohortReference, Prediction, TeacherPrediction


@dataclass(frozen=True)
class BarChart:
    """Bars of pathways, and what is said below them.

    Attributes
    ----------
    text
        What the bars show, or why there are none.
    groups
        One chart each; none where there is nothing to show.
    signed
        Whether bars lie either side of 0.
    table
        All numbers, the heading first.
    """

    text: str
    groups: tuple[BarGroup, ...] = ()
    signed: bool = False
    table: Callable[[], list[list[str]]] | None = None


def attention_bars(prediction: Prediction, teacher: TeacherPrediction) -> BarChart:
    """The most and the least attended pathways (figure 4); `teacher` is the prediction's."""
    from amkd_core.export.scores import notice_codes
    from amkd_core.inference.pathway_table import cohort_pathways, ranked_pathways

    cohort = prediction.cohort
    own, others = ranked_pathways(teacher), cohort_pathways(cohort, teacher.pathways)
    groups = [("This patient", own)]
    if others:
        groups.append((_cohort_title(cohort), others))
    return BarChart(
        COHORT_PATHWAYS if others else NO_COHORT_PATHWAYS,
        tuple(_attention_group(title, rows) for title, rows in groups),
        table=lambda: pathway_table(own, others, notice_codes(prediction)),
    )


def effect_bars(prediction: Prediction, teacher: TeacherPrediction) -> BarChart:
    """The pathways that raise the teacher's risk most, and those that lower it most; `teacher` is the prediction's."""
    from amkd_core.export.scores import notice_codes
    from amkd_core.inference.pathway_table import cohort_effects, patient_effects

    cohort = prediction.cohort
    reading = cohort.pathway_effects
    own, others = patient_effects(teacher, cohort), cohort_effects(cohort, teacher.pathways)
    if reading is None:
        return BarChart(NO_EFFECTS)
    if not own:
        return BarChart(WEAK_EFFECTS.format(explained=max(reading.explained, 0.0)))
    titled = (("This patient", own), (f"{_cohort_title(cohort)}, per SD", others))
    return BarChart(
        EFFECTS.format(explained=reading.explained),
        tuple(_effect_group(title, rows) for title, rows in titled),
        signed=True,
        table=lambda: effect_table(own, others, notice_codes(prediction)),
    )


def _cohort_title(cohort: CohortReference) -> str:
    return f"Training cohort ({cohort.size} patients)"


def _attention_group(title: str, rows: Sequence[PathwayRow]) -> BarGroup:
    from amkd_core.inference.pathway_table import both_ends

    most, least = both_ends(rows)
    return title, [(row.name, row.normalised) for row in most], [(row.name, row.normalised) for row in least]


def _effect_group(title: str, rows: Sequence[EffectRow]) -> BarGroup:
    from amkd_core.inference.pathway_table import raising_and_lowering

    raising, lowering = raising_and_lowering(rows)
    # From the one that raises most down to the one that lowers most.
    return (
        title,
        [(row.name, row.effect) for row in raising],
        [(row.name, row.effect) for row in lowering[::-1]],
    )
