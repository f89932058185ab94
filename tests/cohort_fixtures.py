"""A tiny cohort of bags on disk, with a signal planted in genes and patches alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from bundle_fixtures import encoder_identity

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import write_bag
from amkd_core.cohort.cohort import Cohort
from amkd_core.golden_features import GoldenFeatures


def write_tiny_cohort(
    folder: Path,
    *,
    name: str,
    n_patients: int,
    width: int,
    patches: tuple[int, int],
    pathways: Sequence[Sequence[int]],
    split: Sequence[str] = (),
    prefix: str = "P",
    seed: int = 0,
) -> Path:
    """Write tables, pathways of gene numbers and bags of a random number of patches; the cohort's file.

    Another prefix and seed make other patients, whose bags are of the same encoder.
    """
    n_genes = 1 + max(max(genes) for genes in pathways)
    rng = np.random.default_rng(seed)
    golden = GoldenFeatures(np.random.default_rng(1).normal(size=(8, width)).astype(np.float32))
    danger = rng.normal(size=n_patients)
    genes = danger[:, None] + 0.3 * rng.normal(size=(n_patients, n_genes)) + 5
    clinical = ["patient_id,slide_ids,os_months,os_event" + (",split" if split else "")]
    expression = ["patient_id," + ",".join(f"G{i}" for i in range(n_genes))]
    for index in range(n_patients):
        patient = f"{prefix}{index:02d}"
        months = float(np.exp(3 - danger[index]) * rng.weibull(2)) + 0.1
        row = [patient, f"{patient}s", f"{months:.3f}", str(int(rng.random() < 0.8))]
        clinical.append(",".join([*row, split[index % len(split)]] if split else row))
        expression.append(patient + "," + ",".join(f"{value:.4f}" for value in genes[index]))
        values = rng.normal(size=(int(rng.integers(*patches)), width)).astype(np.float32)
        values[:, 0] += danger[index]
        bag = FeatureBag(values, encoder_identity(width), 256, 0.5, f"{patient}s", golden=golden)
        write_bag(folder / "bags" / f"{patient}s.h5", bag)
    lines = ["\t".join([f"P{i + 1}", "x", *(f"G{gene}" for gene in own)]) for i, own in enumerate(pathways)]
    (folder / "clinical.csv").write_text("\n".join(clinical) + "\n")
    (folder / "expression.csv").write_text("\n".join(expression) + "\n")
    (folder / "pathways.gmt").write_text("\n".join(lines) + "\n")
    (folder / "cohort.toml").write_text(
        f'[cohort]\nname = "{name}"\nclinical = "clinical.csv"\nexpression = "expression.csv"\n'
        'pathways = "pathways.gmt"\nbags = "bags"\nsynthetic = true\nevent_means = "death"\n'
    )
    return folder / "cohort.toml"


def disturbed(
    cohort: Cohort, bags: dict[str, FeatureBag], names: Collection[str]
) -> tuple[Cohort, dict[str, FeatureBag]]:
    """Other features, other genes, other follow-up of some patients."""
    values = cohort.expression.values.copy()
    values[[cohort.expression.patients.index(name) for name in names]] *= -40
    patients = tuple(
        replace(patient, time=patient.time * 30 + 1, event=not patient.event)
        if patient.patient_id in names
        else patient
        for patient in cohort.patients
    )
    changed = {
        name: replace(bag, features=3 - 50 * bag.features) if name in names else bag
        for name, bag in bags.items()
    }
    return replace(cohort, patients=patients, expression=replace(cohort.expression, values=values)), changed
