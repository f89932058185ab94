"""Every model under one protocol on simulated bags with real expression, over several seeds; tables 2, 5 and 6.

    python benchmarks/model_comparison.py --cohort cohort.toml --out FOLDER [--seeds 0 1 2] [--folds 5] [--patches 128]
        [--dimension 128] [--dim 64] [--train-patches 1024] [--rows models|ablation|alpha] [--jobs 2]

The cohort file names real expression and pathways; per seed its patients get simulated bags and a simulated follow-up
whose truth is known (docs/simulation.md). --train-patches draws so many of a bag's patches in each epoch of every model
and stage; evaluation uses all. A repeated command continues.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from amkd_core.cohort.cohort import read_cohort
from amkd_core.progress import Progress
from amkd_core.simulate.bag_cohort import simulate_bag_cohort
from amkd_core.simulate.bags import BagSimulationConfig
from amkd_core.studies.ablation import ABLATION, ALPHA
from amkd_core.studies.benchmark import Comparison, compare
from amkd_core.studies.over_seeds import table_over_seeds
from amkd_core.training.config import DistillConfig, ModelConfig, OptimConfig, TrainingConfig
from amkd_core.training.recipes import COMPARED, UNDISTILLED, recipes_of


def main() -> None:
    options = parse()
    optim = OptimConfig(
        learning_rate=options.learning_rate,
        weight_decay=1e-4,
        epochs=options.epochs,
        patience=options.patience,
        patches_per_bag=options.train_patches or OptimConfig().patches_per_bag,
    )
    rows = {
        "models": recipes_of(options.models), "ablation": ABLATION, "alpha": ALPHA
    }[options.rows]  # fmt: skip
    found: dict[int, Comparison] = {}
    for seed in options.seeds:
        place = options.out / f"seed-{seed}"
        simulation = BagSimulationConfig(seed=seed, n_patches=options.patches, d_encoder=options.dimension)
        made = place / "cohort" / "cohort.toml"
        if not made.exists():
            run(simulate_bag_cohort(read_cohort(options.cohort), made.parent, simulation, own_follow_up=True))
        config = TrainingConfig(
            seed=seed, threads=1, folds=options.folds, model=ModelConfig(dim=options.dim), teacher=optim, student=optim,
            distill=DistillConfig(
                inner_folds=options.inner_folds, patch_share=options.patch_share, pathway_weight=options.pathway_weight
            ),
        )  # fmt: skip
        found[seed] = run(compare(read_cohort(made), rows, config, place / "run", jobs=options.jobs))
        text = table_over_seeds(found, {s: options.out / f"seed-{s}" / "cohort" / "truth.csv" for s in found})
        (options.out / f"{options.rows}.md").write_text(text, encoding="utf-8")
    print(text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--patches", type=int, default=128)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--train-patches", type=int)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--patience", type=int, default=5)
    parser.add_argument("--inner-folds", type=int, default=2)
    parser.add_argument("--patch-share", type=float, default=DistillConfig().patch_share)
    parser.add_argument("--pathway-weight", type=float, default=DistillConfig().pathway_weight)
    parser.add_argument(
        "--models", nargs="+", choices=[*COMPARED, UNDISTILLED], default=[*COMPARED, UNDISTILLED]
    )
    parser.add_argument("--rows", choices=["models", "ablation", "alpha"], default="models")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def run(steps):
    """Drive a generator of progress; one line for each finished model."""
    while True:
        try:
            step: Progress = next(steps)
        except StopIteration as stop:
            return stop.value
        if step.message:
            print(step.stage, step.done, "of", step.total, step.message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
