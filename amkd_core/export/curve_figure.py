"""The predicted survival curve beside the training cohort's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_core.inference.prediction import Prediction
from amkd_core.inference.survival_summary import told_and_drawn_on, told_until

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUP_COLOURS = {"low": "#0072B2", "high": "#D55E00"}
"""Blue and vermilion of Okabe and Ito's palette, told apart with any colour vision; the window's, too."""
GROUP_LINES = {"low": "-", "high": "-."}
"""By which the groups are told apart without colours; a patient's own curve is dashed."""


def draw_curve(axes: Axes, prediction: Prediction) -> None:
    """Draw the curve, and Kaplan-Meier curves of the cohort's risk groups with their 95 % bands."""
    for group, colour in GROUP_COLOURS.items():
        curve = prediction.cohort.kaplan_meier[group]
        label = f"training cohort, {group} risk"
        axes.step(
            curve.time, curve.survival, where="post", color=colour, linewidth=1.2,
            linestyle=GROUP_LINES[group], label=label,
        )  # fmt: skip
        axes.fill_between(
            curve.time, curve.lower, curve.upper, step="post", color=colour, alpha=0.15, linewidth=0
        )
    words = prediction.cohort.words
    told, drawn_on = told_and_drawn_on(prediction)
    axes.plot(told.time_months, told.survival, color="black", linewidth=2.4, label=prediction.subject)
    axes.plot(
        drawn_on.time_months,
        drawn_on.survival,
        color="black",
        linewidth=1.4,
        linestyle=(0, (4, 3)),
        label=f"from {told_until(prediction):.0f} months on: shaped as the cohort's",
    )
    axes.set(xlabel="months", ylabel=f"probability of {words.free}", ylim=(0, 1.02))
    axes.set_title(f"Predicted {words.name}", fontsize=11)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
