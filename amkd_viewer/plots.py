"""Plots of the panels, as functions that draw into a matplotlib figure; no Qt, called off the GUI thread."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amkd_viewer.colours import WindowColours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from amkd_core.inference.pathway_table import EffectRow, PathwayRow
    from amkd_core.inference.prediction import Prediction

PAPER = WindowColours("#ffffff", "#000000", "#555555", False)
"""Colours of what is saved."""
MOST, LEAST = "#D7301F", "#4393C3"
"""Figure 4's red and blue, in shades that are read on dark and on light and with any colour vision."""
HIGH_RISK_LINE = "-."
"""By which high risk is told from low without colours; the patient's own curve is dashed."""
_FONT_PT = 8.5
_DPI = 72
_LONGEST_NAME = 30
_WIDEST_GROUP_IN = 4.6

Draw = Callable[..., None]


def rendered(
    draw: Draw, colours: WindowColours, size_px: tuple[int, int], scale: float = 1.0
) -> tuple[NDArray[np.uint8], Figure]:
    """Pixels, (height, width, 4) uint8, of what a function draws, and the figure; `scale` is device pixels a pixel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = _figure(draw, colours, (size_px[0] / _DPI, size_px[1] / _DPI))
    figure.set_dpi(_DPI * scale)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fonts without a glyph, panels too narrow for their labels
        canvas.draw()
    return np.array(canvas.buffer_rgba()), figure


def write_plot(
    path: Path, draw: Draw, table: Sequence[Sequence[Any]] | None, size_in: tuple[float, float]
) -> Path:
    """Write what a function draws as PNG or SVG, or its numbers as CSV, by the suffix; atomic.

    Raises
    ------
    AmkdError
        When the suffix is another, or there are no numbers.
    OSError
        When the disk is full or the folder not writable.
    """
    from amkd_core.atomic import atomic_path, write_text
    from amkd_core.errors import ConfigError
    from amkd_core.export.plain_cells import plain_cell

    kind = path.suffix.lower()
    if kind == ".csv" and table is not None:
        text = io.StringIO()
        # Names of pathways come from a file of gene sets.
        rows = ([plain_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in table)
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_text(path, text.getvalue())
    elif kind in (".png", ".svg"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure = _figure(draw, PAPER, size_in)
        FigureCanvasAgg(figure)
        with atomic_path(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure.savefig(temporary, format=kind[1:], dpi=200)
    else:
        raise ConfigError(f"{path.name}: plots are saved as .png, .svg or .csv")
    return path


def draw_survival(
    figure: Figure, colours: WindowColours, *, prediction: Prediction, compact: bool = False
) -> None:
    """The patient's curve on Kaplan-Meier curves of the training cohort's risk groups with their 95 % bands.

    Dashed where it takes its shape from the training cohort's (`told_text`).
    """
    from amkd_core.inference.survival_summary import told_and_drawn_on

    axes = figure.add_subplot()
    for group, colour, style in (("low", colours.low, "-"), ("high", colours.high, HIGH_RISK_LINE)):
        table = prediction.cohort.kaplan_meier.get(group)
        if table is None:
            continue
        axes.fill_between(
            table.time, table.lower, table.upper, step="post", color=colour, alpha=0.18, linewidth=0
        )
        label = f"{group} risk" if compact else f"training cohort, {group} risk"
        axes.step(
            table.time,
            table.survival,
            where="post",
            color=colour,
            linewidth=1.3,
            linestyle=style,
            label=label,
        )
    if not compact and len(prediction.members) > 1:
        from amkd_core.inference.survival_summary import member_curves

        for place, curve in enumerate(member_curves(prediction)):
            axes.plot(
                curve.time_months,
                curve.survival,
                color=colours.muted,
                linewidth=0.8,
                linestyle="--",
                label="each fold's model" if place == 0 else None,
            )
    told, drawn_on = told_and_drawn_on(prediction)
    axes.plot(told.time_months, told.survival, color=colours.text, linewidth=2.2, label=prediction.subject)
    axes.plot(
        drawn_on.time_months, drawn_on.survival, color=colours.text, linewidth=1.3, linestyle=(0, (4, 3))
    )
    _dress_survival(axes, colours, prediction.cohort.words.free)


def survival_table(prediction: Prediction) -> list[list[Any]]:
    """Numbers of `draw_survival`: the patient's curve, and the cohort's at its own months.

    Every row says what must go along with it, as in a table of results; a line of its own would be no row to a reader.
    """
    from amkd_core.export.scores import notice_codes
    from amkd_core.inference.survival_summary import told_until

    rows: list[list[Any]] = [
        ["curve", "month", "survival", "lower_95", "upper_95", "shaped_by", "endpoint", "notices"]
    ]
    along = [prediction.cohort.endpoint, notice_codes(prediction)]
    curve, told = prediction.curve, told_until(prediction)
    for month, value in zip(curve.time_months, curve.survival, strict=True):
        shaped_by = "model" if month <= told else "training cohort"
        rows.append([prediction.subject, f"{month:.4g}", f"{value:.6g}", "", "", shaped_by, *along])
    for group, table in prediction.cohort.kaplan_meier.items():
        for point in zip(table.time, table.survival, table.lower, table.upper, strict=True):
            numbers = (f"{value:.6g}" for value in point)
            rows.append([f"training cohort, {group}", *numbers, "training cohort", *along])
    return rows


def draw_risk_place(figure: Figure, colours: WindowColours, *, prediction: Prediction) -> None:
    """Where the patient's risk lies among the training cohort's, with the risk of each fold's model."""
    axes = figure.add_subplot()
    cohort = prediction.cohort
    edges = np.histogram_bin_edges(np.append(cohort.risks, prediction.risk), bins=24)
    for group, chosen, colour in (
        ("low", cohort.risks <= cohort.risk_cut, colours.low),
        ("high", cohort.risks > cohort.risk_cut, colours.high),
    ):
        axes.hist(
            cohort.risks[chosen],
            bins=list(map(float, edges)),
            color=colour,
            alpha=0.65,
            label=f"{group} risk",
        )
    for value in prediction.member_risks if len(prediction.member_risks) > 1 else ():
        axes.axvline(value, color=colours.muted, linewidth=1, linestyle="--")
    axes.axvline(prediction.risk, color=colours.text, linewidth=2.2, label=prediction.subject)
    _dress(axes, colours)
    axes.legend(fontsize=_FONT_PT, frameon=False, labelcolor=colours.text, loc="best")
    axes.set_xlabel("risk score (higher is worse)", fontsize=_FONT_PT, color=colours.text)
    axes.set_ylabel("patients", fontsize=_FONT_PT, color=colours.text)


Bars = Sequence[tuple[str, float]]
"""Pathways by name and value, from the top down."""
BarGroup = tuple[str, Bars, Bars]
"""Whose pathways, those in red, and those in blue below them."""
ATTENTION_AXIS = "normalised attention (no proof of cause)"
EFFECT_AXIS = "effect on the teacher's risk (no proof of cause)"


def draw_pathway_bars(
    figure: Figure, colours: WindowColours, *, groups: Sequence[BarGroup], signed: bool = False
) -> None:
    """Bars of pathways, red over blue, of a patient and of a cohort.

    Parameters
    ----------
    groups
        One chart each: beside one another where there is room for the names, else below one another.
    signed
        Effects on the teacher's risk, either side of 0; by default normalised attention, from 0 to 1 (figure 4).
    """
    beside = len(groups) * _WIDEST_GROUP_IN <= figure.get_figwidth()
    shape = (1, len(groups)) if beside else (len(groups), 1)
    for axes, (title, most, least) in zip(figure.subplots(*shape, squeeze=False).flat, groups, strict=True):
        _bars(axes, colours, most, least, signed=signed)
        axes.set_title(title, fontsize=_FONT_PT + 0.5, color=colours.text, loc="left")
    axis = EFFECT_AXIS if signed else ATTENTION_AXIS
    figure.supxlabel(axis, fontsize=_FONT_PT, color=colours.text)


def _bars(axes: Axes, colours: WindowColours, most: Bars, least: Bars, *, signed: bool) -> None:
    rows = [*most, *least]
    places = np.arange(len(rows))[::-1].astype(float)
    places[: len(most)] += 0.5 if least else 0.0
    paint = [MOST] * len(most) + [LEAST] * len(least)
    axes.barh(places, [value for _, value in rows], color=paint, height=0.72)
    for place, (_, value) in zip(places, rows, strict=True):
        below = value < 0
        axes.annotate(
            f"{value:+.2g}" if signed else f"{value:.2f}", (value, place), xytext=(-3 if below else 3, 0),
            textcoords="offset points", va="center", ha="right" if below else "left", fontsize=_FONT_PT - 1,
            color=colours.text,
        )  # fmt: skip
    _dress(axes, colours)
    axes.set_yticks(places, [short_name(name) for name, _ in rows], fontsize=_FONT_PT - 0.5, parse_math=False)
    if signed:
        axes.axvline(0, color=colours.text, linewidth=0.8)
        axes.margins(x=0.28)
    else:
        axes.set_xlim(0, 1.15)


def pathway_table(rows: Sequence[PathwayRow], cohort: Sequence[PathwayRow], notices: str) -> list[list[str]]:
    """Attention to every pathway, the patient's most attended first, with the cohort's beside it where it is known.

    `notices` are the codes of what must go along with every row (`notice_codes`).
    """
    table = [["rank", "pathway", "attention", "normalised"]]
    table += [[str(e.rank), e.name, f"{e.attention:.6g}", f"{e.normalised:.6g}"] for e in rows]
    if cohort:
        by_name = {entry.name: entry for entry in cohort}
        table[0] += ["cohort_rank", "cohort_attention", "cohort_normalised"]
        for line in table[1:]:
            entry = by_name[line[1]]
            line += [str(entry.rank), f"{entry.attention:.6g}", f"{entry.normalised:.6g}"]
    return _with_notices(table, notices)


def effect_table(rows: Sequence[EffectRow], cohort: Sequence[EffectRow], notices: str) -> list[list[str]]:
    """Effects on the teacher's risk of every pathway, the patient's strongest first, with the cohort's beside them."""
    by_name = {entry.name: entry for entry in cohort}
    table = [["rank", "pathway", "adds_to_risk", "cohort_rank", "cohort_effect_per_sd"]]
    for entry in rows:
        other = by_name[entry.name]
        table.append(
            [str(entry.rank), entry.name, f"{entry.effect:.6g}", str(other.rank), f"{other.effect:.6g}"]
        )
    return _with_notices(table, notices)


def _with_notices(table: list[list[str]], notices: str) -> list[list[str]]:
    return [[*line, notices if place else "notices"] for place, line in enumerate(table)]


def short_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """A pathway's name for an axis: no underscores, not too long."""
    text = name.replace("_", " ")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _figure(draw: Draw, colours: WindowColours, size_in: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, dpi=_DPI, layout="constrained", facecolor=colours.background)
    draw(figure, colours)
    return figure


def _dress_survival(axes: Axes, colours: WindowColours, free: str) -> None:
    from matplotlib.ticker import PercentFormatter

    _dress(axes, colours)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.margins(x=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("months", fontsize=_FONT_PT, color=colours.text)
    axes.set_ylabel(free, fontsize=_FONT_PT, color=colours.text)
    axes.legend(fontsize=_FONT_PT, frameon=False, labelcolor=colours.text, loc="upper right")


def _dress(axes: Axes, colours: WindowColours) -> None:
    axes.set_facecolor(colours.background)
    axes.tick_params(labelsize=_FONT_PT, colors=colours.text)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(colours.text)
