"""The report's section on pathways: which of them the teacher attends to, and which move its risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.bundle import Bundle
from amkd_core.export.cohort_figures import write_cohort_figure
from amkd_core.export.explain_figures import draw_effects, draw_pathways
from amkd_core.export.run_report import ReportFigure, ReportSection
from amkd_core.inference.pathway_table import (
    PathwayRow,
    both_ends,
    cohort_effects,
    cohort_pathways,
    raising_and_lowering,
)
from amkd_core.inference.predict import cohort_reference
from amkd_core.notices import processor_remark
from amkd_core.pathway_effects import LEAST_EXPLAINED, MIN_PATIENTS
from amkd_core.training.cohort_pathways import ON_PROCESSOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE_IN = (9.5, 4.6)


def pathway_section(bundle: Bundle, folder: Path) -> ReportSection:
    """Figure 4 of a run, and the effects beside it, drawn into a folder as PNG and SVG.

    Parameters
    ----------
    bundle
        The run's, with its training cohort's attention.
    folder
        Of the pictures: ``pathways`` and, where a linear reading stands for the teacher, ``pathway_effects``.
    """
    cohort, names = cohort_reference(bundle), bundle.card.pathways
    unseen = (
        "by the teacher that had not seen the patient" if len(bundle.members) > 1 else "on training patients"
    )
    figures = []
    attended = cohort_pathways(cohort, names)
    if attended:
        picture = write_cohort_figure(folder, "pathways", _attention(attended, bundle), size=SIZE_IN)
        figures.append(
            ReportFigure(
                picture,
                f"Mean attention of the patches to each pathway, {unseen}, scaled to 0 to 1 over all pathways.",
            )
        )
    reading, effects = cohort.pathway_effects, cohort_effects(cohort, names)
    if reading is None:
        text = (
            f"What moves the teacher's risk was not read: that takes {MIN_PATIENTS} patients of unequal risk."
        )
    elif not effects:
        text = (
            f"What moves the teacher's risk is not shown: a linear reading of pathway activity explains only "
            f"{max(reading.explained, 0):.0%} of it in patients left out, less than {LEAST_EXPLAINED:.0%}."
        )
    else:
        raising, lowering = raising_and_lowering(effects)
        explained = reading.explained

        def draw(figure: Figure) -> None:
            draw_effects(figure, raising, lowering, explained=explained, synthetic=bundle.card.synthetic)

        picture = write_cohort_figure(folder, "pathway_effects", draw, size=SIZE_IN)
        figures.append(
            ReportFigure(
                picture,
                f"Change of the teacher's risk, {unseen}, for one standard deviation more of a pathway's activity "
                "among patients alike in all others.",
            )
        )
        text = (
            f"Attention is what the teacher weighs. What moves its risk is read from it by ridge regression on the "
            f"pathways' activities (mean z-scores of their genes) over {reading.n_patients} patients, which explains "
            f"{explained:.0%} of the risk in patients left out. Both explain the model and prove no cause."
        )
    remark = processor_remark(bundle.card.provenance.get(ON_PROCESSOR, 0))
    return ReportSection("Pathways", tuple(filter(None, (text, remark))), figures=tuple(figures))


def _attention(rows: Sequence[PathwayRow], bundle: Bundle) -> Callable[[Figure], None]:
    most, least = ([(row.name, row.normalised) for row in part] for part in both_ends(rows))
    return lambda figure: draw_pathways(figure, most, least, synthetic=bundle.card.synthetic)
