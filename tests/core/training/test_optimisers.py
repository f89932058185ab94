"""The optimisers do what torch's do, and load no compiler."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from amkd_core.training import optimisers

CHILD = """
import sys
from amkd_core.training.optimisers import LBFGS, Adam
import torch
for kind, given in ((Adam, {"fused": True}), (LBFGS, {})):
    model = torch.nn.Linear(3, 2)
    optimiser = kind(model.parameters(), **given)
    def closure():
        optimiser.zero_grad()
        loss = model(torch.ones(4, 3)).square().sum()
        loss.backward()
        return loss
    optimiser.step(closure)
    optimiser.load_state_dict(optimiser.state_dict())
assert "torch" in sys.modules
print("torch._dynamo" in sys.modules)
"""


def test_no_compiler_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("Adam", {"lr": 0.01, "weight_decay": 0.1, "fused": True}),
        ("Adam", {"lr": 0.01}),
        ("LBFGS", {"lr": 0.5, "max_iter": 4, "line_search_fn": "strong_wolfe"}),
    ],
)
def test_steps_and_state_are_those_of_torch(name: str, given: dict[str, Any]) -> None:
    def train(kind: Any) -> tuple[list[torch.Tensor], dict[str, Any]]:
        torch.manual_seed(0)
        model, inputs = torch.nn.Linear(5, 3), torch.randn(7, 5)
        optimiser = kind(model.parameters(), **given)

        def closure() -> torch.Tensor:
            optimiser.zero_grad()
            loss = (model(inputs) - 1).square().sum()
            loss.backward()
            return loss

        for step in range(6):
            optimiser.step(closure)
            if step == 2:  # as a run that is continued
                kept = optimiser.state_dict()
                optimiser = kind(model.parameters(), **given)
                optimiser.load_state_dict(kept)
        return [value.detach() for value in model.parameters()], optimiser.state_dict()

    ours, our_state = train(getattr(optimisers, name))
    theirs, their_state = train(getattr(torch.optim, name))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert our_state["param_groups"] == their_state["param_groups"]
    for index, state in our_state["state"].items():
        assert state.keys() == their_state["state"][index].keys()
        pairs = ((state[key], their_state["state"][index][key]) for key in state)
        assert all(torch.equal(one, other) if isinstance(one, torch.Tensor) else True for one, other in pairs)
