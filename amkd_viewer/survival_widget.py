"""The predicted survival curve on those of the training cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QSizePolicy, QWidget

from amkd_viewer.colours import WindowColours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from amkd_core.inference.prediction import Prediction

_FONT_PT = 8.5


class SurvivalPlot(FigureCanvasQTAgg):
    """Kaplan-Meier curves of the training cohort's risk groups with 95 % bands, and the patient's curve."""

    def __init__(self, colours: WindowColours, parent: QWidget | None = None) -> None:
        super().__init__(Figure(layout="constrained"))
        self.setParent(parent)
        self._colours = colours
        self._prediction: Prediction | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(self.sizeHint().height())

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return a size that keeps labels and legend readable in a narrow dock."""
        return QSize(340, 240)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return a width below which the legend would cover the curves."""
        return QSize(260, 240)

    def show_prediction(self, prediction: Prediction) -> None:
        """Draw the curve of a prediction."""
        self._prediction = prediction
        self._redraw()

    def set_colours(self, colours: WindowColours) -> None:
        """Follow the window's theme."""
        self._colours = colours
        if self._prediction is not None:
            self._redraw()

    def _redraw(self) -> None:
        self.figure.clear()
        self.figure.set_facecolor(self._colours.background)
        axes = self.figure.add_subplot()
        if self._prediction is not None:
            self._draw_cohort(axes, self._prediction)
            curve = self._prediction.curve
            axes.plot(
                curve.time_months, curve.survival, color=self._colours.text, linewidth=2.2, label="this slide"
            )
        self._dress(axes)
        self.draw_idle()

    def _draw_cohort(self, axes: Axes, prediction: Prediction) -> None:
        for group, colour in (("low", self._colours.low), ("high", self._colours.high)):
            table = prediction.cohort.kaplan_meier.get(group)
            if table is None:
                continue
            axes.fill_between(
                table.time, table.lower, table.upper, step="post", color=colour, alpha=0.18, linewidth=0
            )
            axes.step(
                table.time, table.survival, where="post", color=colour, linewidth=1.3, label=f"{group} risk"
            )

    def _dress(self, axes: Axes) -> None:
        axes.set_facecolor(self._colours.background)
        axes.set_ylim(0, 1.02)
        axes.set_xlim(left=0)
        axes.margins(x=0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("months", fontsize=_FONT_PT, color=self._colours.text)
        axes.set_ylabel("survival", fontsize=_FONT_PT, color=self._colours.text)
        axes.tick_params(labelsize=_FONT_PT, colors=self._colours.text)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(self._colours.text)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=_FONT_PT, frameon=False, labelcolor=self._colours.text, loc="upper right")
