"""Whether texture on the slide carries part of the hazard and expression more, measured on rendered slides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from amkd_core.bag_file import read_bag
from amkd_core.inference.extract import ExtractSettings, SlideTask, extract_slides
from amkd_core.simulate.cohorts import simulate_cohort
from amkd_core.simulate.config import SimulationConfig
from amkd_core.simulate.tissue_map import PLANTED
from amkd_core.simulate.truth import patch_truth, read_truth

N_PATIENTS = 110
N_FOLDS = 5


@pytest.mark.slow
def test_texture_carries_part_of_the_hazard_and_expression_more(tmp_path: Path) -> None:
    for _ in simulate_cohort(SimulationConfig(n_patients=N_PATIENTS, seed=3), tmp_path, jobs=2):
        pass
    slides = sorted((tmp_path / "slides").glob("*.tif"))
    for _ in extract_slides(
        [SlideTask(path) for path in slides], tmp_path / "bags", ExtractSettings(), jobs=2
    ):
        pass
    bags = [read_bag(tmp_path / "bags" / f"{path.stem}.h5") for path in slides]
    log_hazard = pd.read_csv(tmp_path / "truth.csv").log_hazard.to_numpy()
    table = pd.read_parquet(tmp_path / "expression.parquet").set_index("patient_id")
    genes = ((table - table.mean()) / table.std()).astype(float)
    sets = [
        line.split("\t")[2:] for line in (tmp_path / "pathways.gmt").read_text(encoding="utf-8").splitlines()
    ]
    pathways = np.array([genes[members].mean(axis=1) for members in sets]).T
    seen = _held_out_correlation(np.array([bag.features.mean(axis=0) for bag in bags]), log_hazard)
    expressed = _held_out_correlation(pathways, log_hazard)
    assert 0.35 < seen < 0.75
    assert seen + 0.1 < expressed < 0.95
    planted = []
    for bag in bags:
        truth = read_truth(tmp_path / "truth" / f"{bag.slide_id}.png")
        assert bag.coords is not None
        assert bag.patch_size_level0 is not None
        planted.append(float((patch_truth(truth, bag.coords, bag.patch_size_level0, PLANTED) >= 0.5).mean()))
    assert 0.25 < np.mean(planted) < 0.5
    assert min(planted) > 0.05


def _held_out_correlation(columns: np.ndarray, target: np.ndarray) -> float:
    """Correlation of the target with what ridge regression says of patients it was not fitted on."""
    fold = np.random.default_rng(0).permutation(len(target)) % N_FOLDS
    predicted = np.empty(len(target))
    for number in range(N_FOLDS):
        fit = fold != number
        mean, spread = columns[fit].mean(axis=0), columns[fit].std(axis=0) + 1e-9
        scaled = (columns - mean) / spread
        weights = _ridge(scaled[fit], target[fit] - target[fit].mean())
        predicted[~fit] = scaled[~fit] @ weights + target[fit].mean()
    return float(np.corrcoef(predicted, target)[0, 1])


def _ridge(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Ridge weights with the penalty of least leave-one-out error, which has a closed form."""
    left, sizes, right = np.linalg.svd(columns, full_matrices=False)
    best, least = np.zeros(columns.shape[1]), np.inf
    for penalty in np.logspace(0, 4, 17):
        shrunk = sizes**2 / (sizes**2 + penalty)
        leverage = (left**2) @ shrunk
        error = float((((target - left @ (shrunk * (left.T @ target))) / (1 - leverage)) ** 2).mean())
        if error < least:
            best, least = right.T @ (shrunk / sizes * (left.T @ target)), error
    return best
