"""Maps, top patches and agreement: what a prediction shows on the slide (METHOD section 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from amkd_core.errors import BagError, ModalityError
from amkd_core.inference.map_cells import map_cells
from amkd_core.inference.prediction import Prediction, TeacherPrediction

Array = NDArray[np.float64]
MapKind = Literal["percentile", "raw"]


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A small image, one cell per patch where patches follow a grid, and where it lies on the slide.

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
        1 for the highest score, or the lowest where those were asked for.
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

    @property
    def rho_text(self) -> str:
        """The rank correlation in words; where a map is the same everywhere there is none."""
        return f"Spearman's rho {self.spearman:.2f}" if np.isfinite(self.spearman) else "a map is constant"


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
    row = _coattention(prediction.teacher, source)
    scores: Array = row.astype(np.float64) / len(row)
    return scores


def percentile_ranks(scores: Array | NDArray[np.uint16]) -> Array:
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
        When the bag records no places on one slide, or absurd ones.
    ModalityError
        As `map_scores`.
    """
    cells = map_cells(prediction.bag)
    if kind == "percentile":
        values = _map_percentiles(prediction, source)
    else:
        values = map_scores(prediction, source) * len(prediction.bag)
    title = f"gene-guided attention ({source})" if source in ("student", "teacher") else source
    return Heatmap(cells.image(values), kind, cells.origin_level0, cells.cell_level0, title)


def top_patches(
    prediction: Prediction, n: int = 5, *, source: str = "student", least: bool = False
) -> tuple[TopPatch, ...]:
    """The patches with the highest scores; equal scores keep the bag's order.

    Parameters
    ----------
    n
        How many; all where there are fewer.
    source
        As for `map_scores`.
    least
        Instead those with the lowest, the lowest first.

    Raises
    ------
    BagError
        When the bag records no places.
    """
    bag = prediction.bag
    if bag.coords is None or bag.patch_size_level0 is None:
        raise BagError(f"{bag.slide_id}: the bag records no coordinates, so patches cannot be shown")
    scores = map_scores(prediction, source)
    order = _highest(-scores if least else scores, n)
    percentiles = [_percentile_of(scores, scores[row]) for row in order]
    return tuple(
        TopPatch(
            rank=place + 1,
            row=int(row),
            xy_level0=(int(bag.coords[row, 0]), int(bag.coords[row, 1])),
            size_level0=bag.patch_size_level0,
            score=float(scores[row] * len(scores)),
            percentile=percentiles[place],
        )
        for place, row in enumerate(order)
    )


def agreement(first: Array, second: Array) -> Agreement:
    """Agreement of two score vectors of the same patches, shape (n,) each."""
    n_top = max(1, round(0.05 * len(first)))
    shared_share = _n_shared(first, second, n_top) / n_top
    shared_five = _n_shared(first, second, 5)
    constant = np.ptp(first) == 0 or np.ptp(second) == 0
    rho = float("nan") if constant else float(stats.spearmanr(first, second).statistic)
    return Agreement(rho, shared_five, shared_share)


def _coattention(teacher: TeacherPrediction, pathway: str) -> NDArray[np.float16]:
    if pathway not in teacher.pathways:
        raise ModalityError(f"there is no pathway {pathway!r} in this model")
    row: NDArray[np.float16] = teacher.coattention[teacher.pathways.index(pathway)]
    return row


def _map_percentiles(prediction: Prediction, source: str) -> Array:
    """`percentile_ranks` of `map_scores`."""
    if prediction.teacher is None or source in ("student", "teacher"):
        return percentile_ranks(map_scores(prediction, source))
    # Attention is never negative, and the bits of such floats are in the order of their values: 16-bit integers are
    # sorted three times as fast.
    row = _coattention(prediction.teacher, source).astype(np.float16, copy=False)
    return percentile_ranks(np.abs(row).view(np.uint16))


def _highest(scores: Array, n: int) -> NDArray[np.int64]:
    """Rows of the n highest scores, the highest first; equal scores in the order of their rows."""
    n = min(n, len(scores))
    candidates = np.flatnonzero(scores >= np.partition(scores, -n)[-n])
    order: NDArray[np.int64] = candidates[np.argsort(-scores[candidates], kind="stable")][:n]
    return order


def _n_shared(first: Array, second: Array, n: int) -> int:
    return len(np.intersect1d(_highest(first, n), _highest(second, n)))


def _percentile_of(scores: Array, score: float) -> float:
    """`percentile_ranks` of one score."""
    if len(scores) == 1:
        return 100.0
    below, equal = np.count_nonzero(scores < score), np.count_nonzero(scores == score)
    return float((below + (equal - 1) / 2) / (len(scores) - 1) * 100)
