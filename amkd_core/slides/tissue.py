"""Where the tissue is: a mask at low power, by colour in optical density.

Method (`METHOD`), on the slide at about 8 um per pixel:

1. *Field.* A slide that is mostly black with hardly a bright pixel is fluorescence (dark field): its
   tissue is where Otsu's threshold on brightness says, and step 2 to 4 do not apply.
2. *White.* The background's colour is the median of the pixels around the most frequent brightness
   among bright, nearly grey ones; a tinted colour (yellowed glass) is taken where it is even, the brightest
   and far more frequent. Exact white (padding, transparency) is left out of that unless there
   is nothing else. Without any background (a region that is tissue everywhere) 243 is taken.
3. *Ink and black.* Green, blue and red ink by the ratios of the three optical densities, black ink, dust
   and scanner borders by darkness without colour; ink is followed for up to 200 um into what is
   nearly of its colour, and all is grown by 24 um for its blurred rim.
4. *Colour.* Tissue is where the spread of the three optical densities, averaged over 8 um, exceeds Otsu's
   threshold (ink left out), which is kept within [0.03, 0.06]: where there is no background Otsu would
   otherwise divide the tissue itself. Grey things (glass edges, hair, shadows, dust) have no spread.
   The spread is taken before the average: brown and blue nuclei side by side would average to grey.
5. *Shape.* Gaps up to 48 um wide (lumina, fat cells, clefts) are closed, then holes below 2,500 um2 filled
   and specks below 10,000 um2 removed; where the scale is unknown, 4 px, 1/120,000 and 1/30,000 of the
   image. Larger holes stay: whether a thread of tissue encloses them differs between two codecs of the
   same slide.

Otsu, Gaussian, closing, hole and speck removal are those of scipy and scikit-image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import disk, remove_small_holes, remove_small_objects

from amkd_core.errors import TissueError
from amkd_core.slides.density import is_dark_field, optical_density, white_of
from amkd_core.slides.low_power import LowPower, read_low_power

if TYPE_CHECKING:
    from amkd_core.slides.slide import Slide

METHOD = "otsu_od_spread/1"
METHOD_DARK_FIELD = "otsu_brightness_dark_field/1"

THRESHOLD_RANGE = (0.03, 0.06)
SMOOTHING_UM = 8.0
INK_RIM_UM = 24.0
INK_REACH_UM = 200.0
SPECK_UM2 = 10_000.0
HOLE_UM2 = 2_500.0
GAP_RADIUS_UM = 24.0
SPECK_SHARE = 1 / 30_000
HOLE_SHARE = 1 / 120_000


@dataclass(frozen=True)
class TissueMask:
    """Which parts of a slide are tissue.

    Parameters
    ----------
    mask
        True where there is tissue, (rows, columns).
    downsample
        Level-0 pixels per mask pixel, (x, y).
    method
        Name and version of the method.
    fraction
        Share of the mask that is tissue, in (0, 1].
    excluded
        Share of the mask left out for a reason other than being background, by reason:
        "green_ink", "blue_ink", "red_ink", "black" and "padding"; "unreadable" is not left out but named.
    origin_level0
        Level-0 (x, y) of the mask's upper-left corner: the origin of the slide's bounds.
    """

    mask: NDArray[np.bool_]
    downsample: tuple[float, float]
    method: str
    fraction: float
    excluded: Mapping[str, float] = field(default_factory=dict)
    origin_level0: tuple[int, int] = (0, 0)

    def __repr__(self) -> str:
        rows, columns = self.mask.shape
        noted = ", ".join(f"{name} {share:.1%}" for name, share in self.excluded.items() if share > 0)
        return f"TissueMask({columns} x {rows} px, {self.fraction:.1%} tissue" + (
            f", besides {noted})" if noted else ")"
        )


def find_tissue(slide: Slide, *, low_power: LowPower | None = None) -> TissueMask:
    """Find the tissue of a slide (the method is this module's docstring).

    Parameters
    ----------
    slide
        An open slide.
    low_power
        The slide at low power, where it has been read already (`read_low_power`).

    Returns
    -------
    TissueMask
        The mask over the slide's bounds.

    Raises
    ------
    TissueError
        If there is no tissue.
    SlideReadError
        If the slide cannot be read at low power.
    """
    low = read_low_power(slide) if low_power is None else low_power
    mask, method, excluded = tissue_of_image(low.image, mpp=low.mpp)
    # What cannot be read counts as tissue, so that its patches are tried, found invalid and counted.
    mask = mask | low.unreadable
    excluded["unreadable"] = float(low.unreadable.mean())
    if not mask.any():
        raise TissueError(_no_tissue(slide.info.path.name, excluded))
    return TissueMask(mask, low.downsample, method, float(mask.mean()), excluded, low.origin_level0)


def tissue_of_image(
    image: NDArray[np.uint8], *, mpp: tuple[float, float] | None = None
) -> tuple[NDArray[np.bool_], str, dict[str, float]]:
    """Find the tissue on an image by this module's method.

    Parameters
    ----------
    image
        RGB, uint8 (rows, columns, 3).
    mpp
        Micrometres per pixel, (x, y); None where unknown, then sizes are shares of the image.

    Returns
    -------
    mask, method, excluded
        As in `TissueMask`; the mask may be empty.
    """
    sizes = _Sizes.of(image.shape[:2], mpp)
    if is_dark_field(image):
        mask = _bright_parts(image, sizes)
        return sizes.clean(mask), METHOD_DARK_FIELD, {}
    density = optical_density(image, white_of(image))
    spread = ndimage.gaussian_filter(_spread(density), sizes.sigma_px)
    ink = _ink(density, sizes)
    clear = ~np.logical_or.reduce(list(ink.values()))
    mask = clear & (spread > np.clip(_otsu(spread[clear]), *THRESHOLD_RANGE))
    excluded = {name: float(part.mean()) for name, part in ink.items()}
    excluded["padding"] = _padding_share(image)
    return sizes.clean(mask) & clear, METHOD, excluded


@dataclass(frozen=True)
class _Sizes:
    """The method's sizes in pixels of one image."""

    sigma_px: float
    rim_px: int
    reach_px: int
    gap_px: int
    speck_px: int
    hole_px: int

    @classmethod
    def of(cls, shape: tuple[int, ...], mpp: tuple[float, float] | None) -> _Sizes:
        if mpp is None:
            area = shape[0] * shape[1]
            return cls(1.0, 2, 16, 2, max(1, round(area * SPECK_SHARE)), max(1, round(area * HOLE_SHARE)))
        side_um = math.sqrt(mpp[0] * mpp[1])
        area_um2 = side_um**2
        return cls(
            sigma_px=SMOOTHING_UM / side_um,
            rim_px=max(1, round(INK_RIM_UM / side_um)),
            reach_px=max(1, round(INK_REACH_UM / side_um)),
            gap_px=round(GAP_RADIUS_UM / side_um),
            speck_px=round(SPECK_UM2 / area_um2),
            hole_px=round(HOLE_UM2 / area_um2),
        )

    def clean(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        # A slide smaller than the largest hole or speck would otherwise always be full or empty.
        closed = _closed(mask, min(self.gap_px, *mask.shape))
        filled = remove_small_holes(closed, max_size=min(self.hole_px, mask.size // 8))
        cleaned: NDArray[np.bool_] = remove_small_objects(filled, max_size=min(self.speck_px, mask.size // 8))
        return cleaned


def _closed(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """Close gaps by a disk; beyond the image lies nothing, so its edges neither give nor take tissue."""
    if radius_px < 1 or not mask.any():
        return mask
    padded = np.pad(mask, radius_px + 1)
    if radius_px <= 6:
        closed = ndimage.binary_closing(padded, disk(radius_px))
    else:  # by distances, whose cost does not grow with the radius
        grown = ndimage.distance_transform_edt(~padded) <= radius_px
        closed = ndimage.distance_transform_edt(grown) > radius_px
    inside = slice(radius_px + 1, -radius_px - 1)
    result: NDArray[np.bool_] = closed[inside, inside] | mask
    return result


def _spread(density: NDArray[np.float32]) -> NDArray[np.float32]:
    spread: NDArray[np.float32] = density.max(axis=0) - density.min(axis=0)
    return spread


def _otsu(values: NDArray[np.float32]) -> float:
    # Otsu is undefined on a constant image; the clip around it then decides.
    return float(threshold_otsu(values)) if values.size and values.max() > values.min() else 0.0


def _bright_parts(image: NDArray[np.uint8], sizes: _Sizes) -> NDArray[np.bool_]:
    brightness = ndimage.gaussian_filter(image.max(axis=2).astype(np.float32), sizes.sigma_px)
    bright: NDArray[np.bool_] = brightness > max(20.0, _otsu(brightness))
    return bright


def _ink(density: NDArray[np.float32], sizes: _Sizes) -> dict[str, NDArray[np.bool_]]:
    """Return where ink and black things lie, by name, each (rows, columns).

    Both stains of H&E absorb green most; inks do not, or leave red alone. The ratios were read off pen
    strokes and stained tissue of the samples that the tests use.
    """
    red, green, blue = density
    black = (density.mean(axis=0) > 0.5) & (_spread(density) < 0.35 * density.max(axis=0))
    return {
        "green_ink": _followed(
            (red > 0.2) & (green < 0.66 * red) & (blue > 0.25 * red),
            lambda: (red > 0.03) & (green < 0.75 * red),
            sizes,
        ),
        "blue_ink": _followed(
            (red > 0.4) & (blue < 0.25 * red), lambda: (red > 0.05) & (blue < 0.35 * red), sizes
        ),
        "red_ink": _followed(
            (green > 0.4) & (red < 0.25 * green) & (blue > 0.74 * green),
            lambda: (green > 0.1) & (blue > 0.7 * green),
            sizes,
        ),
        "black": _followed(black, lambda: black, sizes),
    }


def _followed(
    strong: NDArray[np.bool_], faint: Callable[[], NDArray[np.bool_]], sizes: _Sizes
) -> NDArray[np.bool_]:
    """Return marks of some size in `strong`, followed into `faint` and grown by the rim."""
    if not strong.any():
        return strong
    smallest_px = min(sizes.speck_px // 2, strong.size // 8)
    marks: NDArray[np.bool_] = remove_small_objects(strong, max_size=smallest_px)
    if marks.any():
        marks = ndimage.binary_dilation(marks, iterations=sizes.reach_px, mask=faint()) | marks
        marks = ndimage.binary_dilation(marks, disk(min(sizes.rim_px, 50)))
    return marks


def _padding_share(image: NDArray[np.uint8]) -> float:
    return float((image.min(axis=2) == 255).mean())


def _no_tissue(name: str, excluded: Mapping[str, float]) -> str:
    ink = {
        reason: share
        for reason, share in excluded.items()
        if reason.endswith(("ink", "black")) and share > 0.01
    }
    because = ", ".join(f"{reason.replace('_', ' ')} {share:.0%}" for reason, share in ink.items())
    found = f"only background and {because} of the area" if because else "only background"
    return f"No tissue was found on {name} ({found}); check that this is the right slide and not its label."
