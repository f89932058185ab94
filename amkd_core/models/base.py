"""What goes into and comes out of every survival model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from amkd_core.errors import BagError, ConfigError, ModalityError

Lengths = tuple[int, ...]


def split_bags(rows: Tensor, lengths: Lengths) -> tuple[Tensor, ...]:
    """Rows of each bag, as views of the concatenated rows."""
    return torch.split(rows, list(lengths))


@dataclass(frozen=True, eq=False)
class ModelInput:
    """A batch of patients; bags of different lengths lie one after another, without padding.

    Parameters
    ----------
    patches : Tensor, shape (total_patches, d_encoder)
        Patch features of all bags, concatenated.
    lengths : tuple of int, length batch
        Number of patches of each bag; every bag has at least one.
    genes : Tensor, shape (batch, n_genes), optional
        Scaled expression, joined to patients by identifier before it comes here.

    Raises
    ------
    BagError
        When a bag is empty or the lengths do not add up to the patches.
    ModalityError
        When there is not one row of genes per bag.
    """

    patches: Tensor
    lengths: Lengths
    genes: Tensor | None = None

    def __post_init__(self) -> None:
        if self.patches.ndim != 2:
            raise BagError(
                f"patches must have shape (total_patches, d_encoder), found {tuple(self.patches.shape)}"
            )
        empty = [index for index, length in enumerate(self.lengths) if length < 1]
        if empty or not self.lengths:
            which = f"bag {empty[0]} has no patches" if empty else "the batch has no bags"
            raise BagError(f"every bag needs at least one patch, but {which}; leave such patients out")
        if sum(self.lengths) != self.patches.shape[0]:
            raise BagError(
                f"the bags' lengths add up to {sum(self.lengths)} patches, but {self.patches.shape[0]} were given"
            )
        if self.genes is not None and (self.genes.ndim != 2 or self.genes.shape[0] != len(self.lengths)):
            raise ModalityError(
                f"genes must have one row per bag, shape ({len(self.lengths)}, n_genes), "
                f"found {tuple(self.genes.shape)}"
            )

    @property
    def batch_size(self) -> int:
        """Number of patients."""
        return len(self.lengths)

    @classmethod
    def from_bags(cls, bags: Sequence[Tensor], genes: Tensor | None = None) -> ModelInput:
        """Batch of separate bags, each of shape (n_patches, d_encoder)."""
        if not bags:
            raise BagError("every bag needs at least one patch, but the batch has no bags")
        patches = bags[0] if len(bags) == 1 else torch.cat(list(bags))
        return cls(patches, tuple(bag.shape[0] for bag in bags), genes)

    @classmethod
    def from_padded(cls, patches: Tensor, mask: Tensor, genes: Tensor | None = None) -> ModelInput:
        """Batch of padded bags, with the padding dropped for good.

        Parameters
        ----------
        patches : Tensor, shape (batch, n_longest, d_encoder)
        mask : Tensor of bool, shape (batch, n_longest)
            True where a patch is real.
        genes : Tensor, shape (batch, n_genes), optional
        """
        if patches.ndim != 3 or mask.shape != patches.shape[:2] or mask.dtype != torch.bool:
            raise BagError(
                "padded patches (batch, n_longest, d_encoder) need a boolean mask (batch, n_longest), "
                f"found {tuple(patches.shape)} and {mask.dtype} {tuple(mask.shape)}"
            )
        return cls(patches[mask], tuple(int(n) for n in mask.sum(dim=1)), genes)

    @classmethod
    def from_genes(cls, genes: Tensor) -> ModelInput:
        """Batch of patients without slides, for models that predict from genes alone.

        Each patient has one patch of no width, so that every model that needs slides refuses the batch.

        Parameters
        ----------
        genes : Tensor, shape (batch, n_genes)
        """
        n_patients = genes.shape[0]
        return cls(genes.new_zeros(n_patients, 0), (1,) * n_patients, genes)

    @property
    def has_slides(self) -> bool:
        """Whether there are patch features at all."""
        return self.patches.shape[1] > 0

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ModelInput:
        """Move the batch to a device, and to another floating type if one is given."""
        genes = None if self.genes is None else self.genes.to(device, dtype)
        return replace(self, patches=self.patches.to(device, dtype), genes=genes)


@dataclass(frozen=True, eq=False)
class Coattention:
    """Attention between pathways and patches (METHOD section 8), float32, one entry per bag.

    Attributes
    ----------
    genes_to_patches : tuple of Tensor, each (n_pathways, n_patches)
        ``A_g2p``; each row sums to 1 over patches: one pathway's map over the slide.
    patches_to_genes : tuple of Tensor, each (n_patches, n_pathways)
        ``A_p2g``; each row sums to 1 over pathways.
    """

    genes_to_patches: tuple[Tensor, ...]
    patches_to_genes: tuple[Tensor, ...]

    @property
    def pathway_importance(self) -> Tensor:
        """Mean of ``A_p2g`` over a bag's patches, shape (batch, n_pathways); each row sums to 1."""
        return torch.stack([weights.mean(dim=0) for weights in self.patches_to_genes])


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """What every survival model returns.

    Attributes
    ----------
    logits : Tensor, shape (batch, n_bins)
        Logits of the hazards; a higher logit is a higher danger.
    lengths : tuple of int, length batch
        Patches per bag, as they came in; splits the rows of the tensors below.
    patch_attention : Tensor, shape (total_patches,), optional
        Pooling weights; they sum to 1 within each bag.
    coattention : Coattention, optional
        Only from models that see genes, and only when maps were asked for.
    guided_patches : Tensor, shape (total_patches, d), optional
        Teacher: ``h_p2g``; student: ``h_tilde``, which imitates it (paper section 2.4).
    auxiliary_loss : Tensor, scalar, optional
        A loss that the model itself brings along.
    stream_logits : tuple of Tensor, each (batch, n_bins)
        Where a model is trained on several predictions of its own at once (DSMIL): each of them; `logits` is what it
        predicts in the end.
    pathway_activities : Tensor, shape (batch, n_pathways), optional
        Each pathway's activity in standard scores, as a student in training tells it from the slide.
    """

    logits: Tensor
    lengths: Lengths
    patch_attention: Tensor | None = None
    coattention: Coattention | None = None
    guided_patches: Tensor | None = None
    auxiliary_loss: Tensor | None = None
    stream_logits: tuple[Tensor, ...] = ()
    pathway_activities: Tensor | None = None

    def float(self) -> ModelOutput:
        """The same with what losses are computed from in float32, after a forward pass in mixed precision."""
        guided, auxiliary, activities = (
            None if value is None else value.float()
            for value in (self.guided_patches, self.auxiliary_loss, self.pathway_activities)
        )
        streams = tuple(logits.float() for logits in self.stream_logits)
        return replace(
            self,
            logits=self.logits.float(),
            guided_patches=guided,
            auxiliary_loss=auxiliary,
            stream_logits=streams,
            pathway_activities=activities,
        )


class SurvivalModel(nn.Module, ABC):
    """A network from patients to logits of hazards; it knows no device, path or training setting.

    Attributes
    ----------
    name : str
        Key in `amkd_core.models.MODELS`.
    learns_from, predicts_from : frozenset of {"slide", "genes"}
        Modalities needed in training, and later.
    trains_itself : bool
        True when its own forward pass reads everything in `learns_from` in training mode; False when an objective
        brings the rest, as a teacher's targets do.
    head : Sequential
        Ends in the linear layer that gives the logits.
    """

    name: ClassVar[str]
    trains_itself: ClassVar[bool] = True
    learns_from: ClassVar[frozenset[str]]
    predicts_from: ClassVar[frozenset[str]]
    head: nn.Sequential
    if TYPE_CHECKING:
        __call__: Callable[..., ModelOutput]  # what nn.Module hides: calling a model gives a ModelOutput

    def __init__(self, config: Any) -> None:  # the model's settings, a dataclass
        super().__init__()
        self._config = config

    @property
    def d_encoder(self) -> int:
        """Width of the patch features that it reads; 0 where it reads none."""
        return int(getattr(self._config, "d_encoder", 0))

    @property
    def config(self) -> dict[str, Any]:
        """JSON-able settings from which `amkd_core.models.build_model` makes the same architecture.

        A membership is not among them: it travels in the weights as a buffer.
        """
        settings: dict[str, Any] = asdict(self._config)
        return settings

    def standardise_features(self, mean: Tensor, scale: Tensor) -> None:
        """Standardise the encoder's features by the training patients' mean and scale, (d_encoder,) each."""
        for module in self.modules():
            standardise = getattr(module, "standardise", None)
            if callable(standardise):
                standardise(mean, scale)

    def start_at(self, base_logits: Tensor) -> None:
        """Set the bias of the head's last layer, shape (n_bins,), before training.

        With the logits of the training patients' own hazards the network starts as the best constant
        prediction. From a bias of 0 every hazard starts at 1/2, too high for everyone, and the first epochs
        teach the pooling to look away from whatever raises a hazard; that lesson outlives its cause.

        Raises
        ------
        ConfigError
            When there is not one logit per output.
        """
        last = self.head[-1]
        if not isinstance(last, nn.Linear) or base_logits.shape != (last.out_features,):
            raise ConfigError(
                f"{self.name} cannot start at base logits of shape {tuple(base_logits.shape)}, expected one per output "
                "of its head"
            )
        with torch.no_grad():
            last.bias.copy_(base_logits)

    @abstractmethod
    def forward(self, inputs: ModelInput, *, want_maps: bool = False) -> ModelOutput:
        """Logits of hazards for a batch; ``want_maps`` adds matrices that only maps need."""

    def check_input(self, inputs: ModelInput) -> None:
        """Refuse a batch that this model cannot read.

        Raises
        ------
        ModalityError
            When genes or slides are needed and absent; in training mode also what only training needs.
        BagError
            When the patch features have another width than the model's encoder.
        """
        needed = self.learns_from if self.training and self.trains_itself else self.predicts_from
        if "genes" in needed and inputs.genes is None:
            verb = "predicts" if "genes" in self.predicts_from else "learns"
            raise ModalityError(
                f"{self.name} {verb} from {_listed(needed)}, but no genes were given; "
                "give the patients' expression, or use a model that predicts from slides alone (amkd_student)"
            )
        if "slide" not in needed:
            return
        if not inputs.has_slides:
            raise ModalityError(
                f"{self.name} predicts from {_listed(self.predicts_from)}, but no slides were given; "
                "give the patients' feature bags, or use a model that predicts from genes alone (snn, mlp, smlp)"
            )
        if inputs.patches.shape[1] != self.d_encoder:
            raise BagError(
                f"{self.name} reads {self.d_encoder}-dimensional patch features, "
                f"found {inputs.patches.shape[1]}; use the encoder that the model was trained with"
            )


def _listed(modalities: frozenset[str]) -> str:
    """Modalities as part of a sentence."""
    words = {"slide": "slides", "genes": "genes"}
    names = [word for name, word in words.items() if name in modalities]
    return " and ".join(names) + (" alone" if len(names) == 1 else "")
