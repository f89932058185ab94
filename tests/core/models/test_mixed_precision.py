"""Models in a GPU's mixed precision, on a processor: what CUDA's autocast computes in float32 is brought there here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from amkd_core.models import MODELS, READS_SLIDES, ModelInput, build_model

# Of those that torch's documentation lists as autocast to float32 on CUDA, the ones by which its models could differ.
IN_FLOAT32 = frozenset({
    "binary_cross_entropy_with_logits", "cosine_similarity", "cross_entropy", "cumsum", "exp", "layer_norm",
    "linalg_norm", "log", "log1p", "log_softmax", "mse_loss", "norm", "normalize", "pow", "prod", "reciprocal", "rsqrt",
    "softmax", "softplus", "sum", "vector_norm",
})  # fmt: skip


class AsOnCuda(TorchFunctionMode):
    """A processor's autocast leaves some operations in half precision that a GPU's does not."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in IN_FLOAT32:
            args = tuple(map(raised, args))
            kwargs = {name: raised(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)


def raised(value: Any) -> Any:
    is_half = isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
    return value.float() if is_half else value


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_learns_in_a_gpus_mixed_precision(name: str) -> None:
    membership = torch.zeros(12, 60, dtype=torch.bool)
    for row in range(12):
        membership[row, row * 5 : row * 5 + 5] = True
    settings = {"d_encoder": 64} if READS_SLIDES.get(name, True) else {}
    model = build_model(name, settings, membership=membership, seed=0).train()
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(500, 64, generator=generator)
    given = ModelInput(patches, (300, 200), torch.randn(2, 60, generator=generator))
    with AsOnCuda(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(given).float()
    loss = found.logits.sum() + (0 if found.auxiliary_loss is None else found.auxiliary_loss)
    loss.backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
