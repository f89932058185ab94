"""Tiny cohorts of bags with a planted signal, for comparisons of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cohort_fixtures import write_tiny_cohort

N_PATIENTS, D = 40, 5


def tiny_cohort(folder: Path, **differences: Any) -> Path:
    return write_tiny_cohort(
        folder, width=5, patches=(4, 9), pathways=((0, 1, 2), (3, 4, 5), (6, 7)), **differences
    )


@pytest.fixture(scope="session")
def tiny_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohort(tmp_path_factory.mktemp("tiny"), name="TCGA-BRCA", n_patients=40)


@pytest.fixture(scope="session")
def other_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other patients, for an external cohort."""
    return tiny_cohort(tmp_path_factory.mktemp("other"), name="CPTAC-BRCA", n_patients=12, prefix="Q", seed=7)
