"""Render a simulated H&E slide with its truth mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.simulate.appearance import Cells, Cover, Staining, draw_staining, paint_block
from amkd_core.simulate.glands import GlandShape, draw_shapes, gland_pictures
from amkd_core.simulate.nuclei import Nuclei, nucleus_kinds, place_nuclei, sprite_number, sprites, stamp
from amkd_core.simulate.pyramid_file import STRIP_PX, write_pyramid
from amkd_core.simulate.textures import SIDE_PX, textures
from amkd_core.simulate.tissue_map import Look, Region, TissueMap, draw_tissue_map
from amkd_core.simulate.truth import TruthMask, write_truth

# Rendered around each block and cut away, so that no seam shows where the focus blurs across its border.
MARGIN_PX = 8
# Small enough for the processor's cache to hold a block's planes.
BLOCK_PX = 256


@dataclass(frozen=True)
class SlideSpec:
    """What to render.

    Attributes
    ----------
    size_px
        (width, height) at level 0.
    mpp
        Micrometres per level-0 pixel.
    look
        What the slide shows of the patient.
    seed
        Stream of random numbers; equal specs give equal pixels.
    pen
        Whether somebody drew on the glass.
    """

    size_px: tuple[int, int]
    mpp: float = 0.5
    look: Look = field(default_factory=Look)
    seed: tuple[int, ...] = (0,)
    pen: bool = False


@dataclass(frozen=True, eq=False)
class _Stamps:
    """Pictures of one kind and where their centres lie at level 0, sorted by nothing."""

    centers_px: NDArray[np.int64]
    numbers: NDArray[np.int64]
    pictures: list[NDArray[np.uint8]]
    reach_px: int

    @classmethod
    def at(
        cls,
        xy_um: NDArray[np.float64],
        numbers: NDArray[np.int64],
        pictures: list[NDArray[np.uint8]],
        mpp: float,
    ) -> _Stamps:
        reach = max(picture.shape[0] // 2 + 1 for picture in pictures)
        return cls(np.floor(xy_um / mpp).astype(np.int64), numbers, pictures, reach)

    def draw(self, canvas: NDArray[np.uint8], corner: tuple[int, int]) -> None:
        local = self.centers_px - np.array(corner)
        limits = np.array([canvas.shape[1], canvas.shape[0]]) + self.reach_px
        near = ((local > -self.reach_px) & (local < limits)).all(axis=1)
        stamp(canvas, local[near], self.numbers[near], self.pictures)


def render_slide(spec: SlideSpec, path: Path, truth_path: Path) -> None:
    """Write the slide and its truth mask, both atomically, the slide last.

    Parameters
    ----------
    path
        ``.tif``; each level a quarter as wide as the one before, with the resolution in the tags.
    truth_path
        ``.png`` of `Region` labels; see `amkd_core.simulate.truth`.
    """
    rng = np.random.default_rng(list(spec.seed))
    shapes = draw_shapes(rng)
    plan = draw_tissue_map(rng, size_um(spec), spec.look, shapes, pen=spec.pen)
    staining = draw_staining(rng)
    nuclei = [place_nuclei(rng, plan, kind, shapes) for kind in nucleus_kinds(spec.look)]
    layers = [_nucleus_stamps(rng, layer, staining, spec.mpp) for layer in nuclei]
    write_truth(truth_path, TruthMask.of_slide(plan.labels, spec.mpp))
    strips = _strips(spec, staining, plan, layers, _gland_stamps(plan, shapes, spec.mpp))
    write_pyramid(path, strips, spec.size_px, spec.mpp)


def size_um(spec: SlideSpec) -> tuple[float, float]:
    """(width, height) of the slide in micrometres."""
    return spec.size_px[0] * spec.mpp, spec.size_px[1] * spec.mpp


def _nucleus_stamps(rng: np.random.Generator, layer: Nuclei, staining: Staining, mpp: float) -> _Stamps:
    turn = layer.turn
    if layer.kind.region is Region.STROMA:
        # Spindle nuclei lie along the collagen that is painted under them.
        offset = np.array(staining.offset)
        columns, rows = (np.floor(layer.xy_um / mpp).astype(np.int64) + offset).T % SIDE_PX
        turn = textures(mpp).direction[rows, columns] + rng.normal(0, 0.12, len(rows))
    return _Stamps.at(layer.xy_um, sprite_number(rng, turn), sprites(rng, layer.kind, mpp), mpp)


def _gland_stamps(plan: TissueMap, shapes: list[GlandShape], mpp: float) -> tuple[_Stamps, _Stamps]:
    """Epithelium and lumina."""
    pictures = [gland_pictures(shape, mpp) for shape in shapes]
    numbers = plan.glands[:, 2].astype(np.int64)
    covered, opened = ([pair[part] for pair in pictures] for part in (0, 1))
    places = plan.glands[:, :2]
    return _Stamps.at(places, numbers, covered, mpp), _Stamps.at(places, numbers, opened, mpp)


def _strips(
    spec: SlideSpec,
    staining: Staining,
    plan: TissueMap,
    layers: list[_Stamps],
    glands: tuple[_Stamps, _Stamps],
) -> Iterator[NDArray[np.uint8]]:
    width, height = spec.size_px
    cover = Cover.of_labels(plan.labels)
    inner = np.s_[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    for y in range(0, height, STRIP_PX):
        strip = np.empty((min(STRIP_PX, height - y), width, 3), dtype=np.uint8)
        for top, x in product(range(0, strip.shape[0], BLOCK_PX), range(0, width, BLOCK_PX)):
            block = strip[top : top + BLOCK_PX, x : x + BLOCK_PX]
            corner = (x - MARGIN_PX, y + top - MARGIN_PX)
            shape = (block.shape[0] + 2 * MARGIN_PX, block.shape[1] + 2 * MARGIN_PX)
            cells = Cells(*(np.zeros(shape, dtype=np.uint8) for _ in range(3)))
            for layer in layers:
                layer.draw(cells.nuclei, corner)
            glands[0].draw(cells.epithelium, corner)
            glands[1].draw(cells.lumen, corner)
            block[:] = paint_block(staining, cover, cells, corner=corner, mpp=spec.mpp)[inner]
        yield strip
