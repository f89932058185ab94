"""Correction of p values for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given; valid however the tests depend on one another.

    The i-th smallest of m values is multiplied by m - i + 1, none falls below one before it, and none exceeds 1.

    Parameters
    ----------
    p_values
        Of the comparisons.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in corrected]
