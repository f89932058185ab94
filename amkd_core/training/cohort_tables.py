"""Table 1 of a report, and who was trained and tested on."""

from __future__ import annotations

from collections.abc import Sequence

from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.folds import folds_in_words
from amkd_core.cohort.shared_sites import shared_sites_note
from amkd_core.cohort.splits import Split
from amkd_core.cohort.table_one import table_one
from amkd_core.export.run_report import ReportTable
from amkd_core.survival.endpoints import words_of


def cohort_table(cohort: Cohort, n_patches: Sequence[int] = ()) -> ReportTable:
    """Table 1 of the cohort, as `amkd cohort` prints it; `n_patches` of each slide."""
    told = table_one(cohort, n_patches=n_patches)
    rows = tuple((name.capitalize(), text) for name, text in told.items())
    return ReportTable("Table 1. The cohort", ("", "Patients with complete data"), rows)


def fold_table(cohort: Cohort, splits: Sequence[Split]) -> ReportTable:
    """Patients and events of each fold's parts, and how many of the tested are of hospitals that were learnt from."""
    event = {patient.patient_id: patient.event for patient in cohort.patients}

    def size(names: Sequence[str]) -> str:
        return f"{len(names)} ({sum(event.get(name, False) for name in names)})"

    rows = tuple(
        (str(number), size(split.train), size(split.validation), size(split.test))
        for number, split in enumerate(splits, start=1)
    )
    sites = shared_sites_note(splits)
    return ReportTable(
        f"Patients ({words_of(cohort.file.endpoint).events}) by fold", ("Fold", "Training", "Validation", "Test"), rows,
        f"Folds: {folds_in_words(cohort, len(splits))}. Everything that is fitted is fitted on a fold's training "
        "patients; validation patients choose the epoch; test patients are scored once."
        + (f" {sites}" if sites else ""),
    )  # fmt: skip
