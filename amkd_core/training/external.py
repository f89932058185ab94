"""External validation: a bundle scores a cohort that it never saw, and nothing is fitted (METHOD 6, table 4)."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import atomic_path, write_text
from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.expression import UNITS, same_units
from amkd_core.cohort.patients import outcome_of
from amkd_core.cohort.same_scale import cohort_fault
from amkd_core.cohort.table_one import patches_by_slide
from amkd_core.errors import CohortError, ModalityError
from amkd_core.export.run_report import write_report
from amkd_core.file_names import bag_of_slide
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction, SurvivalCurve
from amkd_core.inference.teacher import check_genes, scaling_of, thin_pathways
from amkd_core.progress import Progress
from amkd_core.survival.endpoints import words_of
from amkd_core.training.misplaced import misplaced
from amkd_core.training.model_statistics import HORIZONS
from amkd_core.training.report_external import external_report
from amkd_core.training.report_figures import write_figures
from amkd_core.training.report_run import FIGURES, METRICS, REPORT
from amkd_core.training.run_folder import environment
from amkd_core.training.scored import Scored
from amkd_core.training.statistics import STUDENT, TEACHER, Effort, RunStatistics, run_statistics
from amkd_core.training.strangers import refuse_training_slides

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
NO_BAG = "no bag in the folder"


def with_bags(cohort: Cohort, folder: Path) -> Cohort:
    """The cohort without patients of whom a bag is missing; they are named in the findings.

    Raises
    ------
    CohortError
        When nobody is left.
    """
    left = cohort.keep_only(
        lambda patient: all(bag_of_slide(folder, name).is_file() for name in patient.slide_ids), NO_BAG
    )
    if not left.patients:
        names = [patient.slide_ids[0] for patient in cohort.patients]
        raise CohortError(
            f"none of the {len(cohort.patients)} patients has its bags in {folder} (there is no {names[0]}.h5 or .pt)"
            + (misplaced(names, [folder]) or "; extract the slides first: amkd extract")
        )
    return left


def evaluate_bundle(
    cohort: Cohort,
    bundle: Bundle,
    bags: Mapping[str, FeatureBag],
    *,
    out: Path,
    seed: int = 0,
    device: str = "cpu",
    effort: Effort | None = None,
) -> Generator[Progress, None, RunStatistics]:
    """Score every patient and write ``predictions.csv``, ``metrics.json``, ``figures/`` and ``report.html``.

    The student scores everyone; the teacher those with expression, when the bundle has a teacher and the table covers
    its genes. Time bins, scaling and the border of the risk groups are the bundle's own. Weights against censoring come
    from the cohort itself. Patients whose patches the device's memory does not hold are scored by the processor,
    counted and told.

    Parameters
    ----------
    cohort
        Patients with bags (`with_bags`).
    bags
        By patient, as `read_bags` gives them.
    out
        Folder of the results.
    seed
        Of the bootstrap.

    Yields
    ------
    Progress

    Returns
    -------
    RunStatistics

    Raises
    ------
    BundleMismatchError
        When the bags were made with another encoder, patch size or scale than the bundle's.
    CohortError
        When the bundle was trained on slides of the cohort.
    """
    refuse_training_slides(bags, bundle.card.training_slides, f"model {bundle.card.name} was")
    genes, remark = usable_genes(cohort, bundle)
    if not genes:
        remark = f"{remark}, so the student alone was scored."
    results: list[_Result] = []
    for number, patient in enumerate(cohort.patients):
        yield Progress("Scoring patients", number, len(cohort.patients), patient.patient_id)
        name = patient.patient_id
        prediction = predict_bag(bags[name], bundle, genes=genes.get(name), device=device)
        results.append(_Result.of(name, prediction))
    yield Progress("Computing statistics", 0, 1)
    models = _scored(cohort, bundle, results)
    moved = sum(result.on_processor for result in results)
    statistics = run_statistics(cohort, (), models, seed=seed, effort=effort).model_copy(
        update={"remark": remark, "n_on_processor": moved}
    )
    _write_table(out / "predictions.csv", _table(models))
    write_text(out / METRICS, statistics.model_dump_json(indent=1) + "\n")
    pictures = write_figures(out / FIGURES, models, statistics)
    provenance = {
        "bundle": bundle.card.name, "bundle_sha256": bundle.sha256, "bundle_made": bundle.card.created,
        "trained_on": f"{bundle.card.cohort_size} patients, {bundle.card.cohort_events} "
        f"{words_of(bundle.card.endpoint).events}",
        "members": len(bundle.members), "seed": seed, "environment": environment(),
    }  # fmt: skip
    write_report(
        out / REPORT,
        external_report(
            cohort, bundle.card, statistics, pictures, provenance, n_patches=patches_by_slide(bags)
        ),
    )
    return statistics


def usable_genes(cohort: Cohort, bundle: Bundle) -> tuple[Mapping[str, Mapping[str, float]], str]:
    """Expression of the patients who have it, by gene symbol; empty with the reason when the teacher cannot use it.

    The reason has no full stop: what follows from it is for the caller to say. Where the genes can be used, the second
    part tells who has none, and who has them on another scale than the training patients (`cohort_fault`).
    """
    table = cohort.expression
    if not bundle.has_teacher:
        return {}, "The bundle has no teacher"
    if not table.patients:
        return {}, "The cohort has no expression"
    if not same_units(cohort.expression_scale, bundle.card.expression_scale):
        return {}, (
            f"The teacher was left out: it learned from {UNITS[bundle.card.expression_scale]}, but the expression of "
            f"this cohort holds {UNITS[cohort.expression_scale]}"
        )
    measured, patients = set(table.genes), set(table.patients)
    wanted = [name for name in bundle.card.genes if name in measured]
    known = [patient.patient_id for patient in cohort.patients if patient.patient_id in patients]
    rows = table.rows(known, wanted)
    genes = {
        name: dict(zip(wanted, row.tolist(), strict=True)) for name, row in zip(known, rows, strict=True)
    }
    try:
        check_genes(bundle, wanted)
    except ModalityError as error:
        return {}, f"The teacher was left out: {error}"
    missing = len(cohort.patients) - len(known)
    thin = thin_pathways(bundle, wanted)
    said = (
        f"{missing} patients without expression were scored by the student alone." if missing else "",
        expression_warning(genes, bundle),
        f"The cohort's expression lacks genes: {thin}; do not rely on these pathways." if thin else "",
    )
    return genes, " ".join(filter(None, said))


def expression_warning(genes: Mapping[str, Mapping[str, float]], bundle: Bundle) -> str:
    """Warning on patients whose expression, by gene, is on another scale than the bundle's; empty without any."""
    rows = {
        name: np.array([row.get(gene, np.nan) for gene in bundle.card.genes]) for name, row in genes.items()
    }
    return cohort_fault(rows, scaling_of(bundle), bundle.card.expression_scale, trained="the model's")


@dataclass(frozen=True, eq=False)
class _Result:
    """What is kept of a prediction: no maps."""

    patient_id: str
    risk: float
    high: bool
    curve: SurvivalCurve
    teacher_risk: float | None
    on_processor: bool

    @classmethod
    def of(cls, patient_id: str, prediction: Prediction) -> _Result:
        teacher = None if prediction.teacher is None else prediction.teacher.risk
        return cls(
            patient_id, prediction.risk, prediction.risk_group == "high", prediction.curve, teacher,
            prediction.on_processor,
        )  # fmt: skip


def _scored(cohort: Cohort, bundle: Bundle, results: Sequence[_Result]) -> dict[str, Scored]:
    known = {patient.patient_id: patient for patient in cohort.patients}
    nulls = {1: bundle.kaplan_meier["all"]}

    def survival_of(months: Array) -> Array:
        # Beyond the curve's end the model says nothing; its last value is held.
        return np.array([np.interp(months, item.curve.time_months, item.curve.survival) for item in results])

    def model(name: str, kept: Sequence[_Result], risks: list[float], whole: bool) -> Scored:
        return Scored(
            name, tuple(item.patient_id for item in kept), np.ones(len(kept), dtype=np.int64),
            outcome_of([known[item.patient_id] for item in kept]), np.array(risks),
            np.array([item.high for item in kept]) if whole else None, survival_of if whole else None, {}, nulls,
        )  # fmt: skip

    models = {STUDENT: model(STUDENT, results, [item.risk for item in results], True)}
    taught = [item for item in results if item.teacher_risk is not None]
    if taught:
        risks = [item.teacher_risk for item in taught if item.teacher_risk is not None]
        models[TEACHER] = model(TEACHER, taught, risks, False)
    return models


def _table(models: Mapping[str, Scored]) -> pd.DataFrame:
    """Long table of the predictions, with predicted survival at the months that clinicians ask for."""
    import pandas as pd

    parts = []
    for name, item in models.items():
        columns: dict[str, object] = {
            "patient_id": item.patients, "part": "external", "model": name, "months": item.outcome.time,
            "event": item.outcome.event.astype(int), "risk": item.risk,
        }  # fmt: skip
        if item.high is not None:
            # Of the teacher it is not known: whole numbers that may be missing.
            columns["high_risk"] = pd.array(item.high.astype(int), dtype="Int64")
        if item.survival_of is not None:
            survival = item.survival_of(np.array(HORIZONS))
            columns |= {f"survival_{month:g}": survival[:, index] for index, month in enumerate(HORIZONS)}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
