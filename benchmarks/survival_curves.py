"""How near predicted survival comes to what was observed, when a model knows nothing but its training cohort.

    python benchmarks/survival_curves.py CLINICAL.csv ... [--endpoint os] [--months 36 60]

Every network starts from the hazards of its training patients by the head's own count (who is censored in a bin lived
through it). Read as a curve they should be the cohort's Kaplan-Meier estimate. Beside it the curve as it was drawn
before: a straight line from the last finite bin edge to the longest follow-up.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.patients import outcome_of
from amkd_core.survival.curve import survival_at
from amkd_core.survival.metrics import kaplan_meier
from amkd_core.survival.outcome import TimeBins
from amkd_core.training.inputs import base_logits_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clinical", nargs="+", type=Path)
    parser.add_argument("--endpoint", choices=("os", "dss", "pfi"), default="os")
    parser.add_argument("--months", nargs="+", type=float, default=[36.0, 60.0])
    options = parser.parse_args()
    months = np.array(options.months)
    print(
        "| table | last finite edge, months | Kaplan-Meier | curve | straight line |\n|---|---|---|---|---|"
    )
    for path in options.clinical:
        keys = ClinicalKeys(endpoint=options.endpoint, nonpositive_time="drop", event_means="death")
        outcome = outcome_of(read_clinical_table(path, keys).patients)
        bins, cohort = TimeBins.fit(outcome), kaplan_meier(outcome.time, outcome.event)
        logits = base_logits_of(bins.assign(outcome.time), outcome.event, bins.n_bins).numpy()
        lived = np.cumprod(1 - 1 / (1 + np.exp(-logits)))
        line = np.interp(months, [*bins.to_list(), outcome.time.max()], [1, *lived])
        rows = (cohort.survival_at(months), survival_at(months, lived, bins, cohort), line)
        told = " | ".join(", ".join(f"{value:.3f}" for value in row) for row in rows)
        print(f"| {path.name} | {bins.edges[-2]:.1f} | {told} |")


if __name__ == "__main__":
    main()
