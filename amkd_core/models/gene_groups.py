"""Gene groups as tokens: one self-normalising network per group (MCAT), and how pathways become groups."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from amkd_core.errors import ModalityError
from amkd_core.models.layers import snn_layer


def merge_rows(membership: Tensor, n_groups: int) -> Tensor:
    """Membership of at most `n_groups` groups: consecutive pathways are merged.

    MCAT and G-HANet read six groups of genes by function, whose list is not ours to ship. A cohort's ``gene_groups``
    come here as they are; pathways are merged in their own order, so that each group has as nearly equal a number of
    them as can be.

    Parameters
    ----------
    membership : Tensor of bool, shape (n_pathways, n_genes)
    n_groups : int

    Returns
    -------
    Tensor of bool, shape (min(n_groups, n_pathways), n_genes)
    """
    parts = torch.tensor_split(membership, min(n_groups, len(membership)))
    return torch.stack([part.any(dim=0) for part in parts])


def genes_of_group(genes: Tensor, groups: Tensor, index: int) -> Tensor:
    """Expression of one group's genes, shape (batch, genes of the group).

    Raises
    ------
    ModalityError
        When there is another number of genes than the groups are defined on.
    """
    if genes.shape[1] != groups.shape[1]:
        raise ModalityError(
            f"the gene groups are defined on {groups.shape[1]} genes, found {genes.shape[1]} per patient"
        )
    return genes[:, groups[index]]


class GroupTokens(nn.Module):
    """One token per gene group, each by a network of two self-normalising layers.

    Parameters
    ----------
    groups : Tensor of bool, shape (n_groups, n_genes)
    dim : int
        Width of a token.
    dropout : float
    """

    groups: Tensor

    def __init__(self, groups: Tensor, dim: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("groups", groups)
        self.networks = nn.ModuleList(
            nn.Sequential(snn_layer(size, dim, dropout), snn_layer(dim, dim, dropout))
            for size in groups.sum(dim=1).tolist()
        )

    def forward(self, genes: Tensor) -> Tensor:
        """Tokens, shape (batch, n_groups, dim)."""
        tokens = [
            network(genes_of_group(genes, self.groups, index)) for index, network in enumerate(self.networks)
        ]
        return torch.stack(tokens, dim=1)
