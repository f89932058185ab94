"""What a card tells of hospitals and C-indices, and what it keeps to itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.survival.outcome import Outcome
from amkd_core.training import card_figures
from amkd_core.training.card_figures import measured_in_fold, measured_over_folds, sites_of
from amkd_core.training.crossval import scores_of
from amkd_core.training.estimates import Estimate


def cohort_of(toml: Path, names: list[str], groups: list[str], column: str) -> Cohort:
    found = read_cohort(toml)
    patients = tuple(
        replace(patient, patient_id=name, group=group)
        for patient, name, group in zip(found.patients, names, groups, strict=False)
    )
    file = found.file.model_copy(update={"group": column})
    return replace(found, patients=patients, file=file)


def test_tcga_sites_are_all_named(cohort_toml: Path) -> None:
    names = ["TCGA-A2-0001", "TCGA-A2-0002", "tcga-e2-0003", "other"]
    found = sites_of(cohort_of(cohort_toml, names, [""] * 4, ""), names)
    assert found is not None
    assert (found.source, found.patients, found.pooled_sites, found.unknown) == (
        "tcga_site", {"A2": 2, "E2": 1}, 0, 1,
    )  # fmt: skip
    assert found.n_patients == 4
    assert sites_of(cohort_of(cohort_toml, ["x", "y"], ["", ""], ""), ["x", "y"]) is None


def test_of_a_column_small_groups_and_names_that_could_be_a_patients_are_only_counted(
    cohort_toml: Path,
) -> None:
    names = [f"S{index}" for index in range(21)]
    groups = ["north"] * 5 + ["south"] * 4 + ["S3"] * 5 + ["H2019-004711"] * 5 + ["", ""]
    found = sites_of(cohort_of(cohort_toml, names, groups, "hospital"), names)
    assert found is not None
    assert (found.source, found.patients) == ("group", {"north": 5})
    assert (found.pooled_sites, found.pooled_patients, found.unknown) == (3, 14, 2)
    assert found.n_patients == 21
    for private in ("S3", "4711", "south"):
        assert private not in found.model_dump_json()


@pytest.mark.parametrize("event", [[0, 0, 0, 0], [0, 0, 0, 1]])
def test_a_figure_that_is_not_defined_says_why_and_is_not_a_half(event: list[int]) -> None:
    table = pd.DataFrame({
        "patient_id": list("abcd"), "part": "test", "model": "student", "months": [1.0, 2.0, 3.0, 4.0],
        "event": event, "risk": np.arange(4.0),
    })  # fmt: skip
    both = pd.concat([table, table.assign(part="validation", event=1)], ignore_index=True)
    (found,) = measured_in_fold(scores_of(both, seed=0), 2)
    assert (found.fold, found.n_patients, found.n_events) == (2, 4, sum(event))
    assert (found.c_index, found.lower, found.upper, found.level) == (None, None, None, None)
    assert len(found.reason) > 10
    assert found.reason != "-"


def test_a_figure_of_the_card_shows_the_digits_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are shown with three: rounded to four before, 0.46349 is 0.463 in one and 0.464 in the other."""
    value, lower, upper = 0.58752, 0.46349, 0.71626
    found = Estimate(value=value, lower=lower, upper=upper, level=0.95)
    monkeypatch.setattr(card_figures, "c_index_within_folds", lambda *_, **__: found)
    outcome = Outcome(np.array([1.0, 2.0]), np.array([True, False]))
    (told,) = measured_over_folds({"student": SimpleNamespace(outcome=outcome)}, seed=0, n_resamples=9)  # type: ignore[dict-item]
    assert [f"{number:.3f}" for number in (told.c_index, told.lower, told.upper)] == [
        f"{number:.3f}" for number in (value, lower, upper)
    ]
