"""Figures 2 to 5 of the paper for finished runs; every patient is shown by models that had not seen it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import write_text
from amkd_core.bundle import Bundle
from amkd_core.bundle_card import RESEARCH_USE_ONLY
from amkd_core.bundle_file import open_bundle
from amkd_core.cohort.patients import Patient
from amkd_core.errors import CohortError, ModalityError
from amkd_core.export.cohort_figures import GroupCurves, draw_kaplan_meier, write_cohort_figure
from amkd_core.export.explain_figures import draw_effects, draw_pathways
from amkd_core.export.figures import MAP_WIDTH_IN, map_height
from amkd_core.export.map_figures import draw_comparison, draw_pathway_maps
from amkd_core.export.pictures import N_PATCHES, SlidePictures, read_patches, read_pictures
from amkd_core.export.plain_cells import for_research, plain_table
from amkd_core.export.pseudonym import shown_name
from amkd_core.inference.pathway_table import (
    both_ends,
    raising_and_lowering,
    ranked_pathways,
    standing_effects,
)
from amkd_core.inference.patient import on_slide, predict_patient
from amkd_core.inference.prediction import Prediction
from amkd_core.progress import Progress
from amkd_core.slides.slide import open_slide
from amkd_core.survival.endpoints import words_of
from amkd_core.training.explain import RankedPathway, SlideAgreement, rank_pathways, slide_agreements
from amkd_core.training.external import usable_genes
from amkd_core.training.finished_run import FinishedRun
from amkd_core.training.fold_record import BUNDLE
from amkd_core.training.model_statistics import risk_groups
from amkd_core.training.report_figures import group_curves
from amkd_core.training.slides_of_run import slides_of

Array = NDArray[np.float64]
DPI = 300
WIDTH_IN = 13.5
CAPTIONS = "captions.md"


@dataclass(frozen=True)
class FigureOptions:
    """What to show.

    Attributes
    ----------
    patient
        Of figures 3 and 5; by default `representative` chooses.
    identified
        Name the slide in the pictures; else a pseudonym.
    device
        As torch names it.
    """

    patient: str | None = None
    identified: bool = False
    device: str = "cpu"


def paper_figures(
    runs: Sequence[FinishedRun], out: Path, options: FigureOptions | None = None
) -> Generator[Progress, None, tuple[Path, ...]]:
    """Write figures 2 to 5 as PNG, SVG and PDF, and ``captions.md``.

    Figures 2 and 4 have a panel for each run; 3 and 5 are of one slide of the first run. Beside figure 4, which ranks
    pathways by attention, ``figure-4-effects`` shows which of them move the teacher's risk.

    Parameters
    ----------
    runs
        In the order of the panels.
    out
        Folder of the pictures.

    Yields
    ------
    Progress

    Returns
    -------
    tuple of Path
        The PNG of each figure that could be drawn, and the captions, which say why one could not.

    Raises
    ------
    CohortError
        When there is no such patient, or a bag is missing.
    ModalityError
        When the expression does not cover the teacher's genes.
    """
    options = options or FigureOptions()
    captions = [_kaplan_meier(runs, out)]
    looks = []
    for run in runs:
        looks.append((yield from look(run, options)))
    captions.append(_pathways(runs, looks, out))
    captions.append(_effects(runs, out))
    yield Progress("Drawing", 0, 1)
    captions += _slide_figures(runs[0], looks[0], options, out)
    write_text(out / CAPTIONS, "\n\n".join([*(text for _, text in captions), RESEARCH_USE_ONLY]) + "\n")
    return (*(out / f"{name}.png" for name, _ in captions if name), out / CAPTIONS)


@dataclass(frozen=True)
class CohortLook:
    """What a run's models attend to, each patient seen by the fold that was tested on it.

    Attributes
    ----------
    pathways
        The most attended first.
    slides
        Agreement of teacher's and student's map on each slide.
    """

    pathways: tuple[RankedPathway, ...]
    slides: tuple[SlideAgreement, ...]


def look(run: FinishedRun, options: FigureOptions) -> Generator[Progress, None, CohortLook]:
    """Run every tested patient through its fold's models.

    Raises
    ------
    ModalityError, CohortError
        As `paper_figures`.
    """
    names: tuple[str, ...] = ()
    importances: list[Array] = []
    slides: list[SlideAgreement] = []
    tested, opened = run.tested_by(), cache(open_bundle)
    known = [patient for patient in run.cohort.patients if patient.patient_id in tested]
    for number, patient in enumerate(known):
        yield Progress(f"Looking at {run.name}", number, len(known), patient.patient_id)
        prediction = predicted(run, patient, options.device, opened)
        if prediction.teacher is not None:
            names = prediction.teacher.pathways
            importances.append(prediction.teacher.pathway_importance)
            slides += slide_agreements(patient, prediction)
    if not importances:
        raise ModalityError(
            f"{run.folder}: no tested patient has a teacher's map, so figures 3 to 5 are not to be had"
        )
    return CohortLook(rank_pathways(names, np.array(importances)), tuple(slides))


def predicted(
    run: FinishedRun, patient: Patient, device: str, opened: Callable[[Path], Bundle] = open_bundle
) -> Prediction:
    """A patient's prediction by the fold that was tested on it, with the teacher's part.

    Parameters
    ----------
    opened
        Gives the bundle of a path; for many patients one that keeps what it gave.

    Raises
    ------
    CohortError
        When no fold was tested on the patient.
    ModalityError
        When the expression does not cover the teacher's genes.
    """
    fold = run.tested_by().get(patient.patient_id)
    if fold is None:
        raise CohortError(f"{run.folder}: no fold was tested on patient {patient.patient_id}")
    bundle = opened(fold.bundle_path)
    genes, remark = usable_genes(replace(run.cohort, patients=(patient,)), bundle)
    if patient.patient_id not in genes:
        raise ModalityError(f"{patient.patient_id}: {remark or 'has no expression'}")
    bags = [run.bag(name) for name in patient.slide_ids]
    return predict_patient(
        bags, bundle, patient_id=patient.patient_id, genes=genes[patient.patient_id], device=device
    )


def representative(
    look: CohortLook, patients: Mapping[str, Patient], with_file: frozenset[str]
) -> SlideAgreement:
    """The slide whose two maps agree as the median slide's do: neither the best case nor the worst.

    Slides whose file is at hand come first, and of those the ones of patients who died.

    Parameters
    ----------
    patients
        By identifier.
    with_file
        Names of the slides whose file is at hand.
    """
    rho = np.array([item.agreement.spearman for item in look.slides])
    middle = float(np.nanmedian(rho)) if np.isfinite(rho).any() else 0.0

    def order(item: SlideAgreement) -> tuple[bool, bool, float, str]:
        away = abs(item.agreement.spearman - middle)
        died = patients[item.patient_id].event
        return item.slide_id not in with_file, not died, away if np.isfinite(away) else np.inf, item.slide_id

    return min(look.slides, key=order)


def _kaplan_meier(runs: Sequence[FinishedRun], out: Path) -> tuple[str, str]:
    panels: list[GroupCurves] = []
    for letter, run in zip("abcdefgh", runs, strict=False):
        student = run.scored()["student"]
        curves = group_curves(
            student, f"({letter}) {_named(run)}", risk_groups(student), words_of(run.cohort.file.endpoint)
        )
        panels += [] if curves is None else [curves]
    size = (5.2 * len(panels) + 0.6, 4.6)
    write_cohort_figure(
        out, "figure-2", lambda figure: draw_kaplan_meier(figure, panels), size=size, dpi=DPI, pdf=True
    )
    return "figure-2", (
        "**Figure 2.** Kaplan-Meier curves of the student's risk groups with 95 % bands. Every patient was put into "
        "its group by models that had not seen it, at the median risk of those models' training patients; the "
        f"log-rank test is over all of them.{_synthetic(runs)}"
    )


def _pathways(runs: Sequence[FinishedRun], looks: Sequence[CohortLook], out: Path) -> tuple[str, str]:
    import pandas as pd
    from matplotlib.figure import Figure

    def draw(figure: Figure) -> None:
        parts = figure.subfigures(len(runs), 1, squeeze=False)[:, 0]
        for letter, part, run, found in zip("abcdefgh", parts, runs, looks, strict=False):
            most, least = both_ends(found.pathways)
            draw_pathways(
                part, [(item.name, item.normalised) for item in most], [(item.name, item.normalised) for item in least],
                synthetic=run.cohort.file.synthetic,
            )  # fmt: skip
            part.axes[0].set_title(f"({letter}) {_named(run)}", fontsize=11)

    write_cohort_figure(out, "figure-4", draw, size=(9.5, 4.4 * len(runs)), dpi=DPI, pdf=True)
    rows = [
        {"cohort": run.name, **vars(item)}
        for run, found in zip(runs, looks, strict=True)
        for item in found.pathways
    ]
    write_text(out / "figure-4.csv", for_research(plain_table(pd.DataFrame(rows))).to_csv(index=False))
    return "figure-4", (
        "**Figure 4.** Pathways by the teacher's normalised attention (mean over patients of the mean over a patient's "
        "patches, scaled to 0 to 1 over all pathways), the most attended in red, the least in blue; each patient by "
        f"the fold that had not seen it. Attention is what the model weighed, no proof of cause.{_synthetic(runs)}"
    )


def _effects(runs: Sequence[FinishedRun], out: Path) -> tuple[str, str]:
    """What moves the teacher's risk: no figure of the paper."""
    from matplotlib.figure import Figure

    drawn = []
    for run in runs:
        bundle = open_bundle(run.folder / BUNDLE)
        rows = standing_effects(bundle.pathway_effects, bundle.card.pathways)
        if bundle.pathway_effects is not None and rows:
            drawn.append((run, rows, bundle.pathway_effects))

    def draw(figure: Figure) -> None:
        parts = figure.subfigures(len(drawn), 1, squeeze=False)[:, 0]
        for letter, part, (run, rows, reading) in zip("abcdefgh", parts, drawn, strict=False):
            draw_effects(
                part,
                *raising_and_lowering(rows),
                explained=reading.explained,
                synthetic=run.cohort.file.synthetic,
            )
            part.axes[0].set_title(f"({letter}) {_named(run)}, explains {reading.explained:.0%}", fontsize=11)

    if not drawn:
        return "", (
            "**Beside figure 4** nothing is shown of what moves the teacher's risk: no run's bundle holds a linear "
            "reading that stands for its teacher."
        )
    write_cohort_figure(out, "figure-4-effects", draw, size=(9.5, 4.4 * len(drawn)), dpi=DPI, pdf=True)
    return "figure-4-effects", (
        "**Beside figure 4, not in the paper.** The pathways that raise the teacher's risk most (red) and that lower "
        "it most (blue), for one standard deviation more of a pathway's activity among patients alike in all others: "
        "a ridge regression of the teacher's risk, each patient's by the fold that had not seen it, on the pathways' "
        "activities. The title says how much of the risk it explains in patients left out. It explains the model and "
        f"proves no cause.{_synthetic(runs)}"
    )


def _slide_figures(
    run: FinishedRun, found: CohortLook, options: FigureOptions, out: Path
) -> list[tuple[str, str]]:
    """Figures 3 and 5."""
    patients = {patient.patient_id: patient for patient in run.cohort.patients}
    files = slides_of(run.cohort)
    rule = "named by the user"
    if options.patient is None:
        chosen = representative(found, patients, frozenset(files))
        rule = "whose maps agree as those of the median slide (patients with an event and slides at hand come first)"
    else:
        own = [item for item in found.slides if item.patient_id == options.patient]
        if not own:
            raise CohortError(
                f"--patient {options.patient}: is not among the {len(patients)} patients of {run.name}"
            )
        chosen = min(own, key=lambda item: item.slide_id not in files)
    patient = patients[chosen.patient_id]
    prediction = _on_slide(run, patient, chosen.slide_id, options.device)
    name = shown_name(prediction, identified=options.identified)
    if not prediction.has_map:
        return [
            (
                "",
                f"**Figures 3 and 5** are not there: the bag of {name} records no places of its patches.",
            )
        ]
    pictures, patches = _read(files.get(chosen.slide_id), prediction)
    words = words_of(run.cohort.file.endpoint)
    fate = f"{f'{words.ended} after' if patient.event else f'{words.going_on} at'} {patient.time:.0f} months"
    title = f"{name}\n{fate}"
    title += "\nSYNTHETIC" if run.cohort.file.synthetic else ""
    tall = map_height(prediction, pictures) / MAP_WIDTH_IN  # of a panel one inch wide
    wide = WIDTH_IN if patches else 8.5
    column = wide * 2.2 / (4.4 + (N_PATCHES if patches else 0))
    write_cohort_figure(
        out, "figure-3", lambda figure: draw_comparison(figure, prediction, pictures, patches, title=title),
        size=(wide, 2 * (column * tall + 0.5) + 1.1), dpi=DPI, pdf=True,
    )  # fmt: skip
    shown = _shown_pathways(prediction)
    write_cohort_figure(
        out, "figure-5", lambda figure: draw_pathway_maps(figure, prediction, pictures, shown, title=title),
        size=(WIDTH_IN, WIDTH_IN / (1 + len(shown)) * tall + 1.3), dpi=DPI, pdf=True,
    )  # fmt: skip
    note = "" if pictures is not None else " The slide's file was not at hand, so the maps stand on white."
    fold = run.tested_by()[patient.patient_id].fold
    third = (
        f"**Figure 3.** Teacher's co-attention map and student's learned map of one slide, {rule}; the five highest "
        f"patches of each, those in common joined. By fold {fold}, which had not seen the patient."
    )
    fifth = (
        "**Figure 5.** The same slide under the teacher's maps of single pathways: the two that the patient's patches "
        "attend to most, and the one they attend to least."
    )
    return [
        (figure, text + note + _synthetic([run]))
        for figure, text in (("figure-3", third), ("figure-5", fifth))
    ]


def _on_slide(run: FinishedRun, patient: Patient, slide_id: str, device: str) -> Prediction:
    whole = predicted(run, patient, device)
    return on_slide(whole, run.bag(slide_id), patient.slide_ids.index(slide_id))


def _shown_pathways(prediction: Prediction) -> list[tuple[str, str]]:
    if prediction.teacher is None:
        raise ModalityError(f"{prediction.slide_id}: no pathway's map without the tumour's expression")
    ranked = ranked_pathways(prediction.teacher)
    most = [(row.name, f"rank {row.rank} of {len(ranked)}") for row in ranked[:2]]
    return most + [(row.name, f"rank {row.rank}, the least attended") for row in ranked[2:][-1:]]


def _read(
    path: Path | None, prediction: Prediction
) -> tuple[SlidePictures | None, dict[str, tuple[NDArray[np.uint8], ...]]]:
    if path is None:
        return None, {}
    with open_slide(path, mpp=prediction.bag.slide_mpp, isolated=True) as slide:
        pictures = read_pictures(slide, prediction)
        return pictures, {"student": pictures.patches, "teacher": read_patches(slide, prediction, "teacher")}


def _named(run: FinishedRun) -> str:
    return run.name + (" (SYNTHETIC)" if run.cohort.file.synthetic else "")


def _synthetic(runs: Sequence[FinishedRun]) -> str:
    made = [run.name for run in runs if run.cohort.file.synthetic]
    return f" SYNTHETIC patients: {', '.join(made)}." if made else ""
