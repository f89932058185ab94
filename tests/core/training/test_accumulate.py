"""Gradients accumulated bag by bag: exactly those of the whole step, and never more than one bag's graph."""

from __future__ import annotations

import weakref
from functools import partial

import pytest
import torch
from training_fixtures import D

from amkd_core.models import build_model
from amkd_core.training.accumulate import backward, joined
from amkd_core.training.objectives import partial_likelihood_loss, survival_objective
from amkd_core.training.passes import batch_input

COX = partial(survival_objective, losses=partial_likelihood_loss)


def network(kind: str, n_bins: int, dropout: float):
    sizes = {"d_encoder": D, "dim": 8, "n_bins": n_bins, "dropout": dropout}
    return build_model(kind, sizes, seed=1).double().train()


def forward_of(model):
    return lambda examples: model(batch_input(examples, "cpu").to("cpu", torch.float64))


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("kind", ["amkd_student", "dsmil"])
def test_the_cox_gradient_bag_by_bag_is_that_of_the_whole_window(kind: str, inputs) -> None:
    window = inputs[-1].train[:10]
    plain, ours = network(kind, 1, 0.25), network(kind, 1, 0.25)
    torch.manual_seed(3)
    expected = COX(joined([forward_of(plain)([example]) for example in window]), window)
    expected["total"].backward()
    total = float(expected["total"].detach())
    torch.manual_seed(3)
    found = backward(forward_of(ours), COX, window, at_once=1, joint=True)
    assert float(found["total"]) == pytest.approx(total, rel=1e-12)
    assert gradients(ours).keys() == gradients(plain).keys()
    for name, value in gradients(plain).items():
        torch.testing.assert_close(gradients(ours)[name], value, rtol=1e-10, atol=1e-14)
    # The loss of the window is no mean of the losses of its parts.
    halves = [window[:5], window[5:]]
    parts = [COX(forward_of(plain)(half), half)["total"].detach() for half in halves]
    assert abs(float(sum(parts)) / 2 - float(found["total"])) > 0.1


@pytest.mark.parametrize("joint", [True, False])
def test_one_bag_at_a_time_has_a_graph(joint: bool, inputs) -> None:
    window, model = inputs[-1].train[:6], network("amkd_student", 1 if joint else 4, 0.0)
    kept: list[weakref.ref] = []
    most = 0

    def count(module, arguments, output) -> None:
        nonlocal most
        kept.append(weakref.ref(output))
        most = max(most, sum(item() is not None for item in kept))

    # What the next layer saves for its gradient lives as long as the graph does.
    model.patch_projection.register_forward_hook(count)
    backward(forward_of(model), COX if joint else survival_objective, window, at_once=1, joint=joint)
    assert len(kept) == (12 if joint else 6)
    assert most <= 2  # this bag's, and the one before it on its way out
    kept.clear()
    most = 0
    outputs = [forward_of(model)([example]) for example in window]
    assert most == len(outputs)


def test_a_mean_over_patients_is_accumulated_part_by_part(inputs) -> None:
    batch = inputs[-1].train[:7]
    whole, parts = network("amkd_student", 4, 0.0), network("amkd_student", 4, 0.0)
    expected = backward(forward_of(whole), survival_objective, batch, at_once=8, joint=False)
    found = backward(forward_of(parts), survival_objective, batch, at_once=3, joint=False)
    assert float(found["survival"]) == pytest.approx(float(expected["survival"]), rel=1e-12)
    for name, value in gradients(whole).items():
        torch.testing.assert_close(gradients(parts)[name], value, rtol=1e-10, atol=1e-14)
