"""Rows of a bag: what no encoder gives, and no slide holds, is refused by row number.

A score from such rows looks like any other, so they are looked for whenever a bag is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import BagError

# No slide is as wide as this in level-0 pixels.
MAX_COORDINATE = 2**31


def check_rows(
    features: NDArray[np.float32],
    coords: NDArray[np.int64] | None,
    slide_index: NDArray[np.int32],
    slide_id: str,
) -> None:
    """Refuse rows that are not finite, all zero, or the same patch twice.

    Parameters
    ----------
    features : array, shape (n, d)
    coords : array, shape (n, 2), optional
    slide_index : array, shape (n,)

    Raises
    ------
    BagError
        Naming the first rows.
    """
    # One pass over the features tells which rows need a look: in good ones the sum is finite and hardly ever zero.
    with np.errstate(over="ignore", invalid="ignore"):
        sums = features @ np.ones(features.shape[1], dtype=features.dtype)
    suspects = np.flatnonzero(~np.isfinite(sums) | (sums == 0))
    looked = features[suspects]
    broken = suspects[~np.isfinite(looked).all(axis=1)]
    if broken.size:
        raise BagError(
            f"{slide_id}: features of {broken.size} patches are NaN or infinite (rows {listed(broken)}); "
            "extract the slide again"
        )
    zero = suspects[~looked.any(axis=1)]
    if zero.size:
        raise BagError(
            f"{slide_id}: features of {zero.size} patches are all zero (rows {listed(zero)}): "
            "padding or a failed extraction; extract the slide again"
        )
    repeated = repeated_rows(features, coords, slide_index)
    if repeated.size:
        raise BagError(
            f"{slide_id}: {repeated.size} patches stand in the bag twice, with the same place and features "
            f"(rows {listed(repeated)}); extract the slide again"
        )


def repeated_rows(
    features: NDArray[np.floating], coords: NDArray[np.int64] | None, slide_index: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Rows that repeat an earlier one: same slide, place and features; none where there are no places.

    Parameters
    ----------
    features : array, shape (n, d)
    coords : array, shape (n, 2), optional
    slide_index : array, shape (n,)
    """
    if coords is None:
        return np.zeros(0, dtype=np.int64)
    places = (coords[:, 1], coords[:, 0], slide_index)
    order = np.lexsort(places)
    # Column by column: asking rows of three whether all agree costs five times as much.
    agree = [ordered[1:] == ordered[:-1] for ordered in (column[order] for column in places)]
    pairs = np.flatnonzero(np.logical_and.reduce(agree))
    first, second = order[pairs], order[pairs + 1]
    return np.sort(second[(features[first] == features[second]).all(axis=1)])


def alike_rows(features: NDArray[np.floating]) -> NDArray[np.int64]:
    """Rows whose features repeat those of an earlier row bit by bit; features of shape (n, d)."""
    # By their hashes: the rows themselves would be a second copy of the whole bag.
    first: dict[bytes, int] = {}
    rows = enumerate(np.ascontiguousarray(features))
    found = [index for index, row in rows if first.setdefault(hashlib.sha256(row).digest(), index) != index]
    return np.array(found, dtype=np.int64)


def has_batch_axis(shape: Sequence[int]) -> bool:
    """Whether features of this shape have an axis of one before that of the patches, as some writers keep it."""
    return len(shape) == 3 and shape[0] == 1


def whole_coords(coords: NDArray[Any], slide_id: str) -> NDArray[np.int64]:
    """Coordinates as whole level-0 pixels, shape (n, 2).

    Raises
    ------
    BagError
        When the shape is another, or rows are NaN or beyond any slide (row numbers named).
    """
    coords = np.asarray(coords)
    if coords.ndim != 2:
        raise BagError(f"{slide_id}: coords must have shape (n, 2), found {coords.shape}")
    absurd = np.flatnonzero(~(np.abs(coords.astype(np.float64)) < MAX_COORDINATE).all(axis=1))
    if absurd.size:
        raise BagError(
            f"{slide_id}: coords of {absurd.size} patches are no pixels of a slide (rows {listed(absurd)}); "
            "extract the slide again"
        )
    return (np.rint(coords) if coords.dtype.kind == "f" else coords).astype(np.int64)


def listed(rows: NDArray[np.int64], most: int = 5) -> str:
    """The first row numbers, for a sentence."""
    listed = ", ".join(str(row) for row in rows[:most])
    return f"{listed}, ..." if rows.size > most else listed
