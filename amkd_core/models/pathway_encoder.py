"""The sparse perceptron (S-MLP) from genes to one token per pathway."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from amkd_core.errors import ConfigError, ModalityError


class PathwayEncoder(nn.Module):
    """One token per pathway, computed from its member genes alone (paper section 2.3.1).

    The first layer has one weight row per membership, summed per pathway by a fused gather-and-add; later
    layers are block-diagonal (one small matrix per pathway) in one batched product. No dense
    genes-by-pathways weight and no loop over pathways exists, and a gene outside a pathway is never read
    for its token. Pathways keep the order of ``membership``'s rows.

    Parameters
    ----------
    membership : Tensor of bool, shape (n_pathways, n_genes)
        Every pathway has at least one gene.
    dim : int
        Width ``d`` of a token.
    hidden : tuple of int
        Widths between genes and token; empty for a single sparse layer.
    between : Module, optional
        Applied to (batch, n_pathways, width) between two layers; GELU by default.

    Raises
    ------
    ConfigError
        When the membership is not a boolean matrix or a pathway has no gene.
    """

    membership: Tensor
    member_gene: Tensor
    first_member: Tensor

    def __init__(
        self,
        membership: Tensor,
        dim: int,
        hidden: tuple[int, ...] = (32,),
        *,
        between: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if membership.ndim != 2 or membership.dtype != torch.bool or membership.numel() == 0:
            raise ConfigError(
                "membership must be a boolean matrix (n_pathways, n_genes), "
                f"found {membership.dtype} of shape {tuple(membership.shape)}"
            )
        sizes = membership.sum(dim=1)
        empty = torch.nonzero(sizes == 0).flatten().tolist()
        if empty:
            raise ConfigError(
                f"{len(empty)} of {len(sizes)} pathways have no gene in the expression table "
                f"(the first is row {empty[0]}); drop them by the coverage filter"
            )
        self.register_buffer("membership", membership)
        self.register_buffer("member_gene", membership.nonzero()[:, 1].contiguous(), persistent=False)
        self.register_buffer("first_member", sizes.cumsum(0) - sizes, persistent=False)
        widths = (*hidden, dim)
        # Each weight starts at the scale of its own pathway's fan-in, as a plain linear layer would.
        bound = sizes.to(torch.get_default_dtype()).rsqrt()
        self.gene_weight = nn.Parameter(_uniform(bound.repeat_interleave(sizes), widths[0]))
        self.biases = nn.ParameterList(torch.zeros(len(sizes), width) for width in widths)
        self.block_weights = nn.ParameterList(
            _uniform(torch.full((len(sizes), narrow), 1 / math.sqrt(narrow)), wide)
            for narrow, wide in pairwise(widths)
        )
        self.between = nn.GELU() if between is None else between
        self.register_load_state_dict_pre_hook(_refuse_other_membership)  # type: ignore[no-untyped-call]

    @property
    def n_pathways(self) -> int:
        """Number of pathways."""
        return self.membership.shape[0]

    @property
    def n_genes(self) -> int:
        """Number of genes in the expression table."""
        return self.membership.shape[1]

    def forward(self, genes: Tensor) -> Tensor:
        """Pathway tokens.

        Parameters
        ----------
        genes : Tensor, shape (batch, n_genes)

        Returns
        -------
        Tensor, shape (batch, n_pathways, d)

        Raises
        ------
        ModalityError
            When the number of genes is not the membership's.
        """
        if genes.shape[1] != self.n_genes:
            raise ModalityError(
                f"the pathways are defined on {self.n_genes} genes, found {genes.shape[1]} per patient"
            )
        tokens: Tensor = self._sum_members(genes) + self.biases[0]  # (batch, n_pathways, hidden[0] or d)
        for weight, bias in zip(self.block_weights, self.biases[1:], strict=True):
            rows = self.between(tokens).transpose(0, 1)  # (n_pathways, batch, narrow)
            tokens = torch.baddbmm(bias.unsqueeze(1), rows, weight).transpose(0, 1)
        return tokens

    def _sum_members(self, genes: Tensor) -> Tensor:
        """Weighted sum over each pathway's genes, shape (batch, n_pathways, width)."""
        batch, n_members = genes.shape[0], self.member_gene.numel()
        shift = torch.arange(batch, device=genes.device).unsqueeze(1)
        rows = torch.arange(n_members, device=genes.device).repeat(batch)
        starts = (self.first_member + shift * n_members).flatten()
        expression = genes.index_select(1, self.member_gene).flatten().to(self.gene_weight.dtype)
        summed: Tensor = embedding_bag(
            rows, self.gene_weight, starts, mode="sum", per_sample_weights=expression
        )
        return summed.view(batch, self.n_pathways, -1)


def _uniform(bound: Tensor, width: int) -> Tensor:
    """Uniform weights in plus and minus ``bound``, with one more axis of ``width``."""
    drawn = torch.rand(*bound.shape, width) * 2 - 1
    return drawn * bound.unsqueeze(-1)


def _refuse_other_membership(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Weights are tied to their pathways: refuse those of another membership."""
    saved = state.get(f"{prefix}membership")
    own = module.membership
    if saved is None or not isinstance(own, Tensor):
        return
    if saved.shape != own.shape or not torch.equal(saved.to(own), own):
        raise ConfigError(
            f"the weights belong to another set of pathways ({tuple(saved.shape)} pathways by genes) "
            f"than this model's ({tuple(own.shape)}); build the model with the membership it was saved with"
        )
