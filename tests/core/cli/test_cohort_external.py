"""`amkd cohort` looks at cohorts that are only to be scored, and says what is not used of what was asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


def write_cohort(folder: Path, n_patients: int, *, more: str = "", split: bool = False) -> Path:
    """Every third patient died; genes of all."""
    head, rows, genes = "patient_id,slide_ids,os_months,os_event", [], ["patient_id,G1,G2"]
    for index in range(n_patients):
        part = ("train", "train", "validation", "test")[index % 4]
        rows.append(f"P{index},S{index},{10 + index},{int(index % 3 == 0)}" + (f",{part}" if split else ""))
        genes.append(f"P{index},{index % 5}.5,{index % 7}.5")
    (folder / "clinical.csv").write_text("\n".join([head + (",split" if split else ""), *rows]) + "\n")
    (folder / "rna.csv").write_text("\n".join(genes) + "\n")
    (folder / "sets.gmt").write_text("A\tx\tG1\tG2\n")
    (folder / "c.toml").write_text(f'[cohort]\nname = "outside"\nclinical = "clinical.csv"\n{more}')
    return folder / "c.toml"


GENES = 'expression = "rna.csv"\npathways = "sets.gmt"\n'


@pytest.mark.parametrize("more", ["", 'pathways = "sets.gmt"\n', 'expression = "rna.csv"\n'])
def test_a_cohort_without_genes_is_shown(amkd: Run, tmp_path: Path, more: str) -> None:
    toml = write_cohort(tmp_path, 16, more=more)
    done = amkd("cohort", toml)
    assert done.exit_code == 0, done.output
    assert "outside: 6 deaths among 16 patients (38%)" in done.stdout
    assert (
        "Without expression and pathways no run can be trained on it; amkd evaluate scores it." in done.stdout
    )
    assert "tested on" not in done.stdout
    record = json.loads(amkd("cohort", toml, "--json").stdout)
    assert (record["table"]["patients"], record["folds"], record["deaths_tested_by_fold"]) == ("16", None, [])


def test_a_cohort_too_small_for_folds_is_shown_with_the_reason(amkd: Run, tmp_path: Path) -> None:
    done = amkd("cohort", write_cohort(tmp_path, 16, more=GENES))
    assert done.exit_code == 0, done.output
    assert "outside: 6 deaths among 16 patients (38%)" in done.stdout
    said = " ".join(done.stdout.split())
    assert "No run of 5 folds can be trained on it: " in said
    assert (
        "expected at least one for each of 5 parts of which one chooses the epoch. amkd evaluate scores it."
        in said
    )


def test_folds_that_were_asked_for_in_vain_come_after_the_table_and_stop(amkd: Run, tmp_path: Path) -> None:
    done = amkd("cohort", write_cohort(tmp_path, 16, more=GENES + 'folds = "folds.csv"\n', split=True))
    assert done.exit_code == 2
    assert "outside: 6 deaths among 16 patients" in done.stdout
    assert "column split, and folds.csv tells other folds" in done.stdout
    assert done.stderr.startswith("Error: the clinical table has a column split, and folds.csv")


def test_folds_that_a_split_overrides_are_said(amkd: Run, tmp_path: Path) -> None:
    toml = write_cohort(tmp_path, 48, more=GENES, split=True)
    shown = amkd("cohort", toml, "--folds", 3).stdout
    assert "column split (the setting folds = 3 is not used; --ignore-split makes folds instead)" in shown
    assert "is not used" not in amkd("cohort", toml).stdout


def test_a_split_that_leaves_a_part_without_deaths_does_not_hide_the_table(amkd: Run, tmp_path: Path) -> None:
    """As simulated cohorts have one, those that are only scored as well."""
    done = amkd("cohort", write_cohort(tmp_path, 16, more=GENES, split=True))
    assert done.exit_code == 0, done.output
    assert "outside: 6 deaths among 16 patients (38%)" in done.stdout
    said = " ".join(done.stdout.split())
    assert (
        "No run can be trained on it: the validation part has 1 death, expected at least 2. amkd evaluate"
        in said
    )
