"""Gene enhancement and distillation, each against a slow form, by hand and by gradient."""

import math

import pytest
import torch
from slow_forms import slow_guidance, slow_kd

from amkd_core.training.distillation import distillation_loss, gene_enhancement_loss


def random_pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(2))


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
