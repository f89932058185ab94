"""A prediction as a picture: the slide, its map with the most telling patches, and the survival curve."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import atomic_path
from amkd_core.inference.maps import Heatmap, TopPatch, heatmap, top_patches
from amkd_core.inference.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR_MAP = "inferno"
GROUP_COLOURS = {"low": "#2166ac", "high": "#b2182b"}
DPI = 110


def write_figure(path: Path, prediction: Prediction, thumbnail: NDArray[np.uint8] | None) -> None:
    """Write the picture atomically as PNG.

    Parameters
    ----------
    thumbnail : array, shape (rows, columns, 3), uint8, optional
        Of the whole slide; without it, or without coordinates, the picture holds the curve alone.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mapped = thumbnail is not None and prediction.bag.has_map and prediction.bag.slide_size_level0 is not None
    if thumbnail is None or not mapped:
        figure = Figure(figsize=(7.5, 5.5), layout="constrained")
        FigureCanvasAgg(figure)
        _draw_curve(figure.subplots(), prediction)
    else:
        figure = _mapped_figure(prediction, thumbnail)
    _title(figure, prediction)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, metadata={"Software": "AMKD Viewer"})


def _mapped_figure(prediction: Prediction, thumbnail: NDArray[np.uint8]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    aspect = thumbnail.shape[0] / thumbnail.shape[1]
    height = float(np.clip(5.2 * aspect, 3.4, 9.0)) + 1.6
    figure = Figure(figsize=(16, height), layout="constrained")
    FigureCanvasAgg(figure)
    slide, overlay, curve = figure.subplots(1, 3, width_ratios=[1, 1, 0.85])
    shown = heatmap(prediction)
    size = prediction.bag.slide_size_level0 or (thumbnail.shape[1], thumbnail.shape[0])
    extent = (0.0, float(size[0]), float(size[1]), 0.0)
    for axes, title in ((slide, "Slide"), (overlay, "Gene-guided attention, percentile within the slide")):
        axes.imshow(thumbnail, extent=extent, interpolation="bilinear")
        axes.set(xticks=[], yticks=[], title=title)
    _draw_heatmap(figure, overlay, shown)
    _draw_boxes(overlay, top_patches(prediction))
    _draw_scale(slide, prediction)
    _draw_curve(curve, prediction)
    return figure


def _draw_heatmap(figure: Figure, axes: Axes, shown: Heatmap) -> None:
    rows, columns = shown.image.shape
    (x, y), (width, height) = shown.origin_level0, shown.cell_level0
    extent = (x, x + columns * width, y + rows * height, y)
    limits = axes.get_xlim(), axes.get_ylim()
    image = axes.imshow(
        np.ma.masked_invalid(shown.image), extent=extent, cmap=COLOUR_MAP, vmin=0, vmax=100, alpha=0.55,
        interpolation="nearest",
    )  # fmt: skip
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.6, pad=0.02)
    bar.set_label("percentile")


def _draw_boxes(axes: Axes, patches: tuple[TopPatch, ...]) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    for patch in patches:
        box = Rectangle(patch.xy_level0, *patch.size_level0, fill=False, edgecolor="#00e5ff", linewidth=1.6)
        axes.add_patch(box)
        corner = (patch.xy_level0[0] + patch.size_level0[0], patch.xy_level0[1])
        axes.annotate(
            str(patch.rank), corner, xytext=(2, 2), textcoords="offset points", color="white", fontsize=11,
            fontweight="bold", path_effects=[withStroke(linewidth=2.5, foreground="black")], annotation_clip=True,
        )  # fmt: skip


def _draw_scale(axes: Axes, prediction: Prediction) -> None:
    """Scale bar of a round length, about a fifth of the slide."""
    bag = prediction.bag
    if bag.slide_mpp is None or bag.slide_size_level0 is None:
        return
    width_um = bag.slide_size_level0[0] * bag.slide_mpp[0]
    lengths = [step * 10.0**power for power in range(1, 5) for step in (1, 2, 5)]
    length_um = min(lengths, key=lambda length: abs(length - width_um / 5))
    width_px = length_um / bag.slide_mpp[0]
    x, y = 0.04 * bag.slide_size_level0[0], 0.96 * bag.slide_size_level0[1]
    axes.plot([x, x + width_px], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} um"
    axes.annotate(
        label, (x + width_px / 2, y), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=9
    )


def _draw_curve(axes: Axes, prediction: Prediction) -> None:
    for group, colour in GROUP_COLOURS.items():
        curve = prediction.cohort.kaplan_meier[group]
        axes.step(
            curve.time,
            curve.survival,
            where="post",
            color=colour,
            linewidth=1.2,
            label=f"cohort, {group} risk",
        )
        axes.fill_between(
            curve.time, curve.lower, curve.upper, step="post", color=colour, alpha=0.15, linewidth=0
        )
    axes.plot(
        prediction.curve.time_months,
        prediction.curve.survival,
        color="black",
        linewidth=2.2,
        label="this slide",
    )
    axes.set(xlabel="months", ylabel="probability of survival", ylim=(0, 1.02), title="Predicted survival")
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def _title(figure: Figure, prediction: Prediction) -> None:
    cohort = prediction.cohort
    first = (
        f"{prediction.slide_id}: risk {prediction.risk:.2f}, higher than {prediction.risk_percentile:.0f} % of the "
        f"{cohort.size} training patients ({prediction.risk_group} risk group)"
    )
    figure.suptitle(first, fontsize=13, fontweight="bold")
    sentences = " ".join(notice.sentence for notice in prediction.notices)
    style: dict[str, Any] = {"fontsize": 9, "color": "#7a1f1f"}
    width = 190 if figure.get_figwidth() > 10 else 95
    figure.supxlabel("\n".join(textwrap.wrap(sentences, width)), **style)
