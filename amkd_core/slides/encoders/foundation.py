"""Foundation encoders: published networks on the user's own copy of their weights.

The networks are built by timm (CONCH by its own package); what is ours is that nothing is guessed: the
weights must fit the network exactly, their hash travels with the features, and preprocessing is the one of
the encoder's card. Weights are read by safetensors, or by torch with ``weights_only=True``; files that need
more than that are refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from amkd_core.bag import EncoderIdentity
from amkd_core.errors import EncoderError
from amkd_core.slides.encoders.network import build_conch, build_network, fill
from amkd_core.slides.encoders.registry import EncoderCard, Preprocess
from amkd_core.slides.encoders.smaller_batches import SmallerBatches
from amkd_core.slides.encoders.weights import held_sha256

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class FoundationEncoder:
    """A frozen network with its preprocessing and pooling.

    Parameters
    ----------
    card
        What it is.
    network
        In evaluation mode, on `device`.
    weights_sha256
        Hash of the file that its weights came from.
    device
        Where it runs.

    Attributes
    ----------
    half_precision : bool
        Whether it computes in the half precision of its card, as on a GPU.
    """

    def __init__(
        self, card: EncoderCard, network: nn.Module, weights_sha256: str, device: torch.device
    ) -> None:
        if card.preprocess is None:
            raise EncoderError(f"Encoder {card.name!r} has no preprocessing and is no network.")
        self.identity = EncoderIdentity(
            name=card.name,
            version=card.version,
            dimension=card.dimension,
            weights_sha256=weights_sha256,
            transform=card.transform,
            token_policy=card.token_policy,
            licence=card.licence,
        )
        self.patch_size_px, self.mpp = card.patch_size_px, card.mpp
        self._card, self._network, self._device = card, network, device
        self._preprocess = card.preprocess
        self.half_precision = device.type == "cuda"
        self._memory = SmallerBatches()
        # Pixel values to normalised ones in one multiplication and one addition.
        mean, std = (
            torch.tensor(v, device=device).view(1, 3, 1, 1)
            for v in (card.preprocess.mean, card.preprocess.std)
        )
        self._factor, self._shift = 1 / (255 * std), -mean / std

    def __repr__(self) -> str:
        return f"FoundationEncoder({self.identity.name!r}, {self.identity.dimension} features, on {self._device})"

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode a batch of patches.

        Parameters
        ----------
        images
            RGB, uint8 (b, h, w, 3) at the scale that the card states.

        Returns
        -------
        ndarray
            float32 (b, d).

        Raises
        ------
        EncoderError
            If the images have another shape or type, or the network returns another dimension.
        """
        side = self.patch_size_px
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3):
            raise EncoderError(
                f"Encoder {self.identity.name!r} takes uint8 patches of (b, {side}, {side}, 3), "
                f"got {images.dtype} {images.shape}."
            )
        if len(images) == 0:
            return np.empty((0, self.identity.dimension), dtype=np.float32)
        prepared = prepare(images, self._preprocess)
        features = torch.cat([part.cpu() for part in self._memory.run(self._pooled, prepared)])
        if features.shape != (len(images), self.identity.dimension):
            raise EncoderError(
                f"Encoder {self.identity.name!r} should give {self.identity.dimension} features, "
                f"its network gave {tuple(features.shape)}."
            )
        result: NDArray[np.float32] = features.numpy()
        return result

    @property
    def remark(self) -> str:
        """What the device's memory forced; empty where everything fitted."""
        return self._memory.remark

    def _pooled(self, images: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(images).to(self._device)
        half = getattr(torch, self._card.half)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, half, enabled=self.half_precision),
        ):
            batch = pixels.permute(0, 3, 1, 2).float() * self._factor + self._shift  # (b, 3, h, w)
            return pool(self._network(batch), self._card).float()


def prepare(images: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    """Scale and crop a batch as 8-bit images, as the encoders' own pipelines do (Pillow, antialiased).

    Parameters
    ----------
    images
        RGB, uint8 (b, h, w, 3).
    preprocess
        Of the encoder's card.

    Returns
    -------
    ndarray
        uint8 (b, crop_px, crop_px, 3).
    """
    side = preprocess.resize_px
    if side is not None and images.shape[1:3] != (side, side):
        method = _RESAMPLING[preprocess.interpolation]
        images = np.stack(
            [np.asarray(Image.fromarray(image).resize((side, side), method)) for image in images]
        )
    top, left = (round((length - preprocess.crop_px) / 2) for length in images.shape[1:3])
    return np.ascontiguousarray(images[:, top : top + preprocess.crop_px, left : left + preprocess.crop_px])


def pool(output: Tensor | list[Tensor], card: EncoderCard) -> Tensor:
    """From what the network returns to one vector a patch, (b, d), by the card's token policy."""
    if isinstance(output, list):  # timm's features_only
        return output[-1].mean(dim=(2, 3))
    if card.token_policy == "cls+mean_patch":
        n_prefix = 1 + int(card.arguments.get("reg_tokens", 0))
        return torch.cat([output[:, 0], output[:, n_prefix:].mean(dim=1)], dim=-1)
    return output


def load_foundation(card: EncoderCard, weights: Path, device: str) -> FoundationEncoder:
    """Build the network of a card and fill it with weights.

    Parameters
    ----------
    card
        What to build.
    weights
        File of weights, ``.safetensors`` or a torch file.
    device
        As torch names it.

    Raises
    ------
    EncoderError
        If the device is not there, the file is damaged or another one than the hash beside it says, or its weights do
        not fit exactly.
    MissingExtraError
        If timm or conch is not installed.
    """
    place = _device(device)
    build = build_conch if card.architecture is None else build_network
    sha256 = held_sha256(card, weights)
    network = build(card)
    fill(network, weights, card)
    return FoundationEncoder(card, network.eval().requires_grad_(False).to(place), sha256, place)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        raise EncoderError(
            f"Device {name!r} cannot be used here ({str(error).splitlines()[0]}); choose another, such as 'cpu'."
        ) from error
    return device
