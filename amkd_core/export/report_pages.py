"""The drawn parts of a prediction's report, and its two A4 pages for PDF."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from amkd_core.bundle_card import RESEARCH_USE_ONLY
from amkd_core.export.curve_figure import draw_curve
from amkd_core.export.figures import (
    WARNING_COLOUR,
    draw_overlay,
    draw_scale,
    draw_strip,
    map_height,
    slide_panel,
)
from amkd_core.export.pictures import N_PATCHES, SlidePictures
from amkd_core.inference.maps import top_patches
from amkd_core.inference.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from amkd_core.export.run_report import Report, ReportSection

A4_IN = (8.27, 11.69)
MARGIN = 0.07
ACCENT = "#007c8a"
# Characters of a line of small text over the width of the page.
LINE = 116


def plain_curve(prediction: Prediction) -> Figure:
    """The survival curve alone."""
    figure = _figure(7.5, 4.6)
    draw_curve(figure.add_subplot(), prediction)
    return figure


def map_picture(prediction: Prediction, pictures: SlidePictures | None) -> Figure:
    """The slide beside its map, or the map alone."""
    height = map_height(prediction)
    figure = _figure(12.0 if pictures is not None else 7.0, height + 1.0)
    _draw_map(figure, prediction, pictures)
    return figure


def patch_strip(prediction: Prediction, pictures: SlidePictures) -> Figure:
    """The most telling patches in a row."""
    figure = _figure(12.0, 2.8)
    draw_strip(figure, figure.add_gridspec(1, 1)[0, 0], top_patches(prediction, N_PATCHES), pictures)
    return figure


def draw_pages(prediction: Prediction, pictures: SlidePictures | None, report: Report) -> Iterator[Figure]:
    """First page: what is said and where the model looked; second: teacher, patches and provenance in words."""
    yield _first_page(prediction, pictures, report)
    yield _second_page(prediction, pictures, report)


def _first_page(prediction: Prediction, pictures: SlidePictures | None, report: Report) -> Figure:
    figure = _page(report)
    _write_keys(figure, report, top=0.87)
    caution = next(section for section in report.sections if section.points)
    bottom = _write_points(figure, caution, top=0.775)
    space = bottom - 0.06
    middle = 0.06 + 0.42 * space if prediction.has_map else 0.45
    if prediction.has_map:
        _draw_map(figure, prediction, pictures, bottom=middle + 0.07, top=bottom - 0.025)
    grid = figure.add_gridspec(1, 1, left=0.13, right=0.93, bottom=0.1, top=middle - 0.02)
    draw_curve(figure.add_subplot(grid[0, 0]), prediction)
    return figure


def _second_page(prediction: Prediction, pictures: SlidePictures | None, report: Report) -> Figure:
    figure = _page(report)
    top = 0.88
    if prediction.has_map and pictures is not None and pictures.patches:
        row = figure.add_gridspec(1, 1, left=MARGIN, right=1 - MARGIN, bottom=0.73, top=0.87)[0, 0]
        draw_strip(figure, row, top_patches(prediction, N_PATCHES), pictures)
        top = 0.69
    for section in report.sections:
        if section.points:
            continue
        if section.paragraphs or section.tables:
            top = _write_section(figure, section, top)
    return figure


def _draw_map(figure: Figure, prediction: Prediction, pictures: SlidePictures | None, **edges: float) -> None:
    """Draw the slide and its map, between the given edges of the page where it has others."""
    if edges:
        edges = {"left": MARGIN, "right": 1 - MARGIN, "wspace": 0.08, "hspace": 0.05, **edges}
    grid = figure.add_gridspec(2, 1 if pictures is None else 2, height_ratios=[1, 0.03], **edges)
    if pictures is not None:
        slide = slide_panel(figure, grid[0, 0], prediction, pictures)
        slide.set_title("Slide", fontsize=10)
        draw_scale(slide, prediction)
    draw_overlay(figure, grid, prediction, pictures)
    if edges:  # the page is narrower than a picture of its own
        for axes in figure.axes:
            axes.title.set_fontsize(9)
            axes.xaxis.label.set_fontsize(7)


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _page(report: Report) -> Figure:
    figure = _figure(*A4_IN, layout=None)
    banner = RESEARCH_USE_ONLY + (" SYNTHETIC MODEL: says nothing about people." if report.synthetic else "")
    _text(figure, 0.965, banner, size=9, color=WARNING_COLOUR, weight="bold")
    title = textwrap.shorten(report.title, 70, placeholder="...")
    _text(figure, 0.943, title, size=15, weight="bold")
    _text(figure, 0.915, textwrap.shorten(report.subtitle, LINE, placeholder="..."), size=9, color="#555555")
    _text(figure, 0.03, report.footer, size=8, color="#555555")
    return figure


def _write_keys(figure: Figure, report: Report, *, top: float) -> None:
    width = (1 - 2 * MARGIN) / len(report.key_figures)
    for index, key in enumerate(report.key_figures):
        x = MARGIN + index * width
        label = textwrap.fill(key.label, 24)
        _text(figure, top + 0.018, label, size=8, color="#555555", x=x)
        _text(figure, top - 0.012, key.value, size=13, weight="bold", x=x)
        _text(figure, top - 0.037, textwrap.fill(key.note, 28), size=7.5, color="#333333", x=x)


def _write_points(figure: Figure, section: ReportSection, *, top: float) -> float:
    _text(figure, top, section.title, size=11, weight="bold", color=ACCENT)
    top -= 0.02
    for point in section.points:
        lines = textwrap.wrap(point, LINE)
        _text(figure, top, "\n".join([f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]), size=8)
        top -= 0.0135 * len(lines) + 0.003
    return top


def _write_section(figure: Figure, section: ReportSection, top: float) -> float:
    _text(figure, top, section.title, size=11, weight="bold", color=ACCENT)
    top -= 0.022
    for paragraph in section.paragraphs:
        lines = textwrap.wrap(paragraph, LINE)
        _text(figure, top, "\n".join(lines), size=8.5)
        top -= 0.0145 * len(lines) + 0.005
    for table in section.tables:
        _text(figure, top, table.caption, size=9, weight="bold")
        top -= 0.018
        columns = [MARGIN + share for share in _columns(len(table.header), is_long=table.is_long)]
        for row in (table.header, *table.rows):
            cells = [textwrap.wrap(cell, 88 if table.is_long else 50) or [""] for cell in row]
            for x, lines in zip(columns, cells, strict=True):
                _text(
                    figure,
                    top,
                    "\n".join(lines),
                    size=8,
                    x=x,
                    color="#555555" if row is table.header else "black",
                )
            top -= 0.0135 * max(len(lines) for lines in cells) + 0.003
        if table.note:
            _text(figure, top, table.note, size=7.5, color="#555555")
            top -= 0.018
    return top - 0.015


def _columns(number: int, *, is_long: bool) -> list[float]:
    """Left edges of a table's columns as shares of the page."""
    if is_long:
        return [0.0, 0.12]
    return [0.0, 0.5] if number == 2 else [0.0, 0.1, 0.4, 0.6][:number]


def _text(
    figure: Figure,
    y: float,
    text: str,
    *,
    size: float,
    x: float = MARGIN,
    color: str = "black",
    weight: str = "normal",
) -> None:
    figure.text(x, y, text, fontsize=size, color=color, fontweight=weight, va="top", parse_math=False)
