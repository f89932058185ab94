"""Figures that the paper prints, for orientation beside measured ones; they are never mixed with them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COHORTS = ("brca", "stad", "hnsc", "crad")

_TABLE_2 = {
    "abmil": ("0.589 ± 0.107", "0.565 ± 0.078", "0.526 ± 0.065", "0.607 ± 0.175"),
    "transmil": ("0.617 ± 0.108", "0.538 ± 0.052", "0.551 ± 0.057", "0.629 ± 0.132"),
    "dsmil": ("0.575 ± 0.102", "0.525 ± 0.031", "0.544 ± 0.053", "0.603 ± 0.080"),
    "snn": ("0.513 ± 0.063", "0.533 ± 0.052", "0.563 ± 0.053", "0.567 ± 0.111"),
    "mlp": ("0.587 ± 0.120", "0.485 ± 0.066", "0.543 ± 0.089", "0.534 ± 0.059"),
    "smlp": ("0.581 ± 0.050", "0.570 ± 0.054", "0.496 ± 0.016", "0.608 ± 0.140"),
    "abmil_cat": ("0.644 ± 0.055", "0.589 ± 0.089", "0.567 ± 0.061", "0.613 ± 0.164"),
    "transmil_cat": ("0.616 ± 0.054", "0.539 ± 0.082", "0.562 ± 0.025", "0.624 ± 0.133"),
    "dsmil_cat": ("0.568 ± 0.051", "0.513 ± 0.065", "0.529 ± 0.047", "0.615 ± 0.136"),
    "mcat": ("0.520 ± 0.108", "0.541 ± 0.071", "0.536 ± 0.068", "0.575 ± 0.131"),
    "survpath": ("0.641 ± 0.079", "0.581 ± 0.068", "0.546 ± 0.056", "0.638 ± 0.097"),
    "pomp_style": ("0.700 ± 0.030", "0.651 ± 0.035", "0.570 ± 0.060", "0.645 ± 0.120"),
    "ghanet": ("0.653 ± 0.048", "0.603 ± 0.073", "0.562 ± 0.065", "0.634 ± 0.105"),
    "amkd": ("0.693 ± 0.101", "0.716 ± 0.057", "0.598 ± 0.032", "0.668 ± 0.081"),
}
_TABLE_3 = {"amkd": ("7.20e-39", "1.48e-3", "2.80e-5", "4.40e-2")}
_TABLE_4 = {
    "abmil": "0.533", "transmil": "0.542", "dsmil": "0.521", "snn": "0.518", "mlp": "0.525", "smlp": "0.530",
    "abmil_cat": "0.538", "transmil_cat": "0.535", "dsmil_cat": "0.525", "mcat": "0.522", "survpath": "0.539",
    "pomp_style": "0.545", "ghanet": "0.540", "amkd": "0.558",
}  # fmt: skip
_TABLE_5 = {
    "without ARR": "-3.0 %",
    "without ARR and GE": "-10.6 %",
    "ABMIL (Cat) as teacher": "-3.9 %",
    "TransMIL (Cat) as teacher": "-3.2 %",
}
_TABLE_6 = {
    "alpha 0.25": ("0.632 ± 0.095", "0.664 ± 0.072", "0.587 ± 0.048", "0.631 ± 0.088"),
    "alpha 0.5": ("0.673 ± 0.087", "0.654 ± 0.057", "0.592 ± 0.047", "0.644 ± 0.107"),
    "amkd": ("0.693 ± 0.101", "0.716 ± 0.057", "0.598 ± 0.032", "0.668 ± 0.081"),
    "alpha 1": ("0.666 ± 0.042", "0.694 ± 0.083", "0.583 ± 0.036", "0.654 ± 0.118"),
}
TABLE_7: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"amkd_student": ("803 K", "1.69 G"), "survpath": ("24.8 M", "3.48 G"), "mcat": ("2.64 M", "1.08 G")}
)
"""Model size and FLOPs."""


def published(table: int, cohort: str | None) -> dict[str, str]:
    """What the paper's table says of each row for a cohort; empty where it has none.

    The paper's POMP stands beside our POMP-style model, which is another network on other inputs, and is named. Of
    table 5 only the changes of the average over four cohorts are in the text.

    Parameters
    ----------
    table : int
        2 to 6.
    cohort : str or None
        One of `COHORTS`; tables 4 and 5 are the same for all. None has nothing published.
    """
    if cohort is None:
        return {}
    if table == 4:
        return _naming_pomp(_TABLE_4)
    if table == 5:
        return dict(_TABLE_5)
    place = COHORTS.index(cohort)
    rows = {2: _TABLE_2, 3: _TABLE_3, 6: _TABLE_6}[table]
    return _naming_pomp({name: values[place] for name, values in rows.items()})


def _naming_pomp(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value + (" (POMP)" if name == "pomp_style" else "") for name, value in values.items()}


def cohort_of(name: str) -> str | None:
    """The paper's cohort that a name such as "TCGA-BRCA" means; None when it means none of them."""
    bare = name.lower().removeprefix("tcga-").removeprefix("tcga_").strip()
    bare = {"coadread": "crad", "coad-read": "crad"}.get(bare, bare)
    return bare if bare in COHORTS else None
