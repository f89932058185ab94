"""Truth masks of simulated slides: what tissue was rendered where."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amkd_core.atomic import atomic_path, write_text
from amkd_core.errors import CohortError
from amkd_core.simulate.config import SIMULATION_VERSION
from amkd_core.simulate.tissue_map import MAP_MPP, PLANTED, Region


@dataclass(frozen=True, eq=False)
class TruthMask:
    """Labels of a slide.

    Attributes
    ----------
    labels : array, shape (rows, columns), uint8
        Values of `Region`.
    downsample : float
        Level-0 pixels per pixel of the mask.
    """

    labels: NDArray[np.uint8]
    downsample: float

    @classmethod
    def of_slide(cls, labels: NDArray[np.uint8], mpp: float) -> TruthMask:
        """Mask drawn at `MAP_MPP` for a slide of the given scale."""
        return cls(labels, MAP_MPP / mpp)

    def fractions(
        self, xy_level0: NDArray[np.int64], size_level0: tuple[int, int], regions: Collection[Region]
    ) -> NDArray[np.float64]:
        """Share of each patch that lies in some regions, shape (n,).

        Parameters
        ----------
        xy_level0 : array, shape (n, 2)
            Upper-left corners.
        size_level0
            (width, height) of a patch.
        """
        hit = np.isin(self.labels, [int(region) for region in regions])
        table = np.zeros((hit.shape[0] + 1, hit.shape[1] + 1))
        table[1:, 1:] = hit.cumsum(axis=0).cumsum(axis=1)
        limits = np.array([hit.shape[1], hit.shape[0]])
        low = np.clip(np.rint(xy_level0 / self.downsample).astype(int), 0, limits - 1)
        high = np.clip(
            np.rint((xy_level0 + np.array(size_level0)) / self.downsample).astype(int), low + 1, limits
        )
        inside = (
            table[high[:, 1], high[:, 0]]
            - table[low[:, 1], high[:, 0]]
            - table[high[:, 1], low[:, 0]]
            + table[low[:, 1], low[:, 0]]
        )
        shares: NDArray[np.float64] = inside / (high - low).prod(axis=1)
        return shares


def patch_truth(
    truth: TruthMask,
    xy_level0: NDArray[np.int64],
    size_level0: tuple[int, int],
    labels: Collection[Region] = PLANTED,
) -> NDArray[np.float64]:
    """Share of each patch that lies in some regions, by default the planted ones; shape (n,), in [0, 1]."""
    return truth.fractions(xy_level0, size_level0, labels)


def write_truth(path: Path, truth: TruthMask) -> None:
    """Write ``<slide>.png`` of labels and ``<slide>.json`` that names them."""
    sidecar = {
        "synthetic": True,
        "simulation_version": SIMULATION_VERSION,
        "level0_px_per_mask_px": truth.downsample,
        "labels": {int(region): region.name.lower() for region in Region},
    }
    write_text(path.with_suffix(".json"), json.dumps(sidecar, indent=1))
    with atomic_path(path) as temporary:
        Image.fromarray(truth.labels).save(temporary)


def read_truth(path: Path) -> TruthMask:
    """Read what `write_truth` wrote.

    Raises
    ------
    CohortError
        When the mask or the JSON file beside it is missing or no truth mask.
    """
    sidecar = path.with_suffix(".json")
    try:
        downsample = float(json.loads(sidecar.read_text(encoding="utf-8"))["level0_px_per_mask_px"])
        with Image.open(path) as picture:
            labels = np.asarray(picture)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CohortError(
            f"{path}: not a readable truth mask with its labels in {sidecar.name} ({type(error).__name__}: {error}); "
            "simulate the cohort again"
        ) from error
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise CohortError(
            f"{path}: expected one label of 8 bits per pixel, found shape {labels.shape} of {labels.dtype}; simulate "
            "the cohort again"
        )
    return TruthMask(labels, downsample)


def is_current(path: Path) -> bool:
    """Whether a truth mask stands there whose slide this version of the simulation rendered."""
    try:
        sidecar = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        path.exists()
        and isinstance(sidecar, dict)
        and sidecar.get("simulation_version") == SIMULATION_VERSION
    )
