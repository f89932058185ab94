"""Kernels that give the same bits each time, where that is asked for.

On a CPU equal seeds and threads give equal numbers anyway. A GPU's faster kernels add up in whatever order their
threads end, and differ in the last bits from run to run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from amkd_core.errors import ConfigError

# cuBLAS reads it when it is first used, and is repeatable with a workspace of a fixed size only.
_CUBLAS, _WORKSPACE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


@contextmanager
def repeatable(wanted: bool, device: str) -> Iterator[None]:
    """Let torch use kernels that give the same bits each time, if `wanted`.

    Raises
    ------
    ConfigError
        When an operation has no such kernel on this device.
    """
    if not wanted:
        yield
        return
    if torch.device(device).type == "cuda":
        os.environ.setdefault(_CUBLAS, _WORKSPACE)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        said = " ".join(str(error).split())
        raise ConfigError(
            f"deterministic = true cannot be kept on {device}: {said[:200]}; "
            "choose device cpu, or deterministic = false"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before)
