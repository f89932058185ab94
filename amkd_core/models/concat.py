"""ABMIL, TransMIL and DSMIL with genes: both modalities encoded apart, joined by concatenation ("Cat")."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from amkd_core.models.abmil import AbmilEncoder
from amkd_core.models.base import ModelInput, ModelOutput, SurvivalModel
from amkd_core.models.dsmil import DsmilEncoder, DsmilSettings
from amkd_core.models.omics import PathwayFront
from amkd_core.models.settings import SlideSettings
from amkd_core.models.slide_model import SlideEncoder, output_of
from amkd_core.models.transmil import TransmilEncoder, TransmilSettings

GENE_HIDDEN, WIDTH = 64, 256


class ConcatModel(SurvivalModel):
    """Slide row and gene row side by side, two layers with ReLU, head.

    The gene branch is SMLP's sparse front with two layers (64, 256). The publication shows ABMIL's sizes; the other two
    join the row that their own head would have read.

    Parameters
    ----------
    config : SlideSettings
    encoder : Module
        As `SlideEncoder`.
    membership : Tensor of bool, shape (n_pathways, n_genes)
    """

    learns_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide", "genes"})

    def __init__(self, config: SlideSettings, encoder: nn.Module, membership: Tensor) -> None:
        super().__init__(config)
        self.encoder = encoder
        front = PathwayFront(membership)
        self.genes = nn.Sequential(
            front, nn.Linear(front.width, GENE_HIDDEN), nn.ReLU(), nn.Linear(GENE_HIDDEN, WIDTH)
        )
        both = cast(SlideEncoder, encoder).width + WIDTH
        self.head = nn.Sequential(
            nn.Linear(both, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, config.n_bins)
        )  # fmt: skip

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits, and the attention of each patch where the slide's encoder has one.

        Raises
        ------
        ModalityError
            When slides or genes are missing.
        """
        self.check_input(inputs)
        found = self.encoder(inputs.patches, inputs.lengths)
        logits = self.head(torch.cat([found.rows, self.genes(inputs.genes)], dim=1))
        return output_of(logits, found, inputs.lengths)


class AbmilCat(ConcatModel):
    """ABMIL (Cat); 1,142,101 weights for the paper's sizes (the published dense form 28,282,933)."""

    name: ClassVar[str] = "abmil_cat"

    def __init__(self, config: SlideSettings, membership: Tensor) -> None:
        super().__init__(config, AbmilEncoder(config.d_encoder, config.dim, config.dropout), membership)


class TransmilCat(ConcatModel):
    """TransMIL (Cat), with the whole of TransMIL."""

    name: ClassVar[str] = "transmil_cat"

    def __init__(self, config: TransmilSettings, membership: Tensor) -> None:
        super().__init__(config, TransmilEncoder(config), membership)


class DsmilCat(ConcatModel):
    """DSMIL (Cat): the bag stream is joined with the genes, the stream of single patches stays as it is."""

    name: ClassVar[str] = "dsmil_cat"

    def __init__(self, config: DsmilSettings, membership: Tensor) -> None:
        super().__init__(config, DsmilEncoder(config), membership)

    def start_at(self, base_logits: Tensor) -> None:
        """Set the biases of both streams."""
        super().start_at(base_logits)
        with torch.no_grad():
            cast(DsmilEncoder, self.encoder).instance.bias.copy_(base_logits)
