"""The report of an external validation in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amkd_core.bundle_card import BundleCard
from amkd_core.cohort.cohort import Cohort
from amkd_core.export.run_report import SYNTHETIC_COHORT, SYNTHETIC_MODEL, Report, ReportSection
from amkd_core.notices import processor_remark
from amkd_core.survival.endpoints import words_of
from amkd_core.training.report_model import model_section
from amkd_core.training.report_text import (
    cohort_section,
    key_figures,
    limits_section,
    provenance_section,
    reading,
    result_sections,
)
from amkd_core.training.statistics import TEACHER
from amkd_core.training.statistics_record import RunStatistics
from amkd_core.training.strangers import unlike_the_training

LIMITS = (
    "Research use only. No figure here supports a decision about a patient.",
    "A bundle does not name its training patients: make sure that none of them is in this cohort.",
    "Weights against censoring come from this cohort itself.",
    "A high risk is an association. Attention and hazard ratios show no cause.",
)


def external_report(
    cohort: Cohort,
    card: BundleCard,
    statistics: RunStatistics,
    pictures: Mapping[str, Path],
    provenance: Mapping[str, Any],
    *,
    n_patches: Sequence[int] = (),
) -> Report:
    """Report of a bundle on a cohort.

    Parameters
    ----------
    provenance
        What made the figures.
    n_patches
        Of each slide.
    """
    warnings = unlike_the_training(cohort, "the model was", endpoint=card.endpoint, synthetic=card.synthetic)
    moved = processor_remark(statistics.n_on_processor)
    if moved:
        warnings = (*warnings, f"Warning: {moved}")
    return Report(
        title=f"{card.name} on {cohort.file.name}: external validation",
        subtitle=f"Endpoint {cohort.file.endpoint}; {statistics.n_patients} patients, "
        f"{statistics.n_events} {words_of(cohort.file.endpoint).events}",
        synthetic=cohort.file.synthetic or card.synthetic,
        key_figures=key_figures(statistics),
        sections=(
            ReportSection("What this says", points=(*reading(statistics), *warnings)),
            ReportSection("What was done", _method(card, statistics)),
            cohort_section(cohort, n_patches),
            *result_sections(statistics, pictures),
            model_section(card),
            limits_section(statistics, LIMITS),
            provenance_section(provenance),
        ),
        footer="AMKD Viewer. docs/statistics.md explains every figure; metrics.json and predictions.csv hold them all.",
        banner=SYNTHETIC_COHORT if cohort.file.synthetic else SYNTHETIC_MODEL,
    )


def _method(card: BundleCard, statistics: RunStatistics) -> tuple[str, ...]:
    members = f"the mean of its {len(card.members)} networks" if len(card.members) > 1 else "its network"
    texts = (
        f"Model {card.name} was trained on {card.cohort_size} patients with {card.cohort_events} "
        f"{words_of(card.endpoint).events} (endpoint {card.endpoint}). Every patient of this cohort was scored by "
        f"{members}, from the slides alone."
        + (
            " The teacher also read their genes, where it scored them."
            if TEACHER in statistics.models
            else ""
        ),
        "Nothing was fitted here: time bins, scaling and the border between low and high risk are those of the "
        "training patients. Neither a clinical model nor a chance line was fitted either.",
        statistics.remark,
    )
    return tuple(text for text in texts if text)
