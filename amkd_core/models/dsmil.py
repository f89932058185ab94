"""DSMIL: dual-stream multiple instance learning (Li, Li, Eliceiri 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from amkd_core.models.base import Lengths, split_bags
from amkd_core.models.layers import FeatureScaler
from amkd_core.models.settings import SlideSettings
from amkd_core.models.slide_model import SlideModel, SlideVector


@dataclass(frozen=True)
class DsmilSettings(SlideSettings):
    """Settings of `Dsmil`; `dim` is the width of its queries. The published network has no dropout."""

    dim: int = 128
    dropout: float = 0.0


class DsmilEncoder(nn.Module):
    """Both streams: the highest patch of each bin, and the patches weighted by their likeness to it.

    Parameters
    ----------
    config : DsmilSettings
    """

    def __init__(self, config: DsmilSettings) -> None:
        super().__init__()
        self.width = config.n_bins * config.d_encoder
        self.scaler = FeatureScaler(config.d_encoder)
        self.instance = nn.Linear(config.d_encoder, config.n_bins)
        self.query = nn.Sequential(
            nn.Linear(config.d_encoder, config.dim), nn.ReLU(), nn.Linear(config.dim, config.dim), nn.Tanh()
        )

    def forward(self, patches: Tensor, lengths: Lengths) -> SlideVector:
        """Bag rows of shape (batch, n_bins * d_encoder), mean attention over bins, logits of the critical patches."""
        values = self.scaler(patches)  # (total_patches, d_encoder)
        scores, queries = self.instance(values), self.query(values)
        bags = zip(*(split_bags(part, lengths) for part in (values, scores, queries)), strict=True)
        rows, weights, highest = zip(*(_one_bag(*bag) for bag in bags), strict=True)
        return SlideVector(torch.stack(rows), torch.cat(weights), torch.stack(highest))


def _one_bag(values: Tensor, scores: Tensor, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row of the bag, attention of its patches and their highest score per bin."""
    highest, critical = scores.max(dim=0)  # (n_bins,) each
    likeness = queries @ queries[critical].T / queries.shape[1] ** 0.5  # (n_patches, n_bins)
    attention = torch.softmax(likeness, dim=0)
    return (attention.T @ values).flatten(), attention.mean(dim=1), highest


class Dsmil(SlideModel):
    """Slides alone; 168,200 weights for 1,024-d features and four bins.

    The published bag classifier, a convolution over the bins' rows with a kernel as wide as a row, is one linear layer
    of all of them. What is predicted is the mean of both streams; each of them is trained on the outcome, with half the
    weight, as published. A "critical patch per class" has no natural meaning for ordered hazards.

    Parameters
    ----------
    config : DsmilSettings
    """

    name: ClassVar[str] = "dsmil"
    encoder: DsmilEncoder

    def __init__(self, config: DsmilSettings) -> None:
        encoder = DsmilEncoder(config)
        super().__init__(config, encoder, encoder.width)

    def start_at(self, base_logits: Tensor) -> None:
        """Set the biases of both streams."""
        super().start_at(base_logits)
        with torch.no_grad():
            self.encoder.instance.bias.copy_(base_logits)
