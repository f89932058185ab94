"""The part of a report that tells how well the models do in subgroups."""

from __future__ import annotations

from collections.abc import Mapping

from amkd_core.bundle_words import SUBGROUP_CAUTION, rest_text
from amkd_core.cohort.subgroup_names import AGE_YEARS, By
from amkd_core.export.run_report import ReportTable
from amkd_core.export.subgroup_figure import ForestRow
from amkd_core.survival.endpoints import words_of
from amkd_core.survival.metrics import FEW_EVENTS
from amkd_core.training.estimates import Estimate
from amkd_core.training.statistics_record import RunStatistics, Subgroup, Subgroups

TITLE = "Subgroups"
CAPTION = (
    "C-index with its 95 % interval in each subgroup, and in all test patients on top, where it is also the dashed "
    "line; the dotted line is chance."
)
_HEADINGS: Mapping[By, str] = {"age": "Age", "sex": "Sex", "stage": "Stage", "site": "Site"}


def subgroup_text(statistics: RunStatistics) -> tuple[str, ...]:
    """How the subgroups were made, and what must not be read into them."""
    events = words_of(statistics.endpoint).events
    sites = ""
    if any(item.by == "site" for item in statistics.subgroups):
        sites = (
            f" A site stands by itself where it has {FEW_EVENTS} {events} or more and its name could not be a "
            "person's; all others are only counted."
        )
    return (
        f"Test patients by what the clinical table tells of them: age is split at {AGE_YEARS} years, stage into I and "
        f"II, and III and IV. Of fewer than {FEW_EVENTS} {events} no C-index is told.{sites}",
        SUBGROUP_CAUTION,
    )


def subgroup_table(statistics: RunStatistics) -> ReportTable:
    """Patients, events and C-index of each model by subgroup."""
    models = list(statistics.models)
    events = words_of(statistics.endpoint).events.capitalize()
    rows: list[tuple[str, ...]] = []
    note = "Brackets: 95 % bootstrap intervals by patient."
    for item in statistics.subgroups:
        rows += [_row(item, group, models) for group in item.groups]
        rest = rest_text(item.pooled_groups, item.pooled_patients, item.unknown)
        note += f" {_HEADINGS[item.by]}: {rest}." if rest else ""
    several = len(statistics.folds) > 1
    return ReportTable(
        "C-index by subgroup, " + ("pairs within folds [95 %]" if several else "[95 %]"),
        ("", "Patients", events, *models),
        tuple(rows),
        note,
    )


def _row(item: Subgroups, group: Subgroup, models: list[str]) -> tuple[str, ...]:
    cells = []
    for name in models:
        figure = group.models[name]
        some = (
            ""
            if figure.n_patients == group.n_patients
            else f" (of {figure.n_patients} patients, {figure.n_events})"
        )
        cells.append(_cell(figure.c_index) + some)
    return (f"{_HEADINGS[item.by]}: {group.name}", str(group.n_patients), str(group.n_events), *cells)


def _cell(found: Estimate) -> str:
    return f"not estimable: {found.reason}" if found.value is None else found.text()


def forest_rows(statistics: RunStatistics) -> list[ForestRow]:
    """Rows of the forest plot: all patients, then each property; none where no subgroup has a figure."""
    if not any(
        figure.c_index.value is not None
        for item in statistics.subgroups
        for group in item.groups
        for figure in group.models.values()
    ):
        return []
    whole = {name: _ends(item.c_index_within_folds) for name, item in statistics.models.items()}
    words = words_of(statistics.endpoint).events
    rows = [
        ForestRow(
            "all test patients", f"{statistics.n_patients} patients, {statistics.n_events} {words}", whole
        )
    ]
    for item in (item for item in statistics.subgroups if item.groups):
        rows.append(ForestRow(_HEADINGS[item.by]))
        rows += [
            ForestRow(
                group.name,
                f"{group.n_patients} patients, {group.n_events} {words}",
                {name: _ends(figure.c_index) for name, figure in group.models.items()},
            )
            for group in item.groups
        ]
    return rows


def _ends(found: Estimate) -> tuple[float, float, float] | None:
    if found.value is None or found.lower is None or found.upper is None:
        return None
    return found.value, found.lower, found.upper
