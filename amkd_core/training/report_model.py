"""The part of a report that is a model's card."""

from __future__ import annotations

from amkd_core.bundle_card import BundleCard
from amkd_core.bundle_words import card_rows, limits_of
from amkd_core.export.run_report import ReportSection, ReportTable


def model_section(card: BundleCard) -> ReportSection:
    """What the bundle tells of itself wherever it goes, and its known limits as a list."""
    table = ReportTable("As its bundle tells it (amkd model)", ("", ""), tuple(card_rows(card)), is_long=True)
    return ReportSection("The model's card", points=limits_of(card), tables=(table,))
