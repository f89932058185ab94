"""One table of several comparisons on simulated cohorts, with the truth beside the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.simulate.bags import LOG_HAZARD
from amkd_core.studies.benchmark import Comparison
from amkd_core.studies.comparison_tables import p_text
from amkd_core.studies.holm import holm
from amkd_core.survival.comparison import bootstrap_within, paired_difference
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import Outcome
from amkd_core.training.recipes import AMKD, TITLES

Array = NDArray[np.float64]
TRUTH = ("true hazard", "what the slide shows", "what the genes tell")


@dataclass(frozen=True, eq=False)
class Pooled:
    """Out-of-fold patients of all seeds.

    Attributes
    ----------
    outcome : Outcome
    cell : array of int, shape (n,)
        Seed and fold of each patient; only pairs of one cell are compared.
    risks : mapping of arrays, shape (n,)
        By model, and by `TRUTH`.
    """

    outcome: Outcome
    cell: NDArray[np.int64]
    risks: Mapping[str, Array]

    def c_indices(self, name: str) -> Array:
        """C-index of each cell."""
        found = []
        for label in np.unique(self.cell):
            own = self.cell == label
            found.append(
                concordance_index(self.outcome.time[own], self.outcome.event[own], self.risks[name][own])
            )
        return np.array(found)


def pool(found: Mapping[int, Comparison], truths: Mapping[int, Path]) -> Pooled:
    """All seeds of a study, patients in one order for all models."""
    import pandas as pd

    times, events, cells = [], [], []
    risks: dict[str, list[Array]] = {}
    for number, (seed, comparison) in enumerate(found.items()):
        first = next(iter(comparison.scored.values()))
        times.append(first.outcome.time)
        events.append(first.outcome.event)
        cells.append(first.fold + 1000 * number)
        truth = pd.read_csv(truths[seed], dtype={"patient_id": str}).set_index("patient_id")
        for name, item in comparison.scored.items():
            risks.setdefault(name, []).append(item.risk[item.in_order_of(first.patients)])
        table = truth.loc[list(first.patients)].to_numpy(
            np.float64
        )  # log hazard, shown, activities of the drivers
        told = table[:, 2:] @ np.array(list(LOG_HAZARD.values())) - table[:, -1] * LOG_HAZARD["joint"]
        for name, values in zip(TRUTH, (table[:, 0], table[:, 1], told), strict=True):
            risks.setdefault(name, []).append(values)
    outcome = Outcome(np.concatenate(times), np.concatenate(events))
    return Pooled(
        outcome, np.concatenate(cells), {name: np.concatenate(parts) for name, parts in risks.items()}
    )


def table_over_seeds(found: Mapping[int, Comparison], truths: Mapping[int, Path]) -> str:
    """Markdown: C-index within cells, mean and standard deviation over cells, difference to AMKD with Holm's p."""
    pooled = pool(found, truths)
    models = [name for name in pooled.risks if name != AMKD and name not in TRUTH]
    gaps = {
        name: paired_difference(
            pooled.outcome, pooled.risks[AMKD], risk, pooled.cell, generator=np.random.default_rng(0)
        )
        for name, risk in pooled.risks.items()
        if name != AMKD and AMKD in pooled.risks
    }
    corrected = dict(zip(models, holm([gaps[name].p_value for name in models]), strict=True)) if gaps else {}
    lines = [
        f"{len(np.unique(pooled.cell))} cells (seed and fold), {len(pooled.outcome)} test patients, "
        f"{pooled.outcome.n_events} deaths.",
        "",
        "| risk by | C-index within cells (95 % interval) | mean ± sd | minus AMKD (95 % interval) | p, Holm |",
        "|---|---|---|---|---|",
    ]
    for name, risk in pooled.risks.items():
        own = bootstrap_within(pooled.outcome, risk, pooled.cell, generator=np.random.default_rng(0))
        cells = pooled.c_indices(name)
        row = [
            TITLES[name].title if name in TITLES else name,
            f"{own.estimate:.3f} ({own.lower:.3f} to {own.upper:.3f})",
            f"{cells.mean():.3f} ± {cells.std(ddof=1):.3f}",
        ]
        if name in gaps:
            gap = gaps[name].interval
            row.append(f"{gap.estimate:+.3f} ({gap.lower:+.3f} to {gap.upper:+.3f})")
            row.append(p_text(corrected.get(name), gaps[name]))
        else:
            row += ["", ""]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"
