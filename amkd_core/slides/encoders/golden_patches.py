"""Eight patches that every encoder encodes alike, or is not the one that it says it is.

Name, version and weights hash say what an encoder should be; they do not say that it runs right. A swapped colour
channel, a forgotten normalisation, another side of the network's input or a GPU that computes nonsense leave the
identity as it was, and give features of the right width. So eight patches that look like H&E are drawn here by
arithmetic alone, the same on every machine, and their features travel with bags and bundles (`GoldenFeatures`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import EncoderError
from amkd_core.golden_features import GoldenFeatures

if TYPE_CHECKING:
    from amkd_core.slides.encoders.registry import PatchEncoder

# Optical density of haematoxylin and eosin in R, G, B as Macenko et al. (2009) found them: one bluer, one redder.
_STAINS = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])
# Per patch: nuclei in 256 x 256 px, their radius in px, eosin of the ground, its waviness, radius of the lumen in px.
_SCENES = (
    (24, 7.0, 0.45, 0.30, 0.0),  # stroma
    (60, 9.0, 0.30, 0.10, 0.0),  # tumour
    (120, 6.0, 0.20, 0.05, 0.0),  # lymphocytes
    (40, 10.0, 0.35, 0.15, 60.0),  # gland
    (8, 6.0, 0.60, 0.05, 0.0),  # necrosis
    (16, 8.0, 0.25, 0.40, 90.0),  # fat and vessel
    (80, 12.0, 0.40, 0.20, 30.0),  # high grade
    (2, 7.0, 0.70, 0.50, 0.0),  # collagen
)
# Cosine above which an encoder that does not agree is not quite another one.
_NEARLY = 0.9
_KNOWN: WeakKeyDictionary[PatchEncoder, GoldenFeatures] = WeakKeyDictionary()


def golden_patches(side_px: int = 256) -> NDArray[np.uint8]:
    """Draw the eight patches.

    Parameters
    ----------
    side_px
        Side of the patches; scenes are laid out relative to it.

    Returns
    -------
    array, shape (8, side_px, side_px, 3), uint8
        RGB.
    """
    return _drawn(side_px).copy()


@lru_cache(maxsize=2)
def _drawn(side_px: int) -> NDArray[np.uint8]:
    # An encoder is loaded anew for many a slide; the drawing takes a third of a second each time.
    return np.stack([_patch(seed, scene, side_px) for seed, scene in enumerate(_SCENES)])


def golden_features(encoder: PatchEncoder) -> GoldenFeatures:
    """Features of the golden patches by an encoder; computed once for each encoder that is loaded.

    Raises
    ------
    EncoderError
        When the encoder returns another shape, or values that are not numbers.
    """
    try:
        known = _KNOWN.get(encoder)
    except TypeError:  # an encoder of someone else's that cannot be a key
        return _encoded(encoder, golden_patches(encoder.patch_size_px))
    if known is None:
        known = _KNOWN[encoder] = _encoded(encoder, golden_patches(encoder.patch_size_px))
    return known


def likely_cause(encoder: PatchEncoder, reference: GoldenFeatures) -> str:
    """What is most likely wrong with an encoder that does not agree with a reference, in words."""
    swapped = np.ascontiguousarray(golden_patches(encoder.patch_size_px)[..., ::-1])
    if reference.agrees(_encoded(encoder, swapped)):
        return "it takes blue for red (BGR instead of RGB)"
    if reference.cosine(golden_features(encoder)) > _NEARLY:
        return "it is run a little differently, such as on another size of image (256 px instead of 224)"
    return "its normalisation is missing or another, or its weights are others"


def _encoded(encoder: PatchEncoder, patches: NDArray[np.uint8]) -> GoldenFeatures:
    half = bool(getattr(encoder, "half_precision", False))
    try:
        return GoldenFeatures(encoder.encode(patches), half)
    except ValueError as error:
        if isinstance(error, EncoderError):
            raise
        raise EncoderError(
            f"Encoder {encoder.identity.name!r} does not encode the golden patches: {error}."
        ) from error


def _patch(seed: int, scene: tuple[int, float, float, float, float], side_px: int) -> NDArray[np.uint8]:
    n_nuclei, radius, ground, waviness, lumen = scene
    scale = side_px / 256
    # The raw stream of a bit generator is the one thing of numpy's random numbers that never changes.
    draws = np.random.PCG64(seed).random_raw(5 * n_nuclei + 4) / 2.0**64
    own, nuclei = draws[:4], draws[4:].reshape(n_nuclei, 5)
    y, x = np.mgrid[:side_px, :side_px] / scale
    angle = np.pi * own[0]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    fibres = np.sin(across / 5 + 3 * np.sin(along / 40 + 6 * own[1])) * np.sin(along / 23 + across / 60)
    eosin = ground * (1 + waviness * fibres)
    haematoxylin = 0.08 + 0.04 * np.sin(x / 3 + y / 7) * np.sin(y / 2.6)
    for centre_x, centre_y, size, stretch, dark in nuclei:
        _add_nucleus(
            haematoxylin, (256 * centre_x, 256 * centre_y), radius * (0.7 + 0.6 * size), stretch, dark
        )
    if lumen:
        far = np.hypot(x - 64 - 128 * own[2], y - 64 - 128 * own[3]) / lumen
        tissue = np.clip(6 * (far - 1), 0, 1)
        eosin, haematoxylin = eosin * tissue, haematoxylin * tissue
    density = (
        np.maximum(haematoxylin, 0)[..., None] * _STAINS[0] + np.maximum(eosin, 0)[..., None] * _STAINS[1]
    )
    image: NDArray[np.uint8] = np.rint(245 * 10.0**-density).astype(np.uint8)
    return image


def _add_nucleus(
    haematoxylin: NDArray[np.float64], centre: tuple[float, float], radius: float, stretch: float, dark: float
) -> None:
    """Draw one ellipse with its chromatin; lengths in px of a patch of 256 px, `stretch` and `dark` in [0, 1]."""
    scale, reach = len(haematoxylin) / 256, 1.5 * radius
    rows, columns = (
        slice(max(0, int((middle - reach) * scale)), max(0, int((middle + reach) * scale) + 2))
        for middle in reversed(centre)
    )
    part = haematoxylin[rows, columns]
    y, x = np.mgrid[: part.shape[0], : part.shape[1]].astype(np.float64)
    x, y = (x + columns.start) / scale, (y + rows.start) / scale
    far = np.hypot((x - centre[0]) / (0.6 + 0.8 * stretch), y - centre[1]) / radius
    chromatin = (0.5 + 0.5 * dark) * (1 + 0.3 * np.sin(1.3 * x) * np.sin(1.1 * y))
    np.maximum(part, chromatin * np.clip(3 * (1 - far), 0, 1), out=part)
