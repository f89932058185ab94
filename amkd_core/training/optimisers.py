"""Adam and L-BFGS as torch has them, without its compiler.

Any optimiser of torch loads ``torch._dynamo`` when it is made and again asks for it at each step, which only a compiled
loop needs. Loading it takes more time of a process than loading torch, in each process that trains a fold.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer


class _Eager(Optimizer):
    """Methods as they are below what keeps them from being compiled; where nothing is, they stay what they are."""

    add_param_group: Any = inspect.unwrap(Optimizer.add_param_group)
    state_dict: Any = inspect.unwrap(Optimizer.state_dict)
    load_state_dict: Any = inspect.unwrap(Optimizer.load_state_dict)
    zero_grad: Any = inspect.unwrap(Optimizer.zero_grad)


class Adam(_Eager, torch.optim.Adam):
    """`torch.optim.Adam`, to the last bit; nothing can be differentiated through its steps."""

    step: Any = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class LBFGS(_Eager, torch.optim.LBFGS):
    """`torch.optim.LBFGS`, to the last bit."""
