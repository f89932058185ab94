"""Table 7 and its plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.export.cohort_figures import write_cohort_figure
from amkd_core.export.run_report import Report, ReportFigure, ReportSection, ReportTable, write_report
from amkd_core.studies.cost import Cost
from amkd_core.studies.published import TABLE_7
from amkd_core.studies.tables import write_table_files
from amkd_core.training.recipes import AMKD, TITLES
from amkd_core.training.run_folder import environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT = "cost.html"
AMKD_STUDENT = "amkd_student"
NOTE = (
    "MACs of linear layers: those of linear layers and convolutions that are modules of their own, as the convention "
    "behind the paper's MCAT row has it; FLOPs: two for each multiplication and addition, attention included. "
    "Time and memory: one patient, as measured here; memory beyond weights and features."
)


def write_cost(out: Path, costs: Sequence[Cost], setting: str) -> ReportTable:
    """Write ``table-7.csv``, ``.tex``, the plot and a page.

    Parameters
    ----------
    setting
        Device, threads and repeats in words.
    """
    table = cost_table(costs)
    write_table_files(out, "table-7", table)
    picture = write_cohort_figure(
        out / "figures", "cost", lambda figure: draw_cost(figure, costs), size=(11, 4.6)
    )
    figure = ReportFigure(
        picture,
        "Time and memory of one prediction by the number of patches; both axes logarithmic. The memory of models that "
        "keep no more than the standardised features is nearly the same, so that their lines lie on one another.",
    )
    section = ReportSection("Table 7", tables=(table,), figures=(figure,))
    footer = "; ".join(f"{name} {value}" for name, value in environment().items())
    write_report(out / REPORT, Report("Cost of a prediction", setting, False, (), (section,), footer))
    return table


def cost_table(costs: Sequence[Cost]) -> ReportTable:
    """One row a model and size; the paper's figures in columns of their own."""
    header = (
        "model", "patches", "parameters", "MACs of linear layers", "FLOPs", "seconds", "peak memory, MiB",
        "published size", "published FLOPs",
    )  # fmt: skip
    rows = [
        (
            title_of(item.model), f"{item.n_patches:,}", f"{item.n_parameters:,}", f"{item.linear_macs / 1e9:.3f} G",
            f"{item.flops / 1e9:.2f} G", f"{item.seconds:.3g}", f"{item.peak_mib:.0f}",
            *(TABLE_7.get(item.model, ("", "")) if item.n_patches == 4096 else ("", "")),
        )
        for item in costs
    ]  # fmt: skip
    return ReportTable("Table 7: cost of a prediction", header, tuple(rows), NOTE)


def title_of(model: str) -> str:
    """As the paper prints it."""
    name = AMKD if model == AMKD_STUDENT else model
    return TITLES[name].title


def draw_cost(figure: Figure, costs: Sequence[Cost]) -> None:
    """Time and memory by the number of patches; AMKD stands out, and on top where lines coincide."""
    from matplotlib import colormaps
    from matplotlib.ticker import StrMethodFormatter

    names = list(dict.fromkeys(item.model for item in costs))
    others = [name for name in names if name != AMKD_STUDENT]
    colours = {name: colormaps["tab20"](place % 20) for place, name in enumerate(others)}
    panels = figure.subplots(1, 2)
    for axes, key, label in zip(
        panels, ("seconds", "peak_mib"), ("seconds a patient", "peak memory, MiB"), strict=True
    ):
        for place, name in enumerate(names):
            own = [item for item in costs if item.model == name]
            ours = name == AMKD_STUDENT
            axes.plot(
                [item.n_patches for item in own], [getattr(item, key) for item in own],
                "-" if ours or place % 2 else "--", marker="o", markersize=3, linewidth=2.4 if ours else 1.3,
                color="black" if ours else colours[name], zorder=3 if ours else 2, label=title_of(name),
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="patches", ylabel=label)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(alpha=0.25)
    panels[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
