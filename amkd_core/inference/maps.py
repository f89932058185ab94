"""Maps, top patches and agreement: what a prediction shows on the slide (METHOD section 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from amkd_core.bag import FeatureBag
from amkd_core.errors import BagError, ModalityError
from amkd_core.inference.prediction import Prediction

Array = NDArray[np.float64]
MapKind = Literal["percentile", "raw"]

# A map of more cells than this is no grid of patches but scattered places.
MAX_CELLS = 64_000_000


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A small image, one cell per patch, and where it lies on the slide.

    Attributes
    ----------
    image : array, shape (rows, columns), float32
        Score of each patch; NaN where there is none.
    kind : {"percentile", "raw"}
        Percentile ranks within the slide in [0, 100], or weights times their number (1 is the mean).
    origin_level0 : (float, float)
        Level-0 (x, y) of the upper-left *corner* of cell [0, 0].
    cell_level0 : (float, float)
        Width and height of a cell in level-0 pixels.
    title : str
        What is shown, for legends.
    """

    image: NDArray[np.float32]
    kind: MapKind
    origin_level0: tuple[float, float]
    cell_level0: tuple[float, float]
    title: str


@dataclass(frozen=True)
class TopPatch:
    """One of the most telling patches.

    Attributes
    ----------
    rank
        1 for the highest score.
    row
        Its row in the bag.
    xy_level0, size_level0
        Upper-left corner (x, y), and (width, height), in level-0 pixels.
    score
        Weight times the number of patches; 1 is the mean.
    percentile
        Rank within the slide, in [0, 100].
    """

    rank: int
    row: int
    xy_level0: tuple[int, int]
    size_level0: tuple[int, int]
    score: float
    percentile: float


@dataclass(frozen=True)
class Agreement:
    """How alike two maps of one slide are.

    Attributes
    ----------
    spearman
        Rank correlation in [-1, 1].
    top5
        Shared patches among the five highest of each.
    top5_percent
        Shared share of the highest 5 % of each, in [0, 1].
    """

    spearman: float
    top5: int
    top5_percent: float


def map_scores(prediction: Prediction, source: str = "student") -> Array:
    """Scores of the patches by "student", "teacher", or one pathway's name, shape (n,).

    Raises
    ------
    ModalityError
        When the teacher did not run, or there is no such pathway.
    """
    if source == "student":
        return prediction.patch_scores
    if prediction.teacher is None:
        raise ModalityError(f"{prediction.slide_id}: no {source} map without the tumour's expression")
    if source == "teacher":
        return prediction.teacher.patch_scores
    if source not in prediction.teacher.pathways:
        raise ModalityError(f"there is no pathway {source!r} in this model")
    row = prediction.teacher.coattention[prediction.teacher.pathways.index(source)]
    scores: Array = row.astype(np.float64) / len(row)
    return scores


def percentile_ranks(scores: Array) -> Array:
    """Rank of each patch within the slide in [0, 100]; ties share their mean rank."""
    if len(scores) == 1:
        return np.full(1, 100.0)
    ranks: Array = (stats.rankdata(scores) - 1) / (len(scores) - 1) * 100
    return ranks


def heatmap(prediction: Prediction, kind: MapKind = "percentile", *, source: str = "student") -> Heatmap:
    """Map of a prediction at patch resolution.

    Raises
    ------
    BagError
        When the bag records no places, or they are not on a grid.
    ModalityError
        As `map_scores`.
    """
    scores = map_scores(prediction, source)
    values = percentile_ranks(scores) if kind == "percentile" else scores * len(scores)
    rows, columns, origin, size = _cells(prediction.bag)
    image = np.full((int(rows.max()) + 1, int(columns.max()) + 1), np.nan, dtype=np.float32)
    image[rows, columns] = values
    title = "gene-guided attention" if source in ("student", "teacher") else source
    return Heatmap(
        image, kind, origin, size, f"{title} ({source})" if source in ("student", "teacher") else title
    )


def top_patches(prediction: Prediction, n: int = 5, *, source: str = "student") -> tuple[TopPatch, ...]:
    """The patches with the highest scores; equal scores keep the bag's order.

    Raises
    ------
    BagError
        When the bag records no places.
    """
    bag = prediction.bag
    if bag.coords is None or bag.patch_size_level0 is None:
        raise BagError(f"{bag.slide_id}: the bag records no coordinates, so patches cannot be shown")
    scores = map_scores(prediction, source)
    ranks = percentile_ranks(scores)
    order = np.argsort(-scores, kind="stable")[:n]
    return tuple(
        TopPatch(
            rank=place + 1,
            row=int(row),
            xy_level0=(int(bag.coords[row, 0]), int(bag.coords[row, 1])),
            size_level0=bag.patch_size_level0,
            score=float(scores[row] * len(scores)),
            percentile=float(ranks[row]),
        )
        for place, row in enumerate(order)
    )


def agreement(first: Array, second: Array) -> Agreement:
    """Agreement of two score vectors of the same patches, shape (n,) each."""
    n_top = max(1, round(0.05 * len(first)))
    shared_share = len(_highest(first, n_top) & _highest(second, n_top)) / n_top
    shared_five = len(_highest(first, 5) & _highest(second, 5))
    constant = np.ptp(first) == 0 or np.ptp(second) == 0
    rho = float("nan") if constant else float(stats.spearmanr(first, second).statistic)
    return Agreement(rho, shared_five, shared_share)


def _highest(scores: Array, n: int) -> set[int]:
    return set(np.argsort(-scores, kind="stable")[:n].tolist())


def _cells(
    bag: FeatureBag,
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[float, float], tuple[float, float]]:
    """Row and column of each patch in the map, the map's origin, and the size of a cell."""
    if bag.coords is None or bag.patch_size_level0 is None or bag.n_slides > 1:
        raise BagError(f"{bag.slide_id}: the bag records no places on one slide, so no map can be drawn")
    origin = bag.coords.min(axis=0)
    size = np.array(bag.patch_size_level0)
    cells = np.rint((bag.coords - origin) / size).astype(np.int64)
    off_grid = np.abs((bag.coords - origin) - cells * size).max()
    n_columns, n_rows = (int(side) + 1 for side in cells.max(axis=0))
    n_places = len(np.unique(cells[:, 1] * n_columns + cells[:, 0]))
    if off_grid > 0.25 * size.min() or n_columns * n_rows > MAX_CELLS or n_places < len(cells):
        raise BagError(
            f"{bag.slide_id}: the patches overlap or lie off a grid of {size[0]} x {size[1]} px; maps need a plain grid"
        )
    return cells[:, 1], cells[:, 0], (float(origin[0]), float(origin[1])), (float(size[0]), float(size[1]))
