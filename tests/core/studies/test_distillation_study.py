"""The study of the distillation, small: what a cell records, and that a repeated cell trains only what is new."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amkd_core.cli.terminal import drain
from amkd_core.simulate.bags import BagSimulationConfig
from amkd_core.studies.distillation import (
    UNDISTILLED,
    VARIANTS,
    StudySettings,
    area_under_curve,
    pattern_areas,
    run_cell,
)
from amkd_core.training.config import DistillConfig, ModelConfig, OptimConfig, TrainingConfig

DEFAULT = "gated, a quarter drawn, pathways x 4"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StudySettings:
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    genes = [f"G{k}_{i}" for k in range(12) for i in range(12)]
    values = 8 + np.repeat(rng.normal(size=(48, 12)), 12, axis=1) + 0.5 * rng.normal(size=(48, 144))
    rows = [",".join([f"P{i}", *(f"{value:.4f}" for value in row)]) for i, row in enumerate(values)]
    (folder / "rna.csv").write_text("\n".join([",".join(["patient_id", *genes]), *rows]))
    sets = ["\t".join([f"SET{k}", "made up", *genes[12 * k : 12 * k + 12]]) for k in range(12)]
    (folder / "sets.gmt").write_text("\n".join(sets) + "\n")
    optim = OptimConfig(learning_rate=1e-3, epochs=2, patience=2)
    distill = DistillConfig(inner_folds=2, teacher_logits="in_sample", pathway_weight=0.0)
    training = TrainingConfig(
        threads=1, model=ModelConfig(dim=8), teacher=optim, student=optim, distill=distill, min_coverage=0.5
    )
    simulation = BagSimulationConfig(n_patches=64, d_encoder=64, hazard_scale=2.0)
    return StudySettings(folder / "rna.csv", folder / "sets.gmt", simulation, training, n_folds=4)


def test_a_cell_records_risks_and_maps_of_all_and_goes_on_where_it_was(
    settings: StudySettings, tmp_path: Path
) -> None:
    def record(*variants: str) -> dict:
        path = drain(run_cell(replace(settings, variants=variants), 0, 0, tmp_path))
        return json.loads(path.read_text())

    def checkpoints() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.safetensors")}

    first = record(UNDISTILLED)
    trained = checkpoints()
    both = record(UNDISTILLED, DEFAULT)
    assert both["students"][UNDISTILLED] == first["students"][UNDISTILLED]
    assert trained.items() < checkpoints().items()  # nothing that was there is trained again
    n_test = len(both["patients"])
    assert n_test == 12
    for name in ("true hazard", "what the slide shows", "planted patches, counted"):
        assert len(both[name]) == n_test
    for scored in (both["teacher"], *both["students"].values()):
        assert np.isfinite(scored["risk"]).all()
        assert len(scored["risk"]) == len(scored["map_area"]) == len(scored["pattern_areas"]) == n_test
        assert all(len(areas) == 4 for areas in scored["pattern_areas"])
    assert both["students"][UNDISTILLED]["risk"] != both["students"][DEFAULT]["risk"]


def test_areas_by_pattern_compare_with_patches_that_carry_none() -> None:
    planted = np.array([-1, -1, -1, 0, 0, 1, 3], dtype=np.int8)
    scores = np.array([0.1, 0.2, 0.3, 0.9, 0.8, 0.25, 0.0], dtype=np.float32)
    assert pattern_areas(scores, planted) == [1.0, pytest.approx(2 / 3), None, 0.0]
    assert area_under_curve(scores, planted >= 0) == pytest.approx((3 + 3 + 2 + 0) / 12)


def test_every_variant_is_a_setting_of_the_distillation() -> None:
    for name, changes in VARIANTS.items():
        changed = DistillConfig(**{**DistillConfig().model_dump(), **changes})
        assert {key: getattr(changed, key) for key in changes} == dict(changes), name
