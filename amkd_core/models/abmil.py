"""ABMIL: attention-based multiple instance learning with gated attention (Ilse, Tomczak, Welling 2018)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor, nn

from amkd_core.models.base import Lengths, ModelInput, ModelOutput, SurvivalModel
from amkd_core.models.layers import FeatureScaler, GatedAttention, bag_softmax, pool_rows, relu_layer
from amkd_core.models.settings import SlideSettings


class SlideVector(NamedTuple):
    """One row per bag, and what comes along with it.

    Attributes
    ----------
    rows : Tensor, shape (batch, width)
    weights : Tensor, shape (total_patches,), optional
        Pooling weights; they sum to 1 within each bag.
    instance_logits : Tensor, shape (batch, n_bins), optional
        Prediction of a second stream that reads single patches.
    """

    rows: Tensor
    weights: Tensor | None = None
    instance_logits: Tensor | None = None


class SlideEncoder(Protocol):
    """What turns bags into one row each; `width` columns wide."""

    width: int

    def __call__(self, patches: Tensor, lengths: Lengths) -> SlideVector:
        """Rows of the bags."""


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


class Abmil(SurvivalModel):
    """Slides alone; 461,061 weights for 1,024-d features and four bins.

    Parameters
    ----------
    config : SlideSettings
    """

    name: ClassVar[str] = "abmil"
    learns_from: ClassVar[frozenset[str]] = frozenset({"slide"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide"})

    def __init__(self, config: SlideSettings) -> None:
        super().__init__()
        self._config = config
        self.d_encoder = config.d_encoder
        self.encoder = AbmilEncoder(config.d_encoder, config.dim, config.dropout)
        self.head = nn.Sequential(nn.Linear(config.dim, config.n_bins))

    @property
    def config(self) -> dict[str, Any]:
        """Settings, JSON-able."""
        return asdict(self._config)

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits and the attention of each patch, which is always there.

        Raises
        ------
        ModalityError
            When there are no slides.
        """
        self.check_input(inputs)
        found = self.encoder(inputs.patches, inputs.lengths)
        return ModelOutput(self.head(found.rows), inputs.lengths, patch_attention=found.weights)
