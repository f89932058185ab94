"""SurvPath: pathway tokens and patch tokens in one transformer without attention among patches (Jaume et al. 2024)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from amkd_core.models.attention import attention, attention_weights
from amkd_core.models.base import ModelInput, ModelOutput, SurvivalModel, split_bags
from amkd_core.models.layers import FeatureScaler, pool_rows, uniform_weights
from amkd_core.models.pathway_encoder import PathwayEncoder
from amkd_core.models.settings import SlideSettings


class Survpath(SurvivalModel):
    """24,768,068 weights for 331 pathways of 9,745 memberships, 98 % of them in the pathways' own networks.

    Pathways attend to pathways and patches jointly; patches attend to pathways alone. The attention has one head of
    half the tokens' width, no output projection and no residual, as published. Each pathway's network of two
    self-normalising layers is one slice of two batched products instead of a loop over 331 modules.

    Parameters
    ----------
    config : SlideSettings
    membership : Tensor of bool, shape (n_pathways, n_genes)
    """

    name: ClassVar[str] = "survpath"
    learns_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})

    def __init__(self, config: SlideSettings, membership: Tensor) -> None:
        super().__init__(config)
        dim, narrow = config.dim, config.dim // 2
        self.scaler = FeatureScaler(config.d_encoder)
        self.project = nn.Linear(config.d_encoder, dim)
        self.after_layer = nn.Sequential(nn.ELU(), nn.AlphaDropout(config.dropout))
        self.pathways = PathwayEncoder(membership, dim, (dim,), between=self.after_layer)
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * narrow, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(narrow), nn.Linear(narrow, narrow), nn.GELU(), nn.Dropout(0.1), nn.Linear(narrow, narrow)
        )  # fmt: skip
        self.last_norm = nn.LayerNorm(narrow)
        self.head = nn.Sequential(nn.Linear(dim, dim // 4), nn.ReLU(), nn.Linear(dim // 4, config.n_bins))

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits; with maps also the attention that patches receive from the pathways, summing to 1 per bag.

        Raises
        ------
        ModalityError
            When slides or genes are missing, or the genes are not the membership's.
        """
        self.check_input(inputs)
        lengths = inputs.lengths
        tokens = self.after_layer(self.pathways(inputs.genes))  # (batch, n_pathways, d)
        gene_lengths = (tokens.shape[1],) * tokens.shape[0]
        genes = self.qkv(self.norm(tokens)).flatten(0, 1).chunk(3, dim=-1)
        patches = self.qkv(self.norm(self.project(self.scaler(inputs.patches)))).chunk(3, dim=-1)
        k, v = (_joined(genes[i], patches[i], gene_lengths, lengths) for i in (1, 2))
        all_lengths = tuple(g + p for g, p in zip(gene_lengths, lengths, strict=True))
        from_all = attention(genes[0], k, v, gene_lengths, all_lengths)  # (batch * n_pathways, d / 2)
        from_genes = attention(patches[0], genes[1], genes[2], lengths, gene_lengths)
        halves = []
        for rows, own in ((from_all, gene_lengths), (from_genes, lengths)):
            done = self.last_norm(self.feed_forward(rows))
            halves.append(pool_rows(done, uniform_weights(own, done), own))
        maps = _received(genes[0], patches[1], gene_lengths, lengths) if want_maps else None
        return ModelOutput(self.head(torch.cat(halves, dim=1)), lengths, patch_attention=maps)


def _joined(
    genes: Tensor, patches: Tensor, gene_lengths: tuple[int, ...], lengths: tuple[int, ...]
) -> Tensor:
    """Rows of each bag's pathways and then of its patches."""
    bags = zip(split_bags(genes, gene_lengths), split_bags(patches, lengths), strict=True)
    return torch.cat([part for bag in bags for part in bag])


def _received(q: Tensor, k: Tensor, gene_lengths: tuple[int, ...], lengths: tuple[int, ...]) -> Tensor:
    """Mean attention of pathways to each patch, among patches, shape (total_patches,)."""
    bags = zip(split_bags(q, gene_lengths), split_bags(k, lengths), strict=True)
    return torch.cat([attention_weights(*bag).mean(dim=0) for bag in bags])
