"""The deployed student: slides alone (paper section 2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from amkd_core.models.attention import SelfAttention
from amkd_core.models.base import ModelInput, ModelOutput, SurvivalModel
from amkd_core.models.layers import GatedScore, PatchProjection, bag_softmax, perceptron, pool_rows
from amkd_core.models.settings import check_dropout, check_sizes


@dataclass(frozen=True)
class StudentConfig:
    """Settings of `AmkdStudent`; with a 1,024-d encoder the defaults stay below the paper's 803,000 weights.

    Attributes
    ----------
    d_encoder : int
        Width of the frozen encoder's patch features.
    dim : int
        Width ``d`` of tokens; equal to the teacher's, whose features the student imitates.
    n_bins : int
        Time bins of the head (1 for a Cox head).
    dropout : float
        On the projection and inside the perceptrons, never inside attention.
    pool_hidden : int
        Width of the pooling gates.
    """

    d_encoder: int
    dim: int = 256
    n_bins: int = 4
    dropout: float = 0.25
    pool_hidden: int = 24

    def __post_init__(self) -> None:
        check_sizes(d_encoder=self.d_encoder, dim=self.dim, n_bins=self.n_bins, pool_hidden=self.pool_hidden)
        check_dropout(self.dropout)


class AmkdStudent(SurvivalModel):
    """Projection, self-attention ``h_p``, gene-guided ``h_tilde = MLP(h_p)``, pooling of both, head.

    The pooling weights come from ``h_tilde`` alone, so that the map shows where the slide looks as the
    teacher's genomics-informed features do; they pool ``[h_p || h_tilde]``. The paper leaves open how patch
    rows become one vector before the head.

    Parameters
    ----------
    config : StudentConfig

    Attributes
    ----------
    pathway_head : Linear or None
        In training only, where the student also tells the activity of each pathway; see
        `amkd_core.training.pathway_guidance`.
    """

    name: ClassVar[str] = "amkd_student"
    learns_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide"})
    trains_itself: ClassVar[bool] = False

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        dim, dropout = config.dim, config.dropout
        self.patch_projection = PatchProjection(config.d_encoder, dim, dropout)
        self.patch_attention = SelfAttention(dim)
        self.guidance = perceptron(dim, dim, dim, dropout)
        self.score = GatedScore(dim, config.pool_hidden)
        self.head = perceptron(2 * dim, dim, config.n_bins, dropout)
        self.pathway_head: nn.Linear | None = None

    def add_pathway_head(self, n_pathways: int) -> None:
        """Also tell the activity of each pathway; to begin with, the cohort's mean."""
        with torch.random.fork_rng(devices=[]):  # whoever draws weights after it draws the same ones
            head = nn.Linear(2 * self.patch_attention.out.out_features, n_pathways)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        self.pathway_head = head

    def drop_pathway_head(self) -> None:
        """Be the model that is deployed again."""
        self.pathway_head = None

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits, gene-guided patch weights and ``h_tilde``; genes in the input are not looked at.

        Parameters
        ----------
        inputs : ModelInput
        want_maps : bool
            Without effect: the student's map is its pooling weights, which are always returned.

        Returns
        -------
        ModelOutput

        Raises
        ------
        BagError
            When the patch features have another width than the encoder's.
        """
        self.check_input(inputs)
        lengths = inputs.lengths
        h_p = self.patch_attention(
            self.patch_projection(inputs.patches), lengths
        ).hidden  # (total_patches, d)
        h_tilde = self.guidance(h_p)  # (total_patches, d)
        weights = bag_softmax(self.score(h_tilde), lengths)  # (total_patches,)
        # Pooling the halves apart equals pooling [h_p || h_tilde] and spares the concatenation.
        pooled: Tensor = torch.cat([pool_rows(rows, weights, lengths) for rows in (h_p, h_tilde)], dim=1)
        return ModelOutput(
            logits=self.head(pooled),
            lengths=lengths,
            patch_attention=weights,
            guided_patches=h_tilde,
            pathway_activities=None if self.pathway_head is None else self.pathway_head(pooled),
        )
