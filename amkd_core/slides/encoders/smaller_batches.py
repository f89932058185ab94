"""What to do when a GPU's memory does not hold a batch: smaller batches, and a sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from amkd_core.device_memory import is_out_of_memory
from amkd_core.errors import DeviceMemoryError

Result = TypeVar("Result")


class SmallerBatches:
    """Halves batches that do not fit, and keeps to the size that did.

    Attributes
    ----------
    remark : str
        What was done, for the user; empty as long as everything fitted.
    """

    def __init__(self) -> None:
        self.remark = ""
        self._most: int | None = None

    def run(self, compute: Callable[[NDArray[np.uint8]], Result], images: NDArray[np.uint8]) -> list[Result]:
        """Results of the parts of a batch, in order.

        Parameters
        ----------
        compute
            Of one part; called again on a smaller one when it runs out of memory.
        images : array, shape (b, ...)

        Raises
        ------
        DeviceMemoryError
            When one image alone does not fit. Nothing is moved to the CPU unasked: it would take hours in silence.
        """
        done: list[Result] = []
        start = 0
        while start < len(images):
            size = min(self._most or len(images), len(images) - start)
            try:
                done.append(compute(images[start : start + size]))
                start += size
                continue
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(size, error)
            # Only here has the error let go of the tensors that it came across.
            torch.cuda.empty_cache()
        return done

    def _shrink(self, size: int, error: RuntimeError) -> None:
        if size == 1:
            raise DeviceMemoryError(
                "the GPU's memory does not hold one patch; close other programs that use it, or choose device cpu"
            ) from error
        self._most = size // 2
        self.remark = f"the GPU's memory was full: {self._most} patches at a time from here on"
