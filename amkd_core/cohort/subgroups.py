"""Subgroups of patients by age, sex, stage and hospital, as the clinical table tells them; no outcome chooses a border.

Only which hospitals are large enough to stand by themselves depends on how many events they have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amkd_core.cohort.clinical_values import sex_of
from amkd_core.cohort.hospitals import hospitals_of
from amkd_core.cohort.subgroup_names import AGE_YEARS, MOST_SITES, NAMES, By
from amkd_core.survival.metrics import FEW_EVENTS

if TYPE_CHECKING:
    from amkd_core.cohort.cohort import Cohort
    from amkd_core.cohort.patients import Patient


@dataclass(frozen=True)
class Grouping:
    """Patients told apart by one property.

    Attributes
    ----------
    by
        The property.
    groups
        Patients by the name of their group, in the order of the names; no group is empty.
    pooled_groups, pooled
        Hospitals that are only counted, and their patients.
    unknown
        Patients of whom the property is not told.
    """

    by: By
    groups: Mapping[str, tuple[str, ...]]
    pooled_groups: int
    pooled: tuple[str, ...]
    unknown: tuple[str, ...]


def groupings_of(cohort: Cohort, patients: Sequence[str]) -> tuple[Grouping, ...]:
    """Some of a cohort's patients by age, sex, stage and site; a property that is told of none of them is left out.

    Ages are split at 65 years, stages into I and II, and III and IV. A site stands by itself where it has ten events
    or more and may be named (`amkd_core.cohort.hospitals`); the largest twelve of those do.

    Parameters
    ----------
    cohort
    patients
        Their identifiers, of the cohort.
    """
    known = {patient.patient_id: patient for patient in cohort.patients}
    chosen = [known[name] for name in patients]
    found = [_by_place(by, place, chosen) for by, place in _PLACES.items()]
    found.append(_by_site(cohort, chosen))
    return tuple(item for item in found if item is not None)


def _age(patient: Patient) -> int | None:
    return None if patient.age_years is None else int(patient.age_years >= AGE_YEARS)


def _sex(patient: Patient) -> int | None:
    sex = sex_of(patient.sex)
    return None if sex is None else NAMES["sex"].index(sex)


def _stage(patient: Patient) -> int | None:
    return None if patient.stage is None else int(patient.stage > 2)


# By property, which of its names a patient's is.
_PLACES: Mapping[By, Callable[[Patient], int | None]] = {"age": _age, "sex": _sex, "stage": _stage}


def _by_place(by: By, place: Callable[[Patient], int | None], patients: Sequence[Patient]) -> Grouping | None:
    groups: dict[str, list[str]] = {name: [] for name in NAMES[by]}
    unknown: list[str] = []
    for patient in patients:
        index = place(patient)
        (unknown if index is None else groups[NAMES[by][index]]).append(patient.patient_id)
    if len(unknown) == len(patients):
        return None
    return Grouping(by, {name: tuple(own) for name, own in groups.items() if own}, 0, (), tuple(unknown))


def _by_site(cohort: Cohort, patients: Sequence[Patient]) -> Grouping | None:
    hospitals = hospitals_of(cohort, [patient.patient_id for patient in patients])
    if hospitals is None:
        return None
    of = hospitals.of
    sizes = Counter(of[patient.patient_id] for patient in patients)
    events = Counter(of[patient.patient_id] for patient in patients if patient.event)
    large = [
        name
        for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        if name and events[name] >= FEW_EVENTS and hospitals.may_be_named(name, size)
    ]
    shown = sorted(large[:MOST_SITES])
    groups = {name: tuple(one for one, own in of.items() if own == name) for name in shown}
    pooled = tuple(one for one, own in of.items() if own and own not in groups)
    unknown = tuple(one for one, own in of.items() if not own)
    return Grouping("site", groups, len({of[one] for one in pooled}), pooled, unknown)
