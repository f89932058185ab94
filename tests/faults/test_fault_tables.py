"""Malformed tables, each with the sentence that names its line and column where there is one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fault_count import FaultCount
from malformed_tables import GENES, GOOD, MALFORMED

from amkd_core.cohort.clinical import ClinicalTable, read_clinical_table
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.expression import ReadExpression, read_cohort_expression
from amkd_core.errors import CohortError

PATIENTS = frozenset({"P1", "P2", "P3"})


@pytest.fixture(scope="module")
def count() -> FaultCount:
    return FaultCount("malformed tables")


def read(path: Path) -> ClinicalTable | ReadExpression:
    if path.name.startswith("expression"):
        return read_cohort_expression(path, PATIENTS)
    return read_clinical_table(path, ClinicalKeys())


@pytest.mark.parametrize("case", list(MALFORMED))
def test_each_has_its_sentence(
    case: str, tmp_path: Path, count: FaultCount, counted: list[FaultCount]
) -> None:
    if not any(item is count for item in counted):
        counted.append(count)
    table = MALFORMED[case]
    path = tmp_path / table.name
    path.write_bytes(table.content)
    started = time.perf_counter()
    count.cases += 1
    with pytest.raises(CohortError) as caught:
        read(path)
    count.slowest = max(count.slowest, time.perf_counter() - started)
    said = str(caught.value)
    assert said.startswith(table.name + table.sentence)
    assert "\n" not in said
    assert len(said) < 400
    count.refused += 1


def test_there_are_forty() -> None:
    assert len(MALFORMED) >= 40


@pytest.mark.parametrize(
    ("text", "months"),
    [
        (GOOD, [12.5, 30, 7.25]),
        ("\ufeff" + GOOD, [12.5, 30, 7.25]),
        (GOOD.replace("\n", "\r\n"), [12.5, 30, 7.25]),
        (GOOD.replace("\n", "\n\n"), [12.5, 30, 7.25]),
        (GOOD.rstrip("\n"), [12.5, 30, 7.25]),
        (GOOD.replace("s2", '"s2;s4"'), [12.5, 30, 7.25]),
        (GOOD.replace("s1", '"s1\n;s5"'), [12.5, 30, 7.25]),
        (GOOD.replace("30", "3e1"), [12.5, 30, 7.25]),
        (GOOD.replace("P1,", '"P1",').replace("1\n", '"1"\n'), [12.5, 30, 7.25]),
    ],
)
def test_odd_tables_that_say_what_they_mean_are_read(text: str, months: list[float], tmp_path: Path) -> None:
    (tmp_path / "clinical.csv").write_text(text, encoding="utf-8", newline="")
    table = read(tmp_path / "clinical.csv")
    assert [patient.time for patient in table.patients] == months


def test_the_good_expression_is_read(tmp_path: Path) -> None:
    (tmp_path / "expression.csv").write_text(GENES)
    assert read(tmp_path / "expression.csv").table.values.shape == (3, 3)


@pytest.mark.slow
def test_ten_million_columns_take_neither_time_nor_memory(tmp_path: Path, counted: list[FaultCount]) -> None:
    import tracemalloc

    count = FaultCount("a table of ten million columns", cases=1)
    counted.append(count)
    path = tmp_path / "clinical.csv"
    path.write_bytes(b"patient_id" + b",G" * 10_000_000 + b"\n" + b"P1" + b",1" * 10_000_000 + b"\n")
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(CohortError, match=r"line 1: has 10,000,001 columns"):
        read(path)
    count.slowest, count.refused = time.perf_counter() - started, 1
    assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    tracemalloc.stop()
