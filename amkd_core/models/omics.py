"""Genes alone: SNN, MLP and the sparse pathway perceptron SMLP, as survival models compare with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from amkd_core.errors import ModalityError
from amkd_core.models.base import ModelInput, ModelOutput, SurvivalModel
from amkd_core.models.layers import relu_layer, snn_layer
from amkd_core.models.pathway_encoder import PathwayEncoder
from amkd_core.models.settings import GeneSettings

PATHWAY_HIDDEN, PATHWAY_WIDTH = 8, 16


@dataclass(frozen=True)
class MlpSettings(GeneSettings):
    """Settings of `Mlp`: the publication's command narrows its layers to 32."""

    dim: int = 32


class GeneModel(SurvivalModel):
    """What the three share: no slide is read.

    Attributes
    ----------
    n_genes : int
        Columns of the expression that it reads.
    """

    learns_from: ClassVar[frozenset[str]] = frozenset({"genes"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"genes"})
    n_genes: int
    body: nn.Sequential

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits; patches in the input are not looked at.

        Raises
        ------
        ModalityError
            When genes are missing, or their number is another.
        """
        self.check_input(inputs)
        if inputs.genes is None or inputs.genes.shape[1] != self.n_genes:
            found = "none" if inputs.genes is None else inputs.genes.shape[1]
            raise ModalityError(f"{self.name} reads {self.n_genes} genes, found {found} per patient")
        return ModelOutput(self.head(self.body(inputs.genes)), inputs.lengths)


class TwoLayers(GeneModel):
    """Two layers of one kind and a linear head.

    Parameters
    ----------
    config : GeneSettings
    n_genes : int
    layer : callable
        From widths in and out and dropout to a layer.
    """

    def __init__(
        self, config: GeneSettings, n_genes: int, layer: Callable[[int, int, float], nn.Sequential]
    ) -> None:
        super().__init__(config)
        self.n_genes = n_genes
        dim, dropout = config.dim, config.dropout
        self.body = nn.Sequential(layer(n_genes, dim, dropout), layer(dim, dim, dropout))
        self.head = nn.Sequential(nn.Linear(dim, config.n_bins))


class Snn(TwoLayers):
    """Self-normalising network of two layers; 1,346,820 weights for 4,999 genes and four bins."""

    name: ClassVar[str] = "snn"

    def __init__(self, config: GeneSettings, n_genes: int) -> None:
        super().__init__(config, n_genes, snn_layer)


class Mlp(TwoLayers):
    """Two layers with ReLU; 161,188 weights for 4,999 genes and four bins."""

    name: ClassVar[str] = "mlp"

    def __init__(self, config: MlpSettings, n_genes: int) -> None:
        super().__init__(config, n_genes, relu_layer)


class PathwayFront(nn.Module):
    """Genes to 16 numbers a pathway through 8, each from its own genes; 128,272 weights for the paper's 331 pathways.

    Truly sparse: a weight exists for each membership and for nothing else, where the published code multiplies dense
    matrices of 27 million weights by masks. There is no activation between the two layers, as published. Weights start
    at the scale of their pathway's own genes.

    Parameters
    ----------
    membership : Tensor of bool, shape (n_pathways, n_genes)
    """

    def __init__(self, membership: Tensor) -> None:
        super().__init__()
        self.width = membership.shape[0] * PATHWAY_WIDTH
        self.pathways = PathwayEncoder(membership, PATHWAY_WIDTH, (PATHWAY_HIDDEN,), between=nn.Identity())

    def forward(self, genes: Tensor) -> Tensor:
        """Shape (batch, n_pathways * 16)."""
        tokens: Tensor = self.pathways(genes)
        return tokens.flatten(1)


class Smlp(GeneModel):
    """Sparse pathway front, a layer of a quarter of its width, head.

    Parameters
    ----------
    config : GeneSettings
        `dim` is not used: the width follows from the pathways.
    membership : Tensor of bool, shape (n_pathways, n_genes)
    """

    name: ClassVar[str] = "smlp"

    def __init__(self, config: GeneSettings, membership: Tensor) -> None:
        super().__init__(config)
        self.n_genes = membership.shape[1]
        front = PathwayFront(membership)
        hidden = max(front.width // 4, 1)
        self.body = nn.Sequential(front, relu_layer(front.width, hidden, config.dropout))
        self.head = nn.Sequential(nn.Linear(hidden, config.n_bins))
