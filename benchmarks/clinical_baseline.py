"""Age and stage alone on real cohorts, beside the goal and, on demand, the chance line of a cheap model on expression.

    python benchmarks/clinical_baseline.py [--chance] [--shuffles 40] [FOLDER]

FOLDER holds ``clinical_<cohort>.csv``, ``rna_<cohort>_*.parquet``, ``pathways.gmt`` and
``splits_event_stratified.csv``; by default it is ``shared/data`` beside the checkout. Without it the script ends.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.folds import make_folds
from amkd_core.cohort.patients import outcome_of
from amkd_core.errors import OutcomeError
from amkd_core.survival.comparison import bootstrap_within
from amkd_core.survival.metrics import concordance_index
from amkd_core.training.baselines import clinical_baseline
from amkd_core.training.chance import chance_line, pathway_means

GOALS = {"brca": 0.74, "stad": 0.62, "hnsc": 0.59, "coadread": 0.67}


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


def real_cohort(folder: Path, name: str, *, kinds: tuple[str, ...] = ("zscore",)) -> Cohort:
    """A cohort with its folds; of several kinds of expression the first one that exists."""
    expression = next(path for kind in kinds if (path := folder / f"rna_{name}_{kind}.parquet").is_file())
    return read_cohort(
        None,
        {
            "name": name, "clinical": folder / f"clinical_{name}.csv", "expression": expression,
            "pathways": folder / "pathways.gmt", "folds": folder / "splits_event_stratified.csv",
            "event_means": "death",  # BRCA's follow-up is so short that it is asked for
        },
    )  # fmt: skip


def clinical_row(folder: Path, name: str) -> Row:
    cohort = real_cohort(folder, name)
    baseline = clinical_baseline(cohort.patients, make_folds(cohort, n_folds=5, seed=0))
    known = {patient.patient_id: patient for patient in cohort.patients}
    outcome = outcome_of([known[each] for each in baseline.patients])
    scores = []
    for fold in np.unique(baseline.fold):
        own = baseline.fold == fold
        scores.append(concordance_index(outcome.time[own], outcome.event[own], baseline.risk[own]))
    interval = bootstrap_within(outcome, baseline.risk, baseline.fold, generator=np.random.default_rng(0))
    within = f"{interval.estimate:.3f} [{interval.lower:.3f}, {interval.upper:.3f}]"
    return Row(
        name,
        len(cohort.patients),
        outcome.n_events,
        float(np.mean(scores)),
        float(np.std(scores, ddof=1)),
        within,
    )


def chance_text(folder: Path, name: str, n_shuffles: int) -> str:
    """The chance line on the cohort's widest expression table."""
    cohort = real_cohort(folder, name, kinds=("xena", "zscore"))
    folds = make_folds(cohort, n_folds=5, seed=0)
    try:
        line = chance_line(cohort, folds, pathway_means(cohort), seed=0, n_shuffles=n_shuffles)
    except OutcomeError as error:
        return str(error)
    kind = cohort.file.expression.stem.rpartition("_")[2]
    return f"{line.percentile_95:.3f} (mean {line.mean:.3f}, true outcomes {line.true_outcomes:.3f}; {kind})"


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
