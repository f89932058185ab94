"""What a bundle makes of a cohort: pathways by attention and by effect, both maps compared (METHOD 7, 8)."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import write_text
from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.patients import Patient
from amkd_core.errors import ModalityError
from amkd_core.export.cohort_figures import write_cohort_figure
from amkd_core.export.explain_figures import draw_agreement, draw_effects, draw_pathways
from amkd_core.export.plain_cells import for_research, plain_table
from amkd_core.inference.maps import Agreement, agreement
from amkd_core.inference.pathway_table import EffectRow, raising_and_lowering, standing_effects
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.inference.teacher import activities_of
from amkd_core.notices import processor_remark
from amkd_core.pathway_effects import LEAST_EXPLAINED, MIN_PATIENTS, PathwayEffects
from amkd_core.progress import Progress
from amkd_core.training.external import expression_warning, usable_genes

Array = NDArray[np.float64]

N_SHOWN = 5


@dataclass(frozen=True)
class RankedPathway:
    """A pathway's attention over a cohort.

    Attributes
    ----------
    rank
        1 for the most.
    name
    attention
        Mean over patients of the mean over their patches; all pathways together sum to 1.
    std
        Between patients.
    normalised
        0 for the least attended pathway, 1 for the most.
    """

    rank: int
    name: str
    attention: float
    std: float
    normalised: float


@dataclass(frozen=True)
class SlideAgreement:
    """How alike the teacher's and the student's map of a slide are."""

    patient_id: str
    slide_id: str
    n_patches: int
    agreement: Agreement


@dataclass(frozen=True)
class Explanation:
    """What `explain_bundle` found.

    Attributes
    ----------
    pathways
        The most attended first.
    slides
        In the order of the patients.
    n_patients, n_left_out
        Patients with expression, and those without.
    n_on_processor
        Patients whose patches the device's memory did not hold, so that the processor stood in.
    synthetic
        Whether bundle or cohort are simulated.
    effects
        Pathways by their effect on the teacher's risk, the strongest first; none where the cohort is too small for the
        linear reading, or the reading does not stand for the teacher.
    explained
        Share of the teacher's variance that the reading explains in patients left out; None without a reading.
    warning
        On patients whose expression is on another scale than the model's; empty without any.
    """

    pathways: tuple[RankedPathway, ...]
    slides: tuple[SlideAgreement, ...]
    n_patients: int
    n_left_out: int
    synthetic: bool
    effects: tuple[EffectRow, ...] = ()
    explained: float | None = None
    warning: str = ""
    n_on_processor: int = 0

    @property
    def mean_agreement(self) -> Mapping[str, float]:
        """Mean over slides of rho (where it is defined), of the shared top five, and of the shared top 5 %."""
        rho = [item.agreement.spearman for item in self.slides if np.isfinite(item.agreement.spearman)]
        return {
            "spearman": float(np.mean(rho)) if rho else float("nan"),
            "top5": float(np.mean([item.agreement.top5 for item in self.slides])),
            "top5_percent": float(np.mean([item.agreement.top5_percent for item in self.slides])),
        }

    def __str__(self) -> str:
        most, least = self.pathways[:N_SHOWN], self.pathways[N_SHOWN:][-N_SHOWN:]
        mean = self.mean_agreement
        left = f"; {self.n_left_out} without expression left out" if self.n_left_out else ""
        return "\n".join(
            [
                f"{len(self.pathways)} pathways over {self.n_patients} patients{left}",
                *(f"  most: {item.name} ({item.normalised:.2f})" for item in most),
                *(f"  least: {item.name} ({item.normalised:.2f})" for item in least),
                *self._effect_lines(),
                f"teacher's and student's maps of {len(self.slides)} slides: rho {mean['spearman']:.3f}, "
                f"{mean['top5']:.1f} of the top five and {mean['top5_percent']:.0%} of the top 5 % in common",
                *filter(None, (self.warning, processor_remark(self.n_on_processor))),
            ]
        )

    def _effect_lines(self) -> list[str]:
        if self.explained is None:
            return [
                f"effects on the teacher's risk: not read, which takes {MIN_PATIENTS} patients of unequal risk"
            ]
        share = f"a linear reading of pathway activity explains {max(self.explained, 0):.0%} of the teacher's risk"
        if not self.effects:
            return [f"effects on the teacher's risk: {share}, less than {LEAST_EXPLAINED:.0%}: not shown"]
        raising, lowering = raising_and_lowering(self.effects)
        return [
            f"effects on the teacher's risk, per standard deviation of activity ({share}, patients left out):",
            *(f"  raises: {item.name} ({item.effect:+.3g})" for item in raising),
            *(f"  lowers: {item.name} ({item.effect:+.3g})" for item in lowering),
        ]


def genes_to_explain(cohort: Cohort, bundle: Bundle) -> tuple[Mapping[str, Mapping[str, float]], str]:
    """Expression by patient and a remark on it, as `usable_genes` gives them; no slide or bag is needed.

    Raises
    ------
    ModalityError
        When the bundle has no teacher, nobody has expression, or it covers too few of the teacher's genes.
    """
    genes, remark = usable_genes(cohort, bundle)
    if not genes:
        named = "" if cohort.expression.patients else "; name its table as expression under [cohort]"
        raise ModalityError(
            f"{bundle.card.name} on {cohort.file.name}: {remark or 'no patient has expression'}{named}"
        )
    return genes, remark


def explain_bundle(
    cohort: Cohort, bundle: Bundle, bags: Mapping[str, FeatureBag], *, out: Path, device: str = "cpu"
) -> Generator[Progress, None, Explanation]:
    """Rank pathways over a cohort and compare the two maps of every slide; write tables and pictures.

    Writes ``pathways.csv``, ``agreement.csv``, ``explanation.json`` and ``pathways`` and ``agreement`` as PNG and SVG;
    ``effects`` as CSV, PNG and SVG where a linear reading stands for the teacher.

    Parameters
    ----------
    cohort
        Patients with bags; those without expression are left out and counted.
    bags
        By patient.
    out
        Folder of the results.

    Yields
    ------
    Progress

    Returns
    -------
    Explanation

    Raises
    ------
    ModalityError
        When the bundle has no teacher, nobody has expression, or it covers too few of the teacher's genes.
    BundleMismatchError
        When the bags were made with another encoder, patch size or scale than the bundle's.
    """
    genes, _ = genes_to_explain(cohort, bundle)
    importances: list[Array] = []
    activities: list[Array] = []
    risks: list[float] = []
    slides: list[SlideAgreement] = []
    moved = 0
    taught = [patient for patient in cohort.patients if patient.patient_id in genes]
    for number, patient in enumerate(taught):
        yield Progress("Explaining patients", number, len(taught), patient.patient_id)
        name = patient.patient_id
        prediction = predict_bag(bags[name], bundle, genes=genes[name], device=device)
        moved += prediction.on_processor
        if prediction.teacher is not None:
            importances.append(prediction.teacher.pathway_importance)
            activities.append(activities_of(bundle, genes[name]))
            risks.append(prediction.teacher.risk)
            slides += slide_agreements(patient, prediction)
    reading = PathwayEffects.of_cohort(np.array(activities), np.array(risks))
    found = Explanation(
        rank_pathways(bundle.card.pathways, np.array(importances)), tuple(slides), len(taught),
        len(cohort.patients) - len(taught), cohort.file.synthetic or bundle.card.synthetic,
        standing_effects(reading, bundle.card.pathways), None if reading is None else reading.explained,
        expression_warning(genes, bundle), moved,
    )  # fmt: skip
    yield Progress("Writing", 0, 1)
    write_explanation(out, found, bundle)
    return found


def rank_pathways(names: Sequence[str], importance: Array) -> tuple[RankedPathway, ...]:
    """Pathways by mean attention (figure 4); equal ones in the bundle's order.

    Parameters
    ----------
    names
        Of the pathways.
    importance : array, shape (n_patients, n_pathways)
        Mean over a patient's patches of ``A_p2g``; rows sum to 1.
    """
    mean, std = importance.mean(axis=0), importance.std(axis=0)
    spread = float(np.ptp(mean))
    normalised = (mean - mean.min()) / spread if spread > 0 else np.zeros_like(mean)
    order = np.argsort(-mean, kind="stable")
    return tuple(
        RankedPathway(place, names[row], float(mean[row]), float(std[row]), float(normalised[row]))
        for place, row in enumerate(order, start=1)
    )


def slide_agreements(patient: Patient, prediction: Prediction) -> tuple[SlideAgreement, ...]:
    """Agreement on each of a patient's slides (figure 3); maps of several slides are compared one by one."""
    if prediction.teacher is None:
        return ()
    index, found = prediction.bag.slide_index, []
    for slide in range(prediction.bag.n_slides):
        rows = index == slide
        named = len(patient.slide_ids) == prediction.bag.n_slides
        name = patient.slide_ids[slide] if named else f"{patient.patient_id} slide {slide + 1}"
        both = agreement(prediction.patch_scores[rows], prediction.teacher.patch_scores[rows])
        found.append(SlideAgreement(patient.patient_id, name, int(rows.sum()), both))
    return tuple(found)


def write_explanation(out: Path, found: Explanation, bundle: Bundle) -> None:
    """Tables, summary and pictures."""
    import pandas as pd

    pathways = pd.DataFrame([vars(item) for item in found.pathways])
    slides = pd.DataFrame(
        [
            {
                "patient_id": item.patient_id, "slide_id": item.slide_id, "n_patches": item.n_patches,
                **vars(item.agreement),
            }
            for item in found.slides
        ]
    )  # fmt: skip
    write_text(out / "pathways.csv", for_research(plain_table(pathways)).to_csv(index=False))
    write_text(out / "agreement.csv", for_research(plain_table(slides)).to_csv(index=False))
    raising, lowering = raising_and_lowering(found.effects)
    mean = {key: None if np.isnan(value) else value for key, value in found.mean_agreement.items()}
    summary = {
        "bundle": bundle.card.name, "bundle_sha256": bundle.sha256, "synthetic": found.synthetic,
        "n_patients": found.n_patients, "n_left_out": found.n_left_out, "n_slides": len(found.slides),
        "mean_agreement": mean,
        "most_attended": [item.name for item in found.pathways[:N_SHOWN]],
        "least_attended": [item.name for item in found.pathways[N_SHOWN:][-N_SHOWN:]],
        "explained_by_pathways": found.explained,
        "raising_risk": [item.name for item in raising],
        "lowering_risk": [item.name for item in lowering],
        "expression_warning": found.warning,
        "n_on_processor": found.n_on_processor,
    }  # fmt: skip
    write_text(out / "explanation.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    most, least = found.pathways[:N_SHOWN], found.pathways[N_SHOWN:][-N_SHOWN:]
    write_cohort_figure(
        out, "pathways",
        lambda figure: draw_pathways(
            figure, [(item.name, item.normalised) for item in most], [(item.name, item.normalised) for item in least],
            synthetic=found.synthetic,
        ),
        size=(9.5, 4.6),
    )  # fmt: skip
    for path in out.glob("effects.*"):  # of an earlier reading, which may have stood where this one does not
        path.unlink()
    if found.effects and found.explained is not None:
        explained = found.explained
        effects = pd.DataFrame([vars(item) for item in found.effects])
        write_text(out / "effects.csv", for_research(plain_table(effects)).to_csv(index=False))
        write_cohort_figure(
            out, "effects",
            lambda figure: draw_effects(figure, raising, lowering, explained=explained, synthetic=found.synthetic),
            size=(9.5, 4.6),
        )  # fmt: skip
    rho = np.array([item.agreement.spearman for item in found.slides])
    shared = np.array([item.agreement.top5_percent for item in found.slides])
    write_cohort_figure(
        out,
        "agreement",
        lambda figure: draw_agreement(figure, rho, shared, synthetic=found.synthetic),
        size=(9.0, 3.8),
    )
