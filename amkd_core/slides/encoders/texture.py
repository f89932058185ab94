"""`texture`: the built-in patch encoder, from library filters alone.

It needs no download and no GPU, gives the same features on every run, and is **weaker than a foundation
model**: it measures amounts of stain, nuclear density, size and shape, texture energies, fibre alignment
and lumina, and knows nothing beyond them. It is there for the demo, for tests, and for a first look on a
machine without weights.

The features are for H&E at 0.5 um per px; another stain or scale gives numbers without meaning.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import EncoderIdentity
from amkd_core.errors import EncoderError
from amkd_core.slides.encoders import texture_features, texture_fields
from amkd_core.slides.encoders.registry import ENCODERS
from amkd_core.slides.encoders.texture_features import (
    band_features,
    blob_features,
    layout_features,
    nucleus_features,
    orientation_features,
    stain_features,
)
from amkd_core.slides.encoders.texture_fields import fields_of
from amkd_core.slides.encoders.texture_scale import CENTRE_AND_SCALE

VERSION = "1"
"""Raised with every change that alters a feature."""

FEATURE_NAMES: tuple[str, ...] = tuple(CENTRE_AND_SCALE)
LARGEST_VALUE = 8.0
# What the processor's cache holds of one batch's images; more is slower.
_AT_ONCE = 16
_GROUPS = (
    stain_features,
    blob_features,
    nucleus_features,
    band_features,
    orientation_features,
    layout_features,
)


class TextureEncoder:
    """Stain, nuclear and texture measures of a patch, 89 features of about unit range in [-8, 8].

    The order is `FEATURE_NAMES`; what each is stands in `texture_features`.
    """

    patch_size_px = 256
    mpp = 0.5

    def __init__(self) -> None:
        card = ENCODERS["texture"]
        self.identity = EncoderIdentity(
            name="texture",
            version=VERSION,
            dimension=len(FEATURE_NAMES),
            weights_sha256=definition_sha256(),
            transform=card.transform,
            token_policy=card.token_policy,
            licence=card.licence,
        )
        self._centre, self._scale = np.array(list(CENTRE_AND_SCALE.values()), dtype=np.float32).T

    def __repr__(self) -> str:
        return f"TextureEncoder(version {VERSION}, {len(FEATURE_NAMES)} features)"

    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode a batch of patches.

        Parameters
        ----------
        images
            RGB, uint8 (b, 256, 256, 3) at 0.5 um per px.

        Returns
        -------
        ndarray
            float32 (b, 89), finite.

        Raises
        ------
        EncoderError
            If the images have another shape or type.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (256, 256, 3):
            raise EncoderError(
                f"The texture encoder takes uint8 patches of (b, 256, 256, 3), got {images.dtype} {images.shape}."
            )
        features = np.empty((len(images), len(FEATURE_NAMES)), dtype=np.float32)
        for start in range(0, len(images), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            raw = raw_features(images[part])
            features[part] = np.stack([raw[name] for name in FEATURE_NAMES], axis=1)
        scaled: NDArray[np.float32] = (features - self._centre) / self._scale
        return np.clip(scaled, -LARGEST_VALUE, LARGEST_VALUE)


def raw_features(images: NDArray[np.uint8]) -> dict[str, NDArray[np.floating]]:
    """Measure a batch of patches, in the measures' own units.

    Parameters
    ----------
    images
        RGB, uint8 (b, 256, 256, 3) at 0.5 um per px.

    Returns
    -------
    dict
        One array (b,) for each of `FEATURE_NAMES`.
    """
    fields = fields_of(images)
    measured: dict[str, NDArray[np.floating]] = {}
    for group in _GROUPS:
        measured |= group(fields)
    return measured


def definition_sha256() -> str:
    """Hash of everything that defines the features: version, names, constants, ranges.

    It stands where the hash of a network's weights stands for other encoders.
    """
    definition = {
        "version": VERSION,
        "stains": [texture_fields.HAEMATOXYLIN, texture_fields.EOSIN],
        "sigmas_um": [texture_fields.SIGMAS_UM, texture_fields.COARSE_SIGMAS_UM, texture_fields.TRUNCATE],
        "limits": [
            texture_features.QUANTILES,
            texture_features.BLOB_CONTRAST,
            texture_features.NUCLEUS_DENSITY_RANGE,
            texture_features.SMALLEST_NUCLEUS_PX,
            texture_features.WHITE_DENSITY,
            LARGEST_VALUE,
        ],
        "features": list(CENTRE_AND_SCALE.items()),
    }
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
