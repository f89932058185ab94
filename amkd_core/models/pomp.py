"""A POMP-style model: contrast, matching and masked omics on pairs of slide and genes, then fine-tuning.

POMP (Wang et al. 2025) reads raw slide regions and three kinds of omics. This is our adaptation to bags and expression;
it is called "POMP-style" wherever it appears, because the published network cannot be run on these inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, normalize

from amkd_core.models.base import ModelInput, ModelOutput, SurvivalModel, split_bags
from amkd_core.models.layers import PatchProjection
from amkd_core.models.pathway_encoder import PathwayEncoder
from amkd_core.models.settings import SlideSettings
from amkd_core.models.transformer_parts import TransformerLayer

HEADS, SHARED = 4, 128
FIRST_TEMPERATURE = 0.07
# One of three omics is masked in the publication, and its three losses have these weights.
HIDDEN_SHARE = 1 / 3
CONTRAST, MATCHING, MASKED = 1.0, 6.0, 3.0


@dataclass(frozen=True)
class PompSettings(SlideSettings):
    """Settings of `PompStyle`; `dim` is a multiple of 4."""

    heads: ClassVar[int] = HEADS


class PompStyle(SurvivalModel):
    """Two layers for patches, two for pathways, cross-attention of pathways to patches, two layers of both.

    As published: the numbers of layers, a class token in each modality, and the three losses of pre-training with their
    weights: contrast of the two class tokens within a batch, matching of joined class tokens against shuffled pairs,
    and a third of the omics hidden and told again, by squared error, from what is left and the slide. Ours: bags for
    regions, pathway tokens for three omics, a pathway's mean for its values, the width, and the likelihood of this
    comparison instead of Cox over ten patients.

    Parameters
    ----------
    config : PompSettings
    membership : Tensor of bool, shape (n_pathways, n_genes)

    Attributes
    ----------
    pretraining : bool
        While it is True, the output's `auxiliary_loss` is the loss of pre-training over the batch.
    """

    name: ClassVar[str] = "pomp_style"
    learns_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})

    def __init__(self, config: PompSettings, membership: Tensor) -> None:
        super().__init__(config)
        self.pretraining = False
        dim, dropout = config.dim, config.dropout

        def layers() -> nn.ModuleList:
            return nn.ModuleList(TransformerLayer(dim, HEADS, dropout) for _ in range(2))

        self.patch_projection = PatchProjection(config.d_encoder, dim, dropout)
        self.gene_encoder = PathwayEncoder(membership, dim)
        self.gene_norm = nn.LayerNorm(dim)
        self.class_tokens = nn.Parameter(torch.randn(2, dim) * 0.02)
        self.slide_layers, self.gene_layers, self.joint_layers = layers(), layers(), layers()
        self.cross = TransformerLayer(dim, HEADS, dropout)
        self.shared = nn.ModuleList(nn.Linear(dim, SHARED) for _ in range(2))
        self.log_scale = nn.Parameter(torch.tensor(FIRST_TEMPERATURE).log().neg())
        self.matching = nn.Linear(dim, 1)
        self.masked = nn.Linear(dim, 1)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, config.n_bins))

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits; while pre-training also the loss of contrast, matching and masked omics.

        Raises
        ------
        ModalityError
            When slides or genes are missing.
        """
        self.check_input(inputs)
        slides = [
            self._slide(bag) for bag in split_bags(self.patch_projection(inputs.patches), inputs.lengths)
        ]
        hidden = self._hidden(inputs.batch_size) if self.pretraining else None
        genes = self._genes(inputs.genes, hidden)  # (batch, 1 + n_pathways, d)
        joined = self._joined(slides, genes)  # (batch, 1 + n_pathways, d)
        loss = None
        if hidden is not None and inputs.genes is not None:
            loss = self._pretraining_loss(slides, genes, joined) + MASKED * self._masked_loss(
                joined, inputs.genes, hidden
            )
        return ModelOutput(self.head(joined[:, 0]), inputs.lengths, auxiliary_loss=loss)

    def _hidden(self, n_patients: int) -> Tensor:
        """Pathways that are hidden from each patient's genes, boolean (batch, n_pathways).

        Drawn anew for each batch of training; every third one in validation, whose loss must not hang on a draw.
        """
        n_pathways = self.gene_encoder.n_pathways
        if not self.training:
            return (torch.arange(n_pathways) % round(1 / HIDDEN_SHARE) == 0).repeat(n_patients, 1)
        order = torch.rand(n_patients, n_pathways).argsort(dim=1)
        return order < max(1, round(n_pathways * HIDDEN_SHARE))

    def _slide(self, tokens: Tensor) -> Tensor:
        rows = torch.cat([self.class_tokens[:1], tokens])
        for layer in self.slide_layers:
            rows = layer(rows)
        return rows  # (1 + n_patches, d)

    def _genes(self, genes: Tensor | None, hidden: Tensor | None) -> Tensor:
        """Rows (batch, 1 + n_pathways, d); a hidden pathway's genes are at the training mean in all pathways."""
        if hidden is not None and genes is not None:
            covered = hidden.to(genes) @ self.gene_encoder.membership.to(genes) > 0  # (batch, n_genes)
            genes = genes.masked_fill(covered, 0.0)
        tokens = self.gene_norm(self.gene_encoder(genes))
        rows = torch.cat([self.class_tokens[1:].expand(len(tokens), 1, -1), tokens], dim=1)
        for layer in self.gene_layers:
            rows = layer(rows)
        return rows

    def _joined(self, slides: list[Tensor], genes: Tensor) -> Tensor:
        """Rows of the genes after they have read the slide, shape (batch, 1 + n_pathways, d)."""
        rows = torch.stack([self.cross(own, slide) for own, slide in zip(genes, slides, strict=True)])
        for layer in self.joint_layers:
            rows = layer(rows)
        return rows

    def _masked_loss(self, joined: Tensor, genes: Tensor, hidden: Tensor) -> Tensor:
        """Squared error of the hidden pathways' mean expression."""
        membership = self.gene_encoder.membership.to(genes)
        wanted = genes @ membership.T / membership.sum(dim=1)  # (batch, n_pathways)
        told = self.masked(joined[:, 1:]).squeeze(-1)
        chosen = hidden.to(told.device)
        return mse_loss(told[chosen], wanted[chosen])

    def _pretraining_loss(self, slides: list[Tensor], genes: Tensor, joined: Tensor) -> Tensor:
        """Contrast and matching over the batch; each patient's false pair is the neighbour's genes."""
        n = len(slides)
        if n == 1:  # one patient has nobody to be told from
            return joined.new_zeros(())
        first, second = (
            normalize(project(rows), dim=1)
            for project, rows in zip(
                self.shared, (torch.stack([s[0] for s in slides]), genes[:, 0]), strict=True
            )
        )
        scores = self.log_scale.exp().clamp(max=100) * first @ second.T  # (batch, batch)
        own = torch.arange(n, device=scores.device)
        contrast = (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2
        false = self._joined(slides, genes.roll(1, dims=0))
        matched = self.matching(torch.cat([joined[:, 0], false[:, 0]])).squeeze(1)
        truth = torch.cat([torch.ones(n), torch.zeros(n)]).to(matched)
        return CONTRAST * contrast + MATCHING * binary_cross_entropy_with_logits(matched, truth)
