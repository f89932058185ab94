"""Which hospitals choose the epoch where folds keep hospitals apart: drawn for each fold, beside always the first part.

    python benchmarks/grouped_folds.py [--seeds 4] [FOLDER]

FOLDER as for clinical_baseline.py. Of real cohorts, five folds by tissue source site a seed, the same tested patients
in both rows: how often the largest site chooses the epoch in the folds that do not test it (a fifth would be fair), how
many patients are trained on, and the C-index of the cheap model on pathway means whose penalty those patients choose.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from clinical_baseline import GOALS, data_folder

from amkd_core.cohort import splits
from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.folds import make_folds
from amkd_core.training.chance import chance_line, pathway_means

drawn: Callable[..., object] = splits._drawn


def first(parts: list[object], event: object, rng: object) -> object:
    """What was taken before, whatever is drawn."""
    return parts[0]


def cohort_of(folder: Path, name: str) -> Cohort:
    return read_cohort(
        None,
        {
            "name": name, "clinical": folder / f"clinical_{name}.csv", "group": "tcga_site", "event_means": "death",
            "expression": folder / f"rna_{name}_zscore.parquet", "pathways": folder / "pathways.gmt",
        },
    )  # fmt: skip


def measured(cohort: Cohort, seeds: int, choose: Callable[..., object]) -> str:
    """One cell of the table: share of folds in which the largest site chooses, patients trained on, C-index."""
    site = {patient.patient_id: patient.group for patient in cohort.patients}
    largest, _ = Counter(site.values()).most_common(1)[0]
    features, chosen, trained, scores = pathway_means(cohort), [], [], []
    with mock.patch.object(splits, "_drawn", choose):
        for seed in range(seeds):
            folds = make_folds(cohort, n_folds=5, seed=seed)
            untested = [fold for fold in folds if largest not in {site[name] for name in fold.test}]
            chosen += [largest in {site[name] for name in fold.validation} for fold in untested]
            trained += [len(fold.train) for fold in folds]
            scores.append(chance_line(cohort, folds, features, seed=seed, n_shuffles=1).true_outcomes)
    spread = " ".join(f"{score:.3f}" for score in scores)
    return f"{np.mean(chosen):.0%} | {np.mean(trained):.0f} | {np.mean(scores):.3f} ({spread})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=data_folder())
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        print(f"no cohorts at {arguments.folder}; nothing to measure")
        return
    print(
        "| cohort | chosen by | largest site chooses | trained on | C-index (by seed) |\n|---|---|---|---|---|"
    )
    for name in (*GOALS, "blca", "luad"):
        cohort = cohort_of(arguments.folder, name)
        for title, choose in (("the first part", first), ("a part drawn", drawn)):
            print(f"| {name.upper()} | {title} | {measured(cohort, arguments.seeds, choose)} |", flush=True)


if __name__ == "__main__":
    main()
