"""The whole of `amkd-train`: cohort in, bundle out."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from amkd_core.atomic import write_text
from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.cohort.cohort import Cohort, outcome_of
from amkd_core.cohort.folds import Split, make_split
from amkd_core.errors import CohortError
from amkd_core.inference.extract import ExtractSettings, SlideTask, bag_folder, extract_slides
from amkd_core.models import SurvivalModel
from amkd_core.progress import Progress
from amkd_core.slides import is_slide
from amkd_core.training.config import TrainingConfig
from amkd_core.training.evaluate import RiskGroups, Score, compare_groups, risks_of, score
from amkd_core.training.inputs import Inputs, digest_of, make_inputs, read_bags
from amkd_core.training.make_bundle import bundle_of_run
from amkd_core.training.run_folder import file_sha256, keep_record, run_folder
from amkd_core.training.stages import attach_targets, train_student, train_teacher

PARTS_OF_SCORES = ("validation", "test")


@dataclass(frozen=True, eq=False)
class Run:
    """What a finished run leaves behind.

    Attributes
    ----------
    cohort, inputs
        What was trained on.
    scores
        C-indices of student and teacher on validation and test patients.
    groups
        The student's high against its low risk group on the same patients.
    bundle, bundle_path
        The models.
    """

    cohort: Cohort
    inputs: Inputs
    scores: tuple[Score, ...]
    groups: tuple[RiskGroups, ...]
    bundle: Bundle
    bundle_path: Path


def with_slides(cohort: Cohort, out: Path) -> Cohort:
    """The cohort without patients of whom a slide is missing; they are named in the findings.

    A patient stays when each of its slides lies in the slides' folder or has a bag.

    Raises
    ------
    CohortError
        When the folder of slides is missing, or nobody is left.
    """
    folder = _bags_of(cohort, out)
    slides = _slides_of(cohort)
    left = cohort.keep_only(
        lambda patient: all(
            name in slides or (folder / f"{name}.h5").is_file() for name in patient.slide_ids
        ),
        "no slide or bag in the folders",
    )
    if not left.patients:
        places = " or ".join(str(place) for place in (cohort.file.slides, folder) if place is not None)
        first = cohort.patients[0].slide_ids[0]
        raise CohortError(
            f"none of the {len(cohort.patients)} patients has its slides or bags in {places} (there is no {first})"
        )
    return left


def train_run(
    cohort: Cohort, out: Path, config: TrainingConfig, *, jobs: int = 1, weights: Path | None = None
) -> Generator[Progress, None, Run]:
    """Train teacher and student on one split and write ``model.amkd``; a repeated call continues.

    Parameters
    ----------
    cohort
        As read; patients without a slide are kept out (`with_slides`).
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
    with run_folder(out, config, cohort.path):
        cohort = with_slides(cohort, out)
        split = make_split(cohort.patients, seed=config.seed)
        keep_record(out / "split.json", {name: list(part) for name, part in vars(split).items()})
        yield from _extract_missing(cohort, out, jobs=jobs, weights=weights, device=config.device)
        bags = read_bags(cohort, _bags_of(cohort, out))
        _keep_data_record(cohort, bags, out)
        return (yield from _train(cohort, bags, split, config, out=out))


def _train(
    cohort: Cohort, bags: dict[str, FeatureBag], split: Split, config: TrainingConfig, *, out: Path
) -> Generator[Progress, None, Run]:
    inputs = make_inputs(cohort, bags, split, config)
    teacher = yield from train_teacher(inputs, config, out)
    taught = yield from attach_targets(inputs, teacher, config, out)
    student = yield from train_student(taught, config, out)
    scores = _scores(cohort, inputs, (student, teacher), config)
    _write_predictions(cohort, inputs, (student, teacher), config, out)
    path = out / "model.amkd"
    bundle = bundle_of_run(cohort, bags, inputs, (student, teacher), config=config, scores=scores, path=path)
    groups = _groups(cohort, inputs, student, bundle.members[0].risk_cut)
    return Run(cohort, inputs, scores, groups, bundle, path)


def _bags_of(cohort: Cohort, out: Path) -> Path:
    return cohort.file.bags or out / "bags"


def _slides_of(cohort: Cohort) -> dict[str, Path]:
    """Slides of the cohort's folder by name; files and folders that are no slides are passed over."""
    folder = cohort.file.slides
    if folder is None:
        return {}
    if not folder.is_dir():
        raise CohortError(f"{folder}: no such folder of slides")
    wanted = {name for patient in cohort.patients for name in patient.slide_ids}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.stem in wanted and is_slide(path)}


def _extract_missing(
    cohort: Cohort, out: Path, *, jobs: int, weights: Path | None, device: str
) -> Generator[Progress, None, None]:
    folder = _bags_of(cohort, out)
    names = [name for patient in cohort.patients for name in patient.slide_ids]
    missing = [name for name in names if not (folder / f"{name}.h5").is_file()]
    if not missing:
        return
    slides = _slides_of(cohort)
    settings = ExtractSettings(encoder=cohort.file.encoder, weights=weights, device=device)
    with bag_folder(folder):
        outcomes = yield from extract_slides(
            [SlideTask(slides[name]) for name in missing], folder, settings, jobs=jobs
        )
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        listed = "; ".join(f"{outcome.path.name}: {outcome.reason}" for outcome in failed[:5])
        raise CohortError(
            f"{len(failed)} of {len(missing)} slides could not be extracted ({listed}); mend them or leave them out "
            "of the clinical table, and repeat the command: the other bags are kept"
        )


def _keep_data_record(cohort: Cohort, bags: dict[str, FeatureBag], out: Path) -> None:
    """Hashes of everything that was read: a run is continued on the same data or not at all."""
    tables = {
        f"{name}_sha256": file_sha256(getattr(cohort.file, name))
        for name in ("clinical", "expression", "pathways")
    }
    keep_record(out / "data.json", {**tables, "bags_sha256": digest_of(bags)})


def _scores(
    cohort: Cohort, inputs: Inputs, networks: tuple[SurvivalModel, SurvivalModel], config: TrainingConfig
) -> tuple[Score, ...]:
    patients = {patient.patient_id: patient for patient in cohort.patients}
    scores = []
    for part in PARTS_OF_SCORES:
        examples = getattr(inputs, part)
        if not examples:
            continue
        outcome = outcome_of([patients[example.patient_id] for example in examples])
        for model in networks:
            scores.append(score(model, examples, outcome, part=part, seed=config.seed, device=config.device))
    return tuple(scores)


def _groups(cohort: Cohort, inputs: Inputs, student: SurvivalModel, cut: float) -> tuple[RiskGroups, ...]:
    patients = {patient.patient_id: patient for patient in cohort.patients}
    groups = []
    for part in PARTS_OF_SCORES:
        examples = getattr(inputs, part)
        if examples:
            outcome = outcome_of([patients[example.patient_id] for example in examples])
            groups.append(compare_groups(outcome, risks_of(student, examples), cut, part=part))
    return tuple(groups)


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
