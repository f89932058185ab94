"""Which cell of a map each patch of a bag fills (METHOD section 8)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.errors import BagError

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

# A map of more cells than this is no grid of patches but scattered places.
MAX_CELLS = 64_000_000
# Patches count as lying on one grid when they are off it by no more than this share of their size.
GRID_TOLERANCE = 0.02
SUBDIVISIONS = 4


@dataclass(frozen=True, eq=False)
class MapCells:
    """Where the patches of a bag lie in a small image.

    Attributes
    ----------
    shape
        Rows and columns of the image.
    corners : array, shape (n,), int64
        Flat index of each patch's upper-left cell.
    side
        Cells along a patch: 1 where patches follow one grid, `SUBDIVISIONS` where they overlap or follow several (CLAM
        lays one per piece of tissue). A patch is then drawn at most an eighth of its width off.
    origin_level0
        Level-0 (x, y) of the upper-left corner of cell [0, 0].
    cell_level0
        Width and height of a cell in level-0 pixels.
    """

    shape: tuple[int, int]
    corners: Indices
    side: int
    origin_level0: tuple[float, float]
    cell_level0: tuple[float, float]

    def image(self, values: Array) -> NDArray[np.float32]:
        """Image of one value per patch; NaN where there is no patch, the mean where patches overlap.

        Parameters
        ----------
        values : array, shape (n,)

        Returns
        -------
        array, shape (rows, columns), float32
        """
        n_cells = self.shape[0] * self.shape[1]
        if self.side == 1:
            filled = np.full(n_cells, np.nan, dtype=np.float32)
            filled[self.corners] = values
            return filled.reshape(self.shape)
        total = sum(np.bincount(flat, values, n_cells) for flat in self._covered())
        mean = np.divide(total, self._count, out=np.full(n_cells, np.nan), where=self._count > 0)
        image: NDArray[np.float32] = mean.reshape(self.shape).astype(np.float32)
        return image

    def _covered(self) -> list[Indices]:
        """For each cell within a patch, its flat indices of all patches."""
        steps = range(self.side)
        return [self.corners + row * self.shape[1] + column for row in steps for column in steps]

    @cached_property
    def _count(self) -> Indices:
        """Patches on each cell."""
        n_cells = self.shape[0] * self.shape[1]
        count: Indices = np.sum([np.bincount(flat, minlength=n_cells) for flat in self._covered()], axis=0)
        return count


def map_cells(bag: FeatureBag) -> MapCells:
    """Cells of a bag's patches; found once per bag, for a tumour has hundreds of pathways' maps.

    Raises
    ------
    BagError
        When the bag records no places on one slide, or absurd ones.
    """
    with _lock:
        found = _of_bags.get(bag)
    if found is None:
        found = _laid_out(bag)
        with _lock:
            _of_bags[bag] = found
    return found


_of_bags: WeakKeyDictionary[FeatureBag, MapCells] = WeakKeyDictionary()
_lock = threading.Lock()


def _laid_out(bag: FeatureBag) -> MapCells:
    if bag.coords is None or bag.patch_size_level0 is None or bag.n_slides > 1:
        raise BagError(f"{bag.slide_id}: the bag records no places on one slide, so no map can be drawn")
    origin, size = bag.coords.min(axis=0), np.array(bag.patch_size_level0)
    offsets, cell, side = bag.coords - origin, size.astype(np.float64), 1
    places = _on_one_grid(offsets, size)
    if places is None:
        cell, side = size / SUBDIVISIONS, SUBDIVISIONS
        places = np.rint(offsets / cell).astype(np.int64)
    columns, rows = (int(last) + side for last in places.max(axis=0))
    if rows * columns > MAX_CELLS:
        raise BagError(
            f"{bag.slide_id}: the patches' coordinates span {columns} x {rows} cells of a map, expected at most "
            f"{MAX_CELLS:,} in all; the coordinates or the patch size are wrong"
        )
    corner = (float(origin[0]), float(origin[1]))
    flat = places[:, 1] * columns + places[:, 0]
    return MapCells((rows, columns), flat, side, corner, (float(cell[0]), float(cell[1])))


def _on_one_grid(offsets: Indices, size: Indices) -> Indices | None:
    """Column and row of each patch, shape (n, 2); None when they are not on one grid, or share a place."""
    places: Indices = (offsets + size // 2) // size
    tolerance = np.maximum(1, (GRID_TOLERANCE * size).astype(np.int64))
    if (np.abs(offsets - places * size) > tolerance).any():
        return None
    flat = np.sort(places[:, 1] * (places[:, 0].max() + 1) + places[:, 0])
    return places if (flat[1:] != flat[:-1]).all() else None
