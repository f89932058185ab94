"""Train assets/demo/demo.amkd on a freshly simulated cohort, and measure it on held-out simulated slides.

    .venv/bin/python scripts/make_demo_bundle.py [--work FOLDER] [--jobs N]

Everything is seeded. The figures go to benchmarks/demo_bundle.md.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from amkd_core.bundle import Bundle
from amkd_core.bundle_file import open_bundle
from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import outcome_of, read_cohort
from amkd_core.cohort.genes import read_table
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.models import SurvivalModel
from amkd_core.simulate.cohorts import simulate_cohort
from amkd_core.simulate.config import SimulationConfig
from amkd_core.simulate.demo import DEMO_SEED
from amkd_core.simulate.tissue_map import PLANTED, Region
from amkd_core.simulate.truth import read_truth
from amkd_core.studies.distillation import area_under_curve
from amkd_core.survival.metrics import bootstrap_concordance
from amkd_core.training.config import load_config
from amkd_core.training.evaluate import risks_of
from amkd_core.training.inputs import Example, make_inputs, read_bags
from amkd_core.training.passes import batch_input
from amkd_core.training.stages import train_student

ROOT = Path(__file__).resolve().parents[1]
N_PATIENTS = 400


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, help="folder for cohort and run; kept (default: a temporary one)"
    )
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        config = SimulationConfig(n_patients=N_PATIENTS, seed=DEMO_SEED)
        toml = drain(simulate_cohort(config, work / "cohort", jobs=arguments.jobs))
        settings = ROOT / "assets" / "demo" / "training.toml"
        run = work / "run"
        command = [Path(sys.executable).with_name("amkd-train"), "--cohort", toml, "--out", run]
        command += ["--config", settings, "--jobs", arguments.jobs]
        subprocess.run(list(map(str, command)), check=True)
        bundle = open_bundle(run / "model.amkd")
        table = measure(work / "cohort", run, bundle)
        shutil.copyfile(run / "model.amkd", ROOT / "assets" / "demo" / "demo.amkd")
    (ROOT / "benchmarks" / "demo_bundle.md").write_text(table, encoding="utf-8")
    print(table)


def measure(cohort_folder: Path, run: Path, bundle: Bundle) -> str:
    """Table of the held-out figures."""
    cohort = read_cohort(cohort_folder / "cohort.toml")
    settings = load_config(ROOT / "assets" / "demo" / "training.toml")
    bags = read_bags(cohort, run / "bags")
    patients = [patient for patient in cohort.patients if patient.split == "test"]
    outcome = outcome_of(patients)
    expression = cohort.expression
    truth = read_table(cohort_folder / "truth.csv").set_index("patient_id")
    predictions = []
    for patient in patients:
        row = expression.values[expression.patients.index(patient.patient_id)]
        genes = dict(zip(expression.genes, row, strict=True))
        predictions.append(predict_bag(bags[patient.patient_id], bundle, genes=genes))
    inputs = make_inputs(cohort, bags, split_of(cohort.patients), settings)
    undistilled = drain(
        train_student(inputs, settings, run, name="student without distillation", distilled=False)
    )
    risks = {
        "true hazard": truth.loc[[patient.patient_id for patient in patients], "log_hazard"].to_numpy(),
        "teacher (slide and expression)": np.array([p.teacher.risk for p in predictions if p.teacher]),
        "student (slide alone)": np.array([p.risk for p in predictions]),
        "student without distillation": risks_of(undistilled, inputs.test),
    }
    lines = [
        "# The demo model on held-out simulated slides",
        "",
        "Made by `make demo-bundle` (scripts/make_demo_bundle.py). SYNTHETIC: nothing here tells of patients.",
        f"Trained on {bundle.card.cohort_size} simulated patients ({bundle.card.cohort_events} deaths), measured on "
        f"{len(outcome)} others ({outcome.n_events} deaths). One split, one seed: the intervals are wide, and "
        "differences of a few hundredths mean nothing.",
        "",
        "| risk by | C-index | 95 % interval (bootstrap by patient) |",
        "|---|---|---|",
    ]
    for name, values in risks.items():
        interval = bootstrap_concordance(outcome, values, generator=np.random.default_rng(0))
        lines.append(f"| {name} | {interval.estimate:.3f} | {interval.lower:.3f} to {interval.upper:.3f} |")
    maps = {
        "student": [p.patch_scores for p in predictions],
        "student without distillation": [patch_weights(undistilled, example) for example in inputs.test],
        "teacher's gene-guided map": [p.teacher.patch_scores for p in predictions if p.teacher],
    }
    lines += ["", *map_table(cohort_folder, predictions, maps)]
    return "\n".join(lines) + "\n"


def patch_weights(model: SurvivalModel, example: Example) -> np.ndarray:
    """Pooling weights of a network that is in no bundle, shape (n_patches,)."""
    with torch.inference_mode():
        weights = model(batch_input([example], "cpu")).patch_attention
    return weights.numpy()


def split_of(patients):
    from amkd_core.cohort.folds import make_split

    return make_split(patients, seed=0)


def map_table(
    cohort_folder: Path, predictions: list[Prediction], maps: dict[str, list[np.ndarray]]
) -> list[str]:
    """Area under the ROC curve of the maps against the truth masks; patches count by half of their area."""
    groups = {
        "planted (high grade, lymphocytes, necrosis)": PLANTED,
        "high grade": (Region.HIGH_GRADE,),
        "lymphocytes": (Region.LYMPHOCYTES,),
        "necrosis": (Region.NECROSIS,),
    }
    lines = [
        "Area under the ROC curve of the maps against the truth masks (mean over slides; a patch belongs to a region "
        "when at least half of it does):",
        "",
        f"| region | {' | '.join(maps)} | slides |",
        "|---|" + "---|" * (len(maps) + 1),
    ]
    for name, regions in groups.items():
        areas: dict[str, list[float]] = {which: [] for which in maps}
        for index, prediction in enumerate(predictions):
            bag = prediction.bag
            mask = read_truth(cohort_folder / "truth" / f"{bag.slide_id}.png")
            hit = mask.fractions(bag.coords, bag.patch_size_level0, regions) >= 0.5
            if 0 < hit.sum() < len(hit):
                for which, scores in maps.items():
                    areas[which].append(area_under_curve(scores[index], hit))
        means = " | ".join(f"{np.mean(found):.3f}" for found in areas.values())
        lines.append(f"| {name} | {means} | {len(areas['student'])} |")
    return lines


if __name__ == "__main__":
    main()
