"""Pictures of a cohort's results: survival of the risk groups, C-index by fold, calibration, risks, error over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import atomic_path
from amkd_core.bundle_card import RESEARCH_USE_ONLY
from amkd_core.export.curve_figure import GROUP_COLOURS, GROUP_LINES
from amkd_core.export.figure_file import lay_out, write_png
from amkd_core.export.fonts import fonts_of_all_scripts
from amkd_core.survival.endpoints import EndpointWords
from amkd_core.survival.metrics import KaplanMeier

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Draw = Callable[["Figure"], None]

DPI = 150
COLOURS = {
    "student": "#007c8a",
    "teacher": "#d95f02",
    **dict.fromkeys(("age and stage", "age", "stage"), "#7570b3"),
    "age, stage and student": "#1b7837",
}
OTHER_COLOUR = "#555555"
MUTED = "#8a8a8a"
_FOOT_IN, _FOOT_MARGIN_IN = 0.24, 0.08


@dataclass(frozen=True, eq=False)
class GroupCurves:
    """Kaplan-Meier curves of a model's risk groups; None for an empty group.

    Attributes
    ----------
    model : str
    low, high : KaplanMeier or None
    months : array
        Where numbers at risk are written.
    p_value : float or None
        Of the log-rank test.
    words : EndpointWords
    """

    model: str
    low: KaplanMeier | None
    high: KaplanMeier | None
    months: Array
    p_value: float | None
    words: EndpointWords


@dataclass(frozen=True, eq=False)
class FoldScores:
    """C-index of each fold; None where undefined."""

    label: str
    by_fold: Mapping[int, float | None]
    mean: float | None


@dataclass(frozen=True, eq=False)
class CalibrationPoints:
    """Predicted and observed survival of groups, shape (n_groups,); NaN where nothing was observed."""

    label: str
    predicted: Array
    observed: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, eq=False)
class RiskDots:
    """Risks of patients, shape (n,), with their fold, the event flag and the risk group where a cut is known."""

    model: str
    risk: Array
    fold: NDArray[np.int64]
    event: NDArray[np.bool_]
    high: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class CurveOverTime:
    """Figures over months; NaN where undefined."""

    label: str
    months: Array
    auc: Array
    brier: Array
    brier_without_model: Array = field(default_factory=lambda: np.zeros(0))


def write_cohort_figure(
    folder: Path, name: str, draw: Draw, *, size: tuple[float, float], dpi: int = DPI, pdf: bool = False
) -> Path:
    """Draw a figure and write it atomically as ``<name>.png`` and ``<name>.svg``, with what it is for at its foot.

    Parameters
    ----------
    draw
        Fills an empty figure.
    size
        Width and height in inches, without the foot.
    dpi
        Of the PNG, and of pictures inside the others.
    pdf
        Also ``<name>.pdf``, with its fonts inside, as journals ask for.

    Returns
    -------
    Path
        Of the PNG.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Text stays text in the SVG, and equal figures are equal files.
    style = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10, "pdf.fonttype": 42}
    with matplotlib.rc_context(style), fonts_of_all_scripts():
        height = size[1] + _FOOT_IN
        share = _FOOT_IN / height
        layout = ConstrainedLayoutEngine(rect=(0, share, 1, 1 - share))
        figure = Figure(figsize=(size[0], height), dpi=dpi, facecolor="white", layout=layout)
        FigureCanvasAgg(figure)
        draw(figure)
        lay_out(figure)
        for axes in figure.axes:
            # The solver's last digit is not the same each time, and names of clipping paths follow from it.
            axes.set_position(tuple(np.round(axes.get_position(original=True).bounds, 6)))
        for text in figure.texts:
            if text.get_text() and text.get_text() == figure.get_supxlabel():
                text.set_y(text.get_position()[1] + share)  # room is kept above the foot; it is put on it
        figure.text(
            _FOOT_MARGIN_IN / size[0],
            share / 2,
            RESEARCH_USE_ONLY,
            va="center",
            fontsize=7,
            color=OTHER_COLOUR,
        )
        _write(figure, folder / name, dpi, pdf=pdf)
    return folder / f"{name}.png"


def _write(figure: Figure, path: Path, dpi: int, *, pdf: bool) -> None:
    """Write each format by its canvas itself; `Figure.savefig` draws twice, the first time to lay out."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with atomic_path(path.with_name(f"{path.name}.png")) as temporary:
        write_png(figure, temporary)
    with atomic_path(path.with_name(f"{path.name}.svg")) as temporary:
        metadata = {"Date": None, "Creator": "AMKD Viewer"}
        FigureCanvasSVG(figure).print_svg(temporary, metadata=metadata)
    if not pdf:
        return
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    figure.dpi = dpi  # the canvas of SVG leaves its own
    with atomic_path(path.with_name(f"{path.name}.pdf")) as temporary:
        metadata = {"CreationDate": None, "Creator": "AMKD Viewer"}
        FigureCanvasPdf(figure).print_pdf(temporary, metadata=metadata)


def draw_kaplan_meier(figure: Figure, models: Sequence[GroupCurves]) -> None:
    """Curves of low and high risk with 95 % bands, and numbers at risk under the same months."""
    grid = figure.add_gridspec(2, len(models), height_ratios=[1, 0.22])
    for column, curves in enumerate(models):
        axes = figure.add_subplot(grid[0, column])
        table = figure.add_subplot(grid[1, column], sharex=axes)
        for row, (group, curve) in enumerate((("low", curves.low), ("high", curves.high))):
            if curve is not None:
                _draw_group(axes, curve, group)
                _write_at_risk(table, curve, curves.months, row, GROUP_COLOURS[group])
        axes.set(
            ylim=(0, 1.03),
            xlim=(0, float(curves.months[-1]) * 1.04),
            ylabel=f"probability of {curves.words.free}",
        )
        axes.set_xticks(curves.months)
        axes.set_xlabel("months")
        p = "not testable" if curves.p_value is None else _p_text(curves.p_value)
        axes.set_title(f"{curves.model}: log-rank {p}", fontsize=11)
        axes.legend(frameon=False, fontsize=9, loc=_free_corner(curves))
        _tidy(axes)
        table.set(ylim=(-0.6, 1.6), yticks=[0, 1], yticklabels=["high", "low"])
        table.set_title("patients at risk", fontsize=9, loc="left", color=OTHER_COLOUR)
        table.tick_params(length=0, labelbottom=False, pad=14)
        table.spines[:].set_visible(False)


def _free_corner(curves: GroupCurves) -> str:
    """Where a legend covers no curve: below them in the early months while most patients live, else above the rest."""
    early = 0.45 * float(curves.months[-1])
    reached = [
        float(np.nanmin(curve.lower[curve.time <= early], initial=1.0))
        for curve in (curves.low, curves.high)
        if curve is not None
    ]
    return "lower left" if min(reached, default=1.0) > 0.2 else "upper right"


def _draw_group(axes: Axes, curve: KaplanMeier, group: str) -> None:
    colour = GROUP_COLOURS[group]
    size = int(curve.at_risk[0])
    label = f"{group} risk ({size} {'patient' if size == 1 else 'patients'})"
    axes.step(
        curve.time, curve.survival, where="post", color=colour, linewidth=1.8, linestyle=GROUP_LINES[group],
        label=label,
    )  # fmt: skip
    axes.fill_between(
        curve.time, curve.lower, curve.upper, step="post", color=colour, alpha=0.15, linewidth=0
    )


def _write_at_risk(axes: Axes, curve: KaplanMeier, months: Array, row: int, colour: str) -> None:
    for month, count in zip(months, curve.at_risk_at(months), strict=True):
        axes.text(month, 1 - row, str(count), ha="center", va="center", fontsize=9, color=colour)


def _p_text(p_value: float) -> str:
    return "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}"


def draw_folds(figure: Figure, scores: Sequence[FoldScores], *, chance: float | None) -> None:
    """C-index of every fold as a dot, the mean as a bar, one column a model; the chance line across."""
    axes = figure.add_subplot()
    for column, item in enumerate(scores):
        colour = COLOURS.get(item.label, OTHER_COLOUR)
        known = [(fold, value) for fold, value in item.by_fold.items() if value is not None]
        offsets = np.linspace(-0.16, 0.16, len(known)) if len(known) > 1 else np.zeros(len(known))
        for (fold, value), offset in zip(known, offsets, strict=True):
            axes.plot(column + offset, value, "o", color=colour, alpha=0.65, markersize=6)
            axes.annotate(
                str(fold), (column + offset, value), xytext=(0, 6), textcoords="offset points", fontsize=7,
                ha="center", color=OTHER_COLOUR,
            )  # fmt: skip
        if item.mean is not None:
            axes.plot([column - 0.28, column + 0.28], [item.mean] * 2, color=colour, linewidth=2.5)
            axes.annotate(
                f"{item.mean:.3f}", (column + 0.3, item.mean), xytext=(3, 0), textcoords="offset points",
                va="center", fontsize=10, fontweight="bold", color=colour,
            )  # fmt: skip
    axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=":")
    if chance is not None:
        axes.axhline(chance, color="black", linewidth=1.3, linestyle="--", label=f"chance line {chance:.3f}")
        # Above the axes, where no fold's point or number can lie under it.
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=9, borderaxespad=0)
    axes.set(xlim=(-0.5, len(scores) - 0.4), ylabel="C-index on test patients")
    axes.set_xticks(range(len(scores)), [item.label for item in scores])
    _tidy(axes)


def draw_calibration(
    figure: Figure, models: Sequence[CalibrationPoints], words: EndpointWords, *, months: float
) -> None:
    """Observed against predicted survival at a month; on the diagonal the predictions come true."""
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="perfect")
    for item in models:
        known = np.isfinite(item.observed)
        observed = item.observed[known]
        spread = np.abs(np.vstack([observed - item.lower[known], item.upper[known] - observed]))
        axes.errorbar(
            item.predicted[known], observed, yerr=np.nan_to_num(spread), fmt="o-", capsize=3, markersize=6,
            color=COLOURS.get(item.label, OTHER_COLOUR), label=item.label,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    axes.set_xlabel(f"predicted {words.free} at {months:g} months")
    axes.set_ylabel(f"observed {words.free} (Kaplan-Meier, 95 % interval)")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    _tidy(axes)


def draw_risks(figure: Figure, models: Sequence[RiskDots], words: EndpointWords) -> None:
    """Every test patient's risk by fold; a bar marks the fold's border between low and high risk."""
    for column, item in enumerate(models):
        axes = figure.add_subplot(1, len(models), column + 1)
        spread = np.random.default_rng(0).uniform(-0.28, 0.28, len(item.risk))
        _, place = np.unique(item.fold, return_inverse=True)
        for ended, label in ((False, "censored"), (True, words.ended)):
            chosen = item.event == ended
            axes.scatter(
                place[chosen] + spread[chosen], item.risk[chosen], s=14, label=label, linewidths=0.6,
                facecolors=GROUP_COLOURS["high"] if ended else "none", edgecolors="#7a3600" if ended else MUTED,
            )  # fmt: skip
        for index in range(int(place.max()) + 1):
            border = _border(item, place == index)
            if border is not None:
                axes.plot([index - 0.38, index + 0.38], [border] * 2, color="black", linewidth=1.6)
        several = int(place.max()) > 0
        folds = [str(fold) if several else "" for fold in np.unique(item.fold)]
        axes.set_xticks(range(len(folds)), folds)
        axes.set(
            xlabel="fold" if several else "",
            ylabel="risk (each fold on a scale of its own)" if several else "risk",
        )
        axes.set_title(item.model, fontsize=11)
        axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=9, loc="upper left", ncols=2)
        axes.margins(y=0.12)
        _tidy(axes)


def _border(item: RiskDots, chosen: NDArray[np.bool_]) -> float | None:
    if item.high is None:
        return None
    low, high = item.risk[chosen & ~item.high], item.risk[chosen & item.high]
    return None if not (low.size and high.size) else float((low.max() + high.min()) / 2)


def draw_over_time(figure: Figure, curves: Sequence[CurveOverTime], words: EndpointWords) -> None:
    """AUC (higher is better) and Brier score (lower is better) over months."""
    first, second = figure.subplots(1, 2)
    for item in curves:
        colour = COLOURS.get(item.label, OTHER_COLOUR)
        first.plot(item.months, item.auc, color=colour, linewidth=1.8, label=item.label)
        if item.brier.size:
            second.plot(item.months, item.brier, color=colour, linewidth=1.8, label=item.label)
    without = next((item for item in curves if item.brier_without_model.size), None)
    if without is not None:
        second.plot(
            without.months, without.brier_without_model, color="black", linewidth=1.3, linestyle="--",
            label="no model (Kaplan-Meier of the training patients)",
        )  # fmt: skip
    first.axhline(0.5, color=MUTED, linewidth=1, linestyle=":")
    first.set(
        xlabel="months", ylabel="AUC (higher is better)", title=f"{words.ended.capitalize()} by then, or not?"
    )
    second.set(
        xlabel="months", ylabel="Brier score (lower is better)", title=f"Error of predicted {words.free}"
    )
    for axes in (first, second):
        axes.legend(frameon=False, fontsize=9)
        axes.set_xlim(left=0)
        _tidy(axes)
    second.set_ylim(bottom=0)


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
