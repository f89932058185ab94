"""Expression as it is downloaded: ten ways in which a table is not what it seems, and what is made of the others."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from amkd_core.cohort.expression import read_cohort_expression
from amkd_core.cohort.genes import read_expression, refuse_dates
from amkd_core.errors import CohortError

KNOWN = frozenset({"TCGA-AA-0001", "TCGA-AA-0002"})
XENA = (
    "Ensembl_ID\tTCGA-AA-0001-01A\tTCGA-AA-0002-01A\tTCGA-AA-0002-11A\n"
    "ENSG00000000003.15\t1\t2\t9\nENSG00000000005.6\t3\t4\t9\nENSG00000000419.13\t5\t6\t9\nENSG00000000457.14\t0\t1\t9\n"
)
PROBES = "id\tgene\tchrom\nENSG00000000003.15\tTSPAN6\tX\nENSG00000000005.5\tTNMD\tX\nENSG00000000419.13\tTNMD\t20\n"


def write(folder: Path, text: str, name: str = "rna.tsv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_xena_matrix_is_turned_mapped_and_averaged(tmp_path: Path) -> None:
    read = read_cohort_expression(
        write(tmp_path, XENA), KNOWN, probe_map=write(tmp_path, PROBES, "probes.tsv")
    )
    assert read.table.patients == ("TCGA-AA-0001", "TCGA-AA-0002")
    assert read.table.genes == ("TNMD", "TSPAN6")
    np.testing.assert_allclose(read.table.values, [[4, 1], [5, 2]])
    told = " ".join(read.notes)
    for part in (
        "Genes stand in rows",
        "3 of 4 identifiers are mapped to symbols by probes.tsv",
        "1 further identifiers of the same symbol are averaged",
        "1 samples of normal tissue and 0 further samples",
        "taken as logarithms",
    ):
        assert part in told


def test_rows_in_another_order_give_the_same_patients_the_same_values(tmp_path: Path) -> None:
    table = "patient_id\tG1\tG2\nTCGA-AA-0002\t3\t4\nTCGA-AA-0001\t1\t2\n"
    read = read_cohort_expression(write(tmp_path, table), KNOWN)
    np.testing.assert_array_equal(read.table.rows(["TCGA-AA-0001", "TCGA-AA-0002"], ["G2"]), [[2], [4]])


@pytest.mark.parametrize(
    ("values", "scale", "expected", "note"),
    [
        ((0, 1023), "linear", (0.0, 10.0), "counts or TPM: log2"),
        ((-9.97, 14.0), "auto", (-9.97, 14.0), "logarithms"),
        ((-1.0, 36893.0), "auto", (-np.log(2), np.log(36894)), "heavy tails"),
        ((0, 1023), "log", (0, 1023), "logarithms"),
    ],
)
def test_scales_are_recognised_or_stated(
    tmp_path: Path, values: tuple[float, float], scale: str, expected: tuple[float, float], note: str
) -> None:
    table = f"patient_id\tG1\nTCGA-AA-0001\t{values[0]}\nTCGA-AA-0002\t{values[1]}\n"
    read = read_cohort_expression(write(tmp_path, table), KNOWN, scale=scale)  # type: ignore[arg-type]
    np.testing.assert_allclose(read.table.values[:, 0], expected, rtol=1e-6)
    assert any(note in text for text in read.notes)


GOOD = "patient_id\tG1\tG2\nTCGA-AA-0001\t1\t2\nTCGA-AA-0002\t3\t5\n"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (GOOD.replace("TCGA-AA", "XX"), "names no patient of the clinical table"),
        (GOOD.replace("\t5", "\t1e6"), "which is no log scale; state expression_scale"),
        (GOOD.replace("G1\tG2", "1-Mar\tSep-2"), r"2 genes are named like dates \(1-Mar, Sep-2\)"),
        (GOOD.replace("\t5", "\t"), "patient TCGA-AA-0002, gene G2 is nan, expected a finite number"),
        (GOOD.replace("\t5", "\thigh"), "row 3, column G2: 'high' is no number"),
        (GOOD + "TCGA-AA-0001\t1\t2\n", "patient TCGA-AA-0001 stands there more than once"),
        (GOOD.replace("\t", ","), "line 1: columns are separated by commas, expected tabs"),
        (XENA, "names genes by Ensembl identifiers such as ENSG00000000003.15; give probe_map"),
        ("", "is empty or begins with an empty line"),
        (GOOD.replace("\t5", "\tinf"), "gene G2 is inf"),
    ],
)
def test_ten_damaged_tables_are_stopped_with_their_cause(tmp_path: Path, table: str, sentence: str) -> None:
    with pytest.raises(CohortError, match=sentence):
        read_cohort_expression(write(tmp_path, table), KNOWN)


def test_a_probe_map_that_is_none_or_maps_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, XENA)
    with pytest.raises(CohortError, match="is no probe map: expected columns id and gene"):
        read_cohort_expression(path, KNOWN, probe_map=write(tmp_path, "a\tb\n1\t2\n", "p.tsv"))
    with pytest.raises(CohortError, match="maps none of the identifiers"):
        read_cohort_expression(path, KNOWN, probe_map=write(tmp_path, "id\tgene\nENSMUSG1\tA\n", "p.tsv"))
    with pytest.raises(CohortError, match="the smallest value is -1"):
        read_cohort_expression(write(tmp_path, GOOD.replace("\t5", "\t-1")), KNOWN, scale="linear")


@pytest.mark.parametrize("head", ["", "barcode"])
def test_patients_named_by_digits_keep_their_zeros_in_either_layout(tmp_path: Path, head: str) -> None:
    rows = write(tmp_path, f"{head},G1,G2\n007,1,2\n010,3,4\n", "rows.csv")
    columns = write(tmp_path, f"{head},007,010\nG1,1,3\nG2,2,4\n", "columns.csv")
    for path in (rows, columns):
        table = read_cohort_expression(path, {"007", "010"}).table
        assert table.patients == ("007", "010")
        np.testing.assert_array_equal(table.rows(["010"], ["G1", "G2"]), [[3, 4]])


def test_a_counter_without_a_name_before_the_patients_is_passed_over(tmp_path: Path) -> None:
    """As `DataFrame.to_csv` writes it, unless it is told not to."""
    table = write(tmp_path, ",patient_id,G1,G2\n0,A,1,2\n1,B,3,4\n", "counted.csv")
    read = read_cohort_expression(table, {"A", "B"})
    assert (read.table.patients, read.table.genes) == (("A", "B"), ("G1", "G2"))
    assert "The first column, which has no name and counts the rows, is passed over." in read.notes
    # Patients may be numbers themselves.
    numbered = write(tmp_path, ",G1,G2\n0,1,2\n1,3,4\n", "numbered.csv")
    assert read_cohort_expression(numbered, {"0", "1"}).table.patients == ("0", "1")


DATE = datetime(2024, 3, 1)


@pytest.mark.parametrize(
    "head", [DATE, "1-Mar", "Sep-2", "01.03.2024", "2024-03-01", "1-Sept-24", "3/1/2024"]
)
@pytest.mark.parametrize("turned", [False, True])
def test_genes_that_a_spreadsheet_took_for_dates_are_refused(
    tmp_path: Path, head: object, turned: bool
) -> None:
    frame = pd.DataFrame({"gene": ["TCGA-AA-0001", "TCGA-AA-0002"], head: [1.5, 2.5], "G2": [3.5, 4.5]})
    frame = frame.set_index("gene").T.rename_axis("gene").reset_index() if turned else frame
    frame.to_excel(tmp_path / "rna.xlsx", index=False)
    with pytest.raises(CohortError, match=r"rna\.xlsx: 1 genes are named like dates \("):
        read_cohort_expression(tmp_path / "rna.xlsx", KNOWN)


def test_real_names_of_genes_are_no_dates() -> None:
    refuse_dates(
        ["MARCH1", "SEPT2", "DEC1", "RP11-34P13.7", "AC004.1", "1/2-SBSRNA4", "HLA-DRB1", "MAR-8.2B"], "a"
    )


@pytest.mark.parametrize("cell", [True, DATE, "True"])
def test_truth_values_and_dates_are_no_expression(tmp_path: Path, cell: object) -> None:
    for second in (cell,) if cell is True else (cell, 2.5):  # pandas itself makes 1.0 of True beside a number
        frame = pd.DataFrame(
            {"patient_id": ["TCGA-AA-0001", "TCGA-AA-0002"], "G1": [cell, second], "G2": [3.5, 4.5]}
        )
        frame.to_excel(tmp_path / "rna.xlsx", index=False)
        for read in (lambda path: read_cohort_expression(path, KNOWN), read_expression):
            with pytest.raises(
                CohortError, match=r"row 2, column G1: '(True|2024-03-01 00:00:00)' is no number"
            ):
                read(tmp_path / "rna.xlsx")


CBIOPORTAL = (
    "Hugo_Symbol\tEntrez_Gene_Id\tTCGA-AA-0001-01\tTCGA-AA-0002-01\tTCGA-ZZ-0009-01\n"
    "G1\t100130426\t-1.5\t2\t1e9\nG2\t\t0.5\t-1\thigh\n\t7\t9\t9\t9\nG3\t8\t\t\t1\n"
)


def test_what_cbioportal_writes_beside_genes_and_patients_decides_nothing(tmp_path: Path) -> None:
    """Entrez's numbers would make z-scores of logarithms, and one gap among them would stop the table."""
    read = read_cohort_expression(write(tmp_path, CBIOPORTAL), KNOWN)
    assert (read.table.patients, read.table.genes) == (("TCGA-AA-0001", "TCGA-AA-0002"), ("G1", "G2"))
    np.testing.assert_array_equal(read.table.values, [[-1.5, 0.5], [2, -1]])
    assert read.scale == "log"
    for sentence in (
        "2 columns are of no patient of the cohort and passed over (Entrez_Gene_Id, TCGA-ZZ-0009-01).",
        "1 rows have no gene's name and are passed over.",
        "1 genes have no value in any patient and count as not measured (G3).",
    ):
        assert sentence in read.notes
    with pytest.raises(CohortError, match="holds no value of any gene for the patients"):
        read_cohort_expression(write(tmp_path, "gene\tTCGA-AA-0001\nG1\t\n"), KNOWN)


def test_rows_of_no_patient_are_passed_over_and_cells_named_as_the_file_counts_them(tmp_path: Path) -> None:
    table = "patient_id\tG1\nunit\tTPM\nTCGA-AA-0001\t1\nTCGA-AA-0002\t3\n"
    read = read_cohort_expression(write(tmp_path, table), KNOWN)
    np.testing.assert_array_equal(read.table.values, [[1], [3]])
    assert "1 row is of no patient of the cohort and passed over (unit)." in read.notes
    with pytest.raises(CohortError, match="row 4, column G1: 'high' is no number"):
        read_cohort_expression(write(tmp_path, table.replace("\t3", "\thigh")), KNOWN)


@pytest.mark.parametrize("low", [0.0, -9.97])
def test_a_column_that_is_no_gene_sets_no_scale(tmp_path: Path, low: float) -> None:
    """Ages among logarithms looked like counts, or like z-scores with heavy tails."""
    genes = pd.DataFrame(np.full((2, 400), low), columns=[f"G{number}" for number in range(400)])
    genes.insert(0, "patient_id", ["TCGA-AA-0001", "TCGA-AA-0002"])
    genes["age"], genes["OS.time"] = [61, 70], [300, 1200]
    path = tmp_path / "rna.csv"
    genes.to_csv(path, index=False)
    with pytest.raises(CohortError, match=r"only 2 of 402 genes have values beyond 40 \(age, OS\.time\)"):
        read_cohort_expression(path, KNOWN)
    assert read_cohort_expression(path, KNOWN, scale="log").scale == "log"
    genes["OS.time.days"] = genes["OS.time"]  # as rare as that heavy tails are not
    genes.to_csv(path, index=False)
    if low < 0:
        assert read_cohort_expression(path, KNOWN).scale == "zscore"


def test_barcodes_with_the_dots_of_r_are_the_same_patients(tmp_path: Path) -> None:
    table = XENA.split("ENSG")[0].replace("-", ".") + "G1\t1\t2\t9\n"
    read = read_cohort_expression(write(tmp_path, table), KNOWN)
    assert read.table.patients == ("TCGA-AA-0001", "TCGA-AA-0002")
    np.testing.assert_array_equal(read.table.values, [[1], [2]])


@pytest.mark.parametrize("name", ["gene", None])
@pytest.mark.parametrize("turned", [False, True])
def test_genes_or_patients_that_are_the_index_of_a_parquet_table_are_found(
    tmp_path: Path, name: str | None, turned: bool
) -> None:
    """As pandas writes a table that was read with `index_col=0`; the first sample was taken for the genes' names."""
    frame = pd.DataFrame({"A": [1.5, 2.5], "B": [3.5, 5.5]}, index=pd.Index(["TP53", "MYC"], name=name))
    (frame.T.rename_axis(name) if turned else frame).to_parquet(tmp_path / "rna.parquet")
    table = read_cohort_expression(tmp_path / "rna.parquet", frozenset("AB"), scale="log").table
    assert table.rows(["A", "B"], ["TP53", "MYC"]).tolist() == [[1.5, 2.5], [3.5, 5.5]]
