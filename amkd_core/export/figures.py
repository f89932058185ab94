"""A prediction as a picture: the slide, its map with the most telling patches, and the survival curve."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amkd_core.atomic import atomic_path
from amkd_core.export.curve_figure import draw_curve
from amkd_core.export.figure_file import write_png
from amkd_core.export.fonts import fonts_of_all_scripts
from amkd_core.export.pictures import N_PATCHES, SlidePictures
from amkd_core.export.pseudonym import shown_name
from amkd_core.export.slide_frame import frame_of
from amkd_core.inference.maps import Heatmap, TopPatch, heatmap, top_patches
from amkd_core.inference.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec, SubplotSpec
    from matplotlib.image import AxesImage

COLOUR_MAP = "inferno"
BOX_COLOUR = "#00e5ff"
WARNING_COLOUR = "#8b1a1a"
DPI = 110
WIDTH_IN = 16.0
STRIP_IN = 2.1
MAP_WIDTH_IN = 5.1
# A box narrower than this share of the slide has no room for its number.
SMALL_BOX = 0.04


def write_figure(
    path: Path, prediction: Prediction, pictures: SlidePictures | None = None, *, identified: bool = True
) -> None:
    """Write the picture atomically as PNG.

    Parameters
    ----------
    pictures : SlidePictures, optional
        Without them the map is drawn on white; without places of the patches the curve stands alone.
    identified
        Name the slide; else a pseudonym.
    """
    from matplotlib.figure import Figure

    size = (WIDTH_IN, _height(prediction, pictures)) if prediction.has_map else (8.5, 6.5)
    with fonts_of_all_scripts(), atomic_path(path) as temporary:
        figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
        if prediction.has_map:
            _draw_mapped(figure, prediction, pictures)
        else:
            draw_curve(figure.add_subplot(), prediction)
        _write_title(figure, prediction, identified=identified)
        write_png(figure, temporary)


def map_height(prediction: Prediction, pictures: SlidePictures | None) -> float:
    """Height of a panel with the slide in inches, for a panel about five inches wide."""
    return float(np.clip(MAP_WIDTH_IN * frame_of(prediction, pictures).shape, 3.6, 9.5))


def _height(prediction: Prediction, pictures: SlidePictures | None) -> float:
    strip = STRIP_IN if pictures is not None and pictures.patches else 0.0
    return map_height(prediction, pictures) + strip + 2.0


def _draw_mapped(figure: Figure, prediction: Prediction, pictures: SlidePictures | None) -> None:
    patches = top_patches(prediction, N_PATCHES)
    if pictures is None:
        grid = figure.add_gridspec(
            2, 2, width_ratios=[1.3, 1], height_ratios=[map_height(prediction, None), 0.12]
        )
        draw_overlay(figure, grid, prediction, pictures)
        draw_curve(figure.add_subplot(grid[0, 1]), prediction)
        return
    heights = [map_height(prediction, pictures), 0.12, *([STRIP_IN - 0.2] if pictures.patches else [])]
    grid = figure.add_gridspec(len(heights), 3, width_ratios=[1, 1, 0.85], height_ratios=heights)
    slide = slide_panel(figure, grid[0, 0], prediction, pictures)
    slide.set_title("Slide", fontsize=11)
    draw_scale(slide, prediction)
    draw_overlay(figure, grid, prediction, pictures)
    draw_curve(figure.add_subplot(grid[0, 2]), prediction)
    if pictures.patches:
        draw_strip(figure, grid[2, :2], patches, pictures)
        _draw_table(figure.add_subplot(grid[2, 2]), patches, prediction)


def slide_panel(
    figure: Figure, place: SubplotSpec, prediction: Prediction, pictures: SlidePictures | None
) -> Axes:
    """Panel of the scanned area in level-0 pixels, y downwards, with the thumbnail when there is one."""
    axes = figure.add_subplot(place, anchor="N")
    frame = frame_of(prediction, pictures)
    (left, top), (width, height) = frame.corner, frame.size
    right, bottom = left + width, top + height
    if pictures is not None:
        axes.imshow(pictures.thumbnail, extent=(left, right, bottom, top), interpolation="antialiased")
    axes.set(xticks=[], yticks=[], xlim=(left, right), ylim=(bottom, top), aspect=frame.pixel_aspect)
    return axes


def draw_overlay(
    figure: Figure, grid: GridSpec, prediction: Prediction, pictures: SlidePictures | None
) -> None:
    """The map over the slide with its colour bar, in the second column, or the first without a slide."""
    column = 0 if pictures is None else 1
    axes = slide_panel(figure, grid[0, column], prediction, pictures)
    axes.set_title("What the model weighed, with the most telling patches", fontsize=11)
    image = draw_map(axes, heatmap(prediction), over_slide=pictures is not None)
    bar = figure.colorbar(image, cax=figure.add_subplot(grid[1, column]), orientation="horizontal")
    bar.set_label("gene-guided attention: percentile within the slide (no proof of cause)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    draw_boxes(axes, top_patches(prediction, N_PATCHES))


def draw_map(axes: Axes, shown: Heatmap, *, over_slide: bool) -> AxesImage:
    """A percentile map in its place on a panel of the slide; half transparent where a slide lies below."""
    rows, columns = shown.image.shape
    (x, y), (width, height) = shown.origin_level0, shown.cell_level0
    limits, aspect = (axes.get_xlim(), axes.get_ylim()), axes.get_aspect()
    image = axes.imshow(
        np.ma.masked_invalid(shown.image), extent=(x, x + columns * width, y + rows * height, y),
        cmap=COLOUR_MAP, vmin=0, vmax=100, alpha=0.6 if over_slide else 1.0, interpolation="nearest",
    )  # fmt: skip
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    axes.set_aspect(aspect)
    return image


def draw_boxes(axes: Axes, patches: tuple[TopPatch, ...]) -> None:
    """Outline patches on a panel of the slide, with their ranks."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    left, right = axes.get_xlim()
    for patch in patches:
        axes.add_patch(
            Rectangle(
                patch.xy_level0, *patch.size_level0, fill=False, edgecolor=BOX_COLOUR, linewidth=1.8,
                path_effects=[withStroke(linewidth=3.2, foreground="black")],
            )
        )  # fmt: skip
        _number_box(axes, patch, small=patch.size_level0[0] < SMALL_BOX * (right - left))


def _number_box(axes: Axes, patch: TopPatch, *, small: bool) -> None:
    """Write the rank into the box; of a small one beside it, each rank in a direction of its own."""
    from matplotlib.patheffects import withStroke

    angle = np.deg2rad(90 - 360 / N_PATCHES * (patch.rank - 1))
    offset = (22 * np.cos(angle), 22 * np.sin(angle)) if small else (3, -3)
    (x, y), (width, height) = patch.xy_level0, patch.size_level0
    line = {"arrowstyle": "-", "color": BOX_COLOUR, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate(
        str(patch.rank), (x + width / 2, y + height / 2) if small else (x, y), xytext=offset,
        textcoords="offset points", ha="center" if small else "left", va="center" if small else "top",
        color="white", fontsize=11, fontweight="bold", arrowprops=line if small else None,
        path_effects=[withStroke(linewidth=2.5, foreground="black")],
    )  # fmt: skip


def draw_scale(axes: Axes, prediction: Prediction) -> None:
    """Scale bar of a round length, about a fifth of a panel of the slide."""
    from matplotlib.patheffects import withStroke

    bag = prediction.bag
    if bag.slide_mpp is None or bag.slide_size_level0 is None:
        return
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    width_um = (right - left) * bag.slide_mpp[0]
    lengths = [step * 10.0**power for power in range(1, 5) for step in (1, 2, 5)]
    length_um = min(lengths, key=lambda length: abs(length - width_um / 5))
    width_px = length_um / bag.slide_mpp[0]
    x, y = left + 0.04 * (right - left), top + 0.965 * (bottom - top)
    seen_on_black = [withStroke(linewidth=5, foreground="white")]
    axes.plot(
        [x, x + width_px], [y, y], color="black", linewidth=3, solid_capstyle="butt", path_effects=seen_on_black
    )  # fmt: skip
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
    axes.annotate(
        label, (x + width_px / 2, y), xytext=(0, 5), textcoords="offset points", ha="center", fontsize=9, bbox=box
    )  # fmt: skip


def draw_strip(
    figure: Figure, place: SubplotSpec, patches: tuple[TopPatch, ...], pictures: SlidePictures
) -> None:
    """Draw the most telling patches beside each other, with their ranks."""
    cells = place.subgridspec(1, N_PATCHES)
    for index, (patch, pixels) in enumerate(zip(patches, pictures.patches, strict=True)):
        axes = figure.add_subplot(cells[0, index])
        axes.imshow(pixels, interpolation="antialiased")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color="#007c8a", linewidth=2)
        axes.set_title(f"{patch.rank}", fontsize=11, fontweight="bold", loc="left", pad=3)


def _draw_table(axes: Axes, patches: tuple[TopPatch, ...], prediction: Prediction) -> None:
    axes.set_axis_off()
    axes.set_title("Most telling patches", fontsize=11, loc="left")
    lines = ["#   x, y (level 0)      weight / mean"]
    for patch in patches:
        place = f"{patch.xy_level0[0]}, {patch.xy_level0[1]}"
        lines.append(f"{patch.rank}   {place:<18} {patch.score:10.2f}")
    size = prediction.bag.patch_size_px * prediction.bag.mpp
    lines.append(f"\neach {size:.0f} µm wide; {len(prediction.patch_scores):,} patches in all")
    axes.text(0, 0.98, "\n".join(lines), family="monospace", fontsize=9, va="top", transform=axes.transAxes)


def _write_title(figure: Figure, prediction: Prediction, *, identified: bool) -> None:
    cohort = prediction.cohort
    spread = ""
    if len(prediction.member_risks) > 1:
        spread = f" (models {prediction.member_risks.min():.2f} to {prediction.member_risks.max():.2f})"
    risk = (
        f"risk {prediction.risk:.2f}{spread}, higher than {prediction.risk_percentile:.0f} % of the "
        f"{cohort.size} training patients: {prediction.group_text} risk group"
    )
    synthetic = any(notice.code == "synthetic_bundle" for notice in prediction.notices)
    stamp = "RESEARCH USE ONLY" + (", SYNTHETIC MODEL" if synthetic else "")
    wide = figure.get_figwidth() > 10
    longest = 80 if wide else 50
    name = shown_name(prediction, identified=identified)
    name = name if len(name) <= longest else f"{name[:longest]}..."
    parts = [name, *([f"{risk}   |   {stamp}"] if wide else [*textwrap.wrap(risk, 70), stamp])]
    figure.suptitle("\n".join(parts), fontsize=13 if wide else 10.5, fontweight="bold", parse_math=False)
    sentences = " ".join(notice.sentence for notice in prediction.notices)
    lines = textwrap.wrap(sentences, 190 if wide else 95)
    figure.supxlabel("\n".join(lines), fontsize=9, color=WARNING_COLOUR, parse_math=False)
