"""A tiny cohort of bags with a planted signal, for comparisons of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundle_fixtures import encoder_identity

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import write_bag

N_PATIENTS, D = 40, 5


@pytest.fixture(scope="session")
def tiny_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    danger = rng.normal(size=N_PATIENTS)
    genes = danger[:, None] + 0.3 * rng.normal(size=(N_PATIENTS, 8)) + 5
    clinical = ["patient_id,slide_ids,os_months,os_event"]
    expression = ["patient_id," + ",".join(f"G{i}" for i in range(8))]
    for index in range(N_PATIENTS):
        name = f"P{index:02d}"
        months = float(np.exp(3 - danger[index]) * rng.weibull(2)) + 0.1
        clinical.append(f"{name},{name}s,{months:.3f},{int(rng.random() < 0.8)}")
        expression.append(name + "," + ",".join(f"{value:.4f}" for value in genes[index]))
        values = rng.normal(size=(int(rng.integers(4, 9)), D)).astype(np.float32)
        values[:, 0] += danger[index]
        write_bag(
            folder / "bags" / f"{name}s.h5", FeatureBag(values, encoder_identity(D), 256, 0.5, f"{name}s")
        )
    (folder / "clinical.csv").write_text("\n".join(clinical) + "\n")
    (folder / "expression.csv").write_text("\n".join(expression) + "\n")
    (folder / "pathways.gmt").write_text("P1\tx\tG0\tG1\tG2\nP2\tx\tG3\tG4\tG5\nP3\tx\tG6\tG7\n")
    (folder / "cohort.toml").write_text(
        '[cohort]\nname = "TCGA-BRCA"\nclinical = "clinical.csv"\nexpression = "expression.csv"\n'
        'pathways = "pathways.gmt"\nbags = "bags"\nsynthetic = true\nevent_means = "death"\n'
    )
    return folder / "cohort.toml"
