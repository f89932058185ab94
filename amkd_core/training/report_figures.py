"""The pictures of a run's report, drawn from its predictions and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.export.cohort_figures import (
    CalibrationPoints,
    CurveOverTime,
    Draw,
    FoldScores,
    GroupCurves,
    RiskDots,
    draw_calibration,
    draw_folds,
    draw_kaplan_meier,
    draw_over_time,
    draw_risks,
    write_cohort_figure,
)
from amkd_core.export.subgroup_figure import draw_forest, forest_size
from amkd_core.survival.endpoints import EndpointWords, words_of
from amkd_core.survival.metrics import KaplanMeier, kaplan_meier
from amkd_core.training.model_statistics import month_ticks
from amkd_core.training.report_subgroups import forest_rows
from amkd_core.training.scored import Scored
from amkd_core.training.statistics_record import RiskGroups, RunStatistics

Array = NDArray[np.float64]


def write_figures(folder: Path, models: Mapping[str, Scored], statistics: RunStatistics) -> dict[str, Path]:
    """Draw what can be drawn; PNG files by name: kaplan_meier, folds, calibration, risks, over_time, subgroups."""
    if not models:
        return {}
    words = words_of(statistics.endpoint)
    wide = 5.2 * len(models) + 0.6
    cut = {name: item for name, item in models.items() if item.high is not None}
    plans: dict[str, tuple[Draw, tuple[float, float]] | None] = {
        "kaplan_meier": (
            (
                lambda figure: draw_kaplan_meier(figure, _groups(cut, statistics, words)),
                (5.2 * len(cut) + 0.6, 4.6),
            )
            if cut
            else None
        ),
        "folds": _folds(statistics) if len(statistics.folds) > 1 or statistics.chance is not None else None,
        "calibration": _calibration(statistics),
        "risks": (lambda figure: draw_risks(figure, _dots(models), words), (wide, 4.2)),
        "over_time": _over_time(statistics),
        "subgroups": _subgroups(statistics),
    }
    return {
        name: write_cohort_figure(folder, name, plan[0], size=plan[1])
        for name, plan in plans.items()
        if plan is not None
    }


def _groups(
    models: Mapping[str, Scored], statistics: RunStatistics, words: EndpointWords
) -> list[GroupCurves]:
    found = (
        group_curves(item, name, statistics.models[name].risk_groups, words) for name, item in models.items()
    )
    return [curves for curves in found if curves is not None]


def group_curves(
    item: Scored, title: str, groups: RiskGroups | None, words: EndpointWords
) -> GroupCurves | None:
    """Kaplan-Meier curves of a model's risk groups (figure 2); None when no border between them is known.

    Parameters
    ----------
    title
        What the curves are called.
    groups
        As `amkd_core.training.model_statistics.risk_groups` gives them; their log-rank p is shown.
    words
        For the endpoint.
    """
    if item.high is None:
        return None
    p_value = None if groups is None else groups.log_rank.p_value
    ticks = month_ticks(float(item.outcome.time.max()))
    return GroupCurves(title, _curve(item, ~item.high), _curve(item, item.high), ticks, p_value, words)


def _curve(item: Scored, mask: NDArray[np.bool_]) -> KaplanMeier | None:
    own = item.outcome.take(mask)
    return kaplan_meier(own.time, own.event) if len(own) else None


def _folds(statistics: RunStatistics) -> tuple[Draw, tuple[float, float]]:
    scores = [
        FoldScores(name, item.c_index.by_fold, item.c_index.mean) for name, item in statistics.models.items()
    ]
    if statistics.clinical.c_index.mean is not None:
        clinical = statistics.clinical.c_index
        scores.append(FoldScores(statistics.clinical.named, clinical.by_fold, clinical.mean))
    chance = None if statistics.chance is None else statistics.chance.percentile_95
    return (lambda figure: draw_folds(figure, scores, chance=chance)), (2.0 + 1.9 * len(scores), 4.2)


def _calibration(statistics: RunStatistics) -> tuple[Draw, tuple[float, float]] | None:
    found, months = [], None
    for name, item in statistics.models.items():
        points = item.calibration.points
        if points and item.calibration.months is not None:
            months = item.calibration.months
            columns = [
                _known([getattr(point, key) for point in points]) for key in ("observed", "lower", "upper")
            ]
            predicted = np.array([point.predicted for point in points])
            found.append(CalibrationPoints(name, predicted, *columns))
    if months is None:
        return None
    at, words = months, words_of(statistics.endpoint)
    return (lambda figure: draw_calibration(figure, found, words, months=at)), (4.6, 4.5)


def _dots(models: Mapping[str, Scored]) -> list[RiskDots]:
    return [
        RiskDots(name, item.risk, item.fold, item.outcome.event, item.high) for name, item in models.items()
    ]


def _over_time(statistics: RunStatistics) -> tuple[Draw, tuple[float, float]] | None:
    curves = [
        CurveOverTime(
            name,
            np.array(item.curve.months),
            _known(item.curve.auc),
            _known(item.curve.brier),
            _known(item.curve.brier_without_model),
        )
        for name, item in statistics.models.items()
        if item.curve.months
    ]
    if not curves:
        return None
    words = words_of(statistics.endpoint)
    return (lambda figure: draw_over_time(figure, curves, words)), (10.4, 4.0)


def _subgroups(statistics: RunStatistics) -> tuple[Draw, tuple[float, float]] | None:
    rows = forest_rows(statistics)
    return ((lambda figure: draw_forest(figure, rows)), forest_size(rows)) if rows else None


def _known(values: list[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
