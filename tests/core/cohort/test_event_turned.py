"""An event flag that was turned round: who is asked, what confirms it, and what each meaning costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from amkd_core.cohort.checks import follow_up_warnings
from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.patients import Patient, outcome_of
from amkd_core.errors import CohortError
from amkd_core.survival.endpoints import words_of
from amkd_core.survival.hazard import nll_loss
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import TimeBins
from amkd_core.training.external_cohort import read_external_cohort
from amkd_core.training.finished_run import _cohort as cohort_of_run

REAL = ("blca", "hnsc", "luad", "stad", "coadread")
SHORTER = r"censored patients were followed for less time \((\d+\.\d) months in the median\) than it took those who "
SHORTER += r'died \((\d+\.\d)\), as if .* state event_means = "death" in the cohort file if this is right.*"censored"'
ASKED = rf"clinical\.csv: (\d+ of \d+ patients \(\d+%\) count as deaths|{SHORTER})"


def young(n_died: int, n_censored: int) -> list[Patient]:
    """Deaths after 30 months in the median, censored after 10."""
    times = [*np.linspace(20, 40, n_died), *np.linspace(5, 15, n_censored)]
    return [Patient(f"P{i}", (f"S{i}",), float(time), i < n_died) for i, time in enumerate(times)]


def looked_at(patients: list[Patient], *, confirmed: bool) -> str:
    return " ".join(follow_up_warnings(patients, confirmed=confirmed, name="c.csv", words=words_of("os")))


def test_censored_patients_followed_for_less_time_are_asked_about_by_both_medians() -> None:
    with pytest.raises(CohortError, match=rf"^c\.csv: {SHORTER}$") as asked:
        looked_at(young(15, 15), confirmed=False)
    assert "(10.0 months in the median) than it took those who died (30.0)" in str(asked.value)
    assert "followed for less time (10.0 months" in looked_at(young(15, 15), confirmed=True)


@pytest.mark.parametrize(("n_died", "n_censored"), [(14, 15), (4, 36)])
def test_few_patients_of_either_kind_are_warned_of_and_not_asked_about(n_died: int, n_censored: int) -> None:
    assert "followed for less time (10.0 months" in looked_at(young(n_died, n_censored), confirmed=False)
    for more in (young(15, 15), young(5, 36)):
        with pytest.raises(CohortError, match=SHORTER):
            looked_at(more, confirmed=False)


def write_cohort(folder: Path, clinical: pd.DataFrame, *, more: str = "", genes: bool = True) -> Path:
    """A cohort of a clinical table, with two genes of everybody where it is to be trained on."""
    clinical.to_csv(folder / "clinical.csv", index=False)
    tables = ""
    if genes:
        names = clinical["patient_id"].tolist()
        values = {gene: np.linspace(0, step, len(names)) for gene, step in (("G1", 3.0), ("G2", 5.0))}
        pd.DataFrame({"patient_id": names} | values).to_csv(folder / "rna.csv", index=False)
        (folder / "sets.gmt").write_text("A\tx\tG1\tG2\n")
        tables = 'expression = "rna.csv"\npathways = "sets.gmt"\n'
    (folder / "c.toml").write_text(f'[cohort]\nclinical = "clinical.csv"\n{tables}{more}')
    return folder / "c.toml"


def of_training(folder: Path, clinical: pd.DataFrame, more: str = "") -> Cohort:
    return read_cohort(write_cohort(folder, clinical, more=more))


def of_evaluation(folder: Path, clinical: pd.DataFrame, more: str = "") -> Cohort:
    return read_external_cohort(write_cohort(folder, clinical, more=more, genes=False))


READERS = pytest.mark.parametrize("read", [of_training, of_evaluation])
Read = Callable[..., Cohort]


@READERS
@pytest.mark.parametrize("name", REAL)
def test_real_cohorts_ask_once_their_flag_is_turned_and_only_then(
    shared: Path, tmp_path: Path, read: Read, name: str
) -> None:
    clinical = pd.read_csv(shared / "data" / f"clinical_{name}.csv")
    cohort = read(tmp_path, clinical)
    assert not any("followed for less time" in warning for warning in cohort.warnings)
    turned = clinical.assign(os_event=1 - clinical["os_event"])
    with pytest.raises(CohortError, match=ASKED):
        read(tmp_path, turned)
    righted = read(tmp_path, turned, 'event_means = "censored"\n')
    assert righted.outcome.n_events == cohort.outcome.n_events == int(clinical["os_event"].sum())


@READERS
def test_brca_is_asked_about_as_it_is_for_its_censored_were_truly_followed_for_less_time(
    shared: Path, tmp_path: Path, read: Read
) -> None:
    """Median follow-up is 25.6 months of the censored and 44.8 of the dead: no table alone tells which is which."""
    clinical = pd.read_csv(shared / "data" / "clinical_brca.csv")
    with pytest.raises(CohortError, match=SHORTER) as asked:
        read(tmp_path, clinical)
    assert "(25.6 months in the median) than it took those who died (44.8)" in str(asked.value)
    cohort = read(tmp_path, clinical, 'event_means = "death"\n')
    assert (len(cohort.patients), cohort.outcome.n_events) == (871, 102)
    assert any("followed for less time (25.6 months" in warning for warning in cohort.warnings)


@READERS
@pytest.mark.parametrize("n_died", [15, 25])  # shorter follow-up of the censored, and 83 % deaths
def test_words_mean_what_they_say_and_are_not_asked_about(tmp_path: Path, read: Read, n_died: int) -> None:
    patients = young(n_died, 30 - n_died)
    table = pd.DataFrame(
        {
            "patient_id": [patient.patient_id for patient in patients],
            "slide_ids": [patient.slide_ids[0] for patient in patients],
            "os_months": [patient.time for patient in patients],
            "vital_status": [int(patient.event) for patient in patients],
        }
    )
    with pytest.raises(CohortError, match=ASKED):
        read(tmp_path, table)
    in_words = table.assign(vital_status=["Dead" if patient.event else "Alive" for patient in patients])
    cohort = read(tmp_path, in_words)
    assert cohort.outcome.n_events == n_died
    assert any("followed for less time" in warning for warning in cohort.warnings)


def test_a_finished_run_is_not_asked_again(tmp_path: Path) -> None:
    patients = young(15, 15)
    rows = [[p.patient_id, p.slide_ids[0], p.time, int(p.event)] for p in patients]
    table = pd.DataFrame(rows, columns=["patient_id", "slide_ids", "os_months", "os_event"])
    path = write_cohort(tmp_path, table)
    with pytest.raises(CohortError, match=SHORTER):
        read_cohort(path)
    tables = {"clinical": "clinical.csv", "expression": "rna.csv", "pathways": "sets.gmt"}
    record = {"cohort": {"name": "of a release before"}, "cohort_paths": tables}
    assert cohort_of_run(tmp_path, record, None).outcome.n_events == 15


HANDS = "patient_id,slide_ids,os_months,{name}\nA,A1,5,{one}\nB,B1,15,{one}\nC,C1,25,{none}\nD,D1,8,{none}\n"
"""A and B died; their risks are below, and everybody's hazards are 1/2, 3/4 and 1/4 in the bins [0, 10, 20, inf)."""
RISKS = [4.0, 1.0, 2.0, 3.0]
AS_IT_IS = (math.log(2 * 8 / 3 * 32 / 3 * 2) / 4, 3 / 4)  # A before B, C, D right; B before C wrong
TURNED = (math.log(2 * 8 * 32 * 2) / 4, 1.0)  # D before B and C right; nobody is left after C


@pytest.mark.parametrize("name", ["os_event", "censorship"])
@pytest.mark.parametrize("turned", [False, True])
def test_loss_and_c_index_of_both_conventions_are_those_worked_by_hand(
    tmp_path: Path, name: str, turned: bool
) -> None:
    one, own, other = (1, "death", "censored") if name == "os_event" else (0, "censored", "death")
    path = tmp_path / "clinical.csv"
    path.write_text(HANDS.format(name=name, one=one, none=1 - one))
    meanings: tuple[Any, ...] = (other,) if turned else (None, own)
    for means in meanings:
        outcome = outcome_of(read_clinical_table(path, ClinicalKeys(event_means=means)).patients)
        bins = TimeBins([0, 10, 20, np.inf]).assign(outcome.time)
        assert bins.tolist() == [0, 1, 2, 0]
        logits = torch.tensor([[0.0, math.log(3), -math.log(3)]] * 4, dtype=torch.float64)
        loss = nll_loss(logits, torch.from_numpy(bins), torch.from_numpy(outcome.event.copy()))
        index = concordance_index(outcome.time, outcome.event, RISKS)
        assert (loss.item(), index) == pytest.approx(TURNED if turned else AS_IT_IS, rel=0, abs=1e-12)
