"""Give a bundle of one split its training cohort's attention to pathways, without training it again.

    .venv/bin/python scripts/add_cohort_pathways.py assets/demo/demo.amkd --cohort cohort.toml --run FOLDER

Slides of training patients that have no bag in the run's folder are extracted. The cohort must be the one that the
bundle was trained on: its student must give the training patients the risks that the bundle records. The bundle is
replaced where it lies.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import read_cohort
from amkd_core.cohort.folds import make_split
from amkd_core.inference.predict import predict_bag
from amkd_core.training.cohort_pathways import with_cohort_pathways
from amkd_core.training.inputs import read_bags
from amkd_core.training.slides_of_run import bags_of, extract_missing

# Between machines; another cohort is off by a hundred times as much.
TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.toml of the training")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run, with its bags")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the split, where the table has none")
    arguments = parser.parse_args()
    cohort = read_cohort(arguments.cohort)
    names = make_split(cohort.patients, seed=arguments.seed).train
    cohort = cohort.keep_only(lambda patient: patient.patient_id in names, "not trained on")
    drain(extract_missing(cohort, arguments.run, jobs=arguments.jobs, weights=None, device="cpu"))
    bags = read_bags(cohort, bags_of(cohort, arguments.run))
    bundle = open_bundle(arguments.bundle)
    risks = np.sort([predict_bag(bags[name], bundle).risk for name in names])
    recorded = np.concatenate([member.training_risks for member in bundle.members])
    if len(risks) != len(recorded) or np.abs(risks - recorded).max() > TOLERANCE:
        raise SystemExit(
            f"{arguments.bundle.name} was not trained on {arguments.cohort}; nothing was changed"
        )
    print(f"{len(risks)} training risks are the bundle's, to {np.abs(risks - recorded).max():.1g}")
    print(write_bundle(arguments.bundle, with_cohort_pathways(bundle, cohort, bags, [names])))


if __name__ == "__main__":
    main()
