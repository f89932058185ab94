"""Who belongs to which subgroup, counted by hand, and which hospitals stand by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from statistics_fixtures import made_cohort

from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.subgroups import Grouping, groupings_of

TABLE = """patient_id,slide_ids,os_months,os_event,age,gender,stage
A,A1,10,1,64.9,FEMALE,Stage I
B,B1,20,1,65,F,Stage IIB
C,C1,30,0,65.1,male,Stage IIIA
D,D1,40,0,80,m,IV
E,E1,50,1,,Not Reported,
F,F1,60,0,12,2,Stage X
"""


def cohort_of(table: str, folder: Path) -> Cohort:
    (folder / "clinical.csv").write_text(table)
    made, _ = made_cohort(10)
    return replace(made, patients=read_clinical_table(folder / "clinical.csv", ClinicalKeys()).patients)


def by(cohort: Cohort, patients: Sequence[str] | None = None) -> dict[str, Grouping]:
    found = groupings_of(cohort, patients or [patient.patient_id for patient in cohort.patients])
    return {item.by: item for item in found}


def test_a_small_table_by_hand(tmp_path: Path) -> None:
    cohort = cohort_of(TABLE, tmp_path)
    found = by(cohort)
    assert list(found) == ["age", "sex", "stage"]
    assert found["age"].groups == {"below 65 years": ("A", "F"), "65 years and older": ("B", "C", "D")}
    assert found["sex"].groups == {"female": ("A", "B"), "male": ("C", "D")}
    assert found["stage"].groups == {"I and II": ("A", "B"), "III and IV": ("C", "D")}
    assert {name: item.unknown for name, item in found.items()} == {
        "age": ("E",), "sex": ("E", "F"), "stage": ("E", "F"),
    }  # fmt: skip
    some = by(cohort, ["E", "A"])
    assert some["age"].groups == {"below 65 years": ("A",)}  # a group without patients is none
    assert some["age"].unknown == ("E",)
    assert by(cohort, ["E"]) == {}


@pytest.mark.parametrize("column", ["gender", "SEX", "Sex", "gender.demographic", "demographic.gender"])
def test_sex_goes_by_the_names_of_the_common_sources(tmp_path: Path, column: str) -> None:
    found = by(cohort_of(TABLE.replace("gender", column), tmp_path))
    assert found["sex"].groups == {"female": ("A", "B"), "male": ("C", "D")}


def test_a_flag_of_women_is_understood_and_bare_numbers_are_not(tmp_path: Path) -> None:
    rows = "patient_id,slide_ids,os_months,os_event,{}\nA,A1,10,1,1.0\nB,B1,20,1,0.0\nC,C1,30,0,\n"
    found = by(cohort_of(rows.format("is_female"), tmp_path))
    assert found["sex"].groups == {"female": ("A",), "male": ("B",)}
    assert found["sex"].unknown == ("C",)
    assert by(cohort_of(rows.format("sex"), tmp_path)) == {}
    table = read_clinical_table(tmp_path / "clinical.csv", ClinicalKeys())
    assert "2 of 2 values of column sex were not understood and count as unknown (1.0, 0.0)." in table.notes


def hospitals(groups: Sequence[tuple[str, int, int]], *, column: str = "hospital") -> Cohort:
    """A cohort of patients of hospitals, each with its name, patients and events."""
    names = [(name, row < deaths) for name, size, deaths in groups for row in range(size)]
    made, _ = made_cohort(len(names))
    patients = tuple(
        replace(patient, group=name, event=event, age_years=None, sex="", stage=None)
        for patient, (name, event) in zip(made.patients, names, strict=True)
    )
    return replace(made, patients=patients, file=made.file.model_copy(update={"group": column}))


def test_hospitals_of_few_events_and_names_that_could_be_a_persons_are_only_counted() -> None:
    told = [("north", 20, 10), ("south", 20, 9), ("S003", 15, 12), ("H2019-004711", 15, 12), ("", 3, 1)]
    (site,) = groupings_of(hospitals(told), [f"SIM-{row:03d}" for row in range(73)])
    assert {name: len(patients) for name, patients in site.groups.items()} == {"north": 20}
    assert (site.pooled_groups, len(site.pooled), len(site.unknown)) == (3, 50, 3)


def test_tcga_sites_are_read_off_the_barcodes_and_the_largest_stand_by_themselves() -> None:
    cohort = hospitals([("", 14 * 11, 14 * 11)], column="")
    # Fourteen sites with eleven deaths each, and two more patients of one of them.
    codes = [f"{chr(65 + row // 11)}1" for row in range(14 * 11)] + ["N1"] * 2
    made, _ = made_cohort(len(codes))
    patients = tuple(
        replace(patient, patient_id=f"TCGA-{code}-{row:04d}", event=True)
        for row, (code, patient) in enumerate(zip(codes, made.patients, strict=True))
    )
    cohort = replace(cohort, patients=patients)
    site = by(cohort)["site"]
    assert list(site.groups) == [*(f"{letter}1" for letter in "ABCDEFGHIJK"), "N1"]
    assert (len(site.groups["N1"]), site.pooled_groups, len(site.pooled)) == (13, 2, 22)
    assert by(hospitals([("", 20, 15)], column=""), ["SIM-000"]) == {}
