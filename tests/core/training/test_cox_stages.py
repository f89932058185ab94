"""The Cox loss in both stages: its windows, its level, and what a student imitates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import QUICK

from amkd_core.cli.terminal import drain
from amkd_core.models import ModelOutput
from amkd_core.survival.hazard import cox_loss
from amkd_core.training.config import load_config
from amkd_core.training.distillation import TeacherTargets
from amkd_core.training.evaluate import risks_of
from amkd_core.training.fit import _batches
from amkd_core.training.inputs import make_inputs
from amkd_core.training.objectives import distillation_objective, partial_likelihood_loss
from amkd_core.training.recipes import COMPARED, recipes_of, train_recipe
from amkd_core.training.stages import attach_targets, stage_of, train_student, train_teacher

COX = [*QUICK, "survival_loss=cox", "teacher.epochs=2", "student.epochs=2", "student.cox_window=10"]


@pytest.fixture(scope="module")
def cox(inputs):
    cohort, bags, split, *_ = inputs
    config = load_config(None, COX)
    return config, make_inputs(cohort, bags, split, config)


@pytest.fixture(scope="module")
def taught(cox, tmp_path_factory):
    config, data = cox
    folder = tmp_path_factory.mktemp("cox")
    teacher = drain(train_teacher(data, config, folder))
    return teacher, drain(attach_targets(data, teacher, config, folder)), folder


def test_a_window_holds_its_share_of_the_deaths(cox) -> None:
    config, data = cox
    stage = stage_of(config, "student", Path("unused"), 0)
    windows = _batches(data.train, config.student, stage, torch.Generator().manual_seed(1))
    assert sorted(index for window in windows for index in window) == list(range(len(data.train)))
    assert max(len(window) for window in windows) <= 10
    deaths = [sum(data.train[index].event for index in window) for window in windows]
    assert max(deaths) - min(deaths) <= 1
    again = _batches(data.train, config.student, stage, torch.Generator().manual_seed(2))
    assert again != windows


def test_heads_have_one_output_and_log_risks_are_centred_on_training_patients(cox, taught) -> None:
    config, data = cox
    teacher, targets, folder = taught
    student = drain(train_student(targets, config, folder))
    for model in (teacher, student):
        risks = risks_of(model, data.train)
        assert model.head[-1].out_features == 1
        assert risks.mean() == pytest.approx(0, abs=1e-6)
        assert np.ptp(risks) > 1e-3
    # Read again from its checkpoint, as a continued run reads it.
    continued = drain(train_student(targets, config, folder))
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), continued.parameters(), strict=True))


def test_the_epoch_is_chosen_by_all_validation_patients_as_one_risk_set(cox, tmp_path: Path) -> None:
    config, data = cox
    model = drain(train_student(data, config, tmp_path, distilled=False))
    history = (tmp_path / "student" / "history.csv").read_text().splitlines()
    best = min(float(row.split(",")[-1]) for row in history[1:])
    eta = torch.tensor(risks_of(model, data.validation))
    months, events = ([getattr(item, name) for item in data.validation] for name in ("months", "event"))
    assert float(cox_loss(eta, torch.tensor(months), torch.tensor(events))) == pytest.approx(best, rel=1e-4)


def test_a_student_imitates_the_chance_of_dying_before_an_average_patient(cox, taught) -> None:
    """L_KD is one Bernoulli divergence a patient; the ratio is that of the losses over the window."""
    config = cox[0]
    config = config.model_copy(
        update={
            "distill": config.distill.model_copy(
                update={"alpha": 0.4, "arr": "gated", "guidance_weight": 0.0, "pathway_weight": 0.0}
            )
        }
    )
    window = taught[1].train[:9]
    own = torch.linspace(-1, 1, 9)[:, None]
    output = ModelOutput(own, tuple(len(item.patches) for item in window), guided_patches=torch.cat([
        item.targets.guided for item in window
    ]))  # fmt: skip
    terms = distillation_objective(config)(output, window)
    p = torch.sigmoid(own[:, 0])
    q = torch.sigmoid(torch.cat([item.targets.logits for item in window])[:, 0])
    kd = p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))
    assert float(terms["distillation"]) == pytest.approx(float(kd.mean()), rel=1e-5)
    loss = partial_likelihood_loss(own, window)
    unseen = torch.cat([item.targets.loss_logits for item in window])
    ratio = loss / partial_likelihood_loss(unseen, window)
    gated = (torch.sigmoid(torch.log(ratio)) * kd).mean()
    assert float(terms["redundancy"]) == pytest.approx(float(gated), rel=1e-4)
    assert float(terms["total"]) == pytest.approx(float(0.4 * (kd.mean() + loss) + 0.6 * gated), rel=1e-4)
    assert not torch.equal(unseen, torch.cat([item.targets.logits for item in window]))


def test_in_a_window_without_deaths_nothing_pulls(cox) -> None:
    _, data = cox
    alive = [replace(item, event=False) for item in data.train[:4]]
    eta = torch.randn(4, 1, requires_grad=True)
    loss = partial_likelihood_loss(eta, alive)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not eta.grad.any()


def test_targets_of_a_likelihood_teacher_carry_no_log_risks(inputs, tmp_path: Path) -> None:
    *_, config, data = inputs
    teacher = drain(train_teacher(data, config, tmp_path))
    in_sample = config.model_copy(
        update={"distill": config.distill.model_copy(update={"teacher_loss": "in_sample"})}
    )
    found = drain(attach_targets(data, teacher, in_sample, tmp_path)).train[0].targets
    assert isinstance(found, TeacherTargets)
    assert found.loss_logits is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMPARED if name != "amkd"])
def test_every_model_of_a_comparison_is_trained_by_it(name: str, cox, tmp_path: Path) -> None:
    config, data = cox
    (recipe,) = recipes_of([name])
    (model,) = drain(train_recipe(recipe, data, config, tmp_path)).values()
    assert model.head[-1].out_features == 1
    assert np.ptp(risks_of(model, data.test)) > 0
