"""Scores of the patches, and results of several slides, as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from amkd_core.atomic import atomic_path
from amkd_core.export.plain_cells import plain_name
from amkd_core.export.pseudonym import shown_name
from amkd_core.inference.maps import percentile_ranks
from amkd_core.inference.prediction import Prediction
from amkd_core.inference.survival_summary import summarise
from amkd_core.private_names import pseudonym


@dataclass(frozen=True)
class NoResult:
    """A slide of a table of results that has none.

    Attributes
    ----------
    slide
        Its name.
    outcome
        "failed", or "waiting" where its turn has not come.
    reason
        One sentence; empty where there is nothing to tell.
    """

    slide: str
    outcome: str
    reason: str = ""


def write_scores_csv(path: Path, prediction: Prediction) -> None:
    """Write one row a patch, atomically.

    Columns: ``patch`` (row of the bag), ``slide_index``, ``x_level0``, ``y_level0``, ``width_level0``,
    ``height_level0`` (empty where unknown), ``student_weight`` (times the number of patches, so that 1 is the mean),
    ``student_percentile`` (within the slide), and the same of the teacher when it ran; ``notices``, in every row the
    codes of what to beware of.
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
    table["notices"] = notice_codes(prediction)
    _write(path, table)


def notice_codes(prediction: Prediction) -> str:
    """Codes of a result's notices, as they stand in a table's cell; "research_only" is among them."""
    return " ".join(notice.code for notice in prediction.notices)


def write_results_table(
    path: Path, results: Sequence[Prediction | NoResult], *, identified: bool = False
) -> None:
    """Write one row a slide or patient, atomically: risk, group, percentile, survival and what to beware of.

    Parameters
    ----------
    results
        Also those slides that have none: a table that leaves them out looks whole.
    identified
        Name the slides; else pseudonyms, and no reasons of failures, which may name files.
    """
    rows = [
        _result_row(result, identified=identified)
        if isinstance(result, Prediction)
        else _missing_row(result, identified=identified)
        for result in results
    ]
    # Columns in the order of a result, also where the first slide has none.
    rows_with_result = [row for row in rows if "risk" in row]
    columns = list(rows_with_result[0]) if rows_with_result else None
    _write(path, pd.DataFrame(rows, columns=columns))


def _result_row(prediction: Prediction, *, identified: bool) -> dict[str, object]:
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
    model = prediction.provenance["bundle"]
    row["bundle"], row["bundle_sha256"] = plain_name(str(model["name"])), str(model["sha256"] or "")
    row["notices"] = notice_codes(prediction)
    row["outcome"], row["reason"] = "predicted", ""
    return row


def _missing_row(missing: NoResult, *, identified: bool) -> dict[str, object]:
    return {
        "slide": plain_name(missing.slide if identified else pseudonym(missing.slide.encode())),
        "outcome": missing.outcome,
        "reason": plain_name(missing.reason) if identified else "",
    }


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
