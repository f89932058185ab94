"""Genes of an external cohort, as models of another one read them: patient by patient, and few may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from amkd_core.bag import FeatureBag
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.genes import ExpressionTable
from amkd_core.inference.teacher import MIN_GENE_COVERAGE
from amkd_core.training.inputs import Example, Inputs, make_examples


@dataclass(frozen=True)
class ReadableGenes:
    """Whom models that predict from genes can score.

    Attributes
    ----------
    patients
        With expression, in the cohort's order; nobody where the table covers too few genes.
    missing
        Genes that models read and the table lacks; they count as the training patients' mean.
    n_wanted
        Genes that models read.
    reason
        Why nobody can be scored; empty otherwise.
    """

    patients: tuple[str, ...]
    missing: tuple[str, ...]
    n_wanted: int
    reason: str = ""


def readable_genes(cohort: Cohort, wanted: Sequence[str]) -> ReadableGenes:
    """Hold a cohort's expression against the genes that models of another cohort read, as `amkd evaluate` does."""
    table = cohort.expression
    measured = set(table.genes)
    missing = tuple(name for name in wanted if name not in measured)
    # A cache has a row for everyone.
    told = np.flatnonzero(np.isfinite(table.values).any(axis=1))
    having = {table.patients[row] for row in told}
    patients = tuple(patient.patient_id for patient in cohort.patients if patient.patient_id in having)
    covered = 1 - len(missing) / len(wanted)
    if not patients:
        return ReadableGenes((), missing, len(wanted), "needs genes, which the cohort lacks")
    if covered < MIN_GENE_COVERAGE:
        reason = (
            f"needs genes, of which the cohort's expression covers {covered:.0%}, not {MIN_GENE_COVERAGE:.0%}"
        )
        return ReadableGenes((), missing, len(wanted), reason)
    return ReadableGenes(patients, missing, len(wanted))


def with_gaps(cohort: Cohort) -> Cohort:
    """The cohort with a row of expression for every patient, of NaN where there is none, as a cache wants it."""
    table = cohort.expression
    names = tuple(patient.patient_id for patient in cohort.patients)
    values = np.full((len(names), len(table.genes)), np.nan)
    known = set(table.patients)
    places = [place for place, name in enumerate(names) if name in known]
    values[places] = table.rows([names[place] for place in places], table.genes)
    return replace(cohort, expression=ExpressionTable(names, table.genes, values))


def external_examples(
    cohort: Cohort, bags: Mapping[str, FeatureBag], inputs: Inputs
) -> tuple[tuple[Example, ...], frozenset[str]]:
    """Patients of another cohort with what was fitted on this one's, and whose genes models can predict from.

    A gene or patient without expression has the training patients' mean, a z-score of 0.
    """
    names = tuple(patient.patient_id for patient in cohort.patients)
    wanted = inputs.fitted.membership.genes
    readable = readable_genes(cohort, wanted)
    values = np.tile(inputs.fitted.scaling.mean, (len(names), 1))
    if readable.patients:
        having, lacking = set(readable.patients), set(readable.missing)
        rows = [row for row, name in enumerate(names) if name in having]
        columns = [column for column, name in enumerate(wanted) if name not in lacking]
        measured = cohort.expression.rows(readable.patients, [wanted[column] for column in columns])
        values[np.ix_(rows, columns)] = measured
    filled = replace(cohort, expression=ExpressionTable(names, tuple(wanted), values))
    return make_examples(filled, bags, names, inputs.fitted), frozenset(readable.patients)
