"""Does the distillation work? Every switch of the method on simulated bags with real expression, paired by patient.

    python benchmarks/distillation_study.py --expression rna.parquet --pathways sets.gmt --out FOLDER
        [--seeds 0 1 2] [--folds 5] [--patches 4096] [--dimension 1024] [--dim 256] [--variants NAME ...] [--jobs 1]
        [--teacher-patches 1024] [--pooling mean] [--survival-loss cox] [--patients 40] [--cells 0-4 0-5]

A repeated command continues; other settings than variants, seeds, cells and jobs need another FOLDER. --teacher-patches
draws so many of a bag's patches for the teacher in each epoch. --patients takes the first of the table only, to try
sizes out; --cells runs some cells alone, each a seed and a fold from 1. The first undistilled one of the variants is
what the others are compared with. The table goes to FOLDER/table.md; benchmarks/RESULTS.md holds the one that the
defaults of `amkd-train` rest on, with the sizes it was run at. The simulation is amkd_core/simulate/bags.py, fixed
before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.atomic import write_text
from amkd_core.file_hash import file_sha256
from amkd_core.owner import end_with_owner
from amkd_core.simulate.bags import BagSimulationConfig
from amkd_core.studies.distillation import (
    RECORD_VERSION,
    UNDISTILLED,
    VARIANTS,
    StudySettings,
    run_cell,
)
from amkd_core.survival.comparison import bootstrap_within, paired_difference
from amkd_core.survival.outcome import Outcome
from amkd_core.training.config import DistillConfig, ModelConfig, OptimConfig, TrainingConfig
from amkd_core.training.run_folder import keep_record

REFERENCES = ("true hazard", "what the genes tell", "what the slide shows", "planted patches, counted")


def main() -> None:
    options = parse()
    optim = OptimConfig(
        learning_rate=options.learning_rate,
        weight_decay=1e-4,
        epochs=options.epochs,
        patience=options.patience,
        patches_per_bag=options.patches,
    )
    training = TrainingConfig(
        threads=1,
        survival_loss=options.survival_loss,
        model=ModelConfig(dim=options.dim, pooling=options.pooling),
        teacher=optim.model_copy(update={"patches_per_bag": options.teacher_patches or options.patches}),
        student=optim,
        # Rows say what differs from this, whatever the defaults are by now.
        distill=DistillConfig(
            inner_folds=options.inner_folds,
            teacher_logits="in_sample",
            arr="balanced",
            patch_share=1.0,
            pathway_weight=0.0,
        ),
    )
    simulation = BagSimulationConfig(n_patches=options.patches, d_encoder=options.dimension)
    settings = StudySettings(
        options.expression, options.pathways, simulation, training, n_folds=options.folds,
        variants=tuple(options.variants or VARIANTS), n_patients=options.patients,
    )  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    keep_record(
        options.out / "study.json",
        {
            "tables": {name: file_sha256(getattr(options, name)) for name in ("expression", "pathways")},
            "simulation": simulation.model_dump(mode="json"),
            "training": training.model_dump(mode="json"),
            "sizes": {"folds": options.folds, "patients": options.patients},
            "version": RECORD_VERSION,
        },
    )
    cells = options.cells or [(seed, fold) for fold in range(options.folds) for seed in options.seeds]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context, initializer=end_with_owner) as pool:
        for path in pool.map(work, *zip(*((settings, *cell, options.out) for cell in cells), strict=True)):
            print(path.name, "done", file=sys.stderr, flush=True)
            table = table_of(sorted(options.out.glob("seed-*-fold-*.json")), settings.variants)
            write_text(options.out / "table.md", table)
    print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expression", type=Path, required=True)
    parser.add_argument("--pathways", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--patches", type=int, default=4096)
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--teacher-patches", type=int)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--patience", type=int, default=8)
    parser.add_argument("--inner-folds", type=int, default=4)
    parser.add_argument("--pooling", choices=("attention", "mean"), default="attention")
    parser.add_argument("--survival-loss", choices=("nll", "cox"), default="nll")
    parser.add_argument("--patients", type=int)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--cells", nargs="+", type=cell_of)
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


def cell_of(text: str) -> tuple[int, int]:
    """Seed and index of the fold of a word like 0-4, whose fold counts from 1."""
    seed, fold = map(int, text.split("-"))
    if fold < 1:
        raise ValueError(text)
    return seed, fold - 1


def work(settings: StudySettings, seed: int, fold: int, out: Path) -> Path:
    import torch

    torch.set_num_threads(1)
    steps = run_cell(settings, seed, fold, out)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return Path(end.value)


def table_of(paths: list[Path], variants: tuple[str, ...]) -> str:
    """C-index within cells, its difference to the undistilled student, and what the maps find."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    records = [item for item in records if all(name in item["students"] for name in variants)]
    cell = np.concatenate([np.full(len(item["patients"]), k) for k, item in enumerate(records)])
    outcome = Outcome(gather(records, "months"), gather(records, "event").astype(bool))
    risks = {name: gather(records, name) for name in REFERENCES}
    risks["teacher"] = np.concatenate([item["teacher"]["risk"] for item in records])
    risks |= {name: np.concatenate([item["students"][name]["risk"] for item in records]) for name in variants}
    areas = {"teacher": area_cells([item["teacher"] for item in records])}
    areas |= {name: area_cells([item["students"][name] for item in records]) for name in variants}
    base = next((name for name in variants if name.startswith(UNDISTILLED)), "what the slide shows")
    lines = [
        f"{len(records)} cells (seed and fold), {len(outcome)} test patients, {outcome.n_events} deaths.",
        "",
        f"| risk by | C-index within cells (95 % interval) | minus {base} (95 % interval) | area of the map | "
        "by pattern: the three that count by themselves, the joint one |",
        "|---|---|---|---|---|",
    ]
    for name, risk in risks.items():
        found = bootstrap_within(outcome, risk, stratum=cell, generator=np.random.default_rng(0))
        text = f"| {name} | {found.estimate:.3f} ({found.lower:.3f} to {found.upper:.3f}) |"
        if name == base:
            text += " |"
        else:
            gap = paired_difference(
                outcome, risks[base], risk, stratum=cell, generator=np.random.default_rng(0)
            ).interval
            text += f" {gap.estimate:+.3f} ({gap.lower:+.3f} to {gap.upper:+.3f}) |"
        lines.append(text + areas.get(name, " | |"))
    lines += ["", *rank_lines([item["teacher"] for item in records])]
    return "\n".join(lines) + "\n"


def rank_lines(teachers: list[dict[str, Any]]) -> list[str]:
    """Where the five driver pathways come by attention, by effect on the teacher's risk, and by that on the truth."""
    lines = []
    for key, way in (
        ("driver_ranks", "the teacher's attention"),
        ("effect_ranks", "their effect on the teacher's risk"),
        ("true_effect_ranks", "the same reading of the true log hazard"),
    ):
        ranks = np.array([item[key] for item in teachers if item.get(key)])
        if len(ranks):
            middle, share = np.median(ranks, axis=0).tolist(), (ranks <= 5).mean()
            lines += [
                f"Ranks of the five driver pathways by {way}, median over {len(ranks)} cells: {middle}; in its top "
                f"five: {share:.0%}.",
                "",
            ]
    explained = [item["explained"] for item in teachers if item.get("explained") is not None]
    if explained:
        lines.append(f"The reading explains {np.mean(explained):.0%} of the teacher's risk.")
    return lines


def gather(records: list[dict[str, Any]], key: str) -> np.ndarray:
    return np.concatenate([np.asarray(item[key], dtype=float) for item in records])


def area_cells(scored: list[dict[str, Any]]) -> str:
    """Areas of the map over all patients: any planted patch, and each pattern by itself."""
    whole = np.mean(np.concatenate([item["map_area"] for item in scored]))
    patterns = np.concatenate([np.array(item["pattern_areas"], dtype=float) for item in scored])
    *single, joint = np.nanmean(patterns, axis=0)
    return f" {whole:.3f} | {', '.join(f'{area:.2f}' for area in single)}; {joint:.2f} |"


if __name__ == "__main__":
    main()
