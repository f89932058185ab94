"""Colour of a simulated slide: stain densities to RGB by Beer and Lambert."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amkd_core.simulate.nuclei import DENSITY_STEPS
from amkd_core.simulate.tissue_map import MAP_MPP, Region

Float = NDArray[np.float32]

# Optical density of the two stains in red, green and blue, before a slide's own variation.
HEMATOXYLIN = (0.55, 0.77, 0.32)
EOSIN = (0.13, 0.85, 0.51)
# Eosin density, hematoxylin density between the nuclei, fibrous share and granular share of each region.
REGION_STAINS = {
    Region.BACKGROUND: (0.0, 0.0, 0.0, 0.0),
    Region.STROMA: (0.36, 0.04, 0.95, 0.1),
    Region.GLAND: (0.30, 0.08, 0.5, 0.2),
    Region.HIGH_GRADE: (0.27, 0.17, 0.1, 0.45),
    Region.LYMPHOCYTES: (0.16, 0.10, 0.25, 0.2),
    Region.NECROSIS: (0.50, 0.03, 0.05, 1.0),
    Region.PEN: (0.0, 0.0, 0.0, 0.0),
}
INKS = ((30, 60, 165), (20, 120, 60), (25, 25, 30))
NOISE_SIDE = 1024


@dataclass(frozen=True, eq=False)
class Staining:
    """One slide's stains, glass and noise.

    Attributes
    ----------
    stains : array, shape (2, 3)
        Optical density of hematoxylin and eosin in RGB, times the slide's intensity.
    glass : array, shape (3,)
        Colour of empty glass.
    ink : array, shape (3,)
        Colour of the pen.
    textures : mapping of array, shape (1024, 1024)
        Periodic noise, zero mean and unit spread: "fibre_a", "fibre_b", "granular", "fine".
    """

    stains: Float
    glass: Float
    ink: Float
    textures: dict[str, Float]


def draw_staining(rng: np.random.Generator, mpp: float) -> Staining:
    """Stains that vary from slide to slide, as those of real laboratories do."""
    vectors = np.array([HEMATOXYLIN, EOSIN]) + rng.normal(0, 0.02, (2, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    intensity = rng.uniform(0.88, 1.14, (2, 1)) * np.array([[1.15], [1.0]])
    textures = {
        "fibre_a": _periodic_noise(rng, (1.2, 9.0), mpp, angle=rng.uniform(0, np.pi)),
        "fibre_b": _periodic_noise(rng, (1.2, 9.0), mpp, angle=rng.uniform(0, np.pi)),
        "granular": _periodic_noise(rng, (1.3, 1.3), mpp),
        "fine": _periodic_noise(rng, (0.35, 0.35), mpp),
    }
    return Staining(
        stains=(vectors * intensity).astype(np.float32),
        glass=rng.uniform(238, 246, 3).astype(np.float32),
        ink=np.array(INKS[rng.integers(len(INKS))], dtype=np.float32),
        textures=textures,
    )


def _periodic_noise(
    rng: np.random.Generator, correlation_um: tuple[float, float], mpp: float, *, angle: float = 0.0
) -> Float:
    """Gaussian noise of a given length across and along an angle, without seams when tiled."""
    frequency = np.fft.fftfreq(NOISE_SIDE)
    rows, columns = np.meshgrid(frequency, frequency, indexing="ij")
    across = rows * np.cos(angle) - columns * np.sin(angle)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    lengths = np.array(correlation_um) / mpp
    response = np.exp(-2 * np.pi**2 * ((across * lengths[0]) ** 2 + (along * lengths[1]) ** 2) / 2)
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(NOISE_SIDE, NOISE_SIDE))) * response).real
    normalised: Float = ((field - field.mean()) / field.std()).astype(np.float32)
    return normalised


def property_maps(labels: NDArray[np.uint8]) -> Float:
    """Region stains as images at map resolution, shape (4, rows, columns)."""
    table = np.array([REGION_STAINS[region] for region in Region], dtype=np.float32)
    return np.ascontiguousarray(np.moveaxis(table[labels], -1, 0))


def paint_block(
    staining: Staining,
    properties: Float,
    labels: NDArray[np.uint8],
    nuclei: NDArray[np.uint8],
    lumen: NDArray[np.uint8],
    *,
    corner: tuple[int, int],
    mpp: float,
) -> NDArray[np.uint8]:
    """RGB of one block of a slide.

    Parameters
    ----------
    properties : array, shape (4, map rows, map columns)
        From `property_maps`, of the whole slide.
    labels : array, shape (map rows, map columns)
    nuclei, lumen : uint8 array, shape (height, width)
        Hematoxylin density in steps, and openness of gland lumina (255 open), of this block.
    corner : (int, int)
        (x, y) of the block at level 0.

    Returns
    -------
    uint8 array, shape (height, width, 3)
    """
    eosin, haze, fibrous, granular = (_enlarge(plane, corner, nuclei.shape, mpp) for plane in properties)
    texture = {name: _window(noise, corner, nuclei.shape) for name, noise in staining.textures.items()}
    wavy = np.where(texture["fibre_a"] > -0.2, texture["fibre_a"], texture["fibre_b"])
    closed = 1 - lumen.astype(np.float32) / 255
    eosin *= (
        1 + 0.28 * fibrous * wavy + 0.3 * granular * texture["granular"] + 0.05 * texture["fine"]
    ) * closed
    haze *= (1 + 0.35 * texture["granular"]) * closed
    hematoxylin = np.maximum(nuclei.astype(np.float32) / DENSITY_STEPS, 0) + np.maximum(haze, 0)
    hematoxylin *= 1 + 0.06 * texture["fine"]
    eosin = np.maximum(eosin, 0) * (1 - 0.35 * np.minimum(hematoxylin, 1))
    rgb = np.empty((*nuclei.shape, 3), dtype=np.uint8)
    sensor = 1.2 * texture["fine"]
    pen = _enlarge((labels == Region.PEN).astype(np.float32), corner, nuclei.shape, mpp) > 0.5
    for channel in range(3):
        density = hematoxylin * staining.stains[0, channel] + eosin * staining.stains[1, channel]
        light = staining.glass[channel] * np.exp(-density) + sensor
        light[pen] = 0.15 * light[pen] + 0.85 * staining.ink[channel]
        rgb[..., channel] = np.clip(light, 0, 255)
    return rgb


def _enlarge(plane: Float, corner: tuple[int, int], shape: tuple[int, ...], mpp: float) -> Float:
    """Part of a map at slide resolution, interpolated so that regions blend over a few micrometres."""
    step = MAP_MPP / mpp
    x, y = corner
    box = (x / step, y / step, (x + shape[1]) / step, (y + shape[0]) / step)
    limits = (plane.shape[1], plane.shape[0])
    box = (box[0], box[1], min(box[2], limits[0]), min(box[3], limits[1]))
    picture = Image.fromarray(np.ascontiguousarray(plane)).resize(
        (shape[1], shape[0]), Image.Resampling.BILINEAR, box=box
    )
    return np.array(picture, dtype=np.float32)


def _window(noise: Float, corner: tuple[int, int], shape: tuple[int, ...]) -> Float:
    rows = (corner[1] + np.arange(shape[0])) % NOISE_SIDE
    columns = (corner[0] + np.arange(shape[1])) % NOISE_SIDE
    return noise[np.ix_(rows, columns)]
