"""A figure as PNG, drawn once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_png(figure: Figure, path: Path, dpi: float | None = None) -> None:
    """Lay a figure out and draw it; `Figure.savefig` draws it twice, the first time to lay out.

    Parameters
    ----------
    dpi
        In place of the figure's own.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if dpi is not None:
        figure.dpi = dpi
    layout = figure.get_layout_engine()
    if layout is not None and figure.axes:
        layout.execute(figure)
        figure.set_layout_engine("none")
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": "AMKD Viewer"})
