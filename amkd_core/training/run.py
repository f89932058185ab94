"""The whole of `amkd-train`: cohort in, bundle out."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from amkd_core.atomic import write_text
from amkd_core.bundle import Bundle
from amkd_core.cohort.cohort import Cohort, outcome_of, read_cohort
from amkd_core.cohort.folds import make_split
from amkd_core.errors import CohortError
from amkd_core.inference.extract import ExtractSettings, SlideTask, extract_slides
from amkd_core.models import SurvivalModel
from amkd_core.progress import Progress
from amkd_core.training.config import TrainingConfig
from amkd_core.training.evaluate import Score, risks_of, score
from amkd_core.training.inputs import Inputs, make_inputs, read_bags
from amkd_core.training.make_bundle import bundle_of_run
from amkd_core.training.run_folder import run_folder
from amkd_core.training.stages import attach_targets, train_student, train_teacher

SLIDE_SUFFIXES = (
    ".svs",
    ".tif",
    ".tiff",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".bif",
    ".vms",
    ".vmu",
    ".svslide",
    ".dcm",
)


@dataclass(frozen=True, eq=False)
class Run:
    """What a finished run leaves behind."""

    cohort: Cohort
    inputs: Inputs
    scores: tuple[Score, ...]
    bundle: Bundle
    bundle_path: Path


def train_run(
    cohort_path: Path, out: Path, config: TrainingConfig, *, jobs: int = 1, weights: Path | None = None
) -> Generator[Progress, None, Run]:
    """Train teacher and student on one split and write ``model.amkd``; a repeated call continues.

    Parameters
    ----------
    cohort_path
        Cohort's TOML file.
    out
        Run folder.
    jobs
        Worker processes for slides that have no bag yet.
    weights
        Of a foundation encoder.

    Raises
    ------
    AmkdError
        One sentence on the cohort, the configuration or the folder.
    """
    import torch

    torch.set_num_threads(config.threads)
    with run_folder(out, config, cohort_path):
        cohort = read_cohort(cohort_path)
        split = make_split(cohort.patients, seed=config.seed)
        write_text(out / "split.json", json.dumps(vars(split), indent=1))
        folder = cohort.file.bags or out / "bags"
        yield from _extract_missing(cohort, folder, jobs=jobs, weights=weights, device=config.device)
        bags = read_bags(cohort, folder)
        inputs = make_inputs(cohort, bags, split, config)
        teacher = yield from train_teacher(inputs, config, out)
        taught = yield from attach_targets(inputs, teacher, config, out)
        student = yield from train_student(taught, config, out)
        scores = _scores(cohort, inputs, (student, teacher), config)
        _write_predictions(cohort, inputs, (student, teacher), config, out)
        path = out / "model.amkd"
        bundle = bundle_of_run(
            cohort, bags, inputs, (student, teacher), config=config, scores=scores, path=path
        )
    return Run(cohort, inputs, scores, bundle, path)


def _extract_missing(
    cohort: Cohort, folder: Path, *, jobs: int, weights: Path | None, device: str
) -> Generator[Progress, None, None]:
    names = [name for patient in cohort.patients for name in patient.slide_ids]
    missing = [name for name in names if not (folder / f"{name}.h5").is_file()]
    if not missing or cohort.file.slides is None:
        return
    slides = {
        path.stem: path for path in sorted(cohort.file.slides.iterdir()) if path.suffix in SLIDE_SUFFIXES
    }
    absent = [name for name in missing if name not in slides]
    if absent:
        raise CohortError(
            f"{len(absent)} slides are not in {cohort.file.slides.name} ({', '.join(absent[:5])}); complete the "
            "folder, or leave those patients out of the clinical table"
        )
    settings = ExtractSettings(encoder=cohort.file.encoder, weights=weights, device=device)
    outcomes = yield from extract_slides(
        [SlideTask(slides[name]) for name in missing], folder, settings, jobs=jobs
    )
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        listed = "; ".join(f"{outcome.path.name}: {outcome.reason}" for outcome in failed[:5])
        raise CohortError(f"{len(failed)} slides could not be extracted, the others are kept: {listed}")


def _scores(
    cohort: Cohort, inputs: Inputs, networks: tuple[SurvivalModel, SurvivalModel], config: TrainingConfig
) -> tuple[Score, ...]:
    patients = {patient.patient_id: patient for patient in cohort.patients}
    scores = []
    for part in ("validation", "test"):
        examples = getattr(inputs, part)
        outcome = outcome_of([patients[example.patient_id] for example in examples])
        for model in networks:
            scores.append(score(model, examples, outcome, part=part, seed=config.seed, device=config.device))
    return tuple(scores)


def _write_predictions(
    cohort: Cohort,
    inputs: Inputs,
    networks: tuple[SurvivalModel, SurvivalModel],
    config: TrainingConfig,
    out: Path,
) -> None:
    """Risks of all patients with their part, for statistics that others may want to repeat."""
    patients = {patient.patient_id: patient for patient in cohort.patients}
    lines = ["patient_id,part,months,event,student_risk,teacher_risk"]
    for part in ("train", "validation", "test"):
        examples = getattr(inputs, part)
        student, teacher = (risks_of(model, examples, config.device) for model in networks)
        for example, first, second in zip(examples, student, teacher, strict=True):
            patient = patients[example.patient_id]
            lines.append(
                f"{patient.patient_id},{part},{patient.time},{int(patient.event)},{first:.6f},{second:.6f}"
            )
    write_text(out / "predictions.csv", "\n".join(lines) + "\n")
