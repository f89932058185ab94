"""What running out of a device's memory looks like: torch has a type for it, and libraries below it have words."""

from __future__ import annotations

import re

import torch

_WORDS = re.compile(r"out of memory|_STATUS_ALLOC_FAILED|invalid buffer size", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory was full.

    Notes
    -----
    torch raises `torch.OutOfMemoryError` where its own allocator finds no room. A full driver is a
    `torch.AcceleratorError` or a plain RuntimeError ("CUDA error: out of memory"), a full cuBLAS or cuDNN a
    RuntimeError ("CUBLAS_STATUS_ALLOC_FAILED"), and Metal says "MPS backend out of memory" or "Invalid buffer size".
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _WORDS.search(str(error)) is not None
