"""From a tissue mask to a grid of patches.

A patch is a square of tissue of fixed physical size, 256 px at 0.5 um per px by default (the paper's
section 3.1; some encoders take another), so its size in level-0 pixels follows from the slide's micrometres per pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import TissueError
from amkd_core.notices import Notice
from amkd_core.slides.microns import microns_of

if TYPE_CHECKING:
    from amkd_core.slides.info import Level, Microns, SlideInfo
    from amkd_core.slides.slide import Slide
    from amkd_core.slides.tissue import TissueMask

COARSE_ABOVE = 1.05
NON_SQUARE_ABOVE = 1.01
# Sections lose 1 to 25 % of their tissue at their margins; a small piece may lose most of it.
LEAST_IN_PATCHES = 0.6
# Below this many level-0 pixels a patch is a smear whatever it is scaled to.
SMALLEST_PATCH_LEVEL0_PX = 32


@dataclass(frozen=True)
class PatchSpec:
    """Which patches to cut.

    Parameters
    ----------
    size_px
        Side of the patch as it is given to the encoder.
    mpp
        Micrometres per pixel of that patch.
    min_tissue
        Least share of a patch that must be tissue, in [0, 1].
    scale_tolerance
        A patch that is within this share of a whole multiple of `size_px` on level 0 is cut at that
        multiple, so that a slide of 0.2525 um per px is not resampled for a difference of 1 %; bundles
        accept a difference of 5 %.
    """

    size_px: int = 256
    mpp: float = 0.5
    min_tissue: float = 0.5
    scale_tolerance: float = 0.02

    def __post_init__(self) -> None:
        if self.size_px < 1 or not self.mpp > 0:
            raise ValueError(
                f"a patch needs a size and a scale above 0, got {self.size_px} px, {self.mpp} um/px"
            )
        if not 0 <= self.min_tissue <= 1 or not 0 <= self.scale_tolerance < 0.05:
            raise ValueError(
                "min_tissue must lie in [0, 1] and scale_tolerance in [0, 0.05), "
                f"got {self.min_tissue} and {self.scale_tolerance}"
            )

    @property
    def size_um(self) -> float:
        """Side of a patch in micrometres."""
        return self.size_px * self.mpp


@dataclass(frozen=True, repr=False)
class PatchGrid:
    """Patches of one slide, row by row.

    Parameters
    ----------
    spec
        What was asked for.
    xy_level0
        Upper-left corners in level-0 pixels, (n, 2) int64, (x, y).
    size_level0
        Size of every patch in level-0 pixels, (width, height).
    read_level, read_size_px
        Pyramid level that patches are read from, and their (width, height) on it.
    row_column
        Place of each patch in the grid, (n, 2) int64.
    shape
        Rows and columns of the whole grid.
    tissue_fraction
        Share of each patch that is tissue, (n,) float32, in [0, 1].
    tissue_in_patches
        Share of the slide's tissue that lies in patches, in [0, 1].
    notices
        What the user must know: coarse scale, pixels that are not square, much tissue outside the patches.
    """

    spec: PatchSpec
    xy_level0: NDArray[np.int64]
    size_level0: tuple[int, int]
    read_level: int
    read_size_px: tuple[int, int]
    row_column: NDArray[np.int64]
    shape: tuple[int, int]
    tissue_fraction: NDArray[np.float32]
    tissue_in_patches: float
    notices: tuple[Notice, ...] = ()

    def __len__(self) -> int:
        return len(self.xy_level0)

    def __repr__(self) -> str:
        size, read = self.size_level0, self.read_size_px
        return (
            f"PatchGrid({len(self)} of {self.shape[0]} x {self.shape[1]} patches, {size[0]} x {size[1]} px on "
            f"level 0, read as {read[0]} x {read[1]} px from level {self.read_level})"
        )


def lay_patches(slide: Slide | SlideInfo, tissue: TissueMask, spec: PatchSpec | None = None) -> PatchGrid:
    """Lay a grid over the slide's bounds and keep the patches that hold enough tissue.

    The grid starts at the bounds' origin; patches that would stand over their right or lower edge are
    left out. Tissue is counted exactly, parts of mask pixels included, by the mask's integral between the
    grid's lines. Patches are read from the coarsest level on which they still have
    `spec.size_px` pixels, so they are scaled down, never up; on a slide coarser than asked they are read
    from level 0 and scaled up, and a notice says so.

    Parameters
    ----------
    slide
        The slide or what is known of it.
    tissue
        Its tissue.
    spec
        Size, scale and least tissue of a patch; by default 256 px at 0.5 um per px, half of it tissue.

    Returns
    -------
    PatchGrid
        At least one patch.

    Raises
    ------
    MissingMicronsError
        If nothing tells the slide's micrometres per pixel.
    TissueError
        If the slide is smaller than one patch, or no patch holds enough tissue.
    """
    spec = PatchSpec() if spec is None else spec
    info: SlideInfo = getattr(slide, "info", slide)  # type: ignore[arg-type]
    size_level0, (rows, columns) = grid_shape(info, spec)
    fraction = _tissue_fractions(tissue, info, size_level0, (rows, columns))
    row_column = np.argwhere((fraction >= spec.min_tissue) & (fraction > 0))
    if len(row_column) == 0:
        raise TissueError(
            f"No patch of {spec.size_um:g} um on {info.path.name} is at least {spec.min_tissue:.0%} tissue "
            f"(the fullest has {fraction.max():.0%}); lower the least share of tissue to use it."
        )
    level = _read_level(info.levels, size_level0, spec.size_px)
    kept = fraction[row_column[:, 0], row_column[:, 1]].astype(np.float32)
    in_patches = min(1.0, float(kept.sum()) * _mask_px(tissue, size_level0) / np.count_nonzero(tissue.mask))
    origin = np.array([info.bounds.x, info.bounds.y])
    return PatchGrid(
        spec=spec,
        xy_level0=origin + row_column[:, ::-1] * np.array(size_level0),
        size_level0=size_level0,
        read_level=level.index,
        read_size_px=_size_on(level, size_level0),
        row_column=row_column,
        shape=(rows, columns),
        tissue_fraction=kept,
        tissue_in_patches=in_patches,
        notices=_notices(spec, microns_of(info), in_patches),
    )


def grid_shape(info: SlideInfo, spec: PatchSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size of a patch and of the grid, before anything is read.

    Returns
    -------
    size_level0
        Width and height of a patch in level-0 pixels.
    shape
        Rows and columns that lie wholly within the slide's bounds, each at least 1.

    Raises
    ------
    MissingMicronsError, TissueError
        As `lay_patches`, for an unknown scale and for a slide that is too small or too coarse.
    """
    microns, bounds = microns_of(info), info.bounds
    width, height = _size_level0(spec, (microns.x, microns.y), info.path.name)
    rows, columns = bounds.height // height, bounds.width // width
    if rows == 0 or columns == 0:
        raise TissueError(
            f"{info.path.name} is {bounds.width} x {bounds.height} px, smaller than one patch of {width} x {height} "
            f"px ({spec.size_um:g} um at {microns.x:.4g} um/px); check its micrometres per pixel."
        )
    return (width, height), (rows, columns)


def _size_level0(spec: PatchSpec, mpp: tuple[float, float], name: str) -> tuple[int, int]:
    width, height = (_snapped(spec, spec.size_um / side_mpp) for side_mpp in mpp)
    if min(width, height) < min(SMALLEST_PATCH_LEVEL0_PX, spec.size_px):
        raise TissueError(
            f"At {max(mpp):.4g} um/px a patch of {spec.size_um:g} um on {name} is only {width} x {height} px; "
            "scan it finer, or check its micrometres per pixel."
        )
    return width, height


def _snapped(spec: PatchSpec, size: float) -> int:
    multiple = max(1, round(size / spec.size_px)) * spec.size_px
    return multiple if abs(size / multiple - 1) <= spec.scale_tolerance else max(1, round(size))


def _size_on(level: Level, size_level0: tuple[int, int]) -> tuple[int, int]:
    width, height = size_level0
    return max(1, round(width / level.downsample[0])), max(1, round(height / level.downsample[1]))


def _read_level(levels: tuple[Level, ...], size_level0: tuple[int, int], size_px: int) -> Level:
    fine_enough = [level for level in levels if min(_size_on(level, size_level0)) >= size_px]
    return max(fine_enough, key=lambda level: level.downsample[0], default=levels[0])


def _tissue_fractions(
    tissue: TissueMask, info: SlideInfo, size_level0: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the share of tissue of every cell of the grid, (rows, columns)."""
    rows, columns = shape
    offset_x = info.bounds.x - tissue.origin_level0[0]
    offset_y = info.bounds.y - tissue.origin_level0[1]
    lines_y = (offset_y + np.arange(rows + 1) * size_level0[1]) / tissue.downsample[1]
    lines_x = (offset_x + np.arange(columns + 1) * size_level0[0]) / tissue.downsample[0]
    areas = _tissue_areas(tissue, lines_x, lines_y)
    share: NDArray[np.float32] = np.clip(areas / _mask_px(tissue, size_level0), 0.0, 1.0)
    return share


def _mask_px(tissue: TissueMask, size_level0: tuple[int, int]) -> float:
    """Area of a patch in pixels of the mask."""
    return size_level0[0] * size_level0[1] / (tissue.downsample[0] * tissue.downsample[1])


def tissue_shares(
    tissue: TissueMask, lines_x: NDArray[np.float64], lines_y: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Share of tissue between neighbouring lines.

    Parameters
    ----------
    tissue
        The mask.
    lines_x, lines_y
        Ascending, in level-0 pixels, (columns + 1,) and (rows + 1,).

    Returns
    -------
    ndarray of float32, (rows, columns)
        In [0, 1]; what lies outside the mask is no tissue.
    """
    x, y = (
        (np.asarray(lines) - origin) / downsample
        for lines, origin, downsample in zip(
            (lines_x, lines_y), tissue.origin_level0, tissue.downsample, strict=True
        )
    )
    share: NDArray[np.float32] = np.clip(
        _tissue_areas(tissue, x, y) / np.outer(np.diff(y), np.diff(x)), 0.0, 1.0
    )
    return share


def _tissue_areas(
    tissue: TissueMask, lines_x: NDArray[np.float64], lines_y: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Tissue between lines given in mask pixels, in mask pixels, (rows, columns)."""
    # Rows first: what is left for the columns is one line of the mask per row of the grid.
    strips = _integral_between(tissue.mask.view(np.uint8), lines_y)
    return _integral_between(np.ascontiguousarray(strips.T), lines_x).T


def _integral_between(values: NDArray[Any], lines: NDArray[np.float64]) -> NDArray[np.float32]:
    """Integrate a step function along the first axis between neighbouring lines, (len(lines) - 1, columns).

    Row ``i`` of `values` covers ``[i, i + 1)``; outside there is nothing.
    """
    lines = np.clip(lines, 0, len(values))
    whole = np.floor(lines).astype(int)
    strips = list(pairwise(whole))
    # Whole rows first, kept in bytes where they fit, which is what makes it fast; then the parts of rows.
    fits = values.dtype == np.uint8 and max(stop - start for start, stop in strips) <= 255
    kind = np.uint8 if fits else np.float32
    between = np.empty((len(strips), values.shape[1]), dtype=np.float32)
    for row, (start, stop) in enumerate(strips):
        between[row] = values[start:stop].sum(axis=0, dtype=kind)
    if (lines != whole).any():
        part = (lines - whole).astype(np.float32)[:, None] * values[np.minimum(whole, len(values) - 1)]
        between += part[1:]
        between -= part[:-1]
    return between


def _notices(spec: PatchSpec, microns: Microns, in_patches: float) -> tuple[Notice, ...]:
    notices = []
    if in_patches < LEAST_IN_PATCHES:
        notices.append(
            Notice(
                "tissue_left_out",
                f"Only {in_patches:.0%} of the slide's tissue lies in its patches of {spec.size_um:g} um and was "
                "weighed; the rest is too narrow for a patch, or cut by the edge of the scan.",
            )
        )
    mpp = microns.mean
    if mpp > spec.mpp * COARSE_ABOVE:
        notices.append(
            Notice(
                "coarse_scale",
                f"The slide has {mpp:.3g} um per pixel, coarser than the {spec.mpp:g} um that the encoder expects; "
                "patches were scaled up and show less detail than those it was made for.",
            )
        )
    if max(microns.x, microns.y) > min(microns.x, microns.y) * NON_SQUARE_ABOVE:
        notices.append(
            Notice(
                "non_square_pixels",
                f"The slide's pixels are not square ({microns.x:.4g} x {microns.y:.4g} um); "
                "width and height were scaled apart.",
            )
        )
    return tuple(notices)
