"""G-HANet: genome-informed hyper-attention network (Wang et al. 2024); slides alone at test time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, mse_loss

from amkd_core.models.base import Lengths, ModelInput, ModelOutput, SurvivalModel, split_bags
from amkd_core.models.gene_groups import genes_of_group, merge_rows
from amkd_core.models.layers import FeatureScaler, GatedAttention, relu_layer
from amkd_core.models.settings import GroupSettings
from amkd_core.models.transformer_parts import GatedFeedForward, MultiHeadAttention

HEADS, ROUNDS = 4, 2
TOP_SHARE = 0.2


@dataclass(frozen=True)
class GhanetSettings(GroupSettings):
    """Settings of `Ghanet`; `dim` is a multiple of 4, and the gene groups are reconstructed.

    Attributes
    ----------
    reconstruction_weight : float
        Of the reconstruction loss beside survival.
    """

    heads: ClassVar[int] = HEADS
    dim: int = 512
    reconstruction_weight: float = 0.3


class CrossAssociation(nn.Module):
    """Learnt tokens, one a gene group, that read the patches in two rounds; genes are reconstructed from them.

    Parameters
    ----------
    config : GhanetSettings
    n_groups : int
    """

    def __init__(self, config: GhanetSettings, n_groups: int) -> None:
        super().__init__()
        dim = config.dim
        self.project = relu_layer(config.d_encoder, dim, config.dropout)
        self.tokens = nn.Parameter(torch.randn(n_groups, dim) / math.sqrt(dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2 * ROUNDS))
        self.attentions = nn.ModuleList(MultiHeadAttention(dim, HEADS) for _ in range(ROUNDS))
        self.feed_forwards = nn.ModuleList(GatedFeedForward(dim) for _ in range(ROUNDS))

    def forward(self, patches: Tensor, lengths: Lengths) -> tuple[Tensor, list[Tensor]]:
        """Tokens (batch, n_groups, dim), and their likeness to each patch by bag, (n_groups, n_patches)."""
        bags = split_bags(self.project(patches), lengths)
        tokens = self.tokens.expand(len(bags), -1, -1)
        likeness: list[Tensor] = []
        for index, (attend, feed_forward) in enumerate(zip(self.attentions, self.feed_forwards, strict=True)):
            normed = self.norms[2 * index](tokens)
            if index == ROUNDS - 1 and isinstance(attend, MultiHeadAttention):
                likeness = [attend.likeness(own, bag) for own, bag in zip(normed, bags, strict=True)]
            read = [attend(own, bag) for own, bag in zip(normed, bags, strict=True)]
            tokens = tokens + torch.stack(read)
            tokens = tokens + feed_forward(self.norms[2 * index + 1](tokens))
        return tokens, likeness


class HyperAttention(nn.Module):
    """Hyperedges between patches, one a gene group, joined with the tokens of `CrossAssociation`.

    An edge weighs patches by half a gate of their own and half the likeness to its token, of which the highest fifth
    counts; no gradient flows through the latter.

    Parameters
    ----------
    config : GhanetSettings
    n_groups : int
    """

    def __init__(self, config: GhanetSettings, n_groups: int) -> None:
        super().__init__()
        dim = config.dim
        self.project = nn.Sequential(nn.Linear(config.d_encoder, dim), nn.LayerNorm(dim), nn.ReLU())
        self.gate = GatedAttention(dim, dim // 2, config.dropout)
        self.edge = nn.Sequential(
            nn.Linear(dim, dim),
            nn.LayerNorm(dim),
            nn.ReLU(),
            nn.Linear(dim, dim),
            nn.LayerNorm(dim),
            nn.ReLU(),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.attention = MultiHeadAttention(dim, HEADS)
        self.feed_forward = GatedFeedForward(dim)
        self.narrow = nn.Sequential(nn.Linear(dim, dim // 2), nn.LayerNorm(dim // 2), nn.ReLU())

    def forward(
        self, patches: Tensor, lengths: Lengths, tokens: Tensor, likeness: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Rows (batch, n_groups * dim / 2), and the mean weight of each patch over the edges, (total_patches,)."""
        rows = self.project(patches)
        bags = zip(split_bags(rows, lengths), split_bags(self.gate(rows), lengths), likeness, strict=True)
        edges, weights = [], []
        for bag, gate, alike in bags:
            own = (torch.softmax(gate, dim=0) + top_softmax(alike)) / 2  # (n_groups, n_patches)
            edges.append(own @ bag)
            weights.append(own.mean(dim=0))
        joined = (self.edge(torch.stack(edges)) + tokens) / 2  # (batch, n_groups, dim)
        normed = self.norms[0](joined)
        joined = joined + self.attention(normed, normed)
        joined = joined + self.feed_forward(self.norms[1](joined))
        return self.narrow(self.norms[2](joined)).flatten(1), torch.cat(weights)


def top_softmax(scores: Tensor, share: float = TOP_SHARE) -> Tensor:
    """Softmax of each row over its highest share of columns, at least one; 0 elsewhere, shape (rows, columns)."""
    n_kept = max(1, math.ceil(share * scores.shape[1]))
    values, columns = scores.topk(n_kept, dim=1)
    share_of = torch.softmax(values, dim=1)  # in float32 where a GPU computes the scores in half precision
    return torch.zeros_like(scores, dtype=share_of.dtype).scatter(1, columns, share_of)


class Ghanet(SurvivalModel):
    """Genes are reconstructed from the slide in training, so that they need not be there later.

    16,826,630 weights for the published groups (53 to 387 genes), 2,239,233 of them in the reconstruction. The
    published code calls its first cross-attention in both rounds and never its second; here each round has its own. It
    also chooses genes by a test on resampled training patients; here a group keeps all its genes.

    Parameters
    ----------
    config : GhanetSettings
    membership : Tensor of bool, shape (n_groups or n_pathways, n_genes)
    """

    name: ClassVar[str] = "ghanet"
    learns_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide"})
    groups: Tensor

    def __init__(self, config: GhanetSettings, membership: Tensor) -> None:
        super().__init__(config)
        groups, dim = merge_rows(membership, config.n_groups), config.dim
        self.register_buffer("groups", groups)
        self.scaler = FeatureScaler(config.d_encoder)
        self.association = CrossAssociation(config, len(groups))
        self.hyper = HyperAttention(config, len(groups))
        self.reconstructions = nn.ModuleList(
            nn.Sequential(
                nn.Linear(dim, dim), nn.LayerNorm(dim), nn.ELU(), nn.Dropout(config.dropout), nn.Linear(dim, size)
            )
            for size in groups.sum(dim=1).tolist()
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(len(groups) * (dim // 2), config.n_bins))

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits and the weight of each patch; in training mode also the loss of the reconstructed genes.

        Raises
        ------
        ModalityError
            When slides are missing, or genes in training mode.
        """
        self.check_input(inputs)
        patches = self.scaler(inputs.patches)
        tokens, likeness = self.association(patches, inputs.lengths)
        rows, weights = self.hyper(patches, inputs.lengths, tokens, likeness)
        loss = None
        if self.training and inputs.genes is not None:
            loss = self._config.reconstruction_weight * self._reconstruction_loss(tokens, inputs.genes)
        return ModelOutput(self.head(rows), inputs.lengths, patch_attention=weights, auxiliary_loss=loss)

    def _reconstruction_loss(self, tokens: Tensor, genes: Tensor) -> Tensor:
        """Sum over groups of ``(1 - cosine)^3`` and squared error, mean over patients."""
        losses = []
        for index, network in enumerate(self.reconstructions):
            found, wanted = network(tokens[:, index]), genes_of_group(genes, self.groups, index)
            away = (1 - cosine_similarity(found, wanted, dim=1)) ** 3
            losses.append(away.mean() + mse_loss(found, wanted))
        return torch.stack(losses).sum()
