"""Texture measures of a batch of patches, each from library filters over the whole batch.

Each function takes `Fields` and returns named arrays of shape (b,). Their raw units are those of the
docstrings; `texture.py` brings them to comparable ranges.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from amkd_core.slides.encoders.texture_fields import Field, Fields, halve, smooth

Features = dict[str, NDArray[np.floating]]

QUANTILES = (5, 25, 50, 75, 95, 99)
BLOB_CONTRAST = 0.03
"""Least difference of Gaussians, in optical density, for a maximum to count as a nucleus."""
NUCLEUS_DENSITY_RANGE = (0.12, 0.6)
SMALLEST_NUCLEUS_PX = 8
WHITE_DENSITY = 0.2
_EPSILON = 1e-6
# Labels join pixels within an image, never from one image of the batch to the next.
_WITHIN = np.zeros((3, 3, 3), dtype=bool)
_WITHIN[1] = True


def stain_features(fields: Fields) -> Features:
    """Amount and spread of both stains (optical density), their correlation, and colour in [0, 1]."""
    features: Features = {}
    for name, image in (("h", fields.h), ("e", fields.e)):
        flat = image.reshape(len(image), -1)
        features |= {f"{name}_mean": flat.mean(axis=1), f"{name}_std": flat.std(axis=1)}
        centred = flat - features[f"{name}_mean"][:, None]
        cubed = (centred * centred * centred).mean(axis=1) / (features[f"{name}_std"] ** 3 + 1e-4)
        features[f"{name}_skew"] = np.clip(cubed, -5, 5)
        ordered = np.sort(flat, axis=1)
        for quantile in QUANTILES:
            features[f"{name}_q{quantile}"] = ordered[:, (flat.shape[1] - 1) * quantile // 100]
    features["rest_mean"] = fields.rest.mean(axis=(1, 2))
    features["rest_std"] = fields.rest.std(axis=(1, 2))
    joint = (fields.h * fields.e).mean(axis=(1, 2)) - features["h_mean"] * features["e_mean"]
    features["h_e_correlation"] = joint / (features["h_std"] * features["e_std"] + 1e-3)
    means, deviations = fields.colour.mean(axis=(2, 3)), fields.colour.std(axis=(2, 3))
    for channel, name in enumerate("rgb"):
        features[f"{name}_mean"], features[f"{name}_std"] = means[:, channel], deviations[:, channel]
    return features | _colour_shares(fields)


def _colour_shares(fields: Fields) -> Features:
    red, green = fields.density[:, 0], fields.density[:, 1]
    most, least = fields.colour.max(axis=1), fields.colour.min(axis=1)
    saturation = (most - least) / np.maximum(most, 1 / 255)
    return {
        "saturation_mean": saturation.mean(axis=(1, 2)),
        "saturation_std": saturation.std(axis=(1, 2)),
        "share_white": (fields.density.sum(axis=1) < WHITE_DENSITY).mean(axis=(1, 2)),
        "share_blood": ((green > 0.4) & (red < 0.2 * green)).mean(axis=(1, 2)),
        "share_eosin": ((fields.e > 0.2) & (fields.e > 1.5 * fields.h)).mean(axis=(1, 2)),
        "share_haematoxylin": ((fields.h > 0.3) & (fields.h > fields.e)).mean(axis=(1, 2)),
    }


def blob_features(fields: Fields) -> Features:
    """Dark round spots of nuclear size, by maxima of differences of Gaussians over place and scale.

    Spots of about 3, 4.5 and 7 um radius stand apart: lymphocytes are small, pleomorphic nuclei of all
    sizes. Densities are logarithms of spots per 0.01 mm2; `clustering` is the variance over the mean of
    spots per 16 um cell.
    """
    scales = np.stack([fine - coarse for fine, coarse in pairwise(fields.h_smooth[1:])])
    best = scales.max(axis=0)
    peaks = (best == ndimage.maximum_filter(best, size=(1, 5, 5))) & (best > BLOB_CONTRAST)
    which = scales.argmax(axis=0)
    area = best[0].size / 10_000  # in 0.01 mm2, at 1 um per px
    counts = peaks.sum(axis=(1, 2))
    features: Features = {"blob_density": np.log1p(counts / area)}
    for scale, name in enumerate(("small", "medium", "large")):
        found = (peaks & (which == scale)).sum(axis=(1, 2))
        features[f"blob_density_{name}"] = np.log1p(found / area)
        features[f"blob_share_{name}"] = found / np.maximum(counts, 1)
    for name, image in (("contrast", best), ("darkness", fields.h_smooth[1])):
        mean, deviation = _moments_where(image, peaks)
        features |= {f"blob_{name}_mean": mean, f"blob_{name}_std": deviation}
    cells = _cells(peaks.astype(np.float32), 16) * 256  # spots per cell
    features["blob_clustering"] = cells.var(axis=(1, 2)) / (cells.mean(axis=(1, 2)) + 0.1)
    features["blob_crowding"] = np.log1p(smooth(cells, 1.0).max(axis=(1, 2)))
    features["blob_empty_cells"] = (cells < 0.5).mean(axis=(1, 2))
    return features


def nucleus_features(fields: Fields) -> Features:
    """Size, shape and inner texture of dark regions, as nuclei or clumps of them.

    A region is where smoothed haematoxylin lies above the middle between the background's and the darkest
    nuclei's (25th and 98th percentile), kept in a fixed range. Areas are logarithms of um2; elongation is
    1 - the ratio of the axes of the ellipse with the same moments.
    """
    image = fields.h_smooth[0]
    flat = np.sort(image.reshape(len(image), -1), axis=1)
    middle = 0.5 * (flat[:, flat.shape[1] // 4] + flat[:, flat.shape[1] * 98 // 100])
    mask = image > np.clip(middle, *NUCLEUS_DENSITY_RANGE)[:, None, None]
    labels, n_regions = ndimage.label(mask, structure=_WITHIN)
    place = np.nonzero(labels)
    label = labels[place]
    area = np.bincount(label, minlength=n_regions + 1).astype(np.float64)
    first = np.zeros(n_regions + 1, dtype=np.int64)
    first[label] = place[0]
    real = area >= SMALLEST_NUCLEUS_PX
    real[0] = False
    elongation = _elongation(label, place, area)
    inner = np.square(fields.h[place] - image[place])
    batch = len(image)
    mean_log, std_log = _moments_by(first[real], np.log(area[real]), batch)
    mean_long, std_long = _moments_by(first[real], elongation[real], batch)
    counts = np.bincount(first[real], minlength=batch)
    specks = np.bincount(first[1:][~real[1:]], minlength=batch)
    pixels = np.bincount(place[0], minlength=batch)
    weighted = np.bincount(first[real], weights=np.square(area[real]), minlength=batch)
    return {
        "nuclei_share": mask.mean(axis=(1, 2)),
        "nuclei_density": np.log1p(counts / (image[0].size / 10_000)),
        "nuclei_specks": np.log1p(specks / (image[0].size / 10_000)),
        "nuclei_area_mean": mean_log,
        "nuclei_area_std": std_log,
        "nuclei_area_weighted": np.log1p(weighted / np.maximum(pixels, 1)),
        "nuclei_elongation_mean": mean_long,
        "nuclei_elongation_std": std_long,
        "nuclei_inner_texture": np.sqrt(np.bincount(place[0], inner, batch) / np.maximum(pixels, 1)),
        "nuclei_contrast": _contrast(image, mask),
    }


def band_features(fields: Fields) -> Features:
    """Energy of each stain in octave-like bands from 0.5 to 16 um: log10 of the standard deviation."""
    features: Features = {}
    stains = (
        ("h", fields.fine_h, (fields.h, *fields.h_smooth), (fields.h_quarter, *fields.h_coarse)),
        ("e", fields.fine_e, (fields.e, *fields.e_smooth), (fields.e_quarter, *fields.e_coarse)),
    )
    for name, fine, half, quarter in stains:
        deviations = [fine]
        for images in (half, quarter):
            deviations += [(a - b).std(axis=(1, 2)) for a, b in pairwise(images)]
        for band, deviation in enumerate(deviations):
            features[f"{name}_band{band}"] = np.log10(deviation + 1e-3)
    return features


def orientation_features(fields: Fields) -> Features:
    """How aligned structures are, by the structure tensor at 1 and 2 um per px, in [0, 1].

    Fibres of stroma are aligned over long ways, glands along their rims, solid tumour hardly.
    """
    features: Features = {}
    total = fields.h_smooth[0] + fields.e_smooth[0]
    for name, image in (("fine", total), ("coarse", halve(total))):
        down, across = _slope(image, 1), _slope(image, 2)
        products = (across * across, down * down, across * down)
        for reach, images in (("near", products), ("far", [halve(product) for product in products])):
            local, energy = _coherence(*(smooth(product, 3.0) for product in images))
            weight = energy / (energy.sum(axis=(1, 2), keepdims=True) + _EPSILON)
            features[f"coherence_{name}_{reach}"] = (local * weight).sum(axis=(1, 2))
        whole, _ = _coherence(*(product.mean(axis=(1, 2)) for product in products))
        features[f"coherence_{name}_whole"] = whole
    return features


def layout_features(fields: Fields) -> Features:
    """Lumina, rims of nuclei around them, smooth eosin (necrosis, collagen) and unevenness over the patch."""
    density = halve(fields.density.sum(axis=1))  # (b, 64, 64), 2 um per px
    white = density < WHITE_DENSITY
    labels, n_regions = ndimage.label(white, structure=_WITHIN)
    batch = len(density)
    area = np.bincount(labels.ravel(), minlength=n_regions + 1)[1:] * 4.0  # um2
    first = np.zeros(n_regions + 1, dtype=np.int64)
    place = np.nonzero(labels)
    first[labels[place]] = place[0]
    first = first[1:]  # which image each region lies in
    large = area >= 50
    lumen = white & np.concatenate([[False], large])[labels]
    rim = ndimage.binary_dilation(lumen, _WITHIN, iterations=5) & ~white
    largest = np.zeros(batch)
    np.maximum.at(largest, first, area)
    uneven_h, smooth_e = fields.h_quarter - fields.h_coarse[0], fields.e_coarse[0]
    roughness = np.sqrt(np.maximum(smooth(uneven_h * uneven_h, 4.0), 0.0))
    features: Features = {
        "lumen_count": np.log1p(np.bincount(first[large], minlength=batch)),
        "lumen_largest": largest / (density[0].size * 4.0),
        "lumen_rim_haematoxylin": _contrast(fields.h_quarter, rim),
        "share_smooth_eosin": ((smooth_e > 0.15) & (roughness < 0.05)).mean(axis=(1, 2)),
        "share_rough_haematoxylin": (roughness > 0.12).mean(axis=(1, 2)),
        "roughness_mean": roughness.mean(axis=(1, 2)),
    }
    for name, image in (("h", fields.h), ("e", fields.e)):
        for side in (16, 32):
            features[f"{name}_unevenness{side}"] = _cells(image, side).std(axis=(1, 2))
    return features


def _cells(images: Field, side_px: int) -> Field:
    """Mean of each square cell, (b, rows / side, columns / side)."""
    batch, rows, columns = images.shape
    split = images.reshape(batch, rows // side_px, side_px, columns // side_px, side_px)
    cells: Field = split.mean(axis=(2, 4))
    return cells


def _moments_where(image: Field, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    place = np.nonzero(mask)
    return _moments_by(place[0], image[place], len(image))


def _moments_by(
    group: NDArray[np.int64], values: NDArray[np.floating], n_groups: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the values of each group; 0 for an empty group."""
    counts = np.maximum(np.bincount(group, minlength=n_groups), 1)
    mean = np.bincount(group, weights=values, minlength=n_groups) / counts
    square = np.bincount(group, weights=np.square(values, dtype=np.float64), minlength=n_groups) / counts
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def _elongation(
    label: NDArray[np.int32], place: tuple[NDArray[np.int64], ...], area: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return 1 - minor / major axis of each region, by second moments, (n_regions + 1,)."""
    row, column = place[1].astype(np.float64), place[2].astype(np.float64)
    n = np.maximum(area, 1.0)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(label, weights=values, minlength=len(area)) / n

    mean_row, mean_column = mean(row), mean(column)
    rows, columns = mean(row * row) - mean_row**2, mean(column * column) - mean_column**2
    mixed = mean(row * column) - mean_row * mean_column
    centre, spread = (rows + columns) / 2, np.sqrt(((rows - columns) / 2) ** 2 + mixed**2)
    # 1/12 is the variance within a pixel: a line one pixel wide keeps a width.
    minor, major = np.maximum(centre - spread, 0.0) + 1 / 12, centre + spread + 1 / 12
    elongation: NDArray[np.float64] = 1.0 - np.sqrt(minor / major)
    return elongation


def _coherence(xx: Field, yy: Field, xy: Field) -> tuple[Field, Field]:
    energy = xx + yy
    coherence: Field = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (energy + 1e-4)
    return coherence, energy


def _slope(image: Field, axis: int) -> Field:
    """Sobel's derivative within each image; scipy's own would also smooth from one image to the next."""
    derived = ndimage.correlate1d(image, (-1.0, 0.0, 1.0), axis=axis)
    slope: Field = ndimage.correlate1d(derived, (1.0, 2.0, 1.0), axis=3 - axis)
    return slope


def _contrast(image: Field, mask: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Mean inside the mask minus mean outside; 0 where either is empty."""
    inside, outside = mask.sum(axis=(1, 2)), (~mask).sum(axis=(1, 2))
    within = (image * mask).sum(axis=(1, 2))
    difference = within / np.maximum(inside, 1) - (image.sum(axis=(1, 2)) - within) / np.maximum(outside, 1)
    return np.where((inside > 0) & (outside > 0), difference, 0.0)
