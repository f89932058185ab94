"""A patient's expression is read as the training cohort's was, or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundle_fixtures import random_bag, random_bundle

from amkd_core.bundle_card import BundleCard
from amkd_core.cohort.expression import read_cohort_expression
from amkd_core.cohort.genes import GeneScaling
from amkd_core.cohort.pathways import Membership
from amkd_core.errors import CohortError
from amkd_core.inference.expression import on_training_scale, read_genes
from amkd_core.inference.predict import predict_bag

MANY = 1500
SCALES = ("log", "linear", "zscore")


def card(scale: str) -> BundleCard:
    return random_bundle().card.model_copy(update={"expression_scale": scale})


def values(scale: str) -> np.ndarray:
    """Three patients of many genes, as tables of that scale hold them."""
    rng = np.random.default_rng(0)
    linear = rng.lognormal(1, 2, size=(3, MANY))
    if scale == "linear":
        return linear
    return np.log2(linear + 1) if scale == "log" else (linear - linear.mean()) / 4


def write(path: Path, table: np.ndarray) -> Path:
    head = ",".join(["patient_id", *(f"G{index}" for index in range(table.shape[1]))])
    rows = [",".join([f"P{row}", *map(repr, map(float, line))]) for row, line in enumerate(table)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


@pytest.mark.parametrize("scale", SCALES)
def test_a_patient_is_read_as_in_training(tmp_path: Path, scale: str) -> None:
    path = write(tmp_path / "rna.csv", values(scale))
    known = frozenset({"P0", "P1", "P2"})
    trained = read_cohort_expression(path, known, scale="linear" if scale == "linear" else "auto")
    assert trained.scale == scale
    found = on_training_scale(read_genes(path, "P1"), card(scale), name=path.name)
    np.testing.assert_array_equal([found[gene] for gene in trained.table.genes], trained.table.values[1])


@pytest.mark.parametrize(
    ("trained", "given"),
    [(one, other) for one in SCALES for other in SCALES if one != other],
)
def test_another_scale_is_refused(trained: str, given: str) -> None:
    genes = dict(zip(map(str, range(MANY)), values(given)[0].tolist(), strict=True))
    with pytest.raises(
        CohortError, match=r"^p\.csv: expression runs from .* expected .* that model random was"
    ):
        on_training_scale(genes, card(trained), name="p.csv")


def test_few_genes_and_gaps_are_taken_as_they_are() -> None:
    assert on_training_scale({"A": 3.0, "B": 1.0}, card("linear"), name="p") == {"A": 2.0, "B": 1.0}
    assert np.isnan(on_training_scale({"A": np.nan, "B": 1.0}, card("log"), name="p")["A"])
    assert np.isnan(on_training_scale({"A": np.nan}, card("log"), name="p")["A"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("gene,P\nA,1\nB,2\nA,99\n", r"t\.csv: gene A stands there more than once"),
        ("gene,P\nA,1\nB,-inf\n", r"t\.csv: expression of P is -inf for gene B \(the logarithm of 0\?\)"),
    ],
)
def test_doubled_genes_and_logarithms_of_nothing_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CohortError, match=reason):
        read_genes(tmp_path / "t.csv")


def test_an_infinite_value_counts_as_missing_for_the_teacher() -> None:
    bundle = random_bundle()
    genes = {name: 4.0 + place / 10 for place, name in enumerate(bundle.card.genes)}
    first = bundle.card.genes[0]
    without = {name: value for name, value in genes.items() if name != first}
    results = [
        predict_bag(random_bag(20), bundle, genes=given) for given in (without, genes | {first: -np.inf})
    ]
    assert np.isfinite(results[1].teacher.risk)
    assert results[0].teacher.risk == results[1].teacher.risk


def test_the_card_of_former_releases_means_logarithms() -> None:
    old = {name: value for name, value in card("log").model_dump().items() if name != "expression_scale"}
    assert BundleCard.model_validate(old).expression_scale == "log"


def test_a_workbook_may_name_its_patients_by_numbers(tmp_path: Path) -> None:
    path = tmp_path / "rna.xlsx"
    pd.DataFrame({"gene": ["G1", "G2"], 7: [1.5, 2.5], 8: [3.5, 4.5]}).to_excel(path, index=False)
    assert read_genes(path, "7") == {"G1": 1.5, "G2": 2.5}
    with pytest.raises(CohortError, match=r"holds 2 patients \(7, 8\); say which patient with --patient"):
        read_genes(path)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"gene": ["1-Mar", "G2"], "P": [1.5, 2.5]}, r"1 genes are named like dates \(1-Mar\)"),
        ({"gene": [datetime(2024, 3, 1), "G2"], "P": [1.5, 2.5]}, r"named like dates \(2024-03-01 00:00:00\)"),
        ({"patient_id": ["P"], datetime(2024, 3, 1): [2.5]}, "1 genes are named like dates"),
        ({"gene": ["G1", "G2"], "P": [True, True]}, "row 2, column P: 'True' is no number"),
        ({"gene": ["G1", "G2"], "P": ["1,5", "2,5"]}, "row 2, column P: '1,5' is no number"),
    ],
)  # fmt: skip
def test_dates_and_truth_values_of_a_workbook_are_refused(
    tmp_path: Path, cells: dict[object, list[object]], sentence: str
) -> None:
    path = tmp_path / "rna.xlsx"
    pd.DataFrame(cells).to_excel(path, index=False)
    with pytest.raises(CohortError, match=rf"rna\.xlsx: .*{sentence}"):
        read_genes(path)


def test_a_prediction_tells_of_another_floor_once_and_of_the_same_not() -> None:
    names = tuple(f"G{place}" for place in range(300))
    bundle = random_bundle(covered=Membership(("P",), names, np.ones((1, 300), dtype=bool), ()), n_members=2)
    mean = np.maximum(np.linspace(-4, 9, 300), 0.05)
    members = tuple(
        replace(member, scaling=GeneScaling(mean, np.full(300, 0.1) + mean / 8)) for member in bundle.members
    )
    bundle = replace(bundle, members=members)
    row = np.where(mean < 0.1, 0.0, mean)
    results = [
        predict_bag(random_bag(20), bundle, genes=dict(zip(names, values.tolist(), strict=True)))
        for values in (row, np.log2(np.exp2(row) - 1 + 0.001))
    ]
    told = [[notice for notice in result.notices if notice.code == "expression_scale"] for result in results]
    assert told[0] == []
    (notice,) = told[1]
    assert notice.sentence.startswith(
        "The patient's expression does not stand on the scale of the table that the model was trained on: its least "
        "value, of "
    )
    assert notice.sentence.endswith(
        "it would fit as log2(x + 0.001) if the model was trained on log2(x + 1); do not rely on the teacher's risk, "
        "its pathways, their maps and what they add to it, and bring the table to that scale first."
    )
    assert results[0].risk == results[1].risk
    assert not [n for n in predict_bag(random_bag(20), bundle).notices if n.code == "expression_scale"]
