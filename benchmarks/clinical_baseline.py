"""Age and stage alone on real cohorts, beside the goal and, on demand, the chance line of a cheap model on expression.

    python benchmarks/clinical_baseline.py [--chance] [--shuffles 40] [FOLDER]

FOLDER holds ``clinical_<cohort>.csv``, ``rna_<cohort>_*.parquet``, ``pathways.gmt`` and
``splits_event_stratified.csv``; by default it is ``shared/data`` beside the checkout. Without it the script ends.
"""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from amkd_core.cohort.clinical import outcome_of
from amkd_core.cohort.folds import Split
from amkd_core.cohort.genes import ExpressionTable, read_expression
from amkd_core.cohort.pathways import GeneSet, read_gmt
from amkd_core.errors import OutcomeError
from amkd_core.survival.comparison import bootstrap_within
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import Outcome
from amkd_core.training.baselines import clinical_baseline
from amkd_core.training.chance import chance_line, pathway_means

GOALS = {"brca": 0.74, "stad": 0.62, "hnsc": 0.59, "coadread": 0.67}
STAGES = {"I": 1, "II": 2, "III": 3, "IV": 4}


@dataclass(frozen=True)
class TablePatient:
    """What the baselines need of a patient."""

    patient_id: str
    time: float
    event: bool
    age_years: float | None
    stage: int | None


@dataclass(frozen=True, eq=False)
class TableCohort:
    """What the chance line needs of a cohort."""

    patients: tuple[TablePatient, ...]
    expression: ExpressionTable | None = None
    pathways: tuple[GeneSet, ...] = ()

    @property
    def outcome(self) -> Outcome:
        return outcome_of(self.patients)


@dataclass(frozen=True)
class Row:
    """One cohort's figures."""

    name: str
    n_patients: int
    n_events: int
    mean: float
    std: float
    within: str


def data_folder() -> Path:
    shared = os.environ.get("AMKD_SHARED", Path(__file__).resolve().parents[2] / "shared")
    return Path(shared) / "data"


def stage_of(text: object) -> int | None:
    """Stage 1 to 4 of an AJCC stage such as "Stage IIIA"; None where it is unknown."""
    found = re.match(r"Stage (IV|I{1,3})", text) if isinstance(text, str) else None
    return STAGES[found.group(1)] if found else None


def read_patients(folder: Path, name: str) -> tuple[TablePatient, ...]:
    table = pd.read_csv(folder / f"clinical_{name}.csv")
    return tuple(
        TablePatient(
            row.patient_id, row.os_months, bool(row.os_event),
            None if pd.isna(row.age_years) else float(row.age_years), stage_of(row.ajcc_stage),
        )
        for row in table.itertuples()
    )  # fmt: skip


def read_folds(folder: Path, patients: tuple[TablePatient, ...]) -> tuple[Split, ...]:
    table = (
        pd.read_csv(folder / "splits_event_stratified.csv")
        .drop_duplicates("patient_id")
        .set_index("patient_id")
    )
    own = table.loc[[patient.patient_id for patient in patients]]
    return tuple(
        Split(*(tuple(own.index[own[f"fold{fold}"] == part]) for part in ("train", "val", "test")))
        for fold in range(5)
    )


def clinical_row(folder: Path, name: str) -> Row:
    patients = read_patients(folder, name)
    baseline = clinical_baseline(patients, read_folds(folder, patients))
    known = {patient.patient_id: patient for patient in patients}
    outcome = outcome_of([known[each] for each in baseline.patients])
    scores = []
    for fold in np.unique(baseline.fold):
        own = baseline.fold == fold
        scores.append(concordance_index(outcome.time[own], outcome.event[own], baseline.risk[own]))
    interval = bootstrap_within(outcome, baseline.risk, baseline.fold, generator=np.random.default_rng(0))
    within = f"{interval.estimate:.3f} [{interval.lower:.3f}, {interval.upper:.3f}]"
    return Row(
        name, len(patients), outcome.n_events, float(np.mean(scores)), float(np.std(scores, ddof=1)), within
    )


def chance_text(folder: Path, name: str, n_shuffles: int) -> str:
    """The chance line on the cohort's widest expression table; heavy-tailed z-scores are compressed."""
    path = next(p for kind in ("xena", "zscore") if (p := folder / f"rna_{name}_{kind}.parquet").is_file())
    table = read_expression(path)
    if path.stem.endswith("zscore"):
        values = np.sign(table.values) * np.log1p(np.abs(table.values))
        table = ExpressionTable(table.patients, table.genes, values)
    measured = set(table.patients)
    patients = tuple(patient for patient in read_patients(folder, name) if patient.patient_id in measured)
    cohort = TableCohort(patients, table, read_gmt(folder / "pathways.gmt"))
    try:
        line = chance_line(
            cohort, read_folds(folder, patients), pathway_means(cohort), seed=0, n_shuffles=n_shuffles
        )
    except OutcomeError as error:
        return str(error)
    return f"{line.percentile_95:.3f} (mean {line.mean:.3f}, true outcomes {line.true_outcomes:.3f}; {path.stem})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=data_folder())
    parser.add_argument(
        "--chance", action="store_true", help="the chance line as well (half a minute a cohort)"
    )
    parser.add_argument("--shuffles", type=int, default=40)
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        print(f"no cohorts at {arguments.folder}; nothing to measure")
        return
    print(
        "| cohort | patients, deaths | age and stage, C by fold | within folds [95 %] | goal | chance line |"
    )
    print("|---|---|---|---|---|---|")
    for name in (*GOALS, "blca", "luad"):
        row = clinical_row(arguments.folder, name)
        chance = chance_text(arguments.folder, name, arguments.shuffles) if arguments.chance else "–"
        goal = f"{GOALS[name]:.2f}" if name in GOALS else "–"
        print(
            f"| {name.upper()} | {row.n_patients}, {row.n_events} | {row.mean:.3f} ± {row.std:.3f} | {row.within} "
            f"| {goal} | {chance} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
