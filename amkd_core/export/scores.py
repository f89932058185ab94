"""Scores of the patches, and results of several slides, as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from amkd_core.atomic import atomic_path
from amkd_core.export.plain_cells import plain_name
from amkd_core.export.pseudonym import shown_name
from amkd_core.inference.maps import percentile_ranks
from amkd_core.inference.prediction import Prediction
from amkd_core.inference.survival_summary import summarise


def write_scores_csv(path: Path, prediction: Prediction) -> None:
    """Write one row a patch, atomically.

    Columns: ``patch`` (row of the bag), ``slide_index``, ``x_level0``, ``y_level0``, ``width_level0``,
    ``height_level0`` (empty where unknown), ``student_weight`` (times the number of patches, so that 1 is the mean),
    ``student_percentile`` (within the slide), and the same of the teacher when it ran.
    """
    bag = prediction.bag
    table = pd.DataFrame({"patch": np.arange(len(bag)), "slide_index": bag.slide_index})
    if bag.coords is not None:
        table["x_level0"], table["y_level0"] = bag.coords.T
    if bag.patch_size_level0 is not None:
        table["width_level0"], table["height_level0"] = bag.patch_size_level0
    sources = {"student": prediction.patch_scores}
    if prediction.teacher is not None:
        sources["teacher"] = prediction.teacher.patch_scores
    for name, scores in sources.items():
        table[f"{name}_weight"] = scores * len(scores)
        table[f"{name}_percentile"] = percentile_ranks(scores)
    _write(path, table)


def write_results_table(path: Path, predictions: Sequence[Prediction], *, identified: bool = True) -> None:
    """Write one row a slide or patient, atomically: risk, group, percentile, survival and what to beware of.

    Parameters
    ----------
    identified
        Name the slides; else pseudonyms.
    """
    rows = []
    for prediction in predictions:
        row: dict[str, object] = {
            "slide": plain_name(shown_name(prediction, identified=identified)),
            "risk": prediction.risk,
            "risk_percentile": prediction.risk_percentile,
            "risk_group": prediction.risk_group,
            "risk_lowest": prediction.member_risks.min(),
            "risk_highest": prediction.member_risks.max(),
        }
        for year, share in summarise(prediction.curve).at_years:
            row[f"survival_{year}_years"] = np.nan if share is None else share
        row["endpoint"] = prediction.cohort.endpoint
        row["patches"] = len(prediction.patch_scores)
        row["teacher_risk"] = np.nan if prediction.teacher is None else prediction.teacher.risk
        row["bundle"] = plain_name(str(prediction.provenance["bundle"]["name"]))
        row["notices"] = " ".join(notice.code for notice in prediction.notices)
        rows.append(row)
    _write(path, pd.DataFrame(rows))


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
