"""The multimodal teacher: slides and genes together, for training only (paper section 2.3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from amkd_core.errors import ConfigError
from amkd_core.models.attention import SelfAttention, attention, attention_weights
from amkd_core.models.base import Coattention, Lengths, ModelInput, ModelOutput, SurvivalModel, split_bags
from amkd_core.models.layers import AttentionPool, PatchProjection, perceptron
from amkd_core.models.pathway_encoder import PathwayEncoder
from amkd_core.models.settings import check_dropout, check_sizes


@dataclass(frozen=True)
class TeacherConfig:
    """Settings of `AmkdTeacher`.

    Attributes
    ----------
    d_encoder : int
        Width of the frozen encoder's patch features.
    dim : int
        Width ``d`` of tokens. The paper's 1,024 exceeds every fused GPU kernel for one head; 256 is ours.
    n_bins : int
        Time bins of the head (1 for a Cox head).
    dropout : float
        On projections and in the head, never inside attention.
    pooling : {"attention", "mean"}
        Within each modality; the two pooled modalities are averaged.
    gene_hidden : tuple of int
        Widths inside the sparse gene encoder.
    pool_hidden : int
        Width of the pooling gates.
    """

    d_encoder: int
    dim: int = 256
    n_bins: int = 4
    dropout: float = 0.25
    pooling: Literal["attention", "mean"] = "attention"
    gene_hidden: tuple[int, ...] = (32,)
    pool_hidden: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "gene_hidden", tuple(self.gene_hidden))
        check_sizes(
            d_encoder=self.d_encoder, dim=self.dim, n_bins=self.n_bins, pool_hidden=self.pool_hidden,
            **{f"gene_hidden[{i}]": width for i, width in enumerate(self.gene_hidden)},
        )  # fmt: skip
        check_dropout(self.dropout)
        if self.pooling not in ("attention", "mean"):
            raise ConfigError(f"pooling must be attention or mean, found {self.pooling!r}")


class AmkdTeacher(SurvivalModel):
    """Self-attention within, and cross-attention between, pathway and patch tokens.

    Cross-attention has query projections of its own and shares the keys and values of self-attention:
    ``h_g2p = softmax(Q_g2p(z_g) K_p^T / sqrt(d)) V_p`` per pathway and
    ``h_p2g = softmax(Q_p2g(z_p) K_g^T / sqrt(d)) V_g`` per patch, with neither residual nor output
    projection, as printed. Section 2.3.2 prints the two queries' inputs swapped; the shapes of the
    concatenation in section 2.3.3 settle it. ``[h_g || h_g2p]`` and ``[h_p2g || h_p]`` are pooled each by
    itself and averaged, because a plain mean would drown 331 pathways in thousands of patches.

    Parameters
    ----------
    config : TeacherConfig
    membership : Tensor of bool, shape (n_pathways, n_genes)
    """

    name: ClassVar[str] = "amkd_teacher"
    learns_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})

    def __init__(self, config: TeacherConfig, membership: Tensor) -> None:
        super().__init__(config)
        dim, pool_hidden = config.dim, config.pool_hidden if config.pooling == "attention" else None
        self.gene_encoder = PathwayEncoder(membership, dim, config.gene_hidden)
        self.gene_norm = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(config.dropout))
        self.patch_projection = PatchProjection(config.d_encoder, dim, config.dropout)
        self.gene_attention = SelfAttention(dim)
        self.patch_attention = SelfAttention(dim)
        self.query_g2p = nn.Linear(dim, dim, bias=False)
        self.query_p2g = nn.Linear(dim, dim, bias=False)
        self.gene_pool = AttentionPool(2 * dim, pool_hidden)
        self.patch_pool = AttentionPool(2 * dim, pool_hidden)
        self.head = perceptron(2 * dim, dim, config.n_bins, config.dropout)

    @property
    def config(self) -> dict[str, Any]:
        """Settings without the membership, which travels in the weights as a buffer."""
        return {**asdict(self._config), "gene_hidden": list(self._config.gene_hidden)}

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits, pooling weights of patches, and ``h_p2g``, the target of the student's guidance.

        Parameters
        ----------
        inputs : ModelInput
            With genes.
        want_maps : bool
            Also return both co-attention matrices of each bag.

        Returns
        -------
        ModelOutput

        Raises
        ------
        ModalityError
            When genes are missing, or their number is not the membership's.
        BagError
            When the patch features have another width than the encoder's.
        """
        self.check_input(inputs)
        lengths, genes = inputs.lengths, inputs.genes
        tokens = self.gene_encoder(genes)  # (batch, n_pathways, d)
        gene_lengths = (tokens.shape[1],) * tokens.shape[0]
        z_g = self.gene_norm(tokens.flatten(0, 1))  # (batch * n_pathways, d)
        z_p = self.patch_projection(inputs.patches)  # (total_patches, d)
        h_g, k_g, v_g = self.gene_attention(z_g, gene_lengths)
        h_p, k_p, v_p = self.patch_attention(z_p, lengths)
        q_g2p, q_p2g = self.query_g2p(z_g), self.query_p2g(z_p)
        h_g2p = attention(q_g2p, k_p, v_p, gene_lengths, lengths)  # (batch * n_pathways, d)
        h_p2g = attention(q_p2g, k_g, v_g, lengths, gene_lengths)  # (total_patches, d)
        pooled_g, _ = self.gene_pool(torch.cat([h_g, h_g2p], dim=1), gene_lengths)  # (batch, 2d)
        pooled_p, patch_weights = self.patch_pool(torch.cat([h_p2g, h_p], dim=1), lengths)
        maps = _coattention((q_g2p, k_p), (q_p2g, k_g), gene_lengths, lengths) if want_maps else None
        return ModelOutput(
            logits=self.head((pooled_g + pooled_p) / 2),
            lengths=lengths,
            patch_attention=patch_weights,
            coattention=maps,
            guided_patches=h_p2g,
        )


def _coattention(
    g2p: tuple[Tensor, Tensor], p2g: tuple[Tensor, Tensor], gene_lengths: Lengths, lengths: Lengths
) -> Coattention:
    """Both co-attention matrices of each bag, from (queries, keys) of each direction."""
    pathways = zip(split_bags(g2p[0], gene_lengths), split_bags(g2p[1], lengths), strict=True)
    patches = zip(split_bags(p2g[0], lengths), split_bags(p2g[1], gene_lengths), strict=True)
    return Coattention(
        genes_to_patches=tuple(attention_weights(q, k) for q, k in pathways),
        patches_to_genes=tuple(attention_weights(q, k) for q, k in patches),
    )
