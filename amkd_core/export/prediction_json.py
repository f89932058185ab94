"""A prediction as JSON; docs/file-formats.md describes each field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from amkd_core.atomic import write_text
from amkd_core.inference.maps import agreement, top_patches
from amkd_core.inference.pathway_table import patient_effects
from amkd_core.inference.prediction import Prediction

FORMAT_VERSION = 1


def prediction_record(prediction: Prediction, *, n_top: int = 5) -> dict[str, Any]:
    """JSON-able record of a prediction, without paths and without patch-wise scores."""
    record: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "slide_id": prediction.slide_id,
        "risk": prediction.risk,
        "risk_percentile": prediction.risk_percentile,
        "risk_group": prediction.risk_group,
        "member_risks": prediction.member_risks.tolist(),
        "risk_spread": _spread(prediction),
        "members": [
            {
                "risk": member.risk,
                "hazards": member.hazards.tolist(),
                "bin_edges_months": list(member.bin_edges_months),
            }
            for member in prediction.members
        ],
        "hazards": prediction.hazards.tolist(),
        "survival": prediction.survival.tolist(),
        "bin_edges_months": list(prediction.bin_edges_months),
        "curve": {
            "months": prediction.curve.time_months.tolist(),
            "survival": prediction.curve.survival.tolist(),
        },
        "cohort": {
            "size": prediction.cohort.size,
            "events": prediction.cohort.events,
            "endpoint": prediction.cohort.endpoint,
            "risk_cut": prediction.cohort.risk_cut,
        },
        "top_patches": [],
        "teacher": _teacher_record(prediction),
        "notices": [notice.to_dict() for notice in prediction.notices],
        "provenance": dict(prediction.provenance),
    }
    if prediction.has_map:
        record["top_patches"] = [
            {
                "rank": patch.rank,
                "xy_level0": list(patch.xy_level0),
                "size_level0": list(patch.size_level0),
                "score": patch.score,
                "percentile": patch.percentile,
            }
            for patch in top_patches(prediction, n_top)
        ]
    return record


def write_prediction_json(path: Path, prediction: Prediction) -> None:
    """Write the record atomically, as strict JSON."""
    write_text(path, json.dumps(prediction_record(prediction), indent=1, allow_nan=False) + "\n")


def _spread(prediction: Prediction) -> dict[str, float] | None:
    """How far the members of an ensemble disagree; None for a single model."""
    risks = prediction.member_risks
    if len(risks) < 2:
        return None
    return {"std": float(risks.std(ddof=1)), "lowest": float(risks.min()), "highest": float(risks.max())}


def _teacher_record(prediction: Prediction) -> dict[str, Any] | None:
    teacher = prediction.teacher
    if teacher is None:
        return None
    both = agreement(prediction.patch_scores, teacher.patch_scores)
    ranked = sorted(
        zip(teacher.pathways, teacher.pathway_importance.tolist(), strict=True), key=lambda item: -item[1]
    )
    reading = prediction.cohort.pathway_effects
    added = {row.name: row.effect for row in patient_effects(teacher, prediction.cohort)}
    return {
        "risk": teacher.risk,
        "pathways": [
            {"name": name, "importance": value, "adds_to_risk": added.get(name)} for name, value in ranked
        ],
        "explained_by_pathways": None if reading is None else reading.explained,
        "agreement": {
            "spearman": None if both.spearman != both.spearman else both.spearman,
            "top5": both.top5,
            "top5_percent": both.top5_percent,
        },
    }
