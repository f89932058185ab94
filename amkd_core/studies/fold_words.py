"""How the folds of a comparison come about, in words: the setting `folds` is not always what makes them."""

from __future__ import annotations

from amkd_core.cohort.cohort import Cohort
from amkd_core.survival.endpoints import words_of
from amkd_core.training.config import TrainingConfig


def folds_in_words(cohort: Cohort, config: TrainingConfig) -> str:
    """What `make_folds` does with a cohort, as a part of a sentence; a setting `folds` that is not used is named."""
    unused = f"the setting folds = {config.folds} is not used"
    if any(patient.split for patient in cohort.patients):
        return f"one split, that of the clinical table's column split ({unused}; --ignore-split makes folds instead)"
    if cohort.file.folds is not None:
        return f"the folds of {cohort.file.folds.name} ({unused})"
    kept = f", patients of one {cohort.file.group} kept together" if cohort.file.group else ""
    return f"{config.folds} folds, {words_of(cohort.file.endpoint).events} shared out alike{kept}"
