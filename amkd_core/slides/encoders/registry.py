"""The known patch encoders: what each is, and what its licence allows.

Nothing here imports torch or touches the network.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from amkd_core.encoder_identity import NOT_RECORDED, EncoderIdentity
from amkd_core.errors import EncoderError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

TokenPolicy = Literal["none", "cls", "cls+mean_patch", "image_embedding", "layer3_mean"]


class PatchEncoder(Protocol):
    """What turns patches into features; anyone may supply one."""

    @property
    def identity(self) -> EncoderIdentity:
        """Name, version, dimension, hash of the weights, transform, token policy and licence."""
        ...

    @property
    def patch_size_px(self) -> int:
        """Side of the patches in pixels, before any scaling of the encoder's own."""
        ...

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of those patches."""
        ...

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode RGB uint8 (b, h, w, 3) as float32 (b, d)."""
        ...


@dataclass(frozen=True)
class Preprocess:
    """From a patch to the network's input.

    Parameters
    ----------
    resize_px
        The patch is scaled to this side; None keeps it.
    crop_px
        Then this side is cut from the middle.
    interpolation
        Of the scaling, always antialiased, on 8-bit images as in the encoders' own pipelines.
    mean, std
        Of R, G, B in [0, 1], for the normalisation that comes last.
    """

    resize_px: int | None
    crop_px: int
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __str__(self) -> str:
        steps = [] if self.resize_px is None else [f"resize {self.resize_px} {self.interpolation}"]
        if self.crop_px != self.resize_px:
            steps.append(f"centre crop {self.crop_px}")
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return ", ".join([*steps, f"mean {mean}", f"std {std}"])


@dataclass(frozen=True)
class EncoderCard:
    """What is known of an encoder before it is loaded.

    Parameters
    ----------
    name
        As in ``--encoder``.
    dimension
        Length of its feature vectors.
    token_policy
        Which of the network's tokens make the features.
    licence
        In words; it binds bags, and models trained on them where it says so.
    hub_id
        Where its authors publish the weights; None for a built-in encoder.
    architecture, arguments
        timm model name and keyword arguments; a value "SwiGLUPacked" or "SiLU" stands for that class.
    preprocess
        From the patch to the network's input; None for a built-in encoder.
    unused_weights
        Prefixes of weights in the published file that a truncated network has no use for.
    half
        Precision on a GPU; on a CPU it is always float32.
    patch_size_px, mpp
        Side and scale of the patches that it is given. What `preprocess` scales, the network sees at another scale.
    version
        Of the patches, preprocessing and pooling of a published network; it rises when the features change.
    sha256
        Of the files of weights that its authors published, lower case; others are refused. Empty where they are gated
        and nobody here could hash them: then those that were fetched first hold.
    """

    name: str
    dimension: int
    token_policy: TokenPolicy
    licence: str
    hub_id: str | None = None
    architecture: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Preprocess | None = None
    unused_weights: tuple[str, ...] = ()
    half: Literal["float16", "bfloat16"] = "float16"
    patch_size_px: int = 256
    mpp: float = 0.5
    version: str = "1"
    sha256: tuple[str, ...] = ()

    @property
    def transform(self) -> str:
        """The preprocessing in words, as it is written into bags."""
        size = f"RGB {self.patch_size_px} px at {self.mpp:g} um/px"
        return size if self.preprocess is None else f"{size}, {self.preprocess}"


_SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}
_NON_COMMERCIAL = "CC BY-NC-ND 4.0 (non-commercial, also for models trained on its features; gated)"
_CARDS = (
    EncoderCard(
        name="texture",
        dimension=89,
        token_policy="none",
        licence="BSD-3-Clause (part of this software)",
    ),
    EncoderCard(
        name="uni",
        dimension=1024,
        token_policy="cls",
        licence=_NON_COMMERCIAL,
        hub_id="MahmoodLab/UNI",
        architecture="vit_large_patch16_224",
        arguments={
            "img_size": 224,
            "patch_size": 16,
            "init_values": 1e-5,
            "num_classes": 0,
            "dynamic_img_size": True,
        },
        preprocess=Preprocess(224, 224, "bilinear", *IMAGENET),
    ),
    EncoderCard(
        name="uni2-h",
        dimension=1536,
        token_policy="cls",
        licence=_NON_COMMERCIAL,
        hub_id="MahmoodLab/UNI2-h",
        architecture="vit_giant_patch14_224",
        arguments={
            "img_size": 224,
            "patch_size": 14,
            "depth": 24,
            "num_heads": 24,
            "init_values": 1e-5,
            "embed_dim": 1536,
            "mlp_ratio": 2.66667 * 2,
            "num_classes": 0,
            "no_embed_class": True,
            "reg_tokens": 8,
            "dynamic_img_size": True,
            **_SWIGLU,
        },
        preprocess=Preprocess(224, 224, "bilinear", *IMAGENET),
        half="bfloat16",
    ),
    EncoderCard(
        name="conch",
        dimension=512,
        token_policy="image_embedding",
        licence=_NON_COMMERCIAL,
        hub_id="MahmoodLab/CONCH",
        preprocess=Preprocess(448, 448, "bicubic", *CLIP),
        unused_weights=("text.", "text_decoder.", "logit_scale"),
        patch_size_px=512,  # as TRIDENT gives it; 256 px scaled up to 448 would be twice the magnification
        version="2",
    ),
    EncoderCard(
        name="virchow2",
        dimension=2560,
        token_policy="cls+mean_patch",
        licence="CC BY-NC-ND 4.0 (non-commercial; gated)",
        hub_id="paige-ai/Virchow2",
        architecture="vit_huge_patch14_224",
        arguments={
            "img_size": 224,
            "init_values": 1e-5,
            "num_classes": 0,
            "reg_tokens": 4,
            "mlp_ratio": 5.3375,
            "global_pool": "",
            "dynamic_img_size": True,
            **_SWIGLU,
        },
        preprocess=Preprocess(224, 224, "bicubic", *IMAGENET),
        patch_size_px=224,  # meant for 224 px at 20x; of 256 px the network would see 0.571 um/px
        version="2",
    ),
    EncoderCard(
        name="h-optimus-0",
        dimension=1536,
        token_policy="cls",
        licence="Apache-2.0",
        hub_id="bioptimus/H-optimus-0",
        architecture="vit_giant_patch14_reg4_dinov2",
        arguments={"img_size": 224, "init_values": 1e-5, "num_classes": 0, "global_pool": "token"},
        preprocess=Preprocess(
            224, 224, "bicubic", (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
        ),
        patch_size_px=224,  # trained on 224 px at 0.5 um/px; of 256 px the network would see 0.571
        version="2",
    ),
    EncoderCard(
        name="resnet50",
        dimension=1024,
        token_policy="layer3_mean",
        licence="BSD-3-Clause (torchvision weights)",
        hub_id="timm/resnet50.tv_in1k",
        architecture="resnet50",
        arguments={"features_only": True, "out_indices": (3,)},
        # As CLAM and TRIDENT do: timm's own cuts the middle out, and 23 % of the tile would not count.
        preprocess=Preprocess(224, 224, "bilinear", *IMAGENET),
        unused_weights=("layer4.", "fc."),
        version="2",
    ),
)
ENCODERS: Mapping[str, EncoderCard] = MappingProxyType({card.name: card for card in _CARDS})


def card_of(name: str) -> EncoderCard:
    """Return the card of an encoder.

    Raises
    ------
    EncoderError
        If there is no encoder of that name; the sentence names the nearest.
    """
    card = ENCODERS.get(name)
    if card is None:
        near = difflib.get_close_matches(name, ENCODERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise EncoderError(f"There is no encoder {name!r}; known are {', '.join(ENCODERS)}.{hint}")
    return card


def stated_identity(name: str) -> EncoderIdentity:
    """Identity of an encoder that a user says made a bag; nothing but the name is known, and models compare no more.

    Raises
    ------
    EncoderError
        As `card_of`.
    """
    card = card_of(name)
    return EncoderIdentity(card.name, "", card.dimension, "", NOT_RECORDED, NOT_RECORDED, card.licence)
