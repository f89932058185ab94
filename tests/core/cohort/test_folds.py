"""Folds: every patient tested once, groups kept apart, files of both kinds, and no leak in a thousand cohorts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fault_count import FaultCount

from amkd_core.cohort.folds import make_folds, make_split, read_folds
from amkd_core.cohort.patients import Patient
from amkd_core.errors import CohortError


def cohort_of(
    n: int = 60,
    *,
    deaths: float = 0.4,
    seed: int = 0,
    groups: int = 0,
    folds: Path | None = None,
    endpoint: str = "os",
    most_slides: int = 1,
) -> Any:
    rng = np.random.default_rng(seed)
    n_slides = np.random.default_rng([seed, 1]).integers(1, most_slides, n, endpoint=True)
    patients = tuple(
        Patient(f"P{i:04d}", tuple(f"S{i}-{k}" for k in range(n_slides[i])), float(rng.exponential(20) + 0.1),
                bool(rng.random() < deaths), group=f"H{rng.integers(groups)}" if groups else "")
        for i in range(n)
    )  # fmt: skip
    return SimpleNamespace(
        patients=patients,
        file=SimpleNamespace(
            folds=folds, group="site" if groups else "", patient_column="", endpoint=endpoint
        ),
    )


def test_each_patient_is_tested_once_and_deaths_are_shared_out() -> None:
    cohort = cohort_of(200, deaths=0.3)
    splits = make_folds(cohort, n_folds=5, seed=3)
    event = {patient.patient_id: patient.event for patient in cohort.patients}
    tested = [name for split in splits for name in split.test]
    assert sorted(tested) == sorted(event)
    deaths = [sum(event[name] for name in split.test) for split in splits]
    assert max(deaths) - min(deaths) <= 1
    assert {len(split.validation) for split in splits} == {32}
    assert make_folds(cohort, n_folds=5, seed=3) == splits
    assert make_folds(cohort, n_folds=5, seed=4) != splits


def test_groups_stay_together_in_training_validation_and_test() -> None:
    cohort = cohort_of(150, groups=12)
    group = {patient.patient_id: patient.group for patient in cohort.patients}
    for split in make_folds(cohort, n_folds=4, seed=0):
        parts = [{group[name] for name in part} for part in (split.train, split.validation, split.test)]
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]


def test_a_large_group_chooses_the_epoch_no_more_often_than_any_other() -> None:
    """Dealt out greedily, it went to the first part each time, and was hardly ever trained on."""
    cohort = cohort_of(200, deaths=0.5, groups=20)
    cohort.patients = tuple(
        replace(patient, group="large") if i % 10 < 3 else patient
        for i, patient in enumerate(cohort.patients)
    )
    of_large = next(patient.patient_id for patient in cohort.patients if patient.group == "large")
    chosen = trained = 0
    for seed in range(20):
        for split in make_folds(cohort, n_folds=5, seed=seed):
            chosen += of_large in split.validation
            trained += of_large in split.train
    assert chosen + trained == 80  # it is tested in a fold of each five
    assert 8 <= chosen <= 26  # a fifth of them are 16


def test_what_chooses_the_epoch_has_deaths_to_choose_by_where_any_part_has() -> None:
    cohort = cohort_of(120, deaths=0.0, groups=12)
    where = {"H0": 6, "H1": 6, "H2": 6, "H3": 6}  # the other hospitals have no deaths
    died = dict.fromkeys(where, 0)
    patients = []
    for patient in cohort.patients:
        event = died.get(patient.group, 99) < where.get(patient.group, 0)
        died[patient.group] = died.get(patient.group, 0) + event
        patients.append(replace(patient, event=event))
    cohort.patients = tuple(patients)
    for seed in range(20):
        for split in make_folds(cohort, n_folds=2, seed=seed):
            event = {patient.patient_id: patient.event for patient in cohort.patients}
            assert sum(event[name] for name in split.validation) >= 2


@pytest.mark.parametrize("groups", [0, 12])
def test_the_order_of_the_rows_decides_no_folds(groups: int) -> None:
    cohort = cohort_of(120, groups=groups)
    splits = make_folds(cohort, n_folds=5, seed=0)
    cohort.patients = cohort.patients[::-1]
    assert make_folds(cohort, n_folds=5, seed=0) == splits


def test_too_few_deaths_or_groups_are_refused() -> None:
    with pytest.raises(
        CohortError, match=r"the cohort has \d deaths, expected at least one for each of 5 folds"
    ):
        make_folds(cohort_of(40, deaths=0.04, seed=1), n_folds=5, seed=0)
    with pytest.raises(CohortError, match="site has 3 groups, expected at least one for each of 5 folds"):
        make_folds(cohort_of(80, groups=3), n_folds=5, seed=0)


def test_a_file_of_tested_folds_and_one_of_parts(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    cohort = cohort_of(60, folds=path)
    names = [patient.patient_id for patient in cohort.patients]
    path.write_text("patient_id,val_fold\n" + "".join(f"{name},{i % 3}\n" for i, name in enumerate(names)))
    splits = make_folds(cohort, n_folds=5, seed=0)
    assert [sorted(split.test) for split in splits] == [names[k::3] for k in range(3)]
    marks = ("train", "val", "test", "train")
    path.write_text("case_id,fold0\n" + "".join(f"{name},{marks[i % 4]}\n" for i, name in enumerate(names)))
    (split,) = make_folds(cohort, n_folds=5, seed=0)
    assert (split.validation, split.test) == (tuple(names[1::4]), tuple(names[2::4]))


def test_the_stated_column_of_patients_names_them_in_a_file_of_folds_as_well(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    cohort = cohort_of(60, folds=path)
    # Another column with a common name holds something else.
    rows = "".join(f"{i},P{i:04d},{i % 3}\n" for i in range(60))
    path.write_text("case_id,ward number,val_fold\n" + rows)
    with pytest.raises(CohortError, match="60 patients of the cohort are in no fold"):
        make_folds(cohort, n_folds=5, seed=0)
    cohort.file.patient_column = "ward number"
    splits = make_folds(cohort, n_folds=5, seed=0)
    assert [split.test[0] for split in splits] == ["P0000", "P0001", "P0002"]
    path.write_text("nobody,val_fold\n" + "".join(f"P{i:04d},{i % 3}\n" for i in range(60)))
    with pytest.raises(CohortError, match=r"no column of patients, expected ward number; found nobody"):
        make_folds(cohort, n_folds=5, seed=0)


def numbered(folder: Path, numbers: list[str], column: str = "val_fold") -> Any:
    path = folder / "folds.csv"
    path.write_text(
        f"patient_id,{column}\n" + "".join(f"P{i:04d},{number}\n" for i, number in enumerate(numbers))
    )
    return cohort_of(len(numbers), folds=path)


def test_fold_numbers_that_are_words_or_missing_are_refused(tmp_path: Path) -> None:
    words = [("train", "val", "test", "train")[i % 4] for i in range(60)]
    with pytest.raises(
        CohortError, match=r"column fold says no whole number from 0 for 60 patients \(P0000: train"
    ):
        make_folds(numbered(tmp_path, words, "fold"), n_folds=5, seed=0)
    gaps = [str(i % 3) if i != 7 else "" for i in range(60)]
    with pytest.raises(CohortError, match=r"no whole number from 0 for 1 patients \(P0007: nothing\)"):
        make_folds(numbered(tmp_path, gaps), n_folds=5, seed=0)
    assert len(make_folds(numbered(tmp_path, [f"{i % 3}.0" for i in range(60)]), n_folds=5, seed=0)) == 3
    for huge in ("1e30", "1e999", "9" * 400, "9007199254740993"):
        with pytest.raises(CohortError, match=r"no whole number from 0 for 1 patients \(P0000: "):
            make_folds(numbered(tmp_path, [huge, *("0",) * 59]), n_folds=5, seed=0)


@pytest.mark.parametrize("n_events", [0, 1, 5, 10])
def test_few_events_are_dealt_to_five_folds_or_refused_with_their_number(n_events: int) -> None:
    cohort = cohort_of(60)
    cohort.patients = tuple(replace(patient, event=i < n_events) for i, patient in enumerate(cohort.patients))
    if n_events < 10:
        left = n_events if n_events < 5 else 4
        with pytest.raises(CohortError, match=rf"has {left} deaths, expected at least one for each of 5"):
            make_folds(cohort, n_folds=5, seed=0)
        return
    died = {patient.patient_id for patient in cohort.patients if patient.event}
    for split in make_folds(cohort, n_folds=5, seed=0):
        assert [len(died.intersection(part)) for part in (split.train, split.validation, split.test)] == [
            6,
            2,
            2,
        ]


def test_what_is_counted_is_called_as_the_endpoint_calls_it(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"the cohort has \d progressions, expected at least one for each"):
        make_folds(cohort_of(40, deaths=0.04, seed=1, endpoint="pfi"), n_folds=5, seed=0)
    cohort = cohort_of(60, deaths=0.0, endpoint="pfi", folds=tmp_path / "folds.csv")
    rows = "".join(f"P{i:04d},{('train', 'val', 'test')[i % 3]}\n" for i in range(60))
    cohort.file.folds.write_text("patient_id,fold0\n" + rows)
    with pytest.raises(CohortError, match="fold 1: the train part has 0 progressions, expected at least 2"):
        make_folds(cohort, n_folds=5, seed=0)
    cohort.file.folds.write_text("patient_id,fold\n" + "".join(f"P{i:04d},{i % 3}\n" for i in range(60)))
    with pytest.raises(CohortError, match="tested patients are taken out has 0 progressions"):
        make_folds(cohort, n_folds=5, seed=0)
    marked = [replace(p, split=("train", "validation")[i % 2]) for i, p in enumerate(cohort.patients)]
    cohort.patients, cohort.file.folds = tuple(marked), None
    with pytest.raises(CohortError, match="the train part has 0 progressions"):
        make_folds(cohort, n_folds=5, seed=0)


def test_a_file_that_tests_a_patient_twice_or_nobody_is_refused_before_training(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    cohort = cohort_of(60, folds=path)
    marks = [["train", "val", "test"][i % 3] for i in range(60)]
    for second, sentence in (
        (marks, r"folds\.csv: patient P0002 is tested in folds 1 and 2, expected one of them"),
        ([mark.replace("test", "train") for mark in marks], r"folds\.csv: fold 2 tests nobody"),
    ):
        rows = "".join(f"P{i:04d},{marks[i]},{second[i]}\n" for i in range(60))
        path.write_text("patient_id,split_0,split_1\n" + rows)
        with pytest.raises(CohortError, match=sentence):
            make_folds(cohort, n_folds=5, seed=0)


def test_rows_of_a_patient_that_name_two_folds_are_refused(tmp_path: Path) -> None:
    cohort = numbered(tmp_path, [str(i % 3) for i in range(60)])
    path = cohort.file.folds
    path.write_text(path.read_text() + "P0004,1\n")
    assert len(make_folds(cohort, n_folds=5, seed=0)) == 3  # the same once more
    path.write_text(path.read_text() + "P0004,2\n")
    with pytest.raises(
        CohortError, match="the rows of patient P0004 contradict each other, expected one fold"
    ):
        make_folds(cohort, n_folds=5, seed=0)


def test_parts_too_small_for_a_model_are_refused_with_the_true_reason() -> None:
    with pytest.raises(CohortError, match="are of one group, expected at least two"):
        make_folds(cohort_of(80, groups=2), n_folds=2, seed=0)
    five = [i < 5 for i in range(60)]
    cohort = cohort_of(60)
    cohort.patients = tuple(
        replace(patient, event=event) for patient, event in zip(cohort.patients, five, strict=True)
    )
    with pytest.raises(
        CohortError, match="what is left when a fold's tested patients are taken out has 4 deaths"
    ):
        make_folds(cohort, n_folds=5, seed=0)
    marked = [
        replace(p, split=("train", "validation")[i % 2])
        for i, p in enumerate(cohort_of(14, deaths=0.9).patients)
    ]
    with pytest.raises(CohortError, match="the train part has 7 patients, expected at least 8"):
        make_split(marked, seed=0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("patient_id,val_fold\nP0001,0\n", r"59 patients of the cohort are in no fold \(P0000"),
        ("patient,part\nP0001,0\n", "59 patients"),
        ("name,val_fold\nP0001,0\n", "no column of patients"),
        ("patient_id,other\n{all}", "expected a column val_fold, test_fold or fold, or fold0"),
        ("patient_id,fold0\n{all}", "column fold0 says 7, expected train, val or test"),
    ],
)
def test_a_file_of_folds_that_does_not_fit_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    cohort = cohort_of(60)
    path = tmp_path / "folds.csv"
    path.write_text(
        text.replace("{all}", "".join(f"{patient.patient_id},7\n" for patient in cohort.patients))
    )
    with pytest.raises(CohortError, match=sentence):
        read_folds(path, cohort.patients, seed=0)


@pytest.mark.parametrize("seeds", [range(200), pytest.param(range(200, 1200), marks=pytest.mark.slow)])
def test_no_patient_is_in_two_parts_in_any_of_many_cohorts(seeds: range, counted: list[FaultCount]) -> None:
    count = FaultCount("random cohorts, folds")
    counted.append(count)
    for seed in seeds:
        count.cases += 1
        rng = np.random.default_rng(seed)
        groups = int(rng.integers(6, 15)) if seed % 2 else 0
        cohort = cohort_of(int(rng.integers(60, 120)), deaths=0.5, seed=seed, groups=groups, most_slides=4)
        own = {patient.patient_id: patient for patient in cohort.patients}
        all_slides = sorted(name for patient in cohort.patients for name in patient.slide_ids)
        try:
            splits = make_folds(cohort, n_folds=int(rng.integers(2, 6)), seed=seed)
        except CohortError:
            count.refused += 1
            continue  # a fold without deaths to choose by
        count.same += 1
        for split in splits:
            parts = [set(split.train), set(split.validation), set(split.test)]
            assert sum(map(len, parts)) == len(set().union(*parts)) == len(cohort.patients)
            slides = [[slide for name in part for slide in own[name].slide_ids] for part in parts]
            assert sorted(itertools.chain(*slides)) == all_slides
            assert not any(set(one) & set(two) for one, two in itertools.combinations(slides, 2))
            sites = [{own[name].group for name in part} for part in parts]
            assert not groups or not any(one & two for one, two in itertools.combinations(sites, 2))
    assert count.same >= 0.9 * count.cases


def test_the_shared_folds_are_read(shared: Path) -> None:
    from amkd_core.cohort.cohort import read_cohort

    data = shared / "data"
    for name, deaths in (
        ("splits_survpath_site.csv", [10, 18, 40, 11, 41]),
        ("splits_event_stratified.csv", [24] * 5),
    ):
        tables = {"clinical": data / "clinical_stad.csv", "expression": data / "rna_stad_xena.parquet"}
        given = {**tables, "pathways": data / "pathways.gmt", "folds": data / name}
        cohort = read_cohort(None, given)
        event = {patient.patient_id: patient.event for patient in cohort.patients}
        splits = make_folds(cohort, n_folds=5, seed=0)
        assert [sum(event[who] for who in split.test) for split in splits] == deaths


def test_given_folds_that_tear_the_groups_that_are_to_be_kept_apart_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    cohort = cohort_of(80, groups=8, folds=path)
    site = {patient.patient_id: patient.group for patient in cohort.patients}
    path.write_text("patient_id,val_fold\n" + "".join(f"{name},{i % 2}\n" for i, name in enumerate(site)))
    with pytest.raises(
        CohortError,
        match=r"folds\.csv: fold 1 tests patients of \d groups of site that it also learns from \(H0, ",
    ):
        make_folds(cohort, n_folds=5, seed=0)
    path.write_text(
        "patient_id,val_fold\n" + "".join(f"{name},{int(at[1]) % 2}\n" for name, at in site.items())
    )
    for split in make_folds(cohort, n_folds=5, seed=0):
        parts = [{site[name] for name in part} for part in (split.train, split.validation, split.test)]
        assert not any(first & second for first, second in itertools.combinations(parts, 2))
    marked = cohort_of(60, groups=4)
    marked.patients = tuple(
        replace(patient, split=("train", "validation", "test")[i % 3])
        for i, patient in enumerate(marked.patients)
    )
    with pytest.raises(CohortError, match="the column split: fold 1 tests patients of 4 groups of site"):
        make_folds(marked, n_folds=5, seed=0)


def test_a_split_beside_a_file_of_folds_is_refused(tmp_path: Path) -> None:
    cohort = numbered(tmp_path, [str(i % 3) for i in range(60)])
    cohort.patients = tuple(replace(patient, split="train") for patient in cohort.patients)
    with pytest.raises(
        CohortError, match=r"a column split, and folds\.csv tells other folds.*--ignore-split"
    ):
        make_folds(cohort, n_folds=5, seed=0)


def test_two_columns_of_folds_and_folds_below_0_are_refused(tmp_path: Path) -> None:
    """The first would be taken in silence, and -1, which others write for "never tested", be a fold of its own."""
    never = ["-1" if i == 7 else str(i % 3) for i in range(60)]
    with pytest.raises(CohortError, match=r"no whole number from 0 for 1 patients \(P0007: -1\)"):
        make_folds(numbered(tmp_path, never), n_folds=5, seed=0)
    cohort = numbered(tmp_path, [str(i % 3) for i in range(60)])
    rows = "".join(f"P{i:04d},{i % 3},{(i + 1) % 3}\n" for i in range(60))
    (tmp_path / "folds.csv").write_text("patient_id,test_fold,val_fold\n" + rows)
    with pytest.raises(
        CohortError, match="has columns test_fold and val_fold, expected one, the fold that tests each"
    ):
        make_folds(cohort, n_folds=5, seed=0)
