"""The adaptive redundancy reduction: values, rest points, and how the named alternatives fail."""

import math

import pytest
import torch
from scipy.optimize import brentq, minimize_scalar
from slow_forms import SLOW_ARR, sigmoid

from amkd_core.training.distillation import FORMS, redundancy_reduction_loss, survival_ratio

RATIOS = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0]


def arr(x, r, form="balanced", **options):
    value = torch.tensor(x, dtype=torch.float64)
    return redundancy_reduction_loss(value, torch.tensor(r, dtype=torch.float64), form=form, **options).item()


def slope(x, r, form):
    value = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    redundancy_reduction_loss(value, torch.tensor(r, dtype=torch.float64), form=form).backward()
    return value.grad.item()


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
