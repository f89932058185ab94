"""Statistics, pictures and report of a run, from its out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amkd_core.atomic import write_text
from amkd_core.bundle import Bundle
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.splits import Split
from amkd_core.export.run_report import write_report
from amkd_core.survival.outcome import TimeBins
from amkd_core.training.chance import FeaturesOf
from amkd_core.training.report_figures import write_figures
from amkd_core.training.report_model import model_section
from amkd_core.training.report_pathways import pathway_section
from amkd_core.training.report_text import training_report
from amkd_core.training.scored import scored_models
from amkd_core.training.statistics import Effort, RunStatistics, run_statistics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METRICS", "REPORT", "RunStatistics", "report_run"]

METRICS, FIGURES, REPORT = "metrics.json", "figures", "report.html"


def report_run(
    cohort: Cohort,
    splits: Sequence[Split],
    predictions: pd.DataFrame,
    bins: Mapping[int, TimeBins],
    *,
    out: Path,
    seed: int,
    provenance: Mapping[str, Any],
    effort: Effort | None = None,
    features_of: FeaturesOf | None = None,
    network_chance: Mapping[str, Sequence[float]] | None = None,
    bundle: Bundle | None = None,
    n_patches: Sequence[int] = (),
) -> RunStatistics:
    """Write ``metrics.json``, ``figures/`` and ``report.html`` into a run's folder.

    Parameters
    ----------
    cohort, splits
        As the networks saw them.
    predictions
        Out of fold, long: patient_id, fold (from 1), part ("test"), model, risk, high_risk, hazard_1 and so on.
    bins
        Time bins of each fold.
    out
        The run's folder.
    seed
        Of bootstraps and shuffles; equal seeds give equal files.
    provenance
        JSON-able; shown as it is.
    effort
        How many resamples and shuffles.
    features_of
        What the chance line's cheap model reads; pathway means by default.
    network_chance
        C-indices of the networks themselves on shuffled outcomes, by model.
    bundle
        The run's; with one the report has a section on the teacher's pathways, and the model's card.
    n_patches
        Of each slide, for table 1.

    Returns
    -------
    RunStatistics
        Its text is what a terminal shows.

    Raises
    ------
    CohortError
        When the predictions are no such table or not of this cohort. A figure that cannot be computed is no error.
    OSError
        When the folder cannot be written.
    """
    models = scored_models(cohort, splits, predictions, bins)
    statistics = run_statistics(
        cohort,
        splits,
        models,
        seed=seed,
        effort=effort,
        features_of=features_of,
        network_chance=network_chance,
    )
    write_text(out / METRICS, statistics.model_dump_json(indent=1) + "\n")
    pictures = write_figures(out / FIGURES, models, statistics)
    explanations = (
        () if bundle is None else (pathway_section(bundle, out / FIGURES), model_section(bundle.card))
    )
    write_report(
        out / REPORT,
        training_report(
            cohort, splits, statistics, pictures, provenance, explanations=explanations, n_patches=n_patches
        ),
    )
    return statistics
