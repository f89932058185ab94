"""Table 4: an external cohort by the models of all folds, each on the patients that it can score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.patients import Patient, outcome_of
from amkd_core.export.run_report import ReportTable
from amkd_core.studies.benchmark import Comparison
from amkd_core.studies.comparison_tables import title_of, with_published
from amkd_core.studies.published import published
from amkd_core.survival.comparison import bootstrap_within
from amkd_core.survival.metrics import concordance_index
from amkd_core.survival.outcome import Outcome
from amkd_core.training.cell import EXTERNAL
from amkd_core.training.estimates import Estimate, Spread
from amkd_core.training.recipes import BOTH, OMICS, TITLES
from amkd_core.training.strangers import expression_unlike, numbered_alike, unlike_the_training

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ExternalRow:
    """One model on the external cohort.

    Attributes
    ----------
    n_patients
        Whom it scored.
    folds
        C-index of each fold's model.
    ranks
        C-index of the mean rank of all folds' risks, with its interval.
    reason
        Why nobody was scored; empty otherwise.
    """

    name: str
    n_patients: int
    folds: Spread
    ranks: Estimate
    reason: str = ""

    @property
    def title(self) -> str:
        """As the paper prints it."""
        return title_of(self.name)


def external_rows(comparison: Comparison, *, seed: int = 0, n_resamples: int = 1000) -> list[ExternalRow]:
    """Figures of every model in the order of the recipes; none without an external cohort."""
    if comparison.external is None:
        return []
    rows = comparison.predictions[comparison.predictions["part"] == EXTERNAL]
    known = {patient.patient_id: patient for patient in comparison.external.patients}
    found = []
    for name in comparison.models:
        wide = rows[rows["model"] == name].pivot(index="patient_id", columns="fold", values="risk")
        if wide.empty:
            genes = comparison.external_genes
            found.append(ExternalRow(name, 0, Spread(), Estimate(), "" if genes is None else genes.reason))
            continue
        found.append(_scored_row(name, wide, known, (seed, n_resamples)))
    return found


def _scored_row(
    name: str, wide: pd.DataFrame, known: Mapping[str, Patient], bootstrap: tuple[int, int]
) -> ExternalRow:
    """A row from risks, one column a fold."""
    seed, n_resamples = bootstrap
    outcome = outcome_of([known[patient] for patient in wide.index])
    each = {int(fold): _concordance(outcome, wide[fold].to_numpy()) for fold in wide.columns}
    together = wide.rank().mean(axis=1).to_numpy()  # folds have scales of their own; ranks have one
    ranks = Estimate.of(
        lambda: bootstrap_within(
            outcome, together, generator=np.random.default_rng([seed, 4]), n_resamples=n_resamples
        )
    )
    return ExternalRow(name, len(wide), Spread.over(each), ranks)


def _concordance(outcome: Outcome, risk: NDArray[np.float64]) -> Estimate:
    return Estimate.of(lambda: concordance_index(outcome.time, outcome.event, risk))


def external_table(
    comparison: Comparison,
    cohort: str | None = None,
    *,
    rows: Sequence[ExternalRow] | None = None,
    seed: int = 0,
    n_resamples: int = 1000,
) -> ReportTable | None:
    """Table 4; None without an external cohort.

    Parameters
    ----------
    cohort
        The paper's cohort that the training patients are of; None leaves out the published figures.
    rows
        As `external_rows` gives them, which is asked with seed and number of resamples when None.
    """
    if comparison.external is None:
        return None
    if rows is None:
        rows = external_rows(comparison, seed=seed, n_resamples=n_resamples)
    beside = published(4, cohort)
    marks = [beside.get(row.name, "") for row in rows]
    lines = [
        [row.title, row.reason, "", "0"]
        if row.reason
        else [row.title, row.folds.text(), _with_interval(row.ranks), str(row.n_patients)]
        for row in rows
    ]
    n_patients = len(comparison.external.patients)
    table = with_published(
        f"Table 4: external cohort {comparison.external.file.name}, {n_patients} patients",
        ["model", "C-index of the folds' models, mean ± sd", "mean rank of all folds (95 %)", "patients"],
        lines, marks,
    )  # fmt: skip
    trained, remarks = comparison.cohort.file, external_remarks(comparison)
    notes = (
        *(() if numbered_alike(comparison.external, comparison.cohort) else ("Nothing was fitted on these patients.",)),
        *unlike_the_training(
            comparison.external, "the models were", endpoint=trained.endpoint, synthetic=trained.synthetic
        ),
        *remarks,
        *_not_estimable(rows),
        *(("The published figures are TCGA-HNSC on CPTAC-HNSC.",) if any(marks) else ()),
    )  # fmt: skip
    return replace(table, note=" ".join(notes))


def external_remarks(comparison: Comparison) -> tuple[str, ...]:
    """Sentences on who of the external cohort was kept out, what is suspicious, and what its expression lacks."""
    external, genes = comparison.external, comparison.external_genes
    if external is None:
        return ()
    alike = numbered_alike(external, comparison.cohort)
    found = [
        *([alike] if alike else []), *(f"{finding}." for finding in external.findings), *external.warnings
    ]  # fmt: skip
    if genes is None or not genes.patients or not any(map(_reads_genes, comparison.models)):
        return tuple(found)
    unlike = expression_unlike(external, comparison.cohort)
    if unlike:
        found.append(unlike)
    having = set(genes.patients)
    without = [patient.patient_id for patient in external.patients if patient.patient_id not in having]
    if without:
        more = ", ..." if len(without) > 5 else ""
        found.append(
            f"{len(without)} of {len(external.patients)} patients have no expression "
            f"({', '.join(without[:5])}{more}) and are not scored by models that predict from genes; rows of different "
            "numbers of patients do not compare models."
        )
    if genes.missing:
        found.append(
            f"{len(genes.missing)} of the {genes.n_wanted} genes that models read are missing from its expression and "
            "count as the training patients' mean."
        )
    return tuple(found)


def _reads_genes(name: str) -> bool:
    return name in TITLES and TITLES[name].modality in (OMICS, BOTH)


def _not_estimable(rows: Sequence[ExternalRow]) -> tuple[str, ...]:
    """Why figures are missing, each reason once."""
    reasons = [row.folds.reason or row.ranks.reason for row in rows if not row.reason]
    return tuple(f"Not estimable: {reason}." for reason in dict.fromkeys(filter(None, reasons)))


def _with_interval(found: Estimate) -> str:
    if found.value is None or found.lower is None or found.upper is None:
        return found.text()
    return f"{found.value:.3f} ({found.lower:.3f} to {found.upper:.3f})"
