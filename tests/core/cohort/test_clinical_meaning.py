"""Tables that are easily misread without a word: endpoints, censoring flags, ages, stages, rows that lack something."""

from __future__ import annotations

from pathlib import Path

import pytest

from amkd_core.cohort.clinical import ClinicalTable, read_clinical_table
from amkd_core.cohort.clinical_values import stage_number
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.errors import CohortError

SURVPATH = "case_id,slide_id,survival_months,censorship,survival_months_dss,censorship_dss\n" + "".join(
    f"P{i},S{i},{10 + i},{int(i % 2 == 0)},{5 + i},{int(i % 5 != 0)}\n" for i in range(20)
)
"""Half of the patients died, every fifth of the disease."""


def read(folder: Path, text: str, **keys) -> ClinicalTable:
    (folder / "clinical.csv").write_text(text)
    return read_clinical_table(folder / "clinical.csv", ClinicalKeys(**keys))


def test_an_endpoint_takes_its_own_time_and_flag(tmp_path: Path) -> None:
    table = read(tmp_path, SURVPATH, endpoint="dss")
    assert table.notes[:2] == (
        "Time is column survival_months_dss, in months.",
        "Event is column censorship_dss: 1 means censored, 0 death from the disease.",
    )
    assert [patient.event for patient in table.patients] == [i % 5 == 0 for i in range(20)]
    assert [patient.time for patient in table.patients] == [5.0 + i for i in range(20)]
    overall = read(tmp_path, SURVPATH)
    assert [patient.event for patient in overall.patients] == [i % 2 == 1 for i in range(20)]


def test_another_endpoint_never_falls_back_to_the_flag_of_overall_survival(tmp_path: Path) -> None:
    text = "case_id,slide_id,dss_months,censorship\nA,A1,5,0\n"
    with pytest.raises(CohortError, match=r"no column dss_event; found case_id, slide_id, dss_months"):
        read(tmp_path, text, endpoint="dss")
    (patient,) = read(tmp_path, text, endpoint="dss", event_column="censorship").patients
    assert patient.event


@pytest.mark.parametrize("name", ["Censored_PFI", "pfi.censor", "is_censored"])
def test_a_stated_column_that_is_named_after_censoring_means_it(tmp_path: Path, name: str) -> None:
    text = f"patient_id,slide_ids,pfi_months,{name}\nA,A1,5,1\nB,B1,6,0\n"
    table = read(tmp_path, text, endpoint="pfi", event_column=name)
    assert [patient.event for patient in table.patients] == [False, True]
    told = read(tmp_path, text, endpoint="pfi", event_column=name, event_means="death")
    assert [patient.event for patient in told.patients] == [True, False]


def test_one_empty_stage_does_not_cost_all_the_others(tmp_path: Path) -> None:
    rows = "".join(f"P{i},S{i},5,1,{stage}\n" for i, stage in enumerate(["1", "2", "", "4", "3"]))
    table = read(tmp_path, "patient_id,slide_ids,os_months,os_event,stage\n" + rows)
    assert [patient.stage for patient in table.patients] == [1, 2, None, 4, 3]
    assert (stage_number("2.0"), stage_number("2.5")) == (2, None)


def test_ages_and_stages_that_are_not_understood_are_told(tmp_path: Path) -> None:
    head = "patient_id,slide_ids,os_months,os_event,age,stage\n"
    rows = "A,A1,5,1,>89,Stage X\nB,B1,5,0,61,Not Reported\nC,C1,5,0,640,pT2\nD,D1,5,0,'--,\n"
    table = read(tmp_path, head + rows)
    assert [patient.age_years for patient in table.patients] == [None, 61.0, None, None]
    assert "2 of 3 values of column age were not understood and count as unknown (>89, 640)." in table.notes
    assert (
        "2 of 2 values of column stage were not understood and count as unknown (Stage X, pT2)."
        in table.notes
    )


def test_ages_at_diagnosis_in_days_become_years(tmp_path: Path) -> None:
    head = "patient_id,slide_ids,os_months,os_event,age_at_diagnosis"
    table = read(tmp_path, f"{head}\nA,A1,5,1,21915\nB,B1,5,1,25567.5\nC,C1,5,1,'--\n")
    assert [patient.age_years for patient in table.patients] == pytest.approx([60.0, 70.0, None])
    assert "Age is column age_at_diagnosis, in days." in table.notes
    both = read(tmp_path, f"{head},age_at_index\nA,A1,5,1,21915,60\n")
    assert both.patients[0].age_years == 60.0
    years = read(tmp_path, f"{head}\nA,A1,5,1,61\n")
    assert years.patients[0].age_years == 61.0
    assert not [note for note in years.notes if note.startswith("Age is")]


def test_a_vital_status_that_nobody_reported_is_no_follow_up(tmp_path: Path) -> None:
    head = "patient_id,slide_ids,os_months,vital_status\n"
    table = read(tmp_path, head + "A,A1,5,Dead\nB,B1,6,Alive\nC,C1,7,Not Reported\n")
    assert [patient.event for patient in table.patients] == [True, False]
    assert [str(item) for item in table.findings] == ["1 patient kept out: no follow-up (C)"]
    with pytest.raises(CohortError, match=r"1 problem: row 4, patient C: .* is Lost, expected Dead or Alive"):
        read(tmp_path, head + "A,A1,5,Dead\nB,B1,6,Alive\nC,C1,7,Lost\n")


def test_a_patient_with_one_good_row_is_not_listed_as_kept_out(tmp_path: Path) -> None:
    head = "patient_id,slide_id,os_months,os_event\n"
    table = read(tmp_path, head + "A,A1,5,1\nA,,5,1\nB,B1,6,0\nC,,7,0\n")
    assert [patient.patient_id for patient in table.patients] == ["A", "B"]
    assert [str(item) for item in table.findings] == ["1 patient kept out: no slide (C)"]
    assert any(note.startswith("1 row without slide or follow-up is left out") for note in table.notes)


def test_the_tables_of_cbioportals_pages_are_recognised(tmp_path: Path) -> None:
    head = "Patient ID,Slide ID,Overall Survival (Months),Overall Survival Status,"
    head += "Months of disease-specific survival,Disease-specific Survival status\n"
    rows = (
        "A,A1,5.5,1:DECEASED,5.5,0:ALIVE OR DEAD TUMOR FREE\nB,B1,6,0:LIVING,6,0:ALIVE OR DEAD TUMOR FREE\n"
    )
    rows += "C,C1,7,1:DECEASED,7,1:DEAD WITH TUMOR\n"
    overall = read(tmp_path, head + rows)
    assert [(one.time, one.event) for one in overall.patients] == [(5.5, True), (6.0, False), (7.0, True)]
    disease = read(tmp_path, head + rows, endpoint="dss")
    assert [one.event for one in disease.patients] == [False, False, True]
    with pytest.raises(CohortError, match="patient D: Overall Survival Status is 1:LIVING, expected Dead or"):
        read(tmp_path, head + rows + "D,D1,7,1:LIVING,7,1:DEAD WITH TUMOR\n")


def test_gdcs_patients_are_known_by_barcode_and_missing_columns_name_their_keys(tmp_path: Path) -> None:
    head = "case_id,case_submitter_id,vital_status,days_to_death,slide_id"
    row = "0a1b-uuid,TCGA-AA-0001,Dead,300,S1"
    with pytest.raises(
        CohortError,
        match=r"no column os_months; found case_id, .*, slide_id; columns .* stated by time_column in",
    ):
        read(tmp_path, f"{head}\n{row}\n")
    (patient,) = read(tmp_path, f"{head},overall_survival_days\n{row},300\n").patients
    assert (patient.patient_id, patient.event) == ("TCGA-AA-0001", True)
    with pytest.raises(
        CohortError,
        match=r"no column patient_id, os_months, os_event, slide_ids; found a; .* stated by patient_column",
    ):
        read(tmp_path, "a\n1\n")


def test_words_of_an_event_column_mean_what_they_say_and_the_note_quotes_them(tmp_path: Path) -> None:
    text = "patient_id,slide_ids,os_months,vital_status\nA,A1,5,Dead\nB,B1,6,Alive\nC,C1,6,DECEASED\n"
    said = "Event is column vital_status, in words: Dead or DECEASED means death, Alive means censored."
    assert said in read(tmp_path, text).notes
    assert said in read(tmp_path, text, event_means="death").notes
    with pytest.raises(
        CohortError, match=r'vital_status says in words who died, but event_means is "censored"'
    ):
        read(tmp_path, text, event_means="censored")


def test_a_time_that_is_no_number_is_not_said_to_be_kept_out_by_a_key(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"os_days is soon, expected days above 0$"):
        read(tmp_path, "patient_id,slide_ids,os_days,os_event\nA,A1,soon,1\n")


ROWS = "patient_id,slide_id,os_months,os_event,age,stage\n"


def test_slides_of_rows_without_follow_up_are_the_patients_where_its_first_row_tells(tmp_path: Path) -> None:
    """As in a hospital's sheet, whose first row of a patient alone is filled in; in any order."""
    table = read(tmp_path, ROWS + "A,A1,5,1,60,II\nA,A2,,,,\nB,B2,,,,\nB,B1,6,0,70,I\nC,C1,,,50,\n")
    assert [(one.patient_id, one.slide_ids) for one in table.patients] == [
        ("A", ("A1", "A2")),
        ("B", ("B1", "B2")),
    ]
    assert "2 rows name slides without follow-up; that of the patient's other row counts." in table.notes
    assert [str(item) for item in table.findings] == ["1 patient kept out: no follow-up (C)"]
    with pytest.raises(CohortError, match="patient A: the rows of its slides contradict each other"):
        read(tmp_path, ROWS + "A,A1,5,1,60,II\nA,A2,,,61,\n")
    with pytest.raises(CohortError, match="patient A: slide A1 stands there more than once"):
        read(tmp_path, ROWS + "A,A1,5,1,60,II\nA,A1,,,,\n")
    apart = read(tmp_path, ROWS + "A,,5,1,60,II\nA,A1,,,,\nA,A2,,,,\nB,B1,6,0,70,I\n")
    assert [one.slide_ids for one in apart.patients] == [("B1",), ("A1", "A2")]
    assert apart.findings == ()
    assert not [note for note in apart.notes if "left out" in note]


def test_a_slide_that_is_lost_with_half_a_follow_up_is_named(tmp_path: Path) -> None:
    table = read(tmp_path, ROWS + "A,A1,5,1,60,II\nA,A2,7,,,\n")
    assert [one.slide_ids for one in table.patients] == [("A1",)]
    lost = "1 row without slide or follow-up is left out, and with them slide A2; the same patients have other rows."
    assert lost in table.notes


def test_slides_of_normal_tissue_are_left_out_and_named(tmp_path: Path) -> None:
    tumour, normal = "TCGA-AA-0001-01Z-00-DX1.AB", "TCGA-AA-0001-11A-01-TS1.CD"
    alone = "TCGA-AA-0002-11A-01-TS1.EF"
    said = f"2 slides are of normal tissue by the barcode and left out ({normal}, {alone})."
    many = "patient_id,slide_ids,os_months,os_event\n"
    rows = f"TCGA-AA-0001,{tumour};{normal},5,1\nTCGA-AA-0002,{alone}.svs,6,0\n"
    table = read(tmp_path, many + rows)
    assert [one.slide_ids for one in table.patients] == [(tumour,)]
    assert said in table.notes
    assert [str(item) for item in table.findings] == ["1 patient kept out: no slide (TCGA-AA-0002)"]
    one = f"TCGA-AA-0001,{tumour},5,1,60,\nTCGA-AA-0001,{normal},5,1,60,\nTCGA-AA-0002,{alone},6,0,,\n"
    table = read(tmp_path, ROWS + one)
    assert [one.slide_ids for one in table.patients] == [(tumour,)]
    assert said in table.notes
    assert not [note for note in table.notes if "without slide" in note]


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ((",", ",II"), "Age is known of no patient, so the clinical baseline is one of stage alone."),
        (("60,", "61,"), "Stage is known of no patient, so the clinical baseline is one of age alone."),
        (
            (",", ","),
            "Age and stage are known of no patient, so no clinical baseline stands beside the models.",
        ),
    ],
)
def test_what_no_patient_is_told_of_is_said_with_what_follows(tmp_path: Path, cells, sentence: str) -> None:
    table = read(tmp_path, ROWS + f"A,A1,5,1,{cells[0]}\nB,B1,6,0,{cells[1]}\n")
    assert sentence in table.notes
    bare = read(tmp_path, "patient_id,slide_id,os_months,os_event,age\nA,A1,5,1,60\n")
    stated = "the clinical baseline is one of age alone (a column of another name is stated by stage_column)."
    assert bare.notes[-1].endswith(stated)
    assert not [note for note in read(tmp_path, ROWS + "A,A1,5,1,60,I\n").notes if "known of no" in note]


def test_the_columns_of_xenas_copies_of_gdc_are_recognised(tmp_path: Path) -> None:
    head = (
        "sample,case_id,submitter_id,slide_id,vital_status.demographic,days_to_death.demographic,"
        "days_to_last_follow_up.diagnoses,age_at_index.demographic,ajcc_pathologic_stage.diagnoses\n"
    )
    table = read(
        tmp_path,
        head
        + "s1,uuid-1,TCGA-AA-0001,A1,Dead,304.375,,61,Stage IIB\n"
        + "s2,uuid-2,TCGA-AA-0002,B1,Alive,,60.875,50,\n",
    )
    assert [(one.patient_id, one.time, one.event, one.age_years, one.stage) for one in table.patients] == [
        ("TCGA-AA-0001", pytest.approx(10), True, 61, 2),
        ("TCGA-AA-0002", pytest.approx(2), False, 50, None),
    ]


def test_a_line_break_in_a_columns_name_is_read(tmp_path: Path) -> None:
    """As a spreadsheet saves a heading of two lines."""
    table = read(
        tmp_path, 'patient_id,slide_ids,"Tumour\ngrade, WHO","OS\nmonths",os_event\nA,A1,3,5,1\nB,B1,2,7,0\n'
    )
    assert [one.time for one in table.patients] == [5, 7]
    with pytest.raises(CohortError, match=r"clinical\.csv, line 4: has 4 of 5 cells"):
        read(tmp_path, 'patient_id,slide_ids,"a\nb",os_months,os_event\nA,A1,3,5,1\nB,B1,2,7\n')
    with pytest.raises(CohortError, match="a quotation mark is opened and never closed"):
        read(tmp_path, 'patient_id,slide_ids,"a\nb,os_months,os_event\nA,A1,3,5,1\n')
