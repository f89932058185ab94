"""The student's total: what it sums, whom it teaches, and what it refuses."""

import math

import pytest
import torch
from slow_forms import SLOW_ARR, sigmoid, slow_guidance, slow_kd

from amkd_core.errors import ConfigError
from amkd_core.models import build_model
from amkd_core.models.base import ModelInput, ModelOutput
from amkd_core.survival.hazard import nll_loss
from amkd_core.training.distillation import (
    FORMS,
    DistillationObjective,
    TeacherTargets,
    distillation_loss,
    gene_enhancement_loss,
    redundancy_reduction_loss,
)


def arr(x, r, form="balanced"):
    """Redundancy term of one patient: the slow form, and what needs no care for the rest."""
    if form == "none":
        return 0.0
    return x * r / (1 + r) if form == "gated" else SLOW_ARR[form](2 * sigmoid(x) - 1, r)


def make_pair(lengths=(3, 5)):
    membership = torch.rand(4, 10, generator=torch.Generator().manual_seed(0)) < 0.5
    membership[:, 0] = True
    settings = {"d_encoder": 6, "dim": 8}
    teacher = build_model("amkd_teacher", settings, membership=membership, seed=1).eval().double()
    student = build_model("amkd_student", settings, seed=2).eval().double()
    generator = torch.Generator().manual_seed(3)
    batch = ModelInput(
        torch.randn(sum(lengths), 6, generator=generator, dtype=torch.float64),
        lengths,
        torch.randn(len(lengths), 10, generator=generator, dtype=torch.float64),
    )
    bins = torch.arange(len(lengths)) % 4
    event = torch.arange(len(lengths)) % 2 == 0
    return teacher, student, batch, bins, event


def run(objective):
    teacher, student, batch, bins, event = make_pair()
    taught = teacher(batch)
    # Gradients are left on: the objective itself must keep them from the teacher.
    targets = TeacherTargets(
        taught.logits, taught.guided_patches, nll_loss(taught.logits, bins, event, reduction="none")
    )
    output = student(batch)
    terms = objective(output, targets, nll_loss(output.logits, bins, event, reduction="none"))
    return teacher, student, output, targets, terms


@pytest.mark.parametrize("form", FORMS)
def test_the_total_is_what_the_paper_prints(form):
    objective = DistillationObjective(alpha=0.6, tau_features=0.5, tau_logits=2.0, form=form)
    _, _, output, targets, terms = run(objective)
    kd = slow_kd(output.logits, targets.logits, 2.0)
    guidance = slow_guidance(output.guided_patches, targets.guided, (3, 5), 0.5)
    _, _, _, bins, event = make_pair()
    survival = nll_loss(output.logits, bins, event, reduction="none").tolist()
    ratios = [min(max(s / t, 0.1), 10) for s, t in zip(survival, targets.survival_loss.tolist(), strict=True)]
    redundancy = sum(arr(x, r, form) for x, r in zip(kd, ratios, strict=True)) / 2
    assert terms.gene_enhancement.item() == pytest.approx(guidance)
    assert terms.distillation.item() == pytest.approx(sum(kd) / 2)
    assert terms.survival.item() == pytest.approx(sum(survival) / 2)
    assert terms.redundancy.item() == pytest.approx(redundancy, rel=1e-4)
    expected = 0.6 * (guidance + sum(kd) / 2 + sum(survival) / 2) + 0.4 * redundancy
    assert terms.total.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_no_gradient_reaches_the_teacher_and_all_of_the_student_learns(form):
    teacher, student, _, _, terms = run(DistillationObjective(form=form))
    terms.total.backward()
    assert all(p.grad is None for p in teacher.parameters())
    still = [key for key, p in student.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [key for key in still if not key.endswith("score.bias")] == []


@pytest.mark.parametrize("form", FORMS)
def test_alpha_one_is_plain_distillation_value_and_gradient(form):
    _, student, _, _, terms = run(DistillationObjective(alpha=1.0, form=form))
    assert torch.equal(terms.total, terms.gene_enhancement + terms.distillation + terms.survival)
    terms.total.backward()
    with_form = [p.grad.clone() for p in student.parameters()]
    _, plain, _, _, terms = run(DistillationObjective(alpha=1.0, form="none"))
    terms.total.backward()
    for one, other in zip(with_form, plain.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-12, atol=1e-15)


def test_batching_patients_changes_nothing():
    teacher, student, batch, bins, event = make_pair()
    objective = DistillationObjective()

    def total(part, bins, event):
        taught, output = teacher(part), student(part)
        targets = TeacherTargets.from_output(taught, nll_loss(taught.logits, bins, event, reduction="none"))
        return objective(output, targets, nll_loss(output.logits, bins, event, reduction="none")).total

    whole = total(batch, bins, event)
    first = total(ModelInput(batch.patches[:3], (3,), batch.genes[:1]), bins[:1], event[:1])
    second = total(ModelInput(batch.patches[3:], (5,), batch.genes[1:]), bins[1:], event[1:])
    torch.testing.assert_close(whole, (first + second) / 2)


def test_a_loss_of_the_batch_as_a_whole_serves_as_well():
    teacher, student, batch, _, _ = make_pair()
    taught, output = teacher(batch), student(batch)
    targets = TeacherTargets.from_output(taught, torch.tensor(0.5, dtype=torch.float64))
    terms = DistillationObjective(form="balanced")(output, targets, torch.tensor(1.0, dtype=torch.float64))
    kd = distillation_loss(output.logits, taught.logits, reduction="none").tolist()
    assert terms.redundancy.item() == pytest.approx(sum(arr(x, 2.0) for x in kd) / 2, rel=1e-4)
    assert terms.survival.item() == 1.0


def test_targets_from_an_output_carry_no_gradient():
    teacher, _, batch, bins, event = make_pair()
    taught = teacher(batch)
    targets = TeacherTargets.from_output(taught, nll_loss(taught.logits, bins, event, reduction="none"))
    assert not any(t.requires_grad for t in (targets.logits, targets.guided, targets.survival_loss))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: DistillationObjective(alpha=1.5), r"alpha must lie in \[0, 1\], found 1.5"),
        (lambda: DistillationObjective(tau_logits=0), "tau_logits must be above 0, found 0"),
        (lambda: DistillationObjective(tau_features=math.nan), "tau_features must be above 0"),
        (lambda: DistillationObjective(form="printed"), "'printed' is unknown; known are balanced"),
        (lambda: DistillationObjective(direction="both"), "'both' is unknown; known are student_to_teacher"),
        (
            lambda: redundancy_reduction_loss(torch.ones(1), torch.ones(1), form="sum"),
            "no redundancy form 'sum'; known are balanced",
        ),
        (
            lambda: gene_enhancement_loss(torch.zeros(3, 4), torch.zeros(3, 5), (3,)),
            r"one shape, found \(3, 4\) and \(3, 5\); train both with the same dim",
        ),
        (lambda: distillation_loss(torch.zeros(1, 4), torch.zeros(1, 1)), "heads of one size"),
        (
            lambda: DistillationObjective()(
                ModelOutput(torch.zeros(1, 4), (1,), guided_patches=torch.zeros(1, 2)),
                TeacherTargets.from_output(ModelOutput(torch.zeros(1, 4), (1,)), torch.zeros(1)),
                torch.zeros(1),
            ),
            "teacher gives no gene-informed patch features",
        ),
        (
            lambda: DistillationObjective()(
                ModelOutput(torch.zeros(1, 4), (1,)),
                TeacherTargets(torch.zeros(1, 4), torch.zeros(1, 2), torch.zeros(1)),
                torch.zeros(1),
            ),
            "student gives no gene-guided patch features",
        ),
    ],
)
def test_objectives_and_losses_refuse(call, sentence):
    with pytest.raises(ConfigError, match=sentence):
        call()
