"""MCAT: multimodal co-attention transformer (Chen et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from amkd_core.models.base import ModelInput, ModelOutput, SurvivalModel, split_bags
from amkd_core.models.gene_groups import GroupTokens, merge_rows
from amkd_core.models.layers import FeatureScaler, GatedAttention, relu_layer
from amkd_core.models.settings import GroupSettings

HEADS = 8


@dataclass(frozen=True)
class McatSettings(GroupSettings):
    """Settings of `Mcat`; `dim` is a multiple of 8."""

    heads: ClassVar[int] = HEADS


class TokenPool(nn.Module):
    """Two transformer layers over a handful of tokens, gated attention over them, one more layer.

    Parameters
    ----------
    dim : int
    dropout : float
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, HEADS, 2 * dim, dropout, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.attention = GatedAttention(dim, dim, dropout)
        self.rho = relu_layer(dim, dim, dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """One row per patient, shape (batch, dim)."""
        rows = self.transformer(tokens)  # (batch, n_groups, dim)
        weights = torch.softmax(self.attention(rows), dim=-1)  # (batch, n_groups)
        pooled: Tensor = self.rho((weights.unsqueeze(1) @ rows).squeeze(1))
        return pooled


class Mcat(SurvivalModel):
    """Six gene tokens look at the patches; 3,951,622 weights for the published groups (53 to 387 genes).

    Patches reach the head only through what the gene tokens draw from them, so everything after the projection and the
    one product of keys costs the same for a bag of any size.

    Parameters
    ----------
    config : McatSettings
    membership : Tensor of bool, shape (n_groups or n_pathways, n_genes)
    """

    name: ClassVar[str] = "mcat"
    learns_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})

    def __init__(self, config: McatSettings, membership: Tensor) -> None:
        super().__init__(config)
        dim, dropout = config.dim, config.dropout
        self.scaler = FeatureScaler(config.d_encoder)
        self.project = relu_layer(config.d_encoder, dim, dropout)
        self.tokens = GroupTokens(merge_rows(membership, config.n_groups), dim, dropout)
        self.coattention = nn.MultiheadAttention(dim, 1, batch_first=True)
        self.slide_pool = TokenPool(dim, dropout)
        self.gene_pool = TokenPool(dim, dropout)
        self.head = nn.Sequential(
            nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, config.n_bins)
        )

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits; with maps also the mean co-attention of the gene groups to each patch.

        Raises
        ------
        ModalityError
            When slides or genes are missing.
        """
        self.check_input(inputs)
        patches = self.project(self.scaler(inputs.patches))  # (total_patches, d)
        tokens = self.tokens(inputs.genes)  # (batch, n_groups, d)
        guided, weights = [], []
        for own, bag in zip(tokens, split_bags(patches, inputs.lengths), strict=True):
            rows, attention = self.coattention(own, bag, bag, need_weights=want_maps)
            guided.append(rows)
            weights.append(attention)
        both = [self.slide_pool(torch.stack(guided)), self.gene_pool(tokens)]
        return ModelOutput(
            self.head(torch.cat(both, dim=1)),
            inputs.lengths,
            patch_attention=torch.cat([item.mean(dim=0) for item in weights]) if want_maps else None,
        )
