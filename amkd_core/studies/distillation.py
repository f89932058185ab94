"""Does the distillation work? Every switch of the method under one protocol, on patients whose truth is known.

Simulated bags on real expression (`amkd_core.simulate.bags`); per seed and fold one teacher, and from it every student
that is asked for, so that all comparisons are paired by patient.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from amkd_core.atomic import write_text
from amkd_core.bag import FeatureBag
from amkd_core.cohort.cohort import Cohort, CohortFile
from amkd_core.cohort.genes import read_expression
from amkd_core.cohort.pathways import read_gmt
from amkd_core.cohort.patients import Patient
from amkd_core.cohort.splits import Split
from amkd_core.inference.pathway_table import ranked_effects
from amkd_core.models import SurvivalModel
from amkd_core.pathway_effects import PathwayEffects
from amkd_core.progress import Progress
from amkd_core.simulate.bags import (
    SEEN,
    BagSimulationConfig,
    SimulatedPatients,
    hazard_from_shares,
    simulate_bag,
    simulate_patients,
    simulated_encoder,
)
from amkd_core.training.config import TrainingConfig
from amkd_core.training.evaluate import risks_of
from amkd_core.training.inputs import Example, Inputs, make_inputs
from amkd_core.training.passes import batch_input, whole_output
from amkd_core.training.pathway_guidance import activities_of
from amkd_core.training.stages import attach_targets, train_student, train_teacher

# Raised with every change of what a cell's record holds; a study goes on in a folder of its own version only.
RECORD_VERSION = 2

UNDISTILLED = "undistilled"
UNDISTILLED_DRAWN = "undistilled, a quarter drawn"
_DRAWN = {"patch_share": 0.25}
AMKD = "amkd"

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    UNDISTILLED: {},
    UNDISTILLED_DRAWN: _DRAWN,
    AMKD: {},
    "without ARR": {"alpha": 1.0},
    "without ARR and GE": {"alpha": 1.0, "guidance_weight": 0.0},
    "without GE": {"guidance_weight": 0.0},
    "alpha 0.25": {"alpha": 0.25},
    "alpha 0.5": {"alpha": 0.5},
    "arr gated": {"arr": "gated"},
    "arr gated, alpha 0.25": {"arr": "gated", "alpha": 0.25},
    "arr gated, alpha 0.5": {"arr": "gated", "alpha": 0.5},
    "gated, a quarter drawn": {"arr": "gated", **_DRAWN},
    "gated, an eighth drawn": {"arr": "gated", "patch_share": 0.125},
    "gated, alpha 0.5, a quarter drawn": {"arr": "gated", "alpha": 0.5, **_DRAWN},
    "gated, alpha 0.25, a quarter drawn": {"arr": "gated", "alpha": 0.25, **_DRAWN},
    "gated without GE, a quarter drawn": {"arr": "gated", "guidance_weight": 0.0, **_DRAWN},
    "without ARR and GE, a quarter drawn": {"alpha": 1.0, "guidance_weight": 0.0, **_DRAWN},
    "balanced, a quarter drawn": _DRAWN,
    "gated, a quarter drawn, pathways x 0.3": {"arr": "gated", "pathway_weight": 0.3, **_DRAWN},
    "gated, a quarter drawn, pathways x 1": {"arr": "gated", "pathway_weight": 1.0, **_DRAWN},
    "gated, a quarter drawn, pathways x 4": {"arr": "gated", "pathway_weight": 4.0, **_DRAWN},
    "gated, a quarter drawn, pathways x 12": {"arr": "gated", "pathway_weight": 12.0, **_DRAWN},
    "pathways x 4 alone, a quarter drawn": {
        "alpha": 1.0,
        "guidance_weight": 0.0,
        "distillation_weight": 0.0,
        "pathway_weight": 4.0,
        **_DRAWN,
    },
    "unseen logits x 4, a quarter drawn": {
        "alpha": 1.0,
        "teacher_logits": "out_of_fold",
        "distillation_weight": 4.0,
        **_DRAWN,
    },
    "arr attract": {"arr": "attract"},
    "arr printed_minus": {"arr": "printed_minus"},
    "arr printed_plus": {"arr": "printed_plus"},
    "guidance reversed": {"guidance_direction": "teacher_to_student"},
    "tau_features 0.25": {"tau_features": 0.25},
    "tau_logits 2": {"tau_logits": 2.0},
    "teacher_loss in_sample": {"teacher_loss": "in_sample"},
    "unseen logits": {"alpha": 1.0, "teacher_logits": "out_of_fold"},
    "unseen logits x 4": {"alpha": 1.0, "teacher_logits": "out_of_fold", "distillation_weight": 4.0},
    "unseen logits x 10": {"alpha": 1.0, "teacher_logits": "out_of_fold", "distillation_weight": 10.0},
    "unseen logits x 10 without GE": {
        "alpha": 1.0,
        "teacher_logits": "out_of_fold",
        "distillation_weight": 10.0,
        "guidance_weight": 0.0,
    },
    "standardised guidance": {"alpha": 1.0, "guidance_features": "standardised"},
    "unseen logits + standardised guidance": {
        "alpha": 1.0,
        "teacher_logits": "out_of_fold",
        "guidance_features": "standardised",
    },
    "gated + unseen logits + standardised guidance": {
        "arr": "gated",
        "teacher_logits": "out_of_fold",
        "guidance_features": "standardised",
    },
}
"""Students by name, as overrides of ``distill``; alpha 0.75 and alpha 1 are `amkd` and `without ARR`.

What changes the teacher as well (pooling, survival loss) is a setting of a study of its own: `StudySettings.training`.
"""


@dataclass(frozen=True)
class StudySettings:
    """What a study runs over.

    Attributes
    ----------
    expression, pathways
        Real tables; see `amkd_core.simulate.bags`.
    simulation
        Of the bags; its seed is replaced by each seed of the study.
    training
        Protocol shared by all variants.
    seeds, n_folds
        Repetitions; a seed decides simulation, folds and weights.
    variants
        Students that are trained, of `VARIANTS`.
    n_patients
        Only the first of the table, for a trial of sizes; None takes all.
    """

    expression: Path
    pathways: Path
    simulation: BagSimulationConfig
    training: TrainingConfig
    seeds: tuple[int, ...] = (0, 1, 2)
    n_folds: int = 5
    variants: tuple[str, ...] = field(default_factory=lambda: tuple(VARIANTS))
    n_patients: int | None = None


def run_cell(settings: StudySettings, seed: int, fold: int, out: Path) -> Generator[Progress, None, Path]:
    """One fold of one seed: a teacher and all students; what was done before is kept.

    Writes ``seed-S-fold-F.json``: for the teacher, the truth and every student the risks of the test patients, the area
    under the ROC curve of each one's map against the planted patches, together and by pattern, and the ranks of the
    driver pathways by the teacher's attention and by their effects on its risk.
    """
    path = out / f"seed-{seed}-fold-{fold + 1}.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missing = [name for name in settings.variants if name not in record.get("students", {})]
    if record and not missing:
        return path
    world = _World.draw(settings, seed)
    config = settings.training.model_copy(update={"seed": seed})
    inputs = make_inputs(world.cohort, world.bags, _split(world.truth, fold, seed, settings.n_folds), config)
    folder = out / "work" / f"seed-{seed}-fold-{fold + 1}"
    teacher = yield from train_teacher(inputs, config, folder)
    if not record:
        record = {
            **_about(world, inputs),
            "teacher": _scored(teacher, inputs, world),
            "students": {},
        }
        record["teacher"]["driver_ranks"] = _driver_ranks(teacher, inputs, world)
        record["teacher"] |= _effect_ranks(teacher, inputs, world)
    for name in missing:
        distill = config.distill.model_copy(update=dict(VARIANTS[name]))
        changed = config.model_copy(update={"distill": distill})
        # Inner teachers are trained once; later calls find their checkpoints.
        taught = yield from attach_targets(inputs, teacher, changed, folder)
        student = yield from train_student(
            taught, changed, folder, name=name, distilled=not name.startswith(UNDISTILLED)
        )
        record["students"][name] = _scored(student, inputs, world)
        write_text(path, json.dumps(record))
    return path


@dataclass(frozen=True, eq=False)
class _World:
    """A simulated cohort in memory, with its truth."""

    cohort: Cohort
    bags: Mapping[str, FeatureBag]
    planted: Mapping[str, NDArray[np.int8]]
    truth: SimulatedPatients
    simulation: BagSimulationConfig

    @classmethod
    def draw(cls, settings: StudySettings, seed: int) -> _World:
        expression, sets = read_expression(settings.expression), read_gmt(settings.pathways)
        kept = slice(settings.n_patients)
        expression = replace(expression, patients=expression.patients[kept], values=expression.values[kept])
        simulation = settings.simulation.model_copy(update={"seed": seed})
        truth = simulate_patients(expression, sets, simulation)
        drawn = {name: simulate_bag(truth, i, simulation) for i, name in enumerate(truth.patients)}
        file = CohortFile(
            name=f"simulated bags {seed}",
            clinical=settings.expression,
            expression=settings.expression,
            pathways=settings.pathways,
            encoder=simulated_encoder(simulation).name,
            synthetic=True,
        )
        patients = tuple(
            Patient(name, (name,), float(truth.time[i]), bool(truth.event[i]))
            for i, name in enumerate(truth.patients)
        )
        cohort = Cohort(settings.expression, file, patients, expression, sets)
        bags = {name: bag for name, (bag, _) in drawn.items()}
        return cls(cohort, bags, {name: planted for name, (_, planted) in drawn.items()}, truth, simulation)


def _split(truth: SimulatedPatients, fold: int, seed: int, n_folds: int) -> Split:
    """Test part: one of `n_folds` shares, deaths dealt out evenly; a fifth of the rest chooses the epoch."""
    rng = np.random.default_rng([seed, 21])
    order = rng.permutation(len(truth.patients))
    order = order[np.argsort(truth.event[order], kind="stable")]
    tested, rest = (
        order[fold::n_folds],
        np.concatenate([order[i::n_folds] for i in range(n_folds) if i != fold]),
    )
    rest = rest[np.argsort(truth.event[rest], kind="stable")]
    names = np.array(truth.patients)
    parts = (np.delete(rest, np.s_[::5]), rest[::5], tested)
    return Split(*(tuple(names[np.sort(part)].tolist()) for part in parts))


def _about(world: _World, inputs: Inputs) -> dict[str, Any]:
    planted = [world.planted[example.patient_id] for example in inputs.test]
    place = {name: i for i, name in enumerate(world.truth.patients)}
    rows = [place[example.patient_id] for example in inputs.test]
    truth = world.truth
    return {
        "patients": [truth.patients[row] for row in rows],
        "months": truth.time[rows].tolist(),
        "event": truth.event[rows].astype(int).tolist(),
        "true hazard": truth.log_hazard[rows].tolist(),
        "what the slide shows": truth.slide_hazard[rows].tolist(),
        "what the genes tell": truth.gene_hazard[rows].tolist(),
        "planted patches, counted": [hazard_from_shares(patches, world.simulation) for patches in planted],
    }


def _scored(model: SurvivalModel, inputs: Inputs, world: _World) -> dict[str, Any]:
    """Risks of the test patients, and how well the model's map finds the planted patches."""
    import torch

    from amkd_core.survival.hazard import risk as risk_of

    risks, areas, by_pattern = [], [], []
    with torch.inference_mode():
        for example in inputs.test:
            output = whole_output(model.eval(), [example], "cpu")
            risks.append(float(risk_of(output.logits)[0]))
            if output.patch_attention is not None:
                weights, planted = output.patch_attention.numpy(), world.planted[example.patient_id]
                areas.append(area_under_curve(weights, planted >= 0))
                by_pattern.append(pattern_areas(weights, planted))
    return {"risk": risks, "map_area": areas, "pattern_areas": by_pattern}


def pattern_areas(scores: NDArray[np.float32], planted: NDArray[np.int8]) -> list[float | None]:
    """Area of each pattern's patches against those without any, length ``SEEN + 1``; None where a bag has none of it.

    The last pattern changes the risk only together with what genes alone tell: on average over patients it is worth
    nothing, and no slide says more of it than that.
    """
    found: list[float | None] = []
    for pattern in range(SEEN + 1):
        compared = (planted == pattern) | (planted < 0)
        hit = planted[compared] == pattern
        found.append(area_under_curve(scores[compared], hit) if hit.any() else None)
    return found


def area_under_curve(scores: NDArray[np.float32], hit: NDArray[np.bool_]) -> float:
    """Share of pairs of patches, one inside and one outside, in which the inside one scores higher."""
    statistic = stats.mannwhitneyu(scores[hit], scores[~hit]).statistic
    return float(statistic / (hit.sum() * (~hit).sum()))


def _driver_ranks(teacher: SurvivalModel, inputs: Inputs, world: _World) -> list[int]:
    """Rank of each driver pathway (1 = first) by the teacher's mean attention over the test patients."""
    import torch

    with torch.inference_mode():
        importance = torch.stack([_importance(teacher, example) for example in inputs.test]).mean(dim=0)
    names = inputs.fitted.membership.pathways
    order = [names[i] for i in torch.argsort(importance, descending=True).tolist()]
    return [order.index(name) + 1 for name in world.truth.drivers]


def _effect_ranks(teacher: SurvivalModel, inputs: Inputs, world: _World) -> dict[str, Any]:
    """Rank of each driver pathway by its effect on the teacher's risk, read over all patients of the cell.

    Beside it the share of the teacher's risk that the reading explains, and the ranks that the same reading gives of
    the true log hazard: no reading of a network can be expected to do better.
    """
    examples = (*inputs.train, *inputs.validation, *inputs.test)
    place = {name: i for i, name in enumerate(world.truth.patients)}
    truth = world.truth.log_hazard[[place[example.patient_id] for example in examples]]
    activities = activities_of(inputs, examples)

    def ranks(values: NDArray[np.float64]) -> tuple[list[int], float | None]:
        reading = PathwayEffects.of_cohort(activities, values)
        if reading is None:
            return [], None
        rank = {
            row.name: row.rank for row in ranked_effects(inputs.fitted.membership.pathways, reading.effect)
        }
        return [rank[name] for name in world.truth.drivers], reading.explained

    found, explained = ranks(risks_of(teacher, examples))
    return {"effect_ranks": found, "explained": explained, "true_effect_ranks": ranks(truth)[0]}


def _importance(teacher: SurvivalModel, example: Example) -> Any:
    maps = teacher.eval()(batch_input([replace(example)], "cpu"), want_maps=True).coattention
    if maps is None:
        raise TypeError("the teacher gives no co-attention")
    return maps.pathway_importance[0]
