import importlib
import importlib.util
import math
import sys
import types
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import hazard_logits

from amkd_core.errors import OutcomeError
from amkd_core.survival.hazard import cox_loss, hazards, log_survival, nll_loss, risk, survival

EXACT = {"rtol": 0, "atol": 1e-10}


def slow_nll(logits, bins, event):
    """The likelihood with plain products, patient by patient."""
    losses = []
    for row, k, died in zip(logits.tolist(), bins.tolist(), event.tolist(), strict=True):
        h = [1 / (1 + math.exp(-z)) for z in row]
        lived = [1.0]  # lived[k] = S(k-1)
        for hazard in h:
            lived.append(lived[-1] * (1 - hazard))
        losses.append(-math.log(lived[k]) - math.log(h[k]) if died else -math.log(lived[k + 1]))
    return losses


def slow_cox(log_risk, time, event):
    terms = []
    for i in range(len(time)):
        if event[i]:
            total = sum(math.exp(log_risk[j]) for j in range(len(time)) if time[j] >= time[i])
            terms.append(log_risk[i] - math.log(total))
    return -sum(terms) / len(terms)


@pytest.fixture(scope="module")
def torchsurv_cox():
    """torchsurv's Cox loss, without its package door, which imports torchmetrics and torchvision as well."""
    package = types.ModuleType("torchsurv")
    package.__path__ = list(importlib.util.find_spec("torchsurv").submodule_search_locations)
    loaded = [name for name in sys.modules if name.split(".")[0] == "torchsurv"]
    before = {name: sys.modules.pop(name) for name in loaded}
    sys.modules["torchsurv"] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torchsurv still compiles by torch.jit.script
        loss = importlib.import_module("torchsurv.loss.cox").neg_partial_log_likelihood
    yield loss
    for name in [name for name in sys.modules if name.split(".")[0] == "torchsurv"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_hazard_survival_and_risk_of_a_case_worked_by_hand():
    # logits 0 -> h = 1/2; log 3 -> h = 3/4; -log 3 -> h = 1/4
    logits = torch.tensor([[0.0, math.log(3), -math.log(3)]], dtype=torch.float64)
    torch.testing.assert_close(
        hazards(logits), torch.tensor([[0.5, 0.75, 0.25]], dtype=torch.float64), **EXACT
    )
    expected = torch.tensor([[0.5, 0.125, 0.09375]], dtype=torch.float64)
    torch.testing.assert_close(survival(logits), expected, **EXACT)
    torch.testing.assert_close(risk(logits), torch.tensor([-0.71875], dtype=torch.float64), **EXACT)


@pytest.mark.parametrize(
    ("k", "event", "expected"),
    [
        (0, True, -math.log(0.5)),  # -log S(-1) - log h(0), S(-1) = 1
        (1, True, -math.log(0.5) - math.log(0.75)),
        (2, True, -math.log(0.125) - math.log(0.25)),
        (0, False, -math.log(0.5)),  # alive through bin 0
        (1, False, -math.log(0.125)),
        (2, False, -math.log(0.09375)),
    ],
)
def test_nll_of_cases_worked_by_hand(k, event, expected):
    logits = torch.tensor([[0.0, math.log(3), -math.log(3)]], dtype=torch.float64)
    loss = nll_loss(logits, torch.tensor([k]), torch.tensor([event]))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_flipping_the_flag_changes_the_loss():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    bins = torch.tensor([1])
    died = nll_loss(logits, bins, torch.tensor([True]))
    censored = nll_loss(logits, bins, torch.tensor([False]))
    assert censored > died + 0.9  # a high hazard in the bin suits a death, not a survivor


def test_nll_equals_the_slow_form():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(64, 4, generator=generator, dtype=torch.float64)
    bins = torch.randint(0, 4, (64,), generator=generator)
    event = torch.rand(64, generator=generator) < 0.4
    expected = torch.tensor(slow_nll(logits, bins, event), dtype=torch.float64)
    torch.testing.assert_close(nll_loss(logits, bins, event, reduction="none"), expected, rtol=1e-11, atol=0)
    torch.testing.assert_close(nll_loss(logits, bins, event), expected.mean(), **EXACT)
    torch.testing.assert_close(nll_loss(logits, bins, event, reduction="sum"), expected.sum(), **EXACT)


def test_nll_is_finite_with_a_gradient_where_products_vanish():
    logits = torch.tensor([[200.0, 200.0, -200.0, 0.0]], requires_grad=True)
    loss = nll_loss(logits, torch.tensor([2]), torch.tensor([True]))
    loss.backward()
    assert loss.item() == pytest.approx(600.0)
    assert logits.grad.tolist() == [[1.0, 1.0, -1.0, 0.0]]


def test_nll_gradient():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    bins, event = torch.tensor([0, 3, 2, 1, 3]), torch.tensor([True, False, True, False, True])
    assert torch.autograd.gradcheck(lambda z: nll_loss(z, bins, event), (logits,))


def test_batching_changes_nothing():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(9, 4, generator=generator)
    bins, event = torch.randint(0, 4, (9,), generator=generator), torch.arange(9) % 2 == 0
    whole = nll_loss(logits, bins, event, reduction="sum")
    parts = sum(nll_loss(logits[i : i + 1], bins[i : i + 1], event[i : i + 1]) for i in range(9))
    torch.testing.assert_close(whole, parts)


@settings(max_examples=60, deadline=None)
@given(hazard_logits())
def test_survival_never_rises_and_risk_stays_in_range(logits):
    alive = survival(logits)
    assert bool((alive >= 0).all())
    assert bool((alive <= 1).all())
    assert bool((alive.diff(dim=1) <= 0).all())
    assert bool((risk(logits) <= 0).all())
    assert bool((risk(logits) >= -logits.shape[1]).all())
    assert bool(torch.isfinite(log_survival(logits)).all())


@settings(max_examples=40, deadline=None)
@given(hazard_logits())
def test_a_higher_logit_never_lowers_the_risk(logits):
    assert bool((risk(logits + 0.5) >= risk(logits)).all())


def test_a_cox_head_of_one_logit_is_ranked_by_risk():
    log_risk = torch.tensor([[-2.0], [0.3], [5.0], [-7.0]])
    assert risk(log_risk).argsort().tolist() == log_risk[:, 0].argsort().tolist()


def test_cox_of_a_case_worked_by_hand():
    # deaths at 1 and 2; risk sets {1, 2, 3} and {2, 3}; all log risks 0
    loss = cox_loss(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, True, False]))
    assert loss.item() == pytest.approx((math.log(3) + math.log(2)) / 2)


@pytest.mark.parametrize("ties", [False, True])
def test_cox_equals_the_slow_form(ties):
    rng = np.random.default_rng(3)
    for _ in range(20):
        n = int(rng.integers(2, 30))
        time = rng.integers(1, 6, n).astype(float) if ties else rng.random(n)
        event = rng.random(n) < 0.5
        event[0] = True
        eta = rng.normal(size=n)
        loss = cox_loss(torch.tensor(eta), torch.tensor(time), torch.tensor(event))
        assert loss.item() == pytest.approx(slow_cox(eta, time, event), rel=1e-10)


@pytest.mark.filterwarnings("ignore:Ties in `time` detected")  # torchsurv announces its rule for ties
@pytest.mark.parametrize("ties", [False, True])
def test_cox_equals_torchsurv(ties, torchsurv_cox):
    rng = np.random.default_rng(4)
    for _ in range(20):
        n = int(rng.integers(3, 40))
        time = rng.integers(1, 8, n).astype(float) if ties else rng.permutation(n) + 1.0
        event = rng.random(n) < 0.6
        event[:2] = True
        if ties:
            time[1] = time[0]  # torchsurv applies its rule only where two deaths share a time
        eta = torch.tensor(rng.normal(size=n))
        ours = cox_loss(eta, torch.tensor(time), torch.tensor(event)) * int(event.sum())
        # Sums, because torchsurv's mean runs over distinct times of death, ours over deaths. It counts
        # in single precision; in double ours equals the slow form above.
        theirs = torchsurv_cox(
            eta, torch.tensor(event), torch.tensor(time), ties_method="breslow", reduction="sum"
        )
        torch.testing.assert_close(ours, theirs.to(ours), rtol=1e-6, atol=1e-9)


def test_cox_gradient_and_order_of_patients():
    generator = torch.Generator().manual_seed(5)
    eta = torch.randn(8, generator=generator, dtype=torch.float64, requires_grad=True)
    time = torch.tensor([1.0, 2, 2, 3, 3, 3, 4, 5], dtype=torch.float64)
    event = torch.tensor([True, True, True, False, True, True, False, True])
    assert torch.autograd.gradcheck(lambda x: cox_loss(x, time, event), (eta,))
    mixed = torch.randperm(8, generator=generator)
    torch.testing.assert_close(
        cox_loss(eta[mixed], time[mixed], event[mixed]), cox_loss(eta, time, event), **EXACT
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: nll_loss(torch.zeros(2, 4), torch.zeros(3).long(), torch.ones(2).bool()), "2 bins and 2 event flags"),
        (lambda: nll_loss(torch.zeros(2, 4), torch.tensor([0, 4]), torch.ones(2).bool()), r"in 0\.\.3, found 0\.\.4"),
        (lambda: nll_loss(torch.zeros(1, 4), torch.tensor([-1]), torch.ones(1).bool()), r"found -1\.\.-1"),
        (lambda: nll_loss(torch.zeros(1, 4), torch.tensor([1]), torch.ones(1)), "event must be boolean"),
        (lambda: cox_loss(torch.zeros(2), torch.ones(3), torch.ones(2).bool()), "three vectors of one length"),
        (lambda: cox_loss(torch.zeros(2), torch.ones(2), torch.zeros(2).bool()), "at least one event, found none"),
        (lambda: cox_loss(torch.zeros(2), torch.ones(2), torch.ones(2)), "event must be boolean"),
    ],
)  # fmt: skip
def test_losses_refuse(call, sentence):
    with pytest.raises(OutcomeError, match=sentence):
        call()
