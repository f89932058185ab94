"""Two maps of the same patches, beside one another (METHOD section 8; figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from amkd_core.inference.maps import (
    Agreement,
    Heatmap,
    TopPatch,
    agreement,
    heatmap,
    map_scores,
)
from amkd_core.inference.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two maps agree, and where they differ.

    Attributes
    ----------
    agreement : Agreement
    difference : Heatmap
        Percentile rank in the first less that in the second, in [-100, 100].
    """

    agreement: Agreement
    difference: Heatmap


def same_patches(first: Prediction, second: Prediction) -> bool:
    """Whether two predictions rest on the same patches of the same slide, so that their maps can be compared."""
    left, right = first.bag, second.bag
    if not (first.has_map and second.has_map) or left.patch_size_level0 != right.patch_size_level0:
        return False
    if left.slide_fingerprint != right.slide_fingerprint or left.coords is None or right.coords is None:
        return False
    return np.array_equal(left.coords, right.coords)


def compare_maps(
    first: Prediction, second: Prediction, *, sources: tuple[str, str] = ("teacher", "student")
) -> Comparison:
    """Compare two maps: of teacher and student, of two pathways, or of two models.

    Parameters
    ----------
    first, second
        May be one and the same prediction.
    sources
        Of the first and of the second map; as for `map_scores`.

    Raises
    ------
    ValueError
        When they do not rest on the same patches; ask `same_patches` first.
    BagError, ModalityError
        As `heatmap`.
    """
    if not same_patches(first, second):
        raise ValueError(f"{first.slide_id} and {second.slide_id} do not rest on the same patches")
    found = agreement(map_scores(first, sources[0]), map_scores(second, sources[1]))
    left, right = heatmap(first, source=sources[0]), heatmap(second, source=sources[1])
    title = f"{left.title} less {right.title}"
    return Comparison(found, replace(left, image=left.image - right.image, title=title))


def coinciding(
    first: Sequence[TopPatch], second: Sequence[TopPatch]
) -> tuple[tuple[TopPatch, TopPatch], ...]:
    """Pairs of patches that are in both lists, in the order of the first."""
    by_row = {patch.row: patch for patch in second}
    return tuple((patch, by_row[patch.row]) for patch in first if patch.row in by_row)
