import math

import pytest
import torch
from scipy.optimize import brentq, minimize_scalar

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
    survival_ratio,
)

RATIOS = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0]


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def slow_kd(student, teacher, tau):
    """Bernoulli divergence from probabilities, entry by entry."""
    losses = []
    for row_s, row_t in zip(student.tolist(), teacher.tolist(), strict=True):
        total = 0.0
        for s, t in zip(row_s, row_t, strict=True):
            p, q = sigmoid(s / tau), sigmoid(t / tau)
            total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
        losses.append(total)
    return losses


def slow_guidance(student, teacher, lengths, tau):
    """KL along features, mean over patches, then over patients."""

    def probabilities(row):
        exponents = [math.exp(x / tau) for x in row]
        return [e / sum(exponents) for e in exponents]

    rows = []
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        pairs = zip(probabilities(s), probabilities(t), strict=True)
        rows.append(sum(p * math.log(p / q) for p, q in pairs))
    means, start = [], 0
    for n in lengths:
        means.append(sum(rows[start : start + n]) / n)
        start += n
    return sum(means) / len(means)


SLOW_ARR = {
    "balanced": lambda p, r: -math.log(p) - r * math.log(1 - p),
    "printed_minus": lambda p, r: -math.log(p) + r * math.log(1 - p),
    "printed_plus": lambda p, r: math.log(p) + r * math.log(1 - p),
    "attract": lambda p, r: math.log(p) - r * math.log(1 - p),
}


def arr(x, r, form="balanced", **options):
    value = torch.tensor(x, dtype=torch.float64)
    return redundancy_reduction_loss(value, torch.tensor(r, dtype=torch.float64), form=form, **options).item()


def slope(x, r, form):
    value = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    redundancy_reduction_loss(value, torch.tensor(r, dtype=torch.float64), form=form).backward()
    return value.grad.item()


def random_pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(2))


# ---------------------------------------------------------------- gene enhancement


def test_guidance_of_a_case_worked_by_hand():
    # softmax(log 3, 0) = (3/4, 1/4); softmax(0, 0) = (1/2, 1/2)
    student, teacher = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)
    forward = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    backward = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    assert gene_enhancement_loss(student, teacher, (1,)).item() == pytest.approx(forward, rel=1e-6)
    reverse = gene_enhancement_loss(student, teacher, (1,), direction="teacher_to_student")
    assert reverse.item() == pytest.approx(backward, rel=1e-6)


@pytest.mark.parametrize("tau", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("lengths", [(9,), (1, 8), (2, 3, 4)])
def test_guidance_equals_the_slow_form(lengths, tau):
    student, teacher = random_pair(9, 6)
    found = gene_enhancement_loss(student, teacher, lengths, tau=tau)
    assert found.item() == pytest.approx(slow_guidance(student, teacher, lengths, tau), rel=1e-11)
    reverse = gene_enhancement_loss(student, teacher, lengths, tau=tau, direction="teacher_to_student")
    assert reverse.item() == pytest.approx(slow_guidance(teacher, student, lengths, tau), rel=1e-11)


def test_guidance_weighs_patients_not_patches():
    student, teacher = random_pair(101, 4)
    first = gene_enhancement_loss(student[:1], teacher[:1], (1,))
    second = gene_enhancement_loss(student[1:], teacher[1:], (100,))
    both = gene_enhancement_loss(student, teacher, (1, 100))
    torch.testing.assert_close(both, (first + second) / 2)


def test_guidance_accepts_cached_half_precision_targets():
    student, teacher = random_pair(5, 4)
    exact = gene_enhancement_loss(student.float(), teacher.float(), (5,))
    cached = gene_enhancement_loss(student.float(), teacher.half(), (5,))
    assert cached.dtype == torch.float32
    torch.testing.assert_close(cached, exact, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("direction", ["student_to_teacher", "teacher_to_student"])
def test_guidance_gradient_and_minimum(direction):
    student, teacher = random_pair(4, 3)
    assert torch.autograd.gradcheck(
        lambda s: gene_enhancement_loss(s, teacher, (1, 3), tau=0.7, direction=direction),
        (student.requires_grad_(),),
    )
    same = gene_enhancement_loss(teacher + 5, teacher, (1, 3), direction=direction)
    assert same.item() == pytest.approx(0, abs=1e-14)


# ---------------------------------------------------------------- distillation


def test_kd_of_a_case_worked_by_hand():
    student, teacher = torch.tensor([[math.log(3)]]), torch.zeros(1, 1)  # 3/4 against 1/2
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert distillation_loss(student, teacher).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("tau", [0.5, 1.0, 3.0])
def test_kd_equals_the_slow_form(tau):
    student, teacher = random_pair(7, 4)
    expected = slow_kd(student, teacher, tau)
    each = distillation_loss(student, teacher, tau=tau, reduction="none")
    assert each.tolist() == pytest.approx(expected, rel=1e-10)
    assert distillation_loss(student, teacher, tau=tau).item() == pytest.approx(sum(expected) / 7, rel=1e-10)


def test_kd_is_finite_where_probabilities_round_to_one():
    student = torch.tensor([[300.0, -300.0]], requires_grad=True)
    loss = distillation_loss(student, torch.tensor([[-300.0, 300.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(600.0)
    assert torch.isfinite(student.grad).all()


def test_kd_gradient():
    student, teacher = random_pair(3, 4)
    assert torch.autograd.gradcheck(
        lambda s: distillation_loss(s, teacher, tau=2.0), (student.requires_grad_(),)
    )


# ---------------------------------------------------------------- adaptive redundancy reduction


@pytest.mark.parametrize("form", list(SLOW_ARR))
@pytest.mark.parametrize("x", [1e-4, 0.01, 0.3, 1.0, 5.0, 20.0])
def test_arr_equals_the_slow_form(form, x):
    for r in RATIOS:
        assert arr(x, r, form) == pytest.approx(SLOW_ARR[form](2 * sigmoid(x) - 1, r), rel=1e-6)


@pytest.mark.parametrize("r", RATIOS)
def test_balanced_arr_rests_where_the_method_says(r):
    expected = math.log(1 + 2 / r)
    found = minimize_scalar(lambda x: arr(x, r), bounds=(1e-4, 20), method="bounded", options={"xatol": 1e-9})
    assert found.x == pytest.approx(expected, abs=1e-5)
    assert brentq(lambda x: slope(x, r, "balanced"), 1e-4, 20) == pytest.approx(expected, abs=1e-9)
    assert slope(0.9 * expected, r, "balanced") < 0 < slope(1.1 * expected, r, "balanced")  # stable
    assert math.tanh(expected / 2) == pytest.approx(1 / (1 + r))
    assert found.fun == pytest.approx(math.log(1 + r) + r * math.log((1 + r) / r))  # bounded below


def test_a_worse_student_is_drawn_closer():
    rests = [brentq(lambda x, r=r: slope(x, r, "balanced"), 1e-4, 20) for r in RATIOS]
    assert rests == sorted(rests, reverse=True)


@pytest.mark.parametrize("r", RATIOS)
def test_the_named_alternatives_fail_as_documented(r):
    grid = [1e-4, 0.01, 0.1, 1.0, 5.0, 30.0]
    assert all(slope(x, r, "printed_minus") < 0 for x in grid)  # always pushes away
    assert all(slope(x, r, "attract") > 0 for x in grid)  # always collapses
    rest = math.log(1 + 2 / r)
    assert slope(0.9 * rest, r, "printed_plus") > 0 > slope(1.1 * rest, r, "printed_plus")  # unstable


@pytest.mark.parametrize(
    ("form", "rests"),
    [
        ("balanced", {0.25: 0.313, 0.5: 0.300, 1: 0.277, 2: 0.240, 4: 0.191, 10: 0.120}),
        ("printed_minus", {0.25: 0.344, 0.5: 0.362, 1: 0.405, 2: 0.549}),
    ],
)
def test_rest_beside_plain_distillation_at_the_papers_alpha(form, rests):
    # Zero of 0.75 + 0.25 dL_ARR/dx, worked out apart from this code.
    for r, expected in rests.items():
        found = brentq(lambda x, r=r: 0.75 + 0.25 * slope(x, r, form), 1e-3, 3)
        assert found == pytest.approx(expected, abs=6e-4)


def test_gated_arr_is_plain_distillation_that_fades():
    assert arr(0.8, 1.0, "gated") == pytest.approx(0.4)
    assert arr(0.8, 4.0, "gated") == pytest.approx(0.64)  # sigmoid(log 4) = 4/5
    assert arr(0.8, 0.25, "gated") == pytest.approx(0.16)
    assert arr(0.8, 4.0, "gated", gate_steepness=2.0) == pytest.approx(0.8 * 16 / 17)


def test_no_arr_is_zero_without_a_gradient():
    assert slope(0.5, 1.0, "balanced") != 0
    kd = torch.tensor([0.5, 0.2])
    assert redundancy_reduction_loss(kd, torch.ones(2), form="none").item() == 0


@pytest.mark.parametrize("form", FORMS)
def test_arr_is_finite_from_agreement_to_the_far_end(form):
    kd = torch.tensor([0.0, 1e-9, 1e-6, 1.0, 90.0, 500.0], requires_grad=True)
    loss = redundancy_reduction_loss(kd, torch.ones(6), form=form)
    assert torch.isfinite(loss)
    if loss.requires_grad:
        loss.backward()
        assert torch.isfinite(kd.grad).all()


@pytest.mark.parametrize("form", FORMS)
def test_arr_gradient_and_mean_over_patients(form):
    kd, r = (
        torch.tensor([0.2, 1.3, 4.0], dtype=torch.float64),
        torch.tensor([0.5, 1.0, 6.0], dtype=torch.float64),
    )
    if form != "none":
        assert torch.autograd.gradcheck(
            lambda x: redundancy_reduction_loss(x, r, form=form), (kd.clone().requires_grad_(),)
        )
    one_by_one = [arr(x, y, form) for x, y in zip(kd.tolist(), r.tolist(), strict=True)]
    assert redundancy_reduction_loss(kd, r, form=form).item() == pytest.approx(sum(one_by_one) / 3)


def test_the_ratio_is_clipped_and_carries_no_gradient():
    student = torch.tensor([1.0, 0.0, 5.0, 0.0], requires_grad=True)
    ratio = survival_ratio(student, torch.tensor([2.0, 3.0, 0.0, 0.0]))
    assert ratio.tolist() == pytest.approx([0.5, 0.1, 10.0, 1.0], rel=1e-5)
    assert not ratio.requires_grad


# ---------------------------------------------------------------- the objective


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
    terms = DistillationObjective()(output, targets, torch.tensor(1.0, dtype=torch.float64))
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
            lambda: TeacherTargets.from_output(ModelOutput(torch.zeros(1, 4), (1,)), torch.zeros(1)),
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
