"""How many tested patients come from a hospital that their fold also learns from."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from training_fixtures import run_amkd

from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.folds import read_folds
from amkd_core.cohort.shared_sites import from_shared_sites, shared_sites_note
from amkd_core.cohort.splits import Split
from amkd_core.training.cohort_tables import fold_table

TOLD = 'hospitals that their fold also trains on (TCGA sites; group = "tcga_site" keeps them apart).'


def of_site(site: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"TCGA-{site}-{number:04d}" for number in numbers)


def test_each_fold_counts_those_whose_site_it_learns_from_or_chooses_by() -> None:
    first = Split(
        of_site("AA", 1, 2), of_site("BB", 1), (*of_site("AA", 3), *of_site("BB", 2), *of_site("CC", 1))
    )
    second = Split(of_site("AA", 3), of_site("CC", 1), (*of_site("BB", 1), *of_site("aa", 2)))
    assert from_shared_sites([first]) == (2, 3)
    assert from_shared_sites([first, second]) == (3, 5)
    assert shared_sites_note([first, second]) == f"Folds: 3 of 5 tested patients come from {TOLD}"


def test_nothing_is_said_where_no_site_is_shared_or_none_is_known() -> None:
    apart = Split(of_site("AA", 1, 2), of_site("BB", 1), of_site("CC", 1, 2))
    unknown = Split(("P1", "P2"), ("P3",), ("P4", "P5"))
    untested = Split(of_site("AA", 1, 2), of_site("BB", 1), ())
    assert [shared_sites_note([split]) for split in (apart, unknown, untested)] == ["", "", ""]
    assert from_shared_sites([apart, unknown, untested]) == (0, 4)


@pytest.mark.parametrize(
    ("name", "stratified", "n"), [("stad", 313, 319), ("blca", 351, 359), ("hnsc", 392, 394)]
)
def test_survpaths_folds_share_no_site_and_those_stratified_by_event_nearly_all(
    shared: Path, name: str, stratified: int, n: int
) -> None:
    data = shared / "data"
    patients = read_clinical_table(data / f"clinical_{name}.csv", ClinicalKeys()).patients
    by_site = read_folds(data / "splits_survpath_site.csv", patients, seed=0)
    by_event = read_folds(data / "splits_event_stratified.csv", patients, seed=0)
    assert (from_shared_sites(by_site), from_shared_sites(by_event)) == ((0, n), (stratified, n))
    cohort = SimpleNamespace(
        patients=patients, file=SimpleNamespace(folds=data / "folds.csv", group="", endpoint="os")
    )
    assert fold_table(cohort, by_event).note.endswith(
        f" Folds: {stratified} of {n} tested patients come from {TOLD}"
    )
    assert fold_table(cohort, by_site).note.endswith("test patients are scored once.")


def write_tcga(
    folder: Path, *, more: str = "", sites: tuple[str, ...] = ("AA", "BB", "CC", "DD", "EE", "FF")
) -> Path:
    names = [f"TCGA-{sites[i % len(sites)]}-{i:04d}" for i in range(60)]
    table = {"patient_id": names, "slide_ids": [f"S{i}" for i in range(60)]}
    follow_up = {"os_months": 5.0 + np.arange(60), "os_event": [int(i % 5 < 2) for i in range(60)]}
    pd.DataFrame(table | follow_up).to_csv(folder / "clinical.csv", index=False)
    pd.DataFrame({"patient_id": names, "G1": np.linspace(0, 3, 60)}).to_csv(folder / "rna.csv", index=False)
    (folder / "sets.gmt").write_text("A\tx\tG1\n")
    tables = (
        'clinical = "clinical.csv"\nexpression = "rna.csv"\npathways = "sets.gmt"\nevent_means = "death"\n'
    )
    (folder / "c.toml").write_text("[cohort]\n" + tables + more)
    return folder / "c.toml"


def test_amkd_cohort_says_it_unless_the_sites_are_kept_apart(tmp_path: Path) -> None:
    toml = write_tcga(tmp_path)
    exit_code, output = run_amkd("cohort", toml)
    assert exit_code == 0, output
    said = f"Folds: 60 of 60 tested patients come from {TOLD}"
    assert said in " ".join(output.split())
    assert said in json.loads(run_amkd("cohort", toml, "--json")[1])["warnings"]
    apart = write_tcga(tmp_path, more='group = "tcga_site"\n')
    exit_code, output = run_amkd("cohort", apart, "--folds", 3)
    assert exit_code == 0, output
    assert "3 folds" in output
    assert "hospitals" not in output
