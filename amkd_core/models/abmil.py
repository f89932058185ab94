"""ABMIL: attention-based multiple instance learning with gated attention (Ilse, Tomczak, Welling 2018)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from amkd_core.models.base import Lengths
from amkd_core.models.layers import FeatureScaler, GatedAttention, bag_softmax, pool_rows, relu_layer
from amkd_core.models.settings import SlideSettings
from amkd_core.models.slide_model import SlideModel, SlideVector


class AbmilEncoder(nn.Module):
    """Projection, gated attention, weighted mean and one more layer: one row per bag.

    Parameters
    ----------
    d_encoder, dim : int
        Widths of the features and of everything after the projection.
    dropout : float
    """

    def __init__(self, d_encoder: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.width = dim
        self.scaler = FeatureScaler(d_encoder)
        self.project = relu_layer(d_encoder, dim, dropout)
        self.attention = GatedAttention(dim, dim, dropout)
        self.rho = relu_layer(dim, dim, dropout)

    def forward(self, patches: Tensor, lengths: Lengths) -> SlideVector:
        """Rows of shape (batch, dim) and the attention of each patch."""
        tokens = self.project(self.scaler(patches))  # (total_patches, d)
        weights = bag_softmax(self.attention(tokens), lengths)  # (total_patches,)
        return SlideVector(self.rho(pool_rows(tokens, weights, lengths)), weights)


class Abmil(SlideModel):
    """Slides alone; 461,061 weights for 1,024-d features and four bins.

    Parameters
    ----------
    config : SlideSettings
    """

    name: ClassVar[str] = "abmil"

    def __init__(self, config: SlideSettings) -> None:
        super().__init__(config, AbmilEncoder(config.d_encoder, config.dim, config.dropout), config.dim)
