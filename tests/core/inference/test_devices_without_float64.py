"""GPUs of Apple know no float64: what a network gave is brought to the processor before it is widened."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from amkd_core.inference.predict import _mean
from amkd_core.survival.baseline import BaselineHazard, hazards_in_bins, survival_in_bins
from amkd_core.survival.outcome import TimeBins


class AppleTensor(torch.Tensor):
    """Stays what it is through arithmetic, refuses to be widened, and is a plain tensor on the processor."""

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def on_apple(values: torch.Tensor) -> torch.Tensor:
    tensor = values.as_subclass(AppleTensor)
    with pytest.raises(TypeError, match="float64"):
        torch.sigmoid(tensor).double()
    return tensor


def test_hazards_and_survival_are_widened_on_the_processor():
    logits = torch.tensor([[0.5, -1.0, 0.2]])
    np.testing.assert_array_equal(hazards_in_bins(on_apple(logits)), hazards_in_bins(logits))
    np.testing.assert_array_equal(survival_in_bins(on_apple(logits)), survival_in_bins(logits))
    baseline = BaselineHazard(TimeBins([0, 10, 30, np.inf]), np.array([0.1, 0.4, 0.0]))
    risk = torch.tensor([[0.7]])
    np.testing.assert_array_equal(
        survival_in_bins(on_apple(risk), baseline), survival_in_bins(risk, baseline)
    )


def test_the_mean_of_maps_is_widened_on_the_processor():
    rows = torch.arange(4.0)
    np.testing.assert_array_equal(_mean([on_apple(rows), on_apple(rows + 2)]), np.arange(4.0) + 1)
