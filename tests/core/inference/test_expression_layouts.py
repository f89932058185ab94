"""Expression that a cohort is trained on is read for one patient as well, whatever its first column is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from amkd_core.errors import CohortError
from amkd_core.inference.expression import read_genes, read_patient
from amkd_core.inference.pathway_table import patients_in

GENES = {"TP53": 1.5, "EGFR": 2.5}


@pytest.mark.parametrize("head", ["Gene", "GENE", "gene"])
def test_genes_in_rows_under_any_case_of_their_name(tmp_path: Path, head: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{head},P1\nTP53,1.5\nEGFR,2.5\n")
    assert read_patient(path) == ("P1", GENES)
    assert patients_in(path) == ("P1",)


@pytest.mark.parametrize("head", ["Patient ID", "case_id", "bcr_patient_barcode", "patient_id"])
def test_patients_in_rows_under_any_name_that_clinical_tables_give_them(tmp_path: Path, head: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{head},TP53,EGFR\n007,1.5,2.5\n008,3,4\n")
    assert read_patient(path, "007") == ("007", GENES)
    assert patients_in(path) == ("007", "008")


@pytest.mark.parametrize("head", ["", "Unnamed: 0", "sample"])
def test_the_patient_tells_which_way_round_a_table_without_a_known_name_stands(
    tmp_path: Path, head: str
) -> None:
    rows, columns = tmp_path / "rows.csv", tmp_path / "columns.csv"
    rows.write_text(f"{head},TP53,EGFR\n007,1.5,2.5\n008,3,4\n")
    columns.write_text(f"{head},007,008\nTP53,1.5,3\nEGFR,2.5,4\n")
    assert read_genes(rows, "007") == read_genes(columns, "007") == GENES
    for path in (rows, columns):
        with pytest.raises(
            CohortError, match=r"expected patient_id .* or gene \(genes in rows\), or --patient$"
        ):
            read_genes(path)


def test_a_patient_who_is_no_column_is_told_of_the_own_samples(tmp_path: Path) -> None:
    """`--patient` was asked for of who had given it; training takes the samples of cBioPortal for their patient."""
    table = tmp_path / "rna.csv"
    table.write_text("Hugo_Symbol,TCGA-AA-0001-01,TCGA-AA-0001-06,TCGA-AA-0002-01\nG1,1,2,3\n")
    with pytest.raises(
        CohortError,
        match=r"or a column TCGA-AA-0001; its samples are TCGA-AA-0001-01, TCGA-AA-0001-06: name one",
    ):
        read_patient(table, "TCGA-AA-0001")
    with pytest.raises(CohortError, match=r"genes in rows\), or a column X9$"):
        read_patient(table, "X9")
    assert read_patient(table, "TCGA-AA-0001-06") == ("TCGA-AA-0001-06", {"G1": 2.0})
