"""How a map is shown: whose scores, ranks or raw, only the highest, smoothed (METHOD section 8)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from amkd_core.errors import ConfigError
from amkd_core.inference.maps import Heatmap, MapKind, heatmap
from amkd_core.inference.prediction import Prediction

Image = NDArray[np.float32]


@dataclass(frozen=True)
class MapStyle:
    """What of a prediction a map shows.

    Parameters
    ----------
    source
        "student", "teacher" or the name of a pathway.
    kind
        Percentile ranks within the slide, or weights times their number (1 is the mean).
    top_percent
        Only this share of the tissue, the highest; in (0, 100].
    smooth
        Average neighbouring patches by a Gaussian of one patch's width.

    Raises
    ------
    ConfigError
        When `top_percent` lies outside (0, 100].
    """

    source: str = "student"
    kind: MapKind = "percentile"
    top_percent: float = 100.0
    smooth: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.top_percent <= 100:
            raise ConfigError(f"top_percent lies in (0, 100], not {self.top_percent:g}")

    @property
    def label(self) -> str:
        """What the numbers of the map are, for legends."""
        text = "percentile within the slide" if self.kind == "percentile" else "weight / mean"
        parts = [text, *(["smoothed"] if self.smooth else [])]
        return ", ".join([*parts, *([f"top {self.top_percent:g} %"] if self.top_percent < 100 else [])])


def styled_heatmap(prediction: Prediction, style: MapStyle) -> Heatmap:
    """Map of a prediction as the style asks; smoothed first, then cut.

    Raises
    ------
    BagError, ModalityError
        As `heatmap`.
    """
    drawn = heatmap(prediction, style.kind, source=style.source)
    image = drawn.image
    if style.smooth and prediction.bag.patch_size_level0 is not None:
        width, height = (
            side / cell
            for side, cell in zip(prediction.bag.patch_size_level0, drawn.cell_level0, strict=True)
        )
        image = smoothed(image, (height, width))
    return replace(drawn, image=highest_cells(image, style.top_percent))


def smoothed(image: Image, sigma_cells: tuple[float, float]) -> Image:
    """Average of neighbouring tissue; places without tissue weigh nothing and stay without.

    Parameters
    ----------
    image : array, shape (rows, columns)
        NaN where there is no tissue.
    sigma_cells
        Width of the Gaussian along rows and columns, in cells.
    """
    tissue = np.isfinite(image)
    options = {"sigma": sigma_cells, "mode": "constant", "truncate": 3.0}
    total = ndimage.gaussian_filter(np.where(tissue, image, 0).astype(np.float32), **options)
    weight = ndimage.gaussian_filter(tissue.astype(np.float32), **options)
    result: Image = np.full(image.shape, np.nan, dtype=np.float32)
    np.divide(total, weight, out=result, where=tissue)
    return result


def highest_cells(image: Image, percent: float) -> Image:
    """Keep the highest cells of the tissue, at least one; ties with the lowest that is kept stay as well."""
    values = image[np.isfinite(image)]
    if percent >= 100 or len(values) == 0:
        return image
    n_kept = max(1, round(len(values) * percent / 100))
    cut = np.partition(values, -n_kept)[-n_kept]
    kept: Image = np.where(image >= cut, image, np.float32(np.nan)).astype(np.float32)
    return kept
