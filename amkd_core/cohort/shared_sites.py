"""Hospitals on both sides of a fold: their stains and scanners flatter a slide model."""

from __future__ import annotations

from collections.abc import Sequence

from amkd_core.cohort.barcodes import site_of
from amkd_core.cohort.columns import TCGA_SITE
from amkd_core.cohort.splits import Split


def from_shared_sites(splits: Sequence[Split]) -> tuple[int, int]:
    """Tested patients whose TCGA site their fold also learns from, and all tested patients.

    Patients who choose the epoch count as learnt from, as they do where folds keep groups apart. Patients whose names
    are no TCGA barcodes are of no site.
    """
    shared = 0
    for split in splits:
        learnt = {site_of(name) for name in (*split.train, *split.validation)} - {""}
        shared += sum(site_of(name) in learnt for name in split.test)
    return shared, sum(len(split.test) for split in splits)


def shared_sites_note(splits: Sequence[Split]) -> str:
    """The same in a sentence; empty where no barcode tells of a shared site."""
    shared, tested = from_shared_sites(splits)
    if not shared:
        return ""
    return (
        f"Folds: {shared} of {tested} tested patients come from hospitals that their fold also trains on (TCGA sites; "
        f'group = "{TCGA_SITE}" keeps them apart).'
    )
