"""Clinical tables as the common sources write them, and the two meanings of an event flag."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from amkd_core.cohort.barcodes import choose_samples, patient_of, site_of
from amkd_core.cohort.checks import follow_up_warnings
from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.clinical_values import stage_number
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.patients import Patient
from amkd_core.cohort.tables import read_table
from amkd_core.errors import CohortError
from amkd_core.file_names import SLIDE_SUFFIXES
from amkd_core.slides import slide_id_of
from amkd_core.survival.endpoints import words_of


def write(folder: Path, text: str, name: str = "clinical.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_one_row_a_slide_with_a_censoring_flag_in_the_manner_of_survpath(tmp_path: Path) -> None:
    rows = "case_id,slide_id,survival_months,censorship,site,age\n"
    rows += "TCGA-AA-0001,TCGA-AA-0001-01Z-00-DX1.svs,10,0,AA,61\nTCGA-AA-0001,TCGA-AA-0001-01Z-00-DX2.svs,10,0,AA,61\n"
    rows += "TCGA-BB-0002,TCGA-BB-0002-01Z-00-DX1.svs,20,1,BB,\n"
    table = read_clinical_table(write(tmp_path, rows), ClinicalKeys(group="site"))
    first, second = table.patients
    assert first == Patient(
        "TCGA-AA-0001",
        ("TCGA-AA-0001-01Z-00-DX1", "TCGA-AA-0001-01Z-00-DX2"),
        10.0,
        True,
        age_years=61.0,
        group="AA",
    )
    assert (second.event, second.age_years) == (False, None)
    assert "Event is column censorship: 1 means censored, 0 death." in table.notes
    assert "3 rows, one a slide, are 2 patients." in table.notes


def test_rows_of_one_patient_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    rows = "case_id,slide_id,survival_months,censorship\nA,A1,10,0\nA,A2,11,0\nB,B1,3,1\nB,B1,3,1\n"
    with pytest.raises(
        CohortError, match="A: the rows of its slides contradict each other; patient B: slide B1"
    ):
        read_clinical_table(write(tmp_path, rows), ClinicalKeys())


def test_xena_times_need_a_unit_and_words_of_vital_status_are_understood(tmp_path: Path) -> None:
    rows = "_PATIENT\tslide_ids\tOS.time\tvital_status\nA\tA1\t304.375\tDead\nB\tB1\t730.5\tAlive\n"
    path = write(tmp_path, rows, "survival.tsv")
    with pytest.raises(CohortError, match=r"the unit of column OS\.time cannot be told .* state time_unit"):
        read_clinical_table(path, ClinicalKeys())
    table = read_clinical_table(path, ClinicalKeys(time_unit="days"))
    assert [patient.time for patient in table.patients] == pytest.approx([10.0, 24.0])
    assert [patient.event for patient in table.patients] == [True, False]
    shorter = read_clinical_table(path, ClinicalKeys(time_unit="days", days_per_month=30.0))
    assert shorter.patients[0].time == pytest.approx(304.375 / 30)


@pytest.mark.parametrize(
    ("column", "factor"), [("os_days", 1 / 30.4375), ("os_months", 1.0), ("os_years", 12.0)]
)
def test_the_unit_of_time_is_in_the_columns_name(tmp_path: Path, column: str, factor: float) -> None:
    rows = f"patient_id,slide_ids,{column},os_event\nA,A1,50,1\n"
    (patient,) = read_clinical_table(write(tmp_path, rows), ClinicalKeys()).patients
    assert patient.time == pytest.approx(50 * factor)


def test_a_stated_column_and_meaning_come_before_recognised_ones(tmp_path: Path) -> None:
    rows = "patient_id,slide_ids,os_months,os_event,late_months,flag\nA,A1,5,1,9,1\n"
    keys = ClinicalKeys(time_column="late_months", event_column="flag", event_means="censored")
    (patient,) = read_clinical_table(write(tmp_path, rows), keys).patients
    assert (patient.time, patient.event) == (9.0, False)
    with pytest.raises(CohortError, match="no column nothing, which the cohort file names"):
        read_clinical_table(tmp_path / "clinical.csv", ClinicalKeys(time_column="nothing"))


def test_excel_and_compressed_tables_are_read_and_other_files_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"patient_id": ["007"], "slide_ids": ["7"], "os_months": [3.0], "os_event": [1]})
    frame.to_excel(tmp_path / "clinical.xlsx", index=False)
    frame.to_csv(tmp_path / "clinical.tsv.gz", index=False, sep="\t")
    for name in ("clinical.xlsx", "clinical.tsv.gz"):
        (patient,) = read_clinical_table(tmp_path / name, ClinicalKeys()).patients
        assert (patient.patient_id, patient.slide_ids) == ("007", ("7",))
    (tmp_path / "clinical.docx").write_text("no")
    with pytest.raises(CohortError, match=r"clinical\.docx: is no table that can be read"):
        read_table(tmp_path / "clinical.docx")


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_truth_values_are_no_times_and_no_ages(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clinical.{ending}"
    frame = pd.DataFrame({"patient_id": ["A", "B"], "slide_ids": ["a", "b"], "os_months": [True, False]})
    frame = frame.assign(os_event=[1, 0], age_years=[True, False])
    write = {"csv": "to_csv", "xlsx": "to_excel", "parquet": "to_parquet"}[ending]
    getattr(frame, write)(path, index=False)
    with pytest.raises(CohortError, match="A: os_months is True, expected months above 0"):
        read_clinical_table(path, ClinicalKeys())
    getattr(frame.assign(os_months=3.0), write)(path, index=False)
    assert [one.age_years for one in read_clinical_table(path, ClinicalKeys()).patients] == [None, None]


@pytest.mark.parametrize("ending", ["csv", "tsv.gz", "xlsx"])
@pytest.mark.parametrize(
    ("patient", "slide", "keys"),
    [
        ("Patient_ID", "Slide", {}),
        ("case", "image_id", {}),
        ("Patient ID", "FileName", {}),
        ("who", "what", {"patient_column": "who", "slide_column": "what", "group": "where"}),
    ],
)
def test_names_of_digits_stay_as_they_are_under_any_recognised_or_stated_column(
    tmp_path: Path, patient: str, slide: str, keys: dict[str, str], ending: str
) -> None:
    rows = {patient: ["007", "010", "010"], slide: ["0071", None, "1000"], "where": ["01", "1", "1"]}
    frame = pd.DataFrame(rows | {"os_months": [3.0, 4.0, 4.0], "os_event": [1, 0, 0]})
    path = tmp_path / f"clinical.{ending}"
    if ending == "xlsx":
        frame.to_excel(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="," if ending == "csv" else "\t")
    first, second = read_clinical_table(path, ClinicalKeys(**keys)).patients
    assert (first.patient_id, first.slide_ids) == ("007", ("0071",))
    assert (second.patient_id, second.slide_ids) == ("010", ("1000",))
    if keys:
        assert (first.group, second.group) == ("01", "1")


def test_of_a_workbook_the_sheet_that_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clinical.xlsx"
    table = pd.DataFrame({"patient_id": ["A"], "slide_ids": ["s"], "os_months": [3.0], "os_event": [1]})
    remarks = pd.DataFrame({"Read me": ["first"]})
    for order, first in (((table, remarks), True), ((remarks, table), False)):
        with pd.ExcelWriter(path) as book:
            for number, frame in enumerate(order):
                frame.to_excel(book, sheet_name=f"Sheet {number}", index=False)
        if first:
            notes = read_clinical_table(path, ClinicalKeys()).notes
            assert notes[0] == "Of clinical.xlsx the first sheet is read, Sheet 0, and not Sheet 1."
        else:
            with pytest.raises(
                CohortError, match=r"^clinical\.xlsx, sheet Sheet 0 \(the first of 2\): no column pat"
            ):
                read_clinical_table(path, ClinicalKeys())


@pytest.mark.parametrize("ending", ["parquet", "xlsx"])
def test_names_that_a_file_holds_as_numbers_are_their_digits(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clinical.{ending}"
    frame = pd.DataFrame({"Case": [7, 8, 8], "Slide": [1000, np.nan, 1002], "os_days": 9, "os_event": 1})
    getattr(frame, {"parquet": "to_parquet", "xlsx": "to_excel"}[ending])(path, index=False)
    table = read_clinical_table(path, ClinicalKeys())
    assert [(one.patient_id, one.slide_ids) for one in table.patients] == [("7", ("1000",)), ("8", ("1002",))]


def test_a_slide_of_the_table_is_named_as_its_file_of_any_format_is(tmp_path: Path) -> None:
    files = [f"S.1-{place}{ending}" for place, ending in enumerate(sorted(SLIDE_SUFFIXES))]
    files += ["S.2.ome.tif", "S.3.ome.TIFF", "S.4.BIF"]
    rows = "".join(f"P{place},{file},5,1\n" for place, file in enumerate(files))
    table = read_clinical_table(
        write(tmp_path, "patient_id,slide_id,os_months,os_event\n" + rows), ClinicalKeys()
    )
    assert [one.slide_ids for one in table.patients] == [(slide_id_of(tmp_path / file),) for file in files]
    rows = "A,TCGA-AA-0001-01Z-00-DX1.F6E9A5DF,5,1\nB,S.svs.h5,5,1\n"
    table = read_clinical_table(
        write(tmp_path, "patient_id,slide_id,os_months,os_event\n" + rows), ClinicalKeys()
    )
    assert [one.slide_ids for one in table.patients] == [("TCGA-AA-0001-01Z-00-DX1.F6E9A5DF",), ("S.svs",)]


def test_nonpositive_times_are_refused_or_kept_out_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "patient_id,slide_ids,os_days,os_event\nA,A1,0,1\nB,B1,90,0\n")
    with pytest.raises(
        CohortError, match=r"A: os_days is 0\.0, expected days above 0; nonpositive_time = .drop."
    ):
        read_clinical_table(path, ClinicalKeys())
    table = read_clinical_table(path, ClinicalKeys(nonpositive_time="drop"))
    assert [str(item) for item in table.findings] == ["1 patient kept out: a time of 0 or less (A)"]


def test_barcodes_meet_at_the_patient(tmp_path: Path) -> None:
    assert patient_of("TCGA-3C-AALI-01Z-00-DX1.F6E9A5DF") == "TCGA-3C-AALI"
    assert (patient_of(" Own-17 "), site_of("TCGA-3C-AALI"), site_of("Own-17")) == ("Own-17", "3C", "")
    names = ["TCGA-AA-0001-06A", "TCGA-AA-0001-01B", "TCGA-AA-0001-01A", "TCGA-AA-0001-11A", "B"]
    assert choose_samples(names) == ([2, 4], 1, 2)
    rows = "submitter_id,slide_ids,os_months,os_event\nTCGA-AA-0001-01A-11R,S,5,1\nTCGA-AA-0001-06A,T,5,1\n"
    with pytest.raises(CohortError, match="patient TCGA-AA-0001 stands there more than once"):
        read_clinical_table(write(tmp_path, rows), ClinicalKeys())


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("Stage IIB", 2),
        ("iv", 4),
        ("Stage IIIC", 3),
        ("1", 1),
        ("IA2", 1),
        ("Stage X", None),
        ("", None),
        ("M0", None),
    ],
)
def test_stages_are_numbers(text: str, stage: int | None) -> None:
    assert stage_number(text) == stage


def patients_of(times: np.ndarray, events: np.ndarray) -> list[Patient]:
    return [
        Patient(f"P{i}", (f"S{i}",), float(t), bool(e))
        for i, (t, e) in enumerate(zip(times, events, strict=True))
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_flag_of_a_cohort_like_tcga_asks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Patients joined one after another and were followed to one day, as in TCGA: the censored lived longest.
    death, censored = rng.exponential(150, 300), rng.uniform(12, 90, 300)
    times, events = np.minimum(death, censored), death < censored
    assert 0.1 < events.mean() < 0.4
    follow_up_warnings(patients_of(times, events), confirmed=False, name="c.csv", words=words_of("os"))
    flipped = patients_of(times, ~events)
    with pytest.raises(CohortError, match=r"count as deaths, as if censored patients were marked with 1"):
        follow_up_warnings(flipped, confirmed=False, name="c.csv", words=words_of("os"))
    follow_up_warnings(flipped, confirmed=True, name="c.csv", words=words_of("os"))


def test_suspicious_follow_up_is_told() -> None:
    times = np.r_[np.full(20, 100.0), np.full(40, 9.0)]
    events = np.r_[np.ones(20, bool), np.zeros(40, bool)]
    assert (
        "followed for less time"
        in follow_up_warnings(patients_of(times, events), confirmed=True, name="c", words=words_of("os"))[0]
    )
    assert (
        "is the unit right?"
        in follow_up_warnings(
            patients_of(times * 30, events), confirmed=True, name="c", words=words_of("os")
        )[1]
    )
    few = follow_up_warnings(
        patients_of(times, np.arange(60) < 3), confirmed=False, name="c", words=words_of("os")
    )
    assert "3 deaths among 60 patients teach and test little." in few


@pytest.mark.parametrize(
    ("name", "n", "deaths", "without"),
    [
        ("stad", 318, 120, {"TCGA-CD-A487"}),
        ("coadread", 296, 58, {"TCGA-EI-6883", "TCGA-G4-6323"}),
        ("blca", 359, 156, set()),
    ],
)
def test_real_cohorts_are_read_and_name_who_lacks_expression(
    shared: Path, name: str, n: int, deaths: int, without: set[str]
) -> None:
    from amkd_core.cohort.cohort import read_cohort

    data = shared / "data"
    tables = {
        "clinical": data / f"clinical_{name}.csv",
        "expression": data / f"rna_{name}_xena.parquet",
        "pathways": data / "pathways.gmt",
    }
    cohort = read_cohort(None, {**tables, "name": name, "group": "tcga_site"})
    assert (len(cohort.patients), cohort.outcome.n_events) == (n, deaths)
    assert {who for item in cohort.findings for who in item.patients} == without
    assert all(patient.group for patient in cohort.patients)


def test_a_raw_table_of_all_tcga_is_told_apart_not_crashed_on(shared: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(shared / "data" / "clinical_tcga_cdr.csv")
    frame["slide_ids"] = frame["patient_id"]
    frame.to_csv(tmp_path / "cdr.csv", index=False)
    with pytest.raises(CohortError, match=r"cdr.csv: 108 problems: .*os_days is .*expected days above 0"):
        read_clinical_table(tmp_path / "cdr.csv", ClinicalKeys())
    table = read_clinical_table(tmp_path / "cdr.csv", ClinicalKeys(nonpositive_time="drop"))
    assert {item.reason: len(item.patients) for item in table.findings} == {
        "no follow-up": 66,
        "a time of 0 or less": 108,
    }
    assert len(table.patients) == 11160 - 66 - 108


def test_a_split_of_the_table_may_be_ignored(tmp_path: Path) -> None:
    path = write(tmp_path, "patient_id,slide_ids,os_months,os_event,split\nA,A1,5,1,train\nB,B1,9,0,test\n")
    splits = [
        [patient.split for patient in read_clinical_table(path, ClinicalKeys(use_split=use)).patients]
        for use in (True, False)
    ]
    assert splits == [["train", "test"], ["", ""]]


def test_time_columns_that_contradict_each_other_are_told_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"
    frame = pd.DataFrame({"patient_id": [f"P{k}" for k in range(20)], "slide_ids": "s", "os_event": 1})
    frame["slide_ids"] = [f"s{k}" for k in range(20)]
    frame["os_months"] = np.linspace(2.0, 60.0, 20)
    frame.assign(os_days=frame["os_months"] * 30).to_csv(
        path, index=False
    )  # months of 30 days: the same times
    assert not [note for note in read_clinical_table(path, ClinicalKeys()).notes if "contradict" in note]
    days = frame["os_months"] * 30.44
    days[3:6] *= 2
    frame.assign(os_days=days).to_csv(path, index=False)
    found = read_clinical_table(path, ClinicalKeys())
    sentence = "Columns os_months and os_days contradict each other in 3 of 20 rows; os_months is taken."
    assert sentence in found.notes
    assert found.patients[3].time == pytest.approx(frame["os_months"][3])
    stated = read_clinical_table(path, ClinicalKeys(time_column="os_days"))
    assert not [note for note in stated.notes if "contradict" in note], "who names the column has chosen"
    frame.assign(os_days=frame["os_months"] * 300).to_csv(path, index=False)
    with pytest.raises(
        CohortError, match="os_months and os_days contradict each other in 20 of 20 rows; state time_c"
    ):
        read_clinical_table(path, ClinicalKeys())


def test_two_columns_of_one_name_but_for_its_spelling_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"
    path.write_text("patient_id,slide_ids,OS Months,os_months,os_event\nA,a,3,6,1\n")
    with pytest.raises(
        CohortError, match="columns OS Months and os_months are called the same; keep or state one"
    ):
        read_clinical_table(path, ClinicalKeys())
    (patient,) = read_clinical_table(path, ClinicalKeys(time_column="OS Months", time_unit="months")).patients
    with pytest.raises(
        CohortError, match=r"column OS Months is in months by its name, and time_unit says days"
    ):
        read_clinical_table(path, ClinicalKeys(time_column="OS Months", time_unit="days"))
    assert patient.time == 3


def test_event_columns_that_contradict_each_other_are_told_or_refused(tmp_path: Path) -> None:
    head = "patient_id,slide_ids,os_months,os_event,vital_status\n"
    rows = [f"P{i},S{i},{i + 3},{i % 2},{'Dead' if i % 2 else 'Alive'}" for i in range(20)]
    agreeing = read_clinical_table(write(tmp_path, head + "\n".join(rows)), ClinicalKeys())
    assert not [note for note in agreeing.notes if "contradict" in note]
    turned = [row.replace("Dead", "?").replace("Alive", "Dead").replace("?", "Alive") for row in rows]
    few = read_clinical_table(
        write(tmp_path, head + "\n".join([*turned[:3], *rows[3:], "Q,SQ,4,1,Not Reported"])), ClinicalKeys()
    )
    assert (
        "Columns os_event and vital_status contradict each other in 3 of 20 rows; os_event is taken."
        in few.notes
    )
    path = write(tmp_path, head + "\n".join(turned))
    with pytest.raises(
        CohortError,
        match="columns os_event and vital_status contradict each other in 20 of 20 rows; state event_col",
    ):
        read_clinical_table(path, ClinicalKeys())
    (first, *_) = read_clinical_table(path, ClinicalKeys(event_column="vital_status")).patients
    assert first.event
    flags = "patient_id,slide_ids,os_months,censorship,event\n"
    agreeing = read_clinical_table(write(tmp_path, flags + "A,A1,5,1,0\nB,B1,6,0,1\n"), ClinicalKeys())
    assert not [note for note in agreeing.notes if "contradict" in note]


def test_slides_joined_by_commas_and_short_words_for_parts(tmp_path: Path) -> None:
    head = "patient_id,slide_ids,os_months,os_event,split\n"
    with pytest.raises(CohortError, match="row 2, patient A: slide_ids is s1,s2, expected names joined by ;"):
        read_clinical_table(write(tmp_path, head + 'A,"s1,s2",5,1,train\n'), ClinicalKeys())
    table = read_clinical_table(
        write(tmp_path, head + "A,s1;s2,5,1,training\nB,s3,5,0,val\n"), ClinicalKeys()
    )
    assert [patient.split for patient in table.patients] == ["train", "validation"]


GDC = (
    "cases.case_id\tcases.submitter_id\tslide_ids\tdemographic.vital_status\tdemographic.days_to_death"
    "\tdiagnoses.days_to_last_follow_up\tdemographic.age_at_index\tdemographic.gender\tdiagnoses.ajcc_pathologic_stage\n"
    "u1\tTCGA-AA-0001\tS1\tDead\t304.375\t100\t61\tmale\tStage IIB\n"
    "u2\tTCGA-AA-0002\tS2\tAlive\t'--\t608.75\t62\tfemale\tStage I\n"
    "u3\tTCGA-AA-0003\tS3\tDead\t'--\t700\t63\tmale\tStage X\n"
    "u4\tTCGA-AA-0004\tS4\tNot Reported\t'--\t700\t64\tmale\tStage I\n"
    "u5\tTCGA-AA-0005\tS5\tAlive\t900\t913.125\t65\tmale\tStage I\n"
)


@pytest.mark.parametrize("prefixed", [True, False])
def test_gdc_has_a_time_of_the_dead_and_one_of_the_others(tmp_path: Path, prefixed: bool) -> None:
    """A last contact is no time of death: who died on an unknown day has no follow-up, nor has who may have died."""
    text = GDC
    if not prefixed:  # as GDC named them before
        text = text.replace("cases.submitter_id", "case_submitter_id").replace("cases.", "")
        text = text.replace("demographic.", "").replace("diagnoses.", "")
    table = read_clinical_table(write(tmp_path, text, "clinical.tsv"), ClinicalKeys())
    told = [
        (one.patient_id, one.time, one.event, one.age_years, one.sex, one.stage) for one in table.patients
    ]
    assert told == [
        ("TCGA-AA-0001", pytest.approx(10), True, 61, "male", 2),
        ("TCGA-AA-0002", pytest.approx(20), False, 62, "female", 1),
        ("TCGA-AA-0005", pytest.approx(30), False, 65, "male", 1),
    ]
    assert [str(item) for item in table.findings] == [
        "2 patients kept out: no follow-up (TCGA-AA-0003, TCGA-AA-0004)"
    ]
    death, last = ("demographic.days_to_death", "diagnoses.days_to_last_follow_up")
    if not prefixed:
        death, last = "days_to_death", "days_to_last_follow_up"
    assert f"Time is column {death} of the dead and {last} of the others, in days" in table.notes[0]
    assert any(f"1 row has a time in {death} and no death in" in note for note in table.notes)


def test_the_two_times_of_gdc_are_those_of_overall_survival_alone(tmp_path: Path) -> None:
    path = write(tmp_path, GDC, "clinical.tsv")
    with pytest.raises(CohortError, match="no column dss_months, dss_event"):
        read_clinical_table(path, ClinicalKeys(endpoint="dss"))
    rows = (
        "patient_id,slide_ids,vital_status,days_to_death,days_to_last_follow_up,os_years\nA,A1,Dead,30,9,2\n"
    )
    (patient,) = read_clinical_table(write(tmp_path, rows), ClinicalKeys()).patients
    assert patient.time == 24  # a column of everybody's time comes first


def test_age_and_stage_of_cbioportals_web_pages_are_recognised(tmp_path: Path) -> None:
    """Without them the clinical baseline is left out, and with it what a model adds to age and stage."""
    rows = (
        "Patient ID\tslide_id\tDiagnosis Age\tNeoplasm Disease Stage American Joint Committee on Cancer Code\t"
        "Overall Survival (Months)\tOverall Survival Status\nA\tA1\t61\tSTAGE IIIA\t5\t1:DECEASED\n"
    )
    (patient,) = read_clinical_table(write(tmp_path, rows, "web.tsv"), ClinicalKeys()).patients
    assert (patient.age_years, patient.stage) == (61, 3)


def test_a_spreadsheets_decimal_comma_and_its_semicolons_are_called_so(tmp_path: Path) -> None:
    rows = 'patient_id,slide_ids,os_months,os_event\nA,A1,"24,47",1\n'
    with pytest.raises(CohortError, match="24,47, expected months above 0; is the comma a decimal one"):
        read_clinical_table(write(tmp_path, rows), ClinicalKeys())
    with pytest.raises(
        CohortError, match=r"semicolons, expected commas; .* decimal comma: save it as \.xlsx"
    ):
        read_clinical_table(write(tmp_path, "patient_id;os_months\nA;24,47\n"), ClinicalKeys())
    with pytest.raises(CohortError, match=r"tabs, expected commas; name it \.tsv"):
        read_clinical_table(write(tmp_path, "patient_id\tos_months\nA\t24\n"), ClinicalKeys())


REMARKS = (
    '#Patient Identifier\tSlides\tOverall "Survival\tMonths\n#id\tid\tstatus\tmonths\n'
    "#STRING\tSTRING\tSTRING\tNUMBER\n#1\t1\t1\t1\n"
)
DATAHUB = "PATIENT_ID\tslide_ids\tOS_STATUS\tOS_MONTHS\nA\tA1\t1:DECEASED\t5\nB\tB1\t0:LIVING\t9\n"


@pytest.mark.parametrize("zipped", [False, True])
def test_remarks_before_the_names_of_columns_are_passed_over(tmp_path: Path, zipped: bool) -> None:
    """As cBioPortal's data hub has four of them; rows are named as the file counts them all the same."""
    path = tmp_path / ("data_clinical_patient.txt" + (".gz" if zipped else ""))

    def told(text: str) -> bytes:
        return gzip.compress(text.encode()) if zipped else text.encode()

    path.write_bytes(told(REMARKS + DATAHUB))
    first, second = read_clinical_table(path, ClinicalKeys()).patients
    assert (first.patient_id, first.time, first.event) == ("A", 5, True)
    assert (second.patient_id, second.time, second.event) == ("B", 9, False)
    path.write_bytes(told(REMARKS + DATAHUB.replace("\t9", "\t-9")))
    with pytest.raises(CohortError, match="row 7, patient B: OS_MONTHS is -9"):
        read_clinical_table(path, ClinicalKeys())
    path.write_bytes(told(REMARKS + DATAHUB.replace("\t9", "")))
    with pytest.raises(CohortError, match="line 7: has 3 of 4 cells, OS_MONTHS is missing"):
        read_clinical_table(path, ClinicalKeys())
    path.write_bytes(told(REMARKS + DATAHUB.replace("\t9", "\t9\t")))
    with pytest.raises(CohortError, match="line 7: has 5 cells, but line 5 names 4 columns"):
        read_clinical_table(path, ClinicalKeys())


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("#id\tgene\nENSG1\tA\n", ["#id", "gene"]),  # Xena's probe maps
        ("# release 110\n#id\tgene\nENSG1\tA\n", ["#id", "gene"]),
        ("# gene-model: GENCODE v36\nid\tgene\nENSG1\tA\n", ["id", "gene"]),  # GDC's STAR counts
        ("# of\tgenes\n# by\tname\nid\tgene\nENSG1\tA\n", ["id", "gene"]),
    ],
)
def test_names_of_columns_may_begin_like_a_remark(tmp_path: Path, text: str, columns: list[str]) -> None:
    frame = read_table(write(tmp_path, text, "table.tsv"))
    assert (list(frame.columns), len(frame)) == (columns, 1)
    with pytest.raises(CohortError, match="has names of columns and no rows"):
        read_table(write(tmp_path, "#id\tgene\n", "table.tsv"))


SHEET = (
    "File ID\tFile Name\tCase ID\tSample ID\n"
    "u1\tTCGA-AA-0001-01Z-00-DX1.F6E9A5DF.svs\tTCGA-AA-0001\tTCGA-AA-0001-01Z\n"
    "u2\tTCGA-AA-0002-01Z-00-DX1.0A0A0A0A.svs\tTCGA-AA-0002\tTCGA-AA-0002-01Z\n"
    "u3\tTCGA-AA-0001-01Z-00-DX2.0B0B0B0B.svs\tTCGA-AA-0001\tTCGA-AA-0001-01Z\n"
    "u4\tTCGA-ZZ-0009-01Z-00-DX1.0C0C0C0C.svs\tTCGA-ZZ-0009\tTCGA-ZZ-0009-01Z\n"
)
XENA_SURVIVAL = (
    "sample\tOS\t_PATIENT\tOS.time\nTCGA-AA-0001-01\t1\tTCGA-AA-0001\t304.375\n"
    "TCGA-AA-0002-01\t0\tTCGA-AA-0002\t608.75\nTCGA-AA-0003-01\t0\tTCGA-AA-0003\t900\n"
)


def test_slides_have_a_table_of_their_own_where_the_clinical_table_names_none(tmp_path: Path) -> None:
    clinical = write(tmp_path, XENA_SURVIVAL, "survival.txt")
    with pytest.raises(CohortError, match=r"no column slide_ids; .* table of their own, slide_table"):
        read_clinical_table(clinical, ClinicalKeys(time_unit="days"))
    keys = ClinicalKeys(time_unit="days", slide_table=write(tmp_path, SHEET, "sheet.tsv"))
    table = read_clinical_table(clinical, keys)
    assert [(one.patient_id, one.slide_ids, one.event) for one in table.patients] == [
        ("TCGA-AA-0001", ("TCGA-AA-0001-01Z-00-DX1.F6E9A5DF", "TCGA-AA-0001-01Z-00-DX2.0B0B0B0B"), True),
        ("TCGA-AA-0002", ("TCGA-AA-0002-01Z-00-DX1.0A0A0A0A",), False),
    ]
    assert [str(item) for item in table.findings] == ["1 patient kept out: no slide (TCGA-AA-0003)"]
    assert table.notes[:2] == (
        "Slides are column File Name of sheet.tsv, patients its column Case ID.",
        "1 patient of it is not in survival.txt (TCGA-ZZ-0009).",
    )
    named = write(tmp_path, "_PATIENT,what\nTCGA-AA-0001,007\n", "own.csv")
    keys = ClinicalKeys(time_unit="days", slide_table=named, slide_column="what", patient_column="_PATIENT")
    assert [one.slide_ids for one in read_clinical_table(clinical, keys).patients] == [("007",)]


@pytest.mark.parametrize(
    ("clinical", "sheet", "sentence"),
    [
        (XENA_SURVIVAL, "who\twhat\na\tb\n", "sheet.tsv: no column patient_id and slide_id; found who, what"),
        (
            XENA_SURVIVAL,
            "patient\tslide\nX1\tS1\n",
            r"names no patient of survival.txt \(X1, \.\.\.\), expected",
        ),
        (XENA_SURVIVAL, "patient\tslide\n\tS1\n", "sheet.tsv: row 2: slide S1 has no patient"),
        (XENA_SURVIVAL, "patient\tslide\nTCGA-AA-0001\t\n", "names no slide in column slide"),
        (
            XENA_SURVIVAL,
            SHEET.replace("TCGA-AA-0002-01Z-00-DX1.0A0A0A0A", "TCGA-AA-0001-01Z-00-DX1.F6E9A5DF"),
            r"slide TCGA-AA-0001-01Z-00-DX1\.F6E9A5DF belongs to patients TCGA-AA-0001 and TCGA-AA-0002",
        ),
        (
            XENA_SURVIVAL.replace("sample", "slide_id"),
            SHEET,
            "names slides in column slide_id, and slide_table =",
        ),
        (XENA_SURVIVAL.replace("_PATIENT", "who"), SHEET, "no column patient_id; found sample"),
    ],
)
def test_a_table_of_slides_that_fits_no_patient_is_refused(
    tmp_path: Path, clinical: str, sheet: str, sentence: str
) -> None:
    keys = ClinicalKeys(time_unit="days", slide_table=write(tmp_path, sheet, "sheet.tsv"))
    with pytest.raises(CohortError, match=sentence):
        read_clinical_table(write(tmp_path, clinical, "survival.txt"), keys)
