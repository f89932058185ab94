"""Genes alone on real cohorts: SNN, MLP, SMLP by five-fold cross-validation beside ridge Cox models and chance.

    python benchmarks/omics_protocol.py --cohorts brca.toml stad.toml ... --out FOLDER [--jobs 1]

Networks, ridge Cox on genes and on pathway means, and ridge Cox on age and stage see the same folds; epochs and
penalties are chosen on validation patients, pathways by coverage, nothing on test patients. Repeat to go on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.genes import GeneScaling
from amkd_core.cohort.pathways import cover
from amkd_core.cohort.splits import Split
from amkd_core.studies.benchmark import compare
from amkd_core.survival.comparison import bootstrap_within
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import Outcome
from amkd_core.training.baselines import clinical_baseline
from amkd_core.training.chance import FeaturesOf, chance_line, pathway_means, ridge_path
from amkd_core.training.config import OptimConfig, TrainingConfig
from amkd_core.training.recipes import recipes_of

NETWORKS = ("snn", "mlp", "smlp")
PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohorts", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--shuffles", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--patience", type=int, default=15)
    options = parser.parse_args()
    optim = OptimConfig(learning_rate=options.learning_rate, epochs=options.epochs, patience=options.patience)
    config = TrainingConfig(threads=1, min_coverage=0.0, teacher=optim, student=optim)
    lines = ["| cohort | risk by | mean ± sd of folds | within folds (95 % interval) |", "|---|---|---|---|"]
    for path in options.cohorts:
        lines += rows_of(read_cohort(path), options.out / path.stem, config, options)
        (options.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def rows_of(cohort: Cohort, out: Path, config: TrainingConfig, options: argparse.Namespace) -> list[str]:
    steps = compare(cohort, recipes_of(NETWORKS), config, out, jobs=options.jobs)
    while True:
        try:
            step = next(steps)
            print(cohort.file.name, step.stage, step.done, step.message, file=sys.stderr, flush=True)
        except StopIteration as stop:
            found = stop.value
            break
    risks = {name: found.scored[name] for name in NETWORKS}
    first = risks[NETWORKS[0]]
    table = {name: item.risk[item.in_order_of(first.patients)] for name, item in risks.items()}
    table["ridge Cox, genes"] = ridge(cohort, found.splits, genes_of(cohort), first.patients)
    table["ridge Cox, pathway means"] = ridge(cohort, found.splits, pathway_means(cohort), first.patients)
    clinical = clinical_baseline(cohort.patients, found.splits)
    place = {name: row for row, name in enumerate(clinical.patients)}
    table["ridge Cox, age and stage"] = clinical.risk[[place[name] for name in first.patients]]
    lines = [row(cohort.file.name, name, first.outcome, risk, first.fold) for name, risk in table.items()]
    chance = chance_line(cohort, found.splits, pathway_means(cohort), seed=0, n_shuffles=options.shuffles)
    lines.append(
        f"| {cohort.file.name} | chance line (95th percentile of {chance.n_shuffles} shuffles; mean) | "
        f"{chance.percentile_95:.3f}; {chance.mean:.3f} | |"
    )
    return lines


def genes_of(cohort: Cohort) -> FeaturesOf:
    """z-scores of the genes of any pathway, by each fold's training patients."""
    membership = cover(cohort.pathways, cohort.expression.genes, min_coverage=0.0)
    names = [patient.patient_id for patient in cohort.patients]
    values = cohort.expression.rows(names, membership.genes)
    place = {name: index for index, name in enumerate(names)}
    return lambda split: GeneScaling.fit(values[[place[name] for name in split.train]]).apply(values)


def ridge(
    cohort: Cohort, splits: tuple[Split, ...], features_of: FeaturesOf, order: tuple[str, ...]
) -> np.ndarray:
    """Out-of-fold risk; validation patients choose the penalty."""
    place = {patient.patient_id: row for row, patient in enumerate(cohort.patients)}
    outcome, risk = cohort.outcome, np.full(len(place), np.nan)
    for split in splits:
        train, validation, test = ([place[name] for name in part] for part in vars(split).values())
        values = features_of(split)
        seen = outcome.take(np.array(validation))
        fits = ridge_path(outcome.take(np.array(train)), values[train], PENALTIES)
        scores = [concordance_index(seen.time, seen.event, values[validation] @ fit) for fit in fits]
        risk[test] = values[test] @ fits[int(np.argmax(scores))]
    return risk[[place[name] for name in order]]


def row(cohort: str, name: str, outcome: Outcome, risk: np.ndarray, fold: np.ndarray) -> str:
    folds = [
        concordance_index(outcome.time[fold == k], outcome.event[fold == k], risk[fold == k])
        for k in np.unique(fold)
    ]
    own = bootstrap_within(outcome, risk, fold, generator=np.random.default_rng(0))
    return (
        f"| {cohort} | {name} | {np.mean(folds):.3f} ± {np.std(folds, ddof=1):.3f} | "
        f"{own.estimate:.3f} ({own.lower:.3f} to {own.upper:.3f}) |"
    )


if __name__ == "__main__":
    main()
