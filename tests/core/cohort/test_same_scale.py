"""Whether a patient's expression stands on the training patients' scale: real cohorts, and simulated patients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from amkd_core.bundle_file import open_bundle
from amkd_core.cohort.genes import GeneScaling
from amkd_core.cohort.same_scale import LEAST_GENES, cohort_fault, mean_scaling, scale_fault
from amkd_core.inference.demo import demo_bundle_path
from amkd_core.inference.teacher import scaling_of
from amkd_core.simulate.biology import draw_patient, make_pathways
from amkd_core.simulate.demo import demo_config

Array = np.ndarray
CANCERS = ("blca", "stad", "coadread")


def log2_of(added: float) -> Callable[[Array], Array]:
    return lambda linear: np.log2(linear + added)


def z_scores(linear: Array) -> Array:
    logs = np.log2(linear + 0.001)
    return (logs - logs.mean(axis=0)) / np.maximum(logs.std(axis=0), 1e-6)


def ranks(linear: Array) -> Array:
    return linear.argsort(axis=1).argsort(axis=1) / linear.shape[1]


OTHER: dict[str, Callable[[Array], Array]] = {
    "log2(x + 1)": log2_of(1),
    "log2(x + 0.1)": log2_of(0.1),
    "log2(x + 0.01)": log2_of(0.01),
    "log2(x + 0.001)": log2_of(0.001),
    "ln(x + 0.001)": lambda linear: np.log(linear + 0.001),
    "ln(x + 1)": np.log1p,
    "log10(x + 0.001)": lambda linear: np.log10(linear + 0.001),
    "log10(x + 1)": lambda linear: np.log10(linear + 1),
}


@pytest.fixture(scope="module")
def tpm(shared: Path) -> dict[str, Array]:
    """TPM of three cancers' patients, the same 1577 genes."""
    tables = [pd.read_parquet(shared / "data" / f"rna_{name}_xena.parquet") for name in CANCERS]
    genes = sorted(set(tables[0].columns[1:]).intersection(*(table.columns for table in tables)))
    values = [np.exp2(table[genes].to_numpy(np.float64)) - 0.001 for table in tables]
    return {name: np.maximum(found, 0) for name, found in zip(CANCERS, values, strict=True)}


def flagged(rows: Array, scaling: GeneScaling) -> list[str]:
    return [fault for row in rows if (fault := scale_fault(row, scaling))]


@pytest.mark.parametrize("trained", ["log2(x + 0.001)", "log2(x + 1)"])
def test_patients_of_the_same_scale_are_not_called_foreign(tpm: dict[str, Array], trained: str) -> None:
    logs = {name: OTHER[trained](values) for name, values in tpm.items()}
    n_own = n_others = 0
    for name, values in logs.items():
        for fold in np.array_split(np.random.default_rng(0).permutation(len(values)), 5):
            rest = GeneScaling.fit(np.delete(values, fold, axis=0))
            n_own += len(flagged(values[fold], rest))
        whole = GeneScaling.fit(values)
        n_others += sum(len(flagged(logs[other], whole)) for other in CANCERS if other != name)
        # Twice the library may be told, and is never taken for another base alone.
        twice = flagged(OTHER[trained](2 * tpm[name]), whole)
        assert all("would fit" not in fault or fault.endswith("times the values") for fault in twice)
    assert n_own <= 2, "of 973 patients left out"
    assert n_others <= 4, "of 1946 patients of other cancers"


@pytest.mark.parametrize("trained", ["log2(x + 0.001)", "log2(x + 1)"])
@pytest.mark.parametrize("given", OTHER)
def test_another_floor_or_base_is_told_and_named(tpm: dict[str, Array], trained: str, given: str) -> None:
    if given == trained:
        return
    for values in tpm.values():
        scaling = GeneScaling.fit(OTHER[trained](values))
        some = values[::4]
        found = flagged(OTHER[given](some), scaling)
        assert len(found) >= 0.95 * len(some)
        named = sum(f"would fit as {given} if the model was trained on {trained}" in fault for fault in found)
        assert named >= 0.8 * len(some)


@pytest.mark.parametrize("convert", [z_scores, ranks, lambda linear: np.log2(20 * linear + 1)])
def test_z_scores_ranks_and_counts_are_told(tpm: dict[str, Array], convert: Callable[[Array], Array]) -> None:
    for values in tpm.values():
        scaling = GeneScaling.fit(log2_of(1)(values))
        rows = convert(values)[::4]
        assert len(flagged(rows, scaling)) == len(rows)


def test_z_score_tables_are_not_called_logarithms(shared: Path) -> None:
    raw = pd.read_parquet(shared / "data" / "rna_blca_zscore.parquet").iloc[:, 1:].to_numpy(np.float64)
    values = np.sign(raw) * np.log1p(np.abs(raw))
    scaling = GeneScaling.fit(values[50:])
    assert not [fault for row in values[:50] if (fault := scale_fault(row, scaling, "zscore"))]
    own = (values - values.mean(axis=0)) / values.std(axis=0)
    assert not flagged(own[:50], GeneScaling.fit(own[50:]))


def training(n: int = 60, n_genes: int = 300) -> tuple[GeneScaling, Array]:
    """Simulated log2(TPM + 1): half of the genes are hardly measured."""
    rng = np.random.default_rng(0)
    level = rng.uniform(-4, 8, n_genes)
    logs = np.log2(np.exp2(level + rng.normal(0, 1, (n, n_genes))) + 1)
    logs[logs < 0.2] = 0.0
    return GeneScaling.fit(logs[1:]), logs[0]


def test_the_sentence_tells_what_was_found_and_expected() -> None:
    scaling, row = training()
    assert scale_fault(row, scaling) == ""
    n_floor = int((row == 0).sum())
    lower = np.log2(np.exp2(row) - 1 + 0.001)
    below = np.median(scaling.mean[row == 0])
    assert scale_fault(lower, scaling) == (
        f"its least value, of {n_floor} genes, is -9.97, but the training means of these genes are about {below:.3g}; "
        "it would fit as log2(x + 0.001) if the model was trained on log2(x + 1)"
    )
    far = scale_fault(-row - 6, scaling)
    assert "standard deviations from the training patients' means, expected about 0.8 (values from -1" in far
    assert "would fit" not in far


def test_missing_genes_and_few_genes() -> None:
    scaling, row = training()
    lower = np.log2(np.exp2(row) - 1 + 0.001)
    gaps = lower.copy()
    gaps[::10] = np.nan
    assert "is -9.97" in scale_fault(gaps, scaling)
    gaps[LEAST_GENES - 1 :] = np.nan
    assert scale_fault(gaps, scaling) == ""
    assert scale_fault(np.full(row.shape, np.nan), scaling) == ""


def test_what_is_added_is_of_logarithms_alone() -> None:
    scaling, row = training()
    lower = np.log2(np.exp2(row) - 1 + 0.001)
    found = scale_fault(lower, scaling, "linear")
    assert "is -9.97" in found
    assert "would fit" not in found


def test_a_cohort_is_told_once_with_its_number() -> None:
    scaling, row = training()
    lower = np.log2(np.exp2(row) - 1 + 0.001)
    said = cohort_fault({"A": row, "B": lower, "C": lower}, scaling, "log", trained="the model's")
    assert said.startswith(
        "Warning: the expression of 2 of 3 patients does not stand on the model's scale (B: its least value"
    )
    assert said.count("log2(x + 0.001)") == 1
    assert cohort_fault({"A": row}, scaling, "log", trained="the model's") == ""


def test_an_ensemble_has_the_mean_scaling() -> None:
    one, other = (
        GeneScaling(np.array([1.0, 2]), np.array([1.0, 3])),
        GeneScaling(np.array([3.0, 2]), np.ones(2)),
    )
    both = mean_scaling([one, other])
    np.testing.assert_array_equal([both.mean, both.std], [[2, 2], [1, 2]])


def test_simulated_patients_stand_on_the_demo_models_scale() -> None:
    bundle, config = open_bundle(demo_bundle_path()), demo_config()
    pathways = make_pathways(config)
    column = {gene: place for place, gene in enumerate(pathways.genes)}
    order = [column[gene] for gene in bundle.card.genes]
    rows = np.array([draw_patient(config, pathways, 1000 + number).expression[0] for number in range(100)])[
        :, order
    ]
    scaling = scaling_of(bundle)
    assert not flagged(rows, scaling)
    assert len(flagged(rows * np.log(2), scaling)) >= 85
    assert len(flagged(rows * np.log10(2), scaling)) == 100
    assert len(flagged((rows - rows.mean(axis=0)) / rows.std(axis=0), scaling)) == 100
