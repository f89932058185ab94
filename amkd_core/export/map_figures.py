"""One slide under several maps: teacher's beside student's with the patches they share, and single pathways'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.export.explain_figures import readable
from amkd_core.export.figures import draw_boxes, draw_map, draw_scale, slide_panel
from amkd_core.export.pictures import N_PATCHES, SlidePictures
from amkd_core.inference.maps import TopPatch, agreement, heatmap, top_patches
from amkd_core.inference.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.image import AxesImage

Patches = Mapping[str, Sequence[NDArray[np.uint8]]]

SHARED, OWN = "#d95f02", "#8a8a8a"
TITLES = {
    "teacher": "Teacher (slide and expression):\nco-attention of the pathways",
    "student": "Student (slide alone):\nlearned weights",
}
BAR_TITLE = "percentile within the slide (no proof of cause)"


def draw_comparison(
    figure: Figure,
    prediction: Prediction,
    pictures: SlidePictures | None,
    patches: Patches,
    *,
    title: str,
) -> None:
    """Teacher's map above the student's, the top five patches of each, and lines between those they share (figure 3).

    Parameters
    ----------
    prediction
        With the teacher's part.
    pictures
        The slide below the maps; white without.
    patches
        Pixels of the top patches of "teacher" and "student"; without them the maps stand alone.
    title
        Whose slide it is, and what became of the patient.
    """
    with_patches = all(patches.get(source) for source in TITLES)
    columns = 2 + (N_PATCHES if with_patches else 0)
    grid = figure.add_gridspec(
        3, columns, width_ratios=[2.2, 2.2, *[1] * (columns - 2)], height_ratios=[1, 1, 0.05]
    )
    slide = slide_panel(figure, grid[:2, 0], prediction, pictures)
    slide.set_title(f"(a) {title}", fontsize=10, loc="left", parse_math=False)
    draw_scale(slide, prediction)
    strips: list[list[Axes]] = []
    tops: list[tuple[TopPatch, ...]] = []
    for row, source in enumerate(TITLES):
        axes = slide_panel(figure, grid[row, 1], prediction, pictures)
        axes.set_title(f"({'bc'[row]}) {TITLES[source]}", fontsize=10, loc="left")
        image = draw_map(axes, heatmap(prediction, source=source), over_slide=pictures is not None)
        tops.append(top_patches(prediction, N_PATCHES, source=source))
        draw_boxes(axes, tops[-1])
        if with_patches:
            strips.append(
                _strip(figure, [grid[row, 2 + place] for place in range(N_PATCHES)], patches[source])
            )
    _colour_bar(figure, image, grid[2, 1])
    if with_patches:
        _join(figure, strips, tops)
    figure.supxlabel(_agreement_text(prediction), fontsize=9)


def draw_pathway_maps(
    figure: Figure,
    prediction: Prediction,
    pictures: SlidePictures | None,
    shown: Sequence[tuple[str, str]],
    *,
    title: str,
) -> None:
    """The slide, and beside it the maps of single pathways on one scale (figure 5).

    Parameters
    ----------
    shown
        (pathway, what it is), as in ("GLYPICAN_PATHWAY", "most attended").
    """
    grid = figure.add_gridspec(2, 1 + len(shown), height_ratios=[1, 0.04])
    slide = slide_panel(figure, grid[0, 0], prediction, pictures)
    slide.set_title(f"(a) {title}", fontsize=10, loc="left", parse_math=False)
    draw_scale(slide, prediction)
    for column, (pathway, what) in enumerate(shown, start=1):
        axes = slide_panel(figure, grid[0, column], prediction, pictures)
        axes.set_title(
            f"({'abcdefgh'[column]}) {readable(pathway)}\n{what}", fontsize=10, loc="left", parse_math=False
        )
        image = draw_map(axes, heatmap(prediction, source=pathway), over_slide=pictures is not None)
    _colour_bar(figure, image, grid[1, 1:])


def _strip(figure: Figure, places: Sequence[SubplotSpec], pixels: Sequence[NDArray[np.uint8]]) -> list[Axes]:
    strip = []
    for rank, (place, patch) in enumerate(zip(places, pixels, strict=False), start=1):
        axes = figure.add_subplot(place)
        axes.imshow(patch, interpolation="antialiased")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"Top {rank}", fontsize=9, pad=3)
        axes.spines[:].set(color=OWN, linewidth=1.2)
        strip.append(axes)
    return strip


def _join(figure: Figure, strips: Sequence[Sequence[Axes]], tops: Sequence[Sequence[TopPatch]]) -> None:
    """Frame the patches that both maps put into their top five, and draw a line between the two places."""
    from matplotlib.patches import ConnectionPatch

    places = {patch.row: index for index, patch in enumerate(tops[1])}
    for index, patch in enumerate(tops[0]):
        if patch.row not in places:
            continue
        ends = strips[0][index], strips[1][places[patch.row]]
        for axes in ends:
            axes.spines[:].set(color=SHARED, linewidth=2.5)
        figure.add_artist(
            ConnectionPatch(
                (0.5, 0), (0.5, 1.0), "axes fraction", "axes fraction", axesA=ends[0], axesB=ends[1],
                color=SHARED, linewidth=1.8, shrinkB=14,
            )
        )  # fmt: skip


def _colour_bar(figure: Figure, image: AxesImage, place: SubplotSpec) -> None:
    bar = figure.colorbar(image, cax=figure.add_subplot(place), orientation="horizontal")
    bar.set_label(BAR_TITLE, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _agreement_text(prediction: Prediction) -> str:
    if prediction.teacher is None:
        return ""
    both = agreement(prediction.patch_scores, prediction.teacher.patch_scores)
    share = f"{100 * both.top5_percent:.0f} % of the top 5 %"
    return (
        f"Agreement of the two maps: {both.rho_text}; {both.top5} of the top five and {share} of "
        f"{len(prediction.patch_scores):,} patches in common."
    )
