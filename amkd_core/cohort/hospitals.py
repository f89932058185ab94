"""Of which hospital each patient is, and which hospitals may be named in what is passed on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from amkd_core.cohort.barcodes import site_of
from amkd_core.cohort.columns import TCGA_SITE
from amkd_core.cohort.subgroup_names import FEWEST_PATIENTS, LONGEST_NAME
from amkd_core.private_names import looks_like_accession

if TYPE_CHECKING:
    from amkd_core.cohort.cohort import Cohort


@dataclass(frozen=True)
class Hospitals:
    """Hospitals of some patients.

    Attributes
    ----------
    source
        "tcga_site": the two letters in TCGA's barcodes, which are public; "group": the column whose groups the folds
        keep apart, in which anything may stand.
    of
        Name by patient; empty where it is not told.
    persons
        Names of all patients and slides of the cohort.
    """

    source: Literal["tcga_site", "group"]
    of: Mapping[str, str]
    persons: frozenset[str]

    def may_be_named(self, name: str, n_patients: int) -> bool:
        """Whether a hospital of so many patients is named: it points to no patient, by its size or by its name."""
        return self.source == "tcga_site" or (
            n_patients >= FEWEST_PATIENTS
            and len(name) <= LONGEST_NAME
            and name not in self.persons
            and not looks_like_accession(name)
        )


def hospitals_of(cohort: Cohort, patients: Collection[str]) -> Hospitals | None:
    """Hospitals by the cohort's column of groups, else by TCGA's barcodes; None where neither tells any."""
    of_column = cohort.file.group not in ("", None, TCGA_SITE)
    known = {patient.patient_id: patient for patient in cohort.patients}
    of = {name: known[name].group if of_column else site_of(name) for name in patients}
    if not any(of.values()):
        return None
    slides = {name for patient in cohort.patients for name in patient.slide_ids}
    return Hospitals("group" if of_column else "tcga_site", of, frozenset(known) | slides)
