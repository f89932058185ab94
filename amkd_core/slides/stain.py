"""Is this haematoxylin and eosin? A survival model of H&E must not be believed on anything else.

Two measures on the tissue of the low-power image, each pixel weighted by its optical density:

- *green share*: pixels whose optical density is greatest in the green channel. Both haematoxylin and eosin
  absorb green most; the brown of DAB absorbs blue most, and the pale blue counterstain of
  immunohistochemistry absorbs red most.
- *brown share*: pixels whose optical density in blue exceeds that in green by 5 %, and that in red.

Measured at 2 to 8 um per pixel on the H&E samples (CMU-1 in four containers, C3L-00601, OS-1, a mosaic of
these, ten NuCLS and six histolab tiles): green share 0.936 to 1.000, brown share 0.000 to 0.001; on the
only immunohistochemistry sample (Ki67, OS-2): 0.016 to 0.037 and 0.42 to 0.43. The limits of 0.75 and
0.05 lie between with room on both sides. Fluorescence is known by its black background
(`amkd_core.slides.density.is_dark_field`). Stains that are as magenta as H&E (PAS) pass: this is a guard
against mistakes, not a classifier of stains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amkd_core.notices import Notice
from amkd_core.slides.density import is_dark_field, optical_density, white_of
from amkd_core.slides.low_power import read_low_power
from amkd_core.slides.tissue import TissueMask

if TYPE_CHECKING:
    from amkd_core.slides.slide import Slide

LEAST_GREEN_SHARE = 0.75
MOST_BROWN_SHARE = 0.05
# Paler pixels than this have a colour that JPEG and white balance decide.
LEAST_DENSITY = 0.15


@dataclass(frozen=True)
class StainMeasures:
    """What the decision rests on.

    Parameters
    ----------
    dark_field
        Whether the background is black.
    green_share, brown_share
        Shares of stained tissue, in [0, 1]; see this module's docstring. NaN without stained tissue.
    """

    dark_field: bool
    green_share: float
    brown_share: float


def check_stain(slide: Slide | NDArray[np.uint8], tissue: TissueMask) -> Notice | None:
    """Return a notice where the slide is not H&E, else None.

    Parameters
    ----------
    slide
        An open slide, or its low-power image or thumbnail as RGB uint8 (rows, columns, 3) over the same
        area as the tissue mask.
    tissue
        The slide's tissue.

    Returns
    -------
    Notice or None
        Code ``not_he``; it says what was seen.
    """
    image = slide if isinstance(slide, np.ndarray) else read_low_power(slide).image
    measures = measure_stain(image, tissue.mask)
    if measures.dark_field:
        seen = "its background is black, as in fluorescence"
    elif measures.brown_share > MOST_BROWN_SHARE:
        seen = f"{measures.brown_share:.0%} of the stain is brown, as in immunohistochemistry with DAB"
    elif measures.green_share < LEAST_GREEN_SHARE:
        seen = f"only {measures.green_share:.0%} of the stain has the colours of haematoxylin and eosin"
    else:
        return None
    return Notice(
        "not_he",
        f"This slide does not look like H&E ({seen}); the models know H&E only, so do not use this result.",
    )


def measure_stain(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> StainMeasures:
    """Measure the stain of the tissue.

    Parameters
    ----------
    image
        RGB, uint8 (rows, columns, 3).
    mask
        Tissue over the same area, of any resolution.
    """
    if is_dark_field(image):
        return StainMeasures(True, float("nan"), float("nan"))
    if mask.shape != image.shape[:2]:
        size = (image.shape[1], image.shape[0])
        mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    density = optical_density(image, white_of(image))[:, mask]  # (3, n)
    red, green, blue = density
    total = density.sum(axis=0)
    weight = np.where(total > LEAST_DENSITY, total, 0.0)
    if weight.sum() == 0:
        return StainMeasures(False, float("nan"), float("nan"))
    brown = (blue > 1.05 * green) & (blue > red) & (blue > LEAST_DENSITY)
    return StainMeasures(
        dark_field=False,
        green_share=float(weight[(green >= red) & (green >= blue)].sum() / weight.sum()),
        brown_share=float(weight[brown].sum() / weight.sum()),
    )
