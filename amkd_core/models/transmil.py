"""TransMIL: correlated multiple instance learning (Shao et al. 2021).

The whole of it: class token, two Nystrom layers and the pyramid position encoding between them. Code that circulates as
"TransMIL" in survival comparisons has one Nystrom layer without residual, and no position encoding or class token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from amkd_core.models.base import Lengths, split_bags
from amkd_core.models.layers import FeatureScaler
from amkd_core.models.nystrom import NystromLayer
from amkd_core.models.settings import SlideSettings
from amkd_core.models.slide_model import SlideModel, SlideVector

HEADS = 8


@dataclass(frozen=True)
class TransmilSettings(SlideSettings):
    """Settings of `Transmil`; `dim` is a multiple of 8.

    Attributes
    ----------
    landmarks : int
        Of the Nystrom approximation.
    """

    heads: ClassVar[int] = HEADS
    dim: int = 512
    dropout: float = 0.1
    landmarks: int = 256


class PyramidPositions(nn.Module):
    """Position encoding by three depthwise convolutions over the patches laid out as a square (PPEG).

    Parameters
    ----------
    dim : int
        Width of the rows.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(dim, dim, size, padding=size // 2, groups=dim) for size in (7, 5, 3)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Class token unchanged, then the square's rows with what surrounds them, shape (1 + side^2, dim)."""
        token, patches = rows[:1], rows[1:]
        side = math.isqrt(len(patches))
        square = patches.T.reshape(1, -1, side, side)
        around = torch.stack([convolution(square) for convolution in self.convolutions]).sum(dim=0)
        return torch.cat([token, (square + around).flatten(2)[0].T])


class TransmilEncoder(nn.Module):
    """One row per bag: its class token after both layers.

    Patches are laid out as a square in the order they come in, filled up by repeating the first of them, as
    published; so the order of the patches matters, and the square is not the slide's own layout.

    Parameters
    ----------
    config : TransmilSettings
    """

    def __init__(self, config: TransmilSettings) -> None:
        super().__init__()
        self.width = config.dim
        self.scaler = FeatureScaler(config.d_encoder)
        self.project = nn.Sequential(nn.Linear(config.d_encoder, config.dim), nn.ReLU())
        self.token = nn.Parameter(torch.randn(1, config.dim))
        layers = [
            NystromLayer(config.dim, heads=HEADS, landmarks=config.landmarks, dropout=config.dropout)
            for _ in range(2)
        ]
        self.first, self.second = layers
        self.positions = PyramidPositions(config.dim)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, patches: Tensor, lengths: Lengths) -> SlideVector:
        """Rows of shape (batch, dim)."""
        tokens = self.project(self.scaler(patches))  # (total_patches, d)
        return SlideVector(torch.stack([self._one_bag(bag) for bag in split_bags(tokens, lengths)]))

    def _one_bag(self, tokens: Tensor) -> Tensor:
        side = math.isqrt(len(tokens) - 1) + 1  # smallest square that holds all patches
        rows = torch.cat([self.token, tokens, tokens[: side * side - len(tokens)]])
        last: Tensor = self.second(self.positions(self.first(rows)))
        normed: Tensor = self.norm(last[0])
        return normed


class Transmil(SlideModel):
    """Slides alone; 2,673,172 weights for 1,024-d features and four bins.

    The approximation has no attention weights that sum to 1, so there is no map.

    Parameters
    ----------
    config : TransmilSettings
    """

    name: ClassVar[str] = "transmil"

    def __init__(self, config: TransmilSettings) -> None:
        super().__init__(config, TransmilEncoder(config), config.dim)
