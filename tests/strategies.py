"""Generators for property tests, kept apart from the properties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from amkd_core.models.base import ModelInput


@dataclass(frozen=True)
class SurvivalTable:
    """Follow-up and risks with many ties in both, and at least one comparable pair."""

    time: np.ndarray
    event: np.ndarray
    risk: np.ndarray


@st.composite
def survival_tables(draw: st.DrawFn, max_patients: int = 40) -> SurvivalTable:
    """Draw months on a coarse grid, so that times and risks tie often."""
    n = draw(st.integers(2, max_patients))
    months = st.integers(1, draw(st.sampled_from([3, 10, 100])))
    time = np.array(draw(st.lists(months, min_size=n, max_size=n)), dtype=float)
    event = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    risk = np.array(draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)), dtype=float) / 2
    first = int(np.argmin(time))
    event[first] = True
    if (time == time[first]).all():
        time[(first + 1) % n] += 1
    return SurvivalTable(time, event, risk)


@st.composite
def hazard_logits(draw: st.DrawFn, max_bins: int = 6) -> torch.Tensor:
    """Draw logits (batch, n_bins) in float64, from mild to saturated; one alone would be a Cox head's."""
    batch, n_bins = draw(st.integers(1, 5)), draw(st.integers(2, max_bins))
    scale = draw(st.sampled_from([1.0, 10.0, 100.0]))
    values = st.floats(-scale, scale, allow_nan=False)
    rows = draw(st.lists(values, min_size=batch * n_bins, max_size=batch * n_bins))
    return torch.tensor(rows, dtype=torch.float64).reshape(batch, n_bins)


@st.composite
def batches(
    draw: st.DrawFn, *, d_encoder: int = 6, n_genes: int | None = None, max_patches: int = 12
) -> ModelInput:
    """Draw a batch of one to four bags of different lengths, float64, with genes if their number is given."""
    lengths = tuple(draw(st.lists(st.integers(1, max_patches), min_size=1, max_size=4)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    patches = torch.randn(sum(lengths), d_encoder, generator=generator, dtype=torch.float64)
    if n_genes is None:
        return ModelInput(patches, lengths)
    return ModelInput(
        patches, lengths, torch.randn(len(lengths), n_genes, generator=generator, dtype=torch.float64)
    )
