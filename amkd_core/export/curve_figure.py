"""The predicted survival curve beside the training cohort's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_core.inference.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUP_COLOURS = {"low": "#2166ac", "high": "#b2182b"}


def draw_curve(axes: Axes, prediction: Prediction) -> None:
    """Draw the curve, and Kaplan-Meier curves of the cohort's risk groups with their 95 % bands."""
    for group, colour in GROUP_COLOURS.items():
        curve = prediction.cohort.kaplan_meier[group]
        label = f"training cohort, {group} risk"
        axes.step(curve.time, curve.survival, where="post", color=colour, linewidth=1.2, label=label)
        axes.fill_between(
            curve.time, curve.lower, curve.upper, step="post", color=colour, alpha=0.15, linewidth=0
        )
    curve_of_slide = prediction.curve
    axes.plot(
        curve_of_slide.time_months, curve_of_slide.survival, color="black", linewidth=2.4, label="this slide"
    )
    axes.set(xlabel="months", ylabel="probability of survival", ylim=(0, 1.02))
    axes.set_title("Predicted survival", fontsize=11)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
