"""The drawn parts of a prediction's report, and its A4 pages for PDF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amkd_core.export.curve_figure import draw_curve
from amkd_core.export.figures import (
    draw_overlay,
    draw_scale,
    draw_strip,
    map_height,
    slide_panel,
)
from amkd_core.export.page_flow import MARGIN, PageFlow
from amkd_core.export.pictures import N_PATCHES, SlidePictures
from amkd_core.inference.maps import top_patches
from amkd_core.inference.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from amkd_core.export.run_report import Report

# Shares of a page's height; with less, the figures go on a page of their own.
LEAST_FOR_MAP, LEAST_FOR_CURVE = 0.5, 0.42


def plain_curve(prediction: Prediction) -> Figure:
    """The survival curve alone."""
    figure = _figure(7.5, 4.6)
    draw_curve(figure.add_subplot(), prediction)
    return figure


def map_picture(prediction: Prediction, pictures: SlidePictures | None) -> Figure:
    """The slide beside its map, or the map alone."""
    height = map_height(prediction, pictures)
    figure = _figure(12.0 if pictures is not None else 7.0, height + 1.0)
    _draw_map(figure, prediction, pictures)
    return figure


def patch_strip(prediction: Prediction, pictures: SlidePictures) -> Figure:
    """The most telling patches in a row."""
    figure = _figure(12.0, 2.8)
    draw_strip(figure, figure.add_gridspec(1, 1)[0, 0], top_patches(prediction, N_PATCHES), pictures)
    return figure


def draw_pages(prediction: Prediction, pictures: SlidePictures | None, report: Report) -> Iterator[Figure]:
    """What is said and where the model looked; from the next page on teacher, patches and provenance in words.

    Two pages in the ordinary case, and as many more as long names and many notices need.
    """
    flow = PageFlow(report)
    flow.write_keys(report.key_figures)
    for section in report.sections:
        if section.points:
            flow.write_points(section)
    flow.need(LEAST_FOR_MAP if prediction.has_map else LEAST_FOR_CURVE)
    _draw_figures(flow, prediction, pictures)
    flow.start_page()
    if prediction.has_map and pictures is not None and pictures.patches:
        _draw_patches(flow, prediction, pictures)
    for section in report.sections:
        if not section.points and (section.paragraphs or section.tables):
            flow.write_section(section)
    yield from flow.pages


def _draw_figures(flow: PageFlow, prediction: Prediction, pictures: SlidePictures | None) -> None:
    """Draw map and curve on what is left of the page."""
    bottom, figure = flow.top, flow.figure
    space = bottom - 0.06
    middle = 0.06 + 0.42 * space if prediction.has_map else 0.45
    if prediction.has_map:
        _draw_map(figure, prediction, pictures, bottom=middle + 0.07, top=bottom - 0.025)
    grid = figure.add_gridspec(1, 1, left=0.13, right=0.93, bottom=0.1, top=middle - 0.02)
    draw_curve(figure.add_subplot(grid[0, 0]), prediction)


def _draw_patches(flow: PageFlow, prediction: Prediction, pictures: SlidePictures) -> None:
    row = flow.figure.add_gridspec(1, 1, left=MARGIN, right=1 - MARGIN, bottom=flow.top - 0.14, top=flow.top)[
        0, 0
    ]
    draw_strip(flow.figure, row, top_patches(prediction, N_PATCHES), pictures)
    flow.top -= 0.15


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


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure
