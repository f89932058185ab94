"""What a bundle's card tells of subgroups: the report's figures, without what could point to a patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amkd_core.bundle_card import MeasuredSubgroups, SubgroupMeasured
from amkd_core.cohort.subgroup_names import FEWEST_PATIENTS
from amkd_core.survival.metrics import FEW_EVENTS
from amkd_core.training.card_figures import for_card
from amkd_core.training.estimates import Estimate
from amkd_core.training.statistics_record import Subgroup, SubgroupFigure, Subgroups


def card_subgroups(found: Sequence[Subgroups]) -> list[MeasuredSubgroups]:
    """Subgroups for a card.

    Groups of fewer than five patients are only counted. Where that leaves one to four patients, the events of the other
    groups by the same property are left out: taken from the cohort's, they would tell who of the few had one.
    """
    return [_of_property(item) for item in found]


def _of_property(item: Subgroups) -> MeasuredSubgroups:
    shown = [group for group in item.groups if group.n_patients >= FEWEST_PATIENTS]
    small = [group.n_patients for group in item.groups if group.n_patients < FEWEST_PATIENTS]
    pooled = item.pooled_patients + sum(small)
    tells_events = not 0 < pooled < FEWEST_PATIENTS
    return MeasuredSubgroups(
        by=item.by,
        measured=[figure for group in shown for figure in _figures(group, tells_events=tells_events)],
        pooled_groups=item.pooled_groups + len(small),
        pooled_patients=pooled,
        unknown=item.unknown,
    )


def _figures(group: Subgroup, *, tells_events: bool) -> list[SubgroupMeasured]:
    found = []
    for model, figure in group.models.items():
        if figure.n_patients >= FEWEST_PATIENTS:
            whose: dict[str, Any] = {"model": model, "group": group.name, "n_patients": figure.n_patients}
            whose["n_events"] = figure.n_events if tells_events else None
            found.append(SubgroupMeasured(**whose, **for_card(_without_events(figure, tells_events))))
    return found


def _without_events(figure: SubgroupFigure, tells_events: bool) -> Estimate:
    """The C-index, with another reason where its own would tell how many events there are."""
    if tells_events or not figure.c_index.reason or figure.n_events < FEW_EVENTS:
        return figure.c_index
    return Estimate(reason="it is not defined for these patients")
