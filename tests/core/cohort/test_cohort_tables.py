from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from amkd_core.cohort.checks import coverage_warnings
from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.cohort import Patient, read_cohort
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.folds import make_split
from amkd_core.cohort.genes import GeneScaling, read_expression
from amkd_core.cohort.pathways import GeneSet, cover, groups_over, read_gmt, refuse_genes_as_descriptions
from amkd_core.cohort.splits import Split, stratified_split
from amkd_core.errors import CohortError, ConfigError

CLINICAL = """patient_id,slide_ids,os_months,os_event
A,A1;A2,12.5,1
B,B1,30,0
C,C1,7,1
"""
EXPRESSION = "patient_id,G1,G2,G3\nC,3,4,5\nA,1,2,3\nB,2,3,4\n"
GMT = "P1\tsource\tG1\tG2\nP2\tsource\tG3\n"
TOML = """[cohort]
name = "tiny"
clinical = "clinical.csv"
expression = "expression.csv"
pathways = "pathways.gmt"
"""


def write_cohort(
    folder: Path, *, clinical: str = CLINICAL, expression: str = EXPRESSION, toml: str = TOML
) -> Path:
    (folder / "clinical.csv").write_text(clinical)
    (folder / "expression.csv").write_text(expression)
    (folder / "pathways.gmt").write_text(GMT)
    (folder / "cohort.toml").write_text(toml)
    return folder / "cohort.toml"


def test_patients_come_with_slides_months_and_deaths(tmp_path: Path) -> None:
    cohort = read_cohort(write_cohort(tmp_path))
    assert cohort.patients[0] == Patient("A", ("A1", "A2"), 12.5, True)
    assert [patient.event for patient in cohort.patients] == [True, False, True]
    assert cohort.outcome.n_events == 2
    assert cohort.findings == ()


def test_genes_are_joined_by_identifier_not_by_row(tmp_path: Path) -> None:
    cohort = read_cohort(write_cohort(tmp_path))
    rows = cohort.expression.rows(["A", "B", "C"], ["G3", "G1"])
    np.testing.assert_array_equal(rows, [[3, 1], [4, 2], [5, 3]])
    with pytest.raises(CohortError, match="expression lacks Z, G9"):
        cohort.expression.rows(["A", "Z"], ["G1", "G9"])


def test_incomplete_patients_are_kept_out_and_named(tmp_path: Path) -> None:
    clinical = CLINICAL + "D,D1,,1\nE,,4,1\nF,F1,5,0\n"
    cohort = read_cohort(write_cohort(tmp_path, clinical=clinical))
    assert [patient.patient_id for patient in cohort.patients] == ["A", "B", "C"]
    told = {finding.reason: finding.patients for finding in cohort.findings}
    assert told == {"no follow-up": ("D",), "no expression": ("F",), "no slide": ("E",)}
    assert str(cohort.findings[0]) == "1 patient kept out: no follow-up (D)"


def test_contradictions_are_listed_all_at_once(tmp_path: Path) -> None:
    clinical = CLINICAL + "A,A3,5,1\n"
    clinical = clinical.replace("B,B1,30,0", "B,B1,-3,0").replace("C,C1,7,1", "C,C1,7,2")
    expected = (
        r"clinical.csv: 3 problems: row 3, patient B: os_months is -3.0, expected months above 0; "
        r"row 4, patient C: os_event is 2, expected 1 \(death\) or 0 \(censored\); "
        r"row 5: patient A stands there more than once; nonpositive_time = .drop. keeps times of 0 or less out; "
        r"one row a patient is expected, where GDC's tables have one a treatment and others one a sample$"
    )
    with pytest.raises(CohortError, match=expected):
        read_cohort(write_cohort(tmp_path, clinical=clinical))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("D,A2,5,1\n", "slide A2 belongs to patients A and D"),
        ("D,D1;D1,5,1\n", "patient D: slide D1 stands there more than once"),
        ("D,D1,inf,1\n", "patient D: os_months is inf, expected months above 0"),
        ("D,D1,0,1\n", "patient D: os_months is 0.0, expected months above 0"),
        ("D,D1,soon,1\n", "patient D: os_months is soon, expected months above 0"),
        (
            "D,D1,5,dead\n",
            r"D: os_event is dead, expected 1 \(death\) or 0 \(censored\), or Dead and Alive in all",
        ),
        (
            "D,D1,5,yes\n",
            r"D: os_event is yes, expected 1 \(death\) or 0 \(censored\), or Dead and Alive in all",
        ),
        (",D1,5,1\n", "row 5: no patient_id"),
        (" A ,D1,5,1\n", "patient A stands there more than once"),
    ],
)
def test_rows_that_would_leak_or_mislead_are_refused(tmp_path: Path, rows: str, problem: str) -> None:
    (tmp_path / "clinical.csv").write_text(CLINICAL + rows)
    with pytest.raises(CohortError, match=f"clinical.csv: .*{problem}"):
        read_clinical_table(tmp_path / "clinical.csv", ClinicalKeys())


def test_missing_values_of_a_parquet_table_are_missing_values(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "patient_id": ["A", "B", "C"],
            "slide_ids": pd.array(["A1", None, "C1"], dtype="string"),
            "os_months": pd.array([3.0, 4.0, None], dtype="Float64"),
            "os_event": pd.array([True, False, True], dtype="boolean"),
            "split": pd.array([None, None, None], dtype="string"),
        }
    )
    table.to_parquet(tmp_path / "clinical.parquet")
    table = read_clinical_table(tmp_path / "clinical.parquet", ClinicalKeys())
    assert table.patients == (Patient("A", ("A1",), 3.0, True),)
    assert {finding.reason: finding.patients for finding in table.findings} == {
        "no follow-up": ("C",),
        "no slide": ("B",),
    }


def test_each_table_says_what_is_wrong_with_it_in_one_go(tmp_path: Path) -> None:
    path = write_cohort(tmp_path, clinical=CLINICAL + "D,D1,-1,1\n", expression="patient_id,G1\nA,1\nA,2\n")
    (tmp_path / "pathways.gmt").write_text("P1 G1\n")
    expected = (
        r"clinical.csv: 1 problem: row 5, patient D: os_months is -1.0, expected months above 0; nonpositive_time "
        r"= .drop. keeps times of 0 or less out; expression.csv: "
        r"patient A stands there more than once.*; pathways.gmt, line 1: expected name, description and genes"
    )
    with pytest.raises(CohortError, match=expected):
        read_cohort(path)


def test_groups_of_genes_are_read_beside_the_pathways_and_cut_to_their_genes(tmp_path: Path) -> None:
    assert read_cohort(write_cohort(tmp_path)).gene_groups == ()
    path = write_cohort(tmp_path, toml=TOML + 'gene_groups = "groups.gmt"\n')
    with pytest.raises(CohortError, match=r"groups\.gmt: no such file"):
        read_cohort(path)
    (tmp_path / "groups.gmt").write_text("kinases\tx\tG1\tG9\nmarkers\tx\tG1\tG3\n")
    cohort = read_cohort(path)
    assert [(group.name, sorted(group.genes)) for group in cohort.gene_groups] == [
        ("kinases", ["G1", "G9"]), ("markers", ["G1", "G3"]),
    ]  # fmt: skip
    np.testing.assert_array_equal(
        groups_over(cohort.gene_groups, ["G1", "G2", "G3"]), [[True, False, False], [True, False, True]]
    )
    with pytest.raises(CohortError, match="gene group kinases has none of the 2 genes of the pathways"):
        groups_over(cohort.gene_groups, ["G2", "G3"])


def test_a_cohort_without_any_complete_patient_is_refused(tmp_path: Path) -> None:
    path = write_cohort(tmp_path, expression="patient_id,G1\nX,1\n")
    with pytest.raises(CohortError, match=r"expression.csv: names no patient of the clinical table"):
        read_cohort(path)


def test_the_summary_tells_deaths_and_follow_up(tmp_path: Path) -> None:
    cohort = read_cohort(write_cohort(tmp_path))
    assert cohort.summary == "tiny: 2 deaths among 3 patients (67%), median follow-up 12.5 months"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("sample,G1\nA,1\n", r"no column patient_id \(found sample, G1"),
        ("patient_id,G1\nA,1\nA,2\n", "patient A stands there more than once"),
        ("patient_id,G1\nA,\n", "patient A, gene G1 is nan, expected a finite number"),
        ("patient_id,G1\nA,high\n", "expression must be numbers"),
    ],
)
def test_unusable_expression_is_refused(tmp_path: Path, table: str, sentence: str) -> None:
    (tmp_path / "expression.csv").write_text(table)
    with pytest.raises(CohortError, match=sentence):
        read_expression(tmp_path / "expression.csv")


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            TOML + 'colour = "red"\n',
            r"cohort.toml: \[cohort\] there is no key colour; known are endpoint, patient_column",
        ),
        (TOML + 'slide = "x"\n', r"there is no key slide; did you mean slides\?"),
        (TOML + "[training]\nseed = 1\n", r"there is no table \[training\], only \[cohort\]"),
        (TOML + 'slide = "x"\nendpoint = "rfs"\n', r"no key slide; .*; \[cohort\] endpoint: Input should be"),
        (TOML + 'endpoint = "rfs"\n', r"\[cohort\] endpoint: Input should be 'os', 'dss' or 'pfi'"),
        (TOML.replace("[cohort]\n", ""), r"pathways: the line \[cohort\] must stand above, and does not$"),
        (
            'colour = "red"\n' + TOML,
            r"colour: the line \[cohort\] must stand .*; \[cohort\] there is no key colour",
        ),
        ("[cohort\n", "cohort.toml: is not TOML"),
        (TOML + "name2 = " + "[" * 5000 + "]" * 5000, r"cohort\.toml: is not TOML \(nested too deeply\)$"),
        (TOML + "name2 = " + "1" * 5000, r"cohort\.toml: is not TOML \(Exceeds the limit"),
        ("cohort = 3\n", r"cohort\.toml: cohort must be one table, \[cohort\]"),
        ("[[cohort]]\nname = 'a'\n", r"cohort\.toml: cohort must be one table, \[cohort\]"),
        ("#" * (2**20 + 1), r"cohort\.toml: has 1,048,577 characters, expected at most 1,048,576"),
        (
            '[cohort]\nname = "x"\n',
            r"clinical is missing; name the .* expression is missing; name the table of genes",
        ),
        (TOML + 'endpoint = "dss"\n', "clinical.csv: no column dss_months, dss_event; found patient_id"),
    ],
)
def test_cohort_files_that_cannot_be_used_are_refused(tmp_path: Path, toml: str, sentence: str) -> None:
    with pytest.raises((ConfigError, CohortError), match=sentence):
        read_cohort(write_cohort(tmp_path, toml=toml))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.toml: no such cohort file"):
        read_cohort(tmp_path / "absent.toml")
    path = write_cohort(tmp_path)
    (tmp_path / "expression.csv").unlink()
    with pytest.raises(CohortError, match=r"expression.csv: no such file"):
        read_cohort(path)


def test_a_gmt_file_keeps_its_order_and_refuses_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text("B\turl\tG2\tG1\nA\turl\tG3\n\n")
    assert [item.name for item in read_gmt(path)] == ["B", "A"]
    path.write_text("B\turl\tG1\nB\turl\tG2\n")
    with pytest.raises(CohortError, match="line 2: pathway B stands there more than once"):
        read_gmt(path)
    path.write_text("B G1 G2\n")
    with pytest.raises(CohortError, match="line 1: expected name, description and genes separated by tabs"):
        read_gmt(path)


def test_a_gmt_file_without_descriptions_is_refused_where_its_genes_are_known(tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text("A\tG1\tG2\nB\tG3\tG1\nC\turl\tG2\n")
    with pytest.raises(
        CohortError, match=r"the second cell of 2 of 3 lines is a gene of the .* \(G1, G3\), exp"
    ):
        refuse_genes_as_descriptions(path, ("G1", "G2", "G3"))
    refuse_genes_as_descriptions(path, ("G2", "G4"))
    # A regulator's name once more loses nothing.
    path.write_text("G1\tG1\tG2\nB\tG3\tG3\tG1\n")
    refuse_genes_as_descriptions(path, ("G1", "G2", "G3"))


def test_pathways_below_the_coverage_are_dropped_and_named() -> None:
    sets = (
        GeneSet("full", frozenset("AB")),
        GeneSet("half", frozenset("AX")),
        GeneSet("none", frozenset("YZ")),
    )
    kept = cover(sets, ["A", "B", "C"])
    assert (kept.pathways, kept.dropped, kept.genes) == (("full",), ("half", "none"), ("A", "B"))
    wider = cover(sets, ["A", "B", "C"], min_coverage=0.5)
    assert wider.pathways == ("full", "half")
    np.testing.assert_array_equal(wider.matrix, [[True, True], [True, False]])
    with pytest.raises(CohortError, match=r"no pathway has 90% of its genes .*the best, full, has 0%"):
        cover(sets[:1], ["Q"])


def test_a_table_of_few_pathways_genes_stops_until_it_is_confirmed() -> None:
    sets = [GeneSet(name, frozenset(name)) for name in ("AB", "AC", "AD", "XYZ")]
    assert coverage_warnings(sets, [*"ABCDXYZ"]) == ()
    with pytest.raises(
        CohortError,
        match=r"^The table has 4 of the 7 genes of the pathways \(57%\), expected at least 90%; 1 of 4 pathways have "
        r"less than 50% of theirs in it \(XYZ 0%\)\. Check .* confirm so few by min_genes = 0\.57 and "
        r"min_pathway_genes = 0 in the cohort file$",
    ):
        coverage_warnings(sets, [*"ABCD"])
    with pytest.raises(
        CohortError, match=r"\(57%\); 1 of 4 .* so few by min_pathway_genes = 0 in the cohort file$"
    ):
        coverage_warnings(sets, [*"ABCD"], min_genes=0.57)
    with pytest.raises(
        CohortError, match=r"expected at least 90%\. Check .* so few by min_genes = 0\.57 in the"
    ):
        coverage_warnings(sets, [*"ABCD"], min_pathway_genes=0)
    (warning,) = coverage_warnings(sets, [*"ABCD"], min_genes=0.57, min_pathway_genes=0)
    assert warning.startswith(
        "1 of 4 pathways are left out, with less than 90% of their genes in the expression table (XYZ 0%; amkd"
    )
    assert warning.endswith("the table has 4 of the 7 genes of the pathways (57%).")
    with pytest.raises(
        CohortError, match=r"have less than 70% of theirs in it \(XYZ 67%\).* min_pathway_genes = 0\.66 in"
    ):
        coverage_warnings(sets, [*"ABCDXY"], min_genes=0.8, min_pathway_genes=0.7)


def test_a_lower_coverage_of_pathways_is_asked_for_once() -> None:
    sets = [GeneSet(name, frozenset(name)) for name in ("AB", "AC", "ADEF")]
    measured = [*"ABCD"]
    with pytest.raises(CohortError, match=r"\(67%\), expected at least 90%\. Check"):
        coverage_warnings(sets, measured)
    (warning,) = coverage_warnings(sets, measured, min_genes=0.6)
    assert "(ADEF 50%;" in warning
    # What `min_coverage` keeps need not be confirmed again, and the share of genes is told all the same.
    measured = [*"ABC"]
    assert coverage_warnings(sets, measured, min_genes=0.5, min_coverage=0.25) == (
        "The table has 3 of the 6 genes of the pathways (50%).",
    )
    with pytest.raises(CohortError, match="less than 30% of theirs"):
        coverage_warnings(sets, measured, min_genes=0.5, min_coverage=0.3)
    with pytest.raises(CohortError, match="no pathway has 90% of its genes"):
        coverage_warnings(sets, ["Q"], min_genes=0, min_pathway_genes=0)
    # A pathway that none of the genes is of is left out even where no share is asked for.
    (warning,) = coverage_warnings(sets, ["B"], min_genes=0, min_coverage=0)
    assert "(AC 0%, ADEF 0%;" in warning


def test_the_papers_pathways_and_real_expression_fit(shared: Path) -> None:
    sets = read_gmt(shared / "data" / "pathways.gmt")
    assert len(sets) == 331
    table = read_expression(shared / "data" / "rna_stad_xena.parquet")
    assert (len(table.patients), len(table.genes)) == (318, 1577)
    kept = cover(sets, table.genes)
    assert len(kept.pathways) + len(kept.dropped) == 331
    assert len(kept.pathways) >= 281  # all pathways but Hallmark's are measured in full
    whole = [item for item in sets if item.name in kept.pathways]
    assert coverage_warnings(whole, table.genes) == ()
    # These tables were cut down to the genes of Reactome's pathways: it is asked for.
    with pytest.raises(
        CohortError, match=r"expected at least 90%; 50 of 331 pathways have less than 50% of theirs"
    ):
        coverage_warnings(sets, table.genes)
    (warning,) = coverage_warnings(sets, table.genes, min_genes=0.31, min_pathway_genes=0)
    assert warning.startswith("50 of 331 pathways are left out")
    few = read_expression(shared / "data" / "rna_stad_zscore.parquet").genes
    with pytest.raises(
        CohortError, match=r" \(15%\), expected at least 90%; 28\d of 331 pathways have less than 50% "
    ):
        coverage_warnings(sets, few)
    assert coverage_warnings(sets, few, min_genes=0.15, min_pathway_genes=0)
    assert coverage_warnings(sets, few, min_genes=0, min_coverage=0)


def test_z_scores_use_the_statistics_that_they_were_fitted_on() -> None:
    scaling = GeneScaling.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    np.testing.assert_allclose(scaling.apply(np.array([[2.0, 5.0], [5.0, 6.0]])), [[0, 0], [3, 1]])


def test_a_gene_of_one_number_in_training_is_not_divided_by_rounding_errors() -> None:
    """The floor of log2(TPM + 0.001), whose mean over 255 patients is not quite itself."""
    floor = np.full((255, 1), -9.9658)
    assert floor.std() > 0
    scaling = GeneScaling.fit(floor)
    np.testing.assert_allclose(scaling.apply(np.array([[-9.9658], [-5.0]])), [[0], [4.9658]], atol=1e-9)


def patients(n: int, share: float = 0.4) -> list[Patient]:
    return [Patient(f"P{index:03d}", ("s",), 1.0 + index, index < share * n) for index in range(n)]


def test_the_split_is_by_patient_stratified_and_seeded() -> None:
    everyone = patients(200)
    split = stratified_split(everyone, seed=3)
    assert (len(split.train), len(split.validation), len(split.test)) == (128, 32, 40)
    assert set(split.train) | set(split.validation) | set(split.test) == {p.patient_id for p in everyone}
    deaths = {p.patient_id for p in everyone if p.event}
    assert [len(deaths & set(part)) for part in (split.train, split.validation, split.test)] == [51, 13, 16]
    assert split == stratified_split(everyone[::-1], seed=3)
    assert split != stratified_split(everyone, seed=4)


def test_a_split_of_the_table_is_taken_or_refused() -> None:
    parts = ["train", "validation", "test"] * 10
    marked = [Patient(f"P{i}", ("s",), 1.0, True, part) for i, part in enumerate(parts)]
    assert make_split(marked, seed=0).test == tuple(p.patient_id for p in marked if p.split == "test")
    with pytest.raises(CohortError, match="split is given for 29 of 30 patients"):
        make_split([*marked[1:], Patient("P0", ("s",), 1.0, True)], seed=0)
    untested = [
        replace(patient, split="train" if patient.split == "test" else patient.split) for patient in marked
    ]
    assert make_split(untested, seed=0).test == ()
    with pytest.raises(CohortError, match="the validation part has 1 death, expected at least 2"):
        make_split(patients(10), seed=0)
    with pytest.raises(CohortError, match="patient A is in two parts"):
        Split(("A",), ("B",), ("A",))


@pytest.mark.parametrize("kept", ["patient_id", "unnamed text", "unnamed numbers"])
def test_an_index_that_pandas_keeps_in_parquet_is_a_column(tmp_path: Path, kept: str) -> None:
    frame = pd.DataFrame(
        {"patient_id": ["A", "B"], "slide_ids": ["A1", "B1"], "os_months": [5.0, 6.0], "os_event": [1, 0]}
    )
    if kept == "patient_id":
        frame = frame.set_index("patient_id")
    else:
        frame.index = pd.Index(["x", "y"] if kept == "unnamed text" else [7, 9])
    frame.to_parquet(tmp_path / "clinical.parquet")
    table = read_clinical_table(tmp_path / "clinical.parquet", ClinicalKeys())
    assert [patient.patient_id for patient in table.patients] == ["A", "B"]
