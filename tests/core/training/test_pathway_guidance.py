"""The student learns to tell pathways from the slide: its targets, its head, and what is left of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import QUICK

from amkd_core.cli.terminal import drain
from amkd_core.errors import ConfigError
from amkd_core.models import ModelInput, build_model
from amkd_core.pathway_effects import pathway_activities
from amkd_core.studies.distillation import area_under_curve
from amkd_core.training.config import TrainingConfig, load_config
from amkd_core.training.distillation import PathwayTargets, TeacherTargets, pathway_loss
from amkd_core.training.fit import Stage, fit
from amkd_core.training.inputs import Example, Inputs, make_inputs
from amkd_core.training.objectives import distillation_objective
from amkd_core.training.pathway_guidance import pathway_targets
from amkd_core.training.stages import attach_targets, train_student, train_teacher


def told_by(data: Inputs, rule) -> dict[str, TeacherTargets]:
    """A teacher whose log risk is what the test says of a patient."""
    empty = torch.zeros(0, 8)
    return {
        item.patient_id: TeacherTargets(torch.tensor([[float(rule(item))]]), empty, torch.ones(1))
        for item in (*data.train, *data.validation)
    }


def activities(data: Inputs, examples) -> np.ndarray:
    genes = np.stack([example.genes.double().numpy() for example in examples])
    return pathway_activities(genes, data.fitted.membership.matrix)


def test_targets_are_activities_and_each_pathways_share_of_the_risk(inputs) -> None:
    data = inputs[-1]
    assert len(data.fitted.membership.pathways) == 2
    teacher = told_by(data, lambda example: 3.0 * activities(data, [example])[0, 1])
    targets = pathway_targets(data, teacher)
    assert sorted(targets) == sorted(item.patient_id for item in (*data.train, *data.validation))
    told = torch.cat([targets[item.patient_id].activities for item in data.train]).numpy()
    np.testing.assert_allclose(told.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(told.std(axis=0), 1, atol=1e-5)
    raw = activities(data, data.train)
    for column in range(2):
        assert np.corrcoef(told[:, column], raw[:, column])[0, 1] == pytest.approx(1)
    first, second = targets[data.train[0].patient_id].shares[0].tolist()
    assert first + second == pytest.approx(1)
    assert second > 0.99
    # A student that tells everyone the mean has a loss of 1 over the training patients.
    rows = [targets[item.patient_id] for item in data.train]
    batch = PathwayTargets(*(torch.cat(part) for part in zip(*rows, strict=True)))
    assert float(pathway_loss(torch.zeros_like(batch.activities), batch)) == pytest.approx(1, abs=1e-4)
    assert float(pathway_loss(batch.activities, batch)) == 0


def test_only_training_patients_are_fitted_on(inputs) -> None:
    data = inputs[-1]
    teacher = told_by(data, lambda example: float(activities(data, [example])[0].sum()))
    plain = pathway_targets(data, teacher)
    other = replace(data.validation[0], genes=data.validation[0].genes + 5)
    changed = pathway_targets(replace(data, validation=(other, *data.validation[1:])), teacher)
    for name, target in plain.items():
        same = name != other.patient_id
        assert torch.equal(target.shares, changed[name].shares)
        assert torch.equal(target.activities, changed[name].activities) == same
    moved = replace(data.train[0], genes=data.train[0].genes + 5)
    moved_targets = pathway_targets(replace(data, train=(moved, *data.train[1:])), teacher)
    assert not torch.equal(moved_targets[other.patient_id].activities, plain[other.patient_id].activities)


def test_a_risk_that_is_the_same_for_all_has_no_shares(inputs) -> None:
    data = inputs[-1]
    targets = pathway_targets(data, told_by(data, lambda _: 0.25))
    assert all(not target.shares.any() for target in targets.values())
    batch = next(iter(targets.values()))
    assert float(pathway_loss(torch.ones_like(batch.activities), batch)) == 0


def test_each_pathway_counts_by_its_share() -> None:
    targets = PathwayTargets(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.9, 0.1]] * 2))
    told = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    assert float(pathway_loss(told, targets)) == pytest.approx((0.9 * 1 + 0.1 * 4) / 2)
    with pytest.raises(
        ConfigError, match=r"the same pathways, found activities of shapes \(2, 3\) and \(2, 2\)"
    ):
        pathway_loss(torch.zeros(2, 3), targets)


def test_the_head_begins_at_the_mean_and_draws_nothing(inputs) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    student = build_model("amkd_student", {"d_encoder": 6, "dim": 8}, seed=2).eval()
    torch.manual_seed(7)
    before = dict(student.state_dict())
    student.add_pathway_head(5)
    assert torch.equal(torch.rand(3), expected)
    batch = ModelInput(torch.randn(7, 6), (3, 4))
    output = student(batch)
    assert torch.equal(output.pathway_activities, torch.zeros(2, 5))
    student.drop_pathway_head()
    again = student(batch)
    assert again.pathway_activities is None
    assert torch.equal(again.logits, output.logits)
    assert dict(student.state_dict()).keys() == before.keys()


def settings(weight: float, *more: str) -> TrainingConfig:
    return load_config(None, [*QUICK, f"distill.pathway_weight={weight}", *more])


def student_of(
    inputs, config: TrainingConfig, folder: Path, *, name: str = "student", distilled: bool = True
):
    """What a student was taught, and the student; teachers that the folder holds are not trained again."""
    data = make_inputs(*inputs[:3], config)
    teacher = drain(train_teacher(data, config, folder))
    taught = drain(attach_targets(data, teacher, config, folder))
    return taught, drain(train_student(taught, config, folder, name=name, distilled=distilled))


def vector(model) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize("loss", ["nll", "cox"])
def test_the_weight_changes_the_student_and_leaves_no_head(loss: str, inputs, tmp_path: Path) -> None:
    # Under the Cox loss in parts, whose outputs are joined again before the loss.
    more = [f"survival_loss={loss}", "student.bags_at_once=3"] if loss == "cox" else []
    _, plain = student_of(inputs, settings(0, *more), tmp_path, name="plain")
    _, told = student_of(inputs, settings(2, *more), tmp_path, name="told")
    _, alone = student_of(inputs, settings(2, *more), tmp_path, name="alone", distilled=False)
    assert vector(plain).shape == vector(told).shape
    assert not torch.equal(vector(plain), vector(told))
    assert not torch.equal(vector(alone), vector(told))
    told_of = {name: (tmp_path / name / "history.csv").read_text() for name in ("plain", "told", "alone")}
    assert {name: "pathways" in text for name, text in told_of.items()} == {
        "plain": False, "told": True, "alone": False,
    }  # fmt: skip


@pytest.mark.parametrize("loss", ["nll", "cox"])
def test_the_epoch_is_chosen_by_pathways_as_well(loss: str, inputs, tmp_path: Path) -> None:
    config = settings(1000, f"survival_loss={loss}")
    taught, _ = student_of(inputs, config, tmp_path)
    rows = (tmp_path / "student" / "history.csv").read_text().splitlines()
    validation = [
        float(dict(zip(rows[0].split(","), row.split(","), strict=True))["validation"]) for row in rows[1:]
    ]
    # Survival is of the order of 1, a thousand times the pathways' loss of the order of 1,000.
    assert all(value > 100 for value in validation)
    assert taught.validation[0].targets.pathways is not None


def test_a_student_stopped_in_the_midst_goes_on_with_its_head(inputs, tmp_path: Path) -> None:
    config = settings(2)
    taught, whole = student_of(inputs, config, tmp_path, name="whole")

    def some(steps: Generator, n: int) -> None:
        for _ in range(n):
            next(steps)
        steps.close()

    some(train_student(taught, config, tmp_path, name="parts"), 2)
    again = drain(train_student(taught, config, tmp_path, name="parts"))
    assert torch.equal(vector(again), vector(whole))


def area_of_the_map(weight: float, folder: Path) -> float:
    """How well attention finds planted patches whose number goes along with a pathway, and with no outcome."""
    rng = np.random.default_rng(3)
    shares = rng.uniform(0.05, 0.5, size=60)
    scores = (shares - shares.mean()) / shares.std()
    examples, planted = [], {}
    for i, share in enumerate(shares):
        hit = rng.random(24) < share
        patches = torch.from_numpy(rng.normal(size=(24, 6)).astype(np.float32))
        patches[hit, 0] += 3
        told = PathwayTargets(torch.tensor([[scores[i], rng.normal()]]), torch.tensor([[1.0, 0.0]]))
        targets = TeacherTargets(torch.zeros(1, 4), torch.zeros(24, 0), torch.ones(1), pathways=told)
        name, outcome = f"P{i}", (int(rng.integers(4)), bool(rng.random() < 0.6), float(rng.uniform(1, 60)))
        examples.append(Example(name, patches, torch.zeros(1), *outcome, targets=targets))
        planted[name] = hit
    terms = ("distill.alpha=1", "distill.guidance_weight=0", "distill.distillation_weight=0")
    config = settings(weight, *terms, "student.epochs=25")
    student = build_model("amkd_student", {"d_encoder": 6, "dim": 8, "dropout": 0.0}, seed=0)
    student.add_pathway_head(2)
    stage = Stage("student", folder, 0)
    drain(
        fit(
            student,
            examples[:48],
            examples[48:],
            distillation_objective(config),
            config=config.student,
            stage=stage,
        )
    )
    student.drop_pathway_head()
    areas = []
    for example in examples[48:]:
        weights = student(ModelInput(example.patches, (24,))).patch_attention.detach().numpy()
        areas.append(area_under_curve(weights, planted[example.patient_id]))
    return float(np.mean(areas))


def test_attention_finds_where_a_pathway_shows(tmp_path: Path) -> None:
    told, untold = area_of_the_map(4, tmp_path / "told"), area_of_the_map(0, tmp_path / "untold")
    # Not more, for the mean over all patches says how many of them are special, wherever attention looks.
    assert told > 0.65
    assert untold < 0.5
