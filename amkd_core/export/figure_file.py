"""A figure laid out and drawn once, which `Figure.savefig` does twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def lay_out(figure: Figure) -> None:
    """Work a figure's layout out and keep it; without axes there is none."""
    layout = figure.get_layout_engine()
    if layout is not None and figure.axes:
        layout.execute(figure)
    figure.set_layout_engine("none")


def write_png(figure: Figure, path: Path, dpi: float | None = None) -> None:
    """Lay a figure out and draw it.

    Parameters
    ----------
    dpi
        In place of the figure's own.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if dpi is not None:
        figure.dpi = dpi
    lay_out(figure)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": "AMKD Viewer"})
