"""Tables of a simulated cohort: clinical data, expression, pathways, and the truth behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import atomic_path, write_text
from amkd_core.simulate.biology import LOG_HAZARD, VISIBLE, Pathways, Patients
from amkd_core.simulate.config import SimulationConfig
from amkd_core.simulate.tissue_map import PLANTED, Region
from amkd_core.simulate.truth import read_truth

README = """# SYNTHETIC COHORT

Everything in this folder was simulated by AMKD Viewer (`amkd simulate`). No patient stands behind it, and no
figure measured on it says anything about a disease.

- `cohort.toml`, `clinical.csv`, `expression.parquet`, `pathways.gmt`, `slides/`: what would be known of real patients.
- `truth.csv`: the true log hazard (`log_hazard`, higher is worse), every latent pathway activity, what the slide
  shows of those that are visible (`shown_...`), and the shares of tissue that carry risk (`share_...`).
- `truth/`: one label image per slide with the names of its labels.
- `simulation.json`: the settings. The same settings and seed give the same cohort.
"""

COHORT_TOML = """# Simulated cohort; everything in it is SYNTHETIC.
[cohort]
name = "simulated-{seed}"
synthetic = true
clinical = "clinical.csv"
slides = "slides"
expression = "expression.parquet"
pathways = "pathways.gmt"
encoder = "texture"
endpoint = "os"
event_means = "death"
"""


def patient_id(index: int) -> str:
    """Identifier of the patient with a zero-based number."""
    return f"SIM-{index + 1:04d}"


def write_tables(out: Path, config: SimulationConfig, pathways: Pathways, patients: Patients) -> None:
    """Write all that does not need the slides, each file atomically."""
    import pandas as pd

    names = [patient_id(index) for index in range(config.n_patients)]
    age, stage = _age_and_stage(config, patients.log_hazard)
    clinical = pd.DataFrame(
        {
            "patient_id": names,
            "slide_ids": names,
            "os_months": patients.time.round(3),
            "os_event": patients.event.astype(int),
            "age_years": age,
            "ajcc_stage": stage,
            "split": _splits(config, patients.event),
        }
    )
    expression = pd.DataFrame(patients.expression.astype(np.float32), columns=list(pathways.genes))
    expression.insert(0, "patient_id", names)
    write_text(out / "clinical.csv", clinical.to_csv(index=False))
    with atomic_path(out / "expression.parquet") as temporary:
        expression.to_parquet(temporary, index=False)
    write_text(out / "pathways.gmt", _gmt(config, pathways))
    write_text(out / "cohort.toml", COHORT_TOML.format(seed=config.seed))
    write_text(out / "README.md", README)


def write_truth_table(out: Path, pathways: Pathways, patients: Patients, masks: Sequence[Path]) -> None:
    """Write ``truth.csv``: log hazard, activities, and shares of tissue measured on the truth masks."""
    import pandas as pd

    truth = pd.DataFrame(
        {
            "patient_id": [patient_id(index) for index in range(len(masks))],
            "log_hazard": patients.log_hazard.round(5),
        }
    )
    shown = [f"shown_{pathways.names[pathways.drivers[column]]}" for column in range(len(VISIBLE))]
    shares = [f"share_{region.name.lower()}" for region in PLANTED]
    measured = np.array([_planted_shares(path) for path in masks])
    columns = [
        pd.DataFrame(patients.visible.round(5), columns=shown),
        pd.DataFrame(measured.round(5), columns=shares),
        pd.DataFrame(patients.activities.round(5), columns=list(pathways.names)),
    ]
    write_text(out / "truth.csv", pd.concat([truth, *columns], axis=1).to_csv(index=False))


def carriers(config: SimulationConfig, pathways: Pathways) -> dict[str, float]:
    """Coefficients of the log hazard by the names of the pathways that carry them."""
    return {
        pathways.names[index]: config.hazard_scale * value
        for index, value in zip(pathways.drivers, LOG_HAZARD.values(), strict=True)
    }


def _planted_shares(path: Path) -> list[float]:
    labels = read_truth(path).labels
    n_tissue = int(((labels != Region.BACKGROUND) & (labels != Region.PEN)).sum())
    return [float((labels == region).sum()) / max(n_tissue, 1) for region in PLANTED]


def _age_and_stage(config: SimulationConfig, log_hazard: NDArray[np.float64]) -> tuple[np.ndarray, list[str]]:
    """Age in years and stage, weakly prognostic as in real cohorts; each patient from a stream of its own."""
    noise = np.array(
        [np.random.default_rng([config.seed, 6, index]).normal(size=2) for index in range(len(log_hazard))]
    )
    # Standardised by what the hazard's spread is in expectation, so that no patient depends on another.
    spread = float(np.linalg.norm(list(LOG_HAZARD.values()))) * max(config.hazard_scale, 1e-9)
    lean = log_hazard / spread
    age = np.clip(62 + 3 * lean + 9 * noise[:, 0], 25, 92).round(1)
    stage = np.digitize(0.5 * lean + noise[:, 1], [-0.6, 0.3, 1.3])
    return age, [f"Stage {('I', 'II', 'III', 'IV')[value]}" for value in stage]


def _splits(config: SimulationConfig, event: NDArray[np.bool_]) -> np.ndarray:
    """Mark patients for training, validation and testing, stratified by event."""
    split = np.full(len(event), "train", dtype=object)
    rng = np.random.default_rng([config.seed, 5])
    for value in (True, False):
        members = rng.permutation(np.flatnonzero(event == value))
        n_test = round(config.test_share * len(members))
        n_validation = round(config.validation_share * len(members))
        split[members[:n_test]] = "test"
        split[members[n_test : n_test + n_validation]] = "validation"
    return split


def _gmt(config: SimulationConfig, pathways: Pathways) -> str:
    known = carriers(config, pathways)
    lines = []
    for name, members in zip(pathways.names, pathways.membership, strict=True):
        genes = [gene for gene, member in zip(pathways.genes, members, strict=True) if member]
        part = (
            f"synthetic; log hazard {known[name]:+g} per unit"
            if name in known
            else "synthetic; carries no risk"
        )
        lines.append("\t".join([name, part, *genes]))
    return "\n".join(lines) + "\n"
