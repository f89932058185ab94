"""What models share that make one row of each bag: its form, and the model of slides alone over it."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from amkd_core.models.base import Lengths, ModelInput, ModelOutput, SurvivalModel
from amkd_core.models.settings import SlideSettings


class SlideVector(NamedTuple):
    """One row per bag, and what comes along with it.

    Attributes
    ----------
    rows : Tensor, shape (batch, width)
    weights : Tensor, shape (total_patches,), optional
        Pooling weights; they sum to 1 within each bag.
    instance_logits : Tensor, shape (batch, n_bins), optional
        Prediction of a second stream that reads single patches.
    """

    rows: Tensor
    weights: Tensor | None = None
    instance_logits: Tensor | None = None


class SlideEncoder(Protocol):
    """What turns bags into one row each; `width` columns wide."""

    width: int

    def __call__(self, patches: Tensor, lengths: Lengths) -> SlideVector:
        """Rows of the bags."""


def output_of(logits: Tensor, found: SlideVector, lengths: Lengths) -> ModelOutput:
    """Output of a head over the rows; where there is a second stream, both and their mean."""
    streams: tuple[Tensor, ...] = ()
    if found.instance_logits is not None:
        streams = (logits, found.instance_logits)
        logits = torch.stack(streams).mean(dim=0)
    return ModelOutput(logits, lengths, patch_attention=found.weights, stream_logits=streams)


class SlideModel(SurvivalModel):
    """Slides alone: an encoder to one row per bag, and a linear head.

    Parameters
    ----------
    config : SlideSettings
    encoder : Module
        As `SlideEncoder`.
    width : int
        Of its rows.
    """

    learns_from: ClassVar[frozenset[str]] = frozenset({"slide"})
    predicts_from: ClassVar[frozenset[str]] = frozenset({"slide"})

    def __init__(self, config: SlideSettings, encoder: nn.Module, width: int) -> None:
        super().__init__(config)
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(width, config.n_bins))

    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits, and the attention of each patch where the encoder has one.

        Raises
        ------
        ModalityError
            When there are no slides.
        """
        self.check_input(inputs)
        found = self.encoder(inputs.patches, inputs.lengths)
        return output_of(self.head(found.rows), found, inputs.lengths)
