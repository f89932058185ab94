"""A self-contained HTML report: sections of text, tables and pictures in one file that opens anywhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from amkd_core.atomic import write_text
from amkd_core.bundle_card import RESEARCH_USE_ONLY

TEMPLATE = "run_report.html"


@dataclass(frozen=True)
class ReportTable:
    """A table.

    Attributes
    ----------
    caption
        One line above it.
    header, rows
        Text of the cells; every row is as long as the header.
    note
        Small print below it.
    is_long
        Values such as hashes, which may be broken anywhere.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    is_long: bool = False


@dataclass(frozen=True)
class ReportFigure:
    """A picture; its file is read and put into the report.

    Attributes
    ----------
    png
        The file.
    caption
        What is seen, and how to read it.
    """

    png: Path
    caption: str

    @property
    def source(self) -> str:
        """The picture as a data address."""
        return "data:image/png;base64," + base64.b64encode(self.png.read_bytes()).decode("ascii")


@dataclass(frozen=True)
class ReportSection:
    """A heading and what stands under it: paragraphs, a list, tables, pictures, in this order."""

    title: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    figures: tuple[ReportFigure, ...] = ()


@dataclass(frozen=True)
class KeyFigure:
    """One number of the summary, with what it is and how sure it is."""

    label: str
    value: str
    note: str = ""


SYNTHETIC_COHORT = "SYNTHETIC COHORT: these patients are simulated. Nothing here says anything about people."
SYNTHETIC_MODEL = "SYNTHETIC MODEL: says nothing about people."


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes
    ----------
    title, subtitle
        Heading.
    synthetic
        Simulated patients or a model of such: said in a banner on top and in the title of the page.
    key_figures, sections
        In their order.
    footer
        Last line.
    banner
        What is said on top of a synthetic one: which of patients and model is simulated.
    """

    title: str
    subtitle: str
    synthetic: bool
    key_figures: tuple[KeyFigure, ...]
    sections: tuple[ReportSection, ...]
    footer: str
    banner: str = SYNTHETIC_COHORT


def render_report(report: Report) -> str:
    """HTML of a report; text is escaped, nothing is loaded from elsewhere."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = (files("amkd_core.export") / TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(report=report, research_use=RESEARCH_USE_ONLY)


def write_report(path: Path, report: Report) -> None:
    """Write the report atomically."""
    write_text(path, render_report(report))
