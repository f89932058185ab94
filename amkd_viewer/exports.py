"""Files that the export panel writes, through the core's writers; no Qt, called off the GUI thread."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.errors import SlideError
from amkd_core.file_names import safe_file_name
from amkd_viewer.wording import curve_words, scope_words

if TYPE_CHECKING:
    from amkd_core.export.pictures import SlidePictures
    from amkd_core.inference.prediction import Prediction
    from amkd_core.slides import SlideInfo

KINDS = {
    "geojson": "Patches for QuPath (GeoJSON)",
    "tiff": "Map aligned to the slide (OME-TIFF)",
    "scores": "Scores of all patches (CSV)",
    "curve_png": "Survival curve (PNG)",
    "curve_svg": "Survival curve (SVG)",
    "curve_csv": "Survival curve (CSV)",
    "figure": "Slide, map and patches (PNG)",
    "report_pdf": "Report (PDF)",
    "report_html": "Report (HTML)",
}
_WITH_PICTURES = frozenset({"figure", "report_pdf", "report_html"})
_CURVE_IN = (7.0, 5.0)
_MODEL_DIGITS = 8
_REGION_DIGITS = 6


@dataclass(frozen=True)
class ExportOrder:
    """What to write, and where.

    Attributes
    ----------
    folder
        It is made where it is missing.
    kinds
        Keys of `KINDS`.
    source
        Map that goes into GeoJSON and OME-TIFF.
    n_top
        Patches that are annotated.
    identified
        Name the slide instead of a pseudonym.
    info, mpp
        Of the slide that is shown, and the scale that the user gave.
    """

    folder: Path
    kinds: tuple[str, ...]
    source: str
    n_top: int
    identified: bool
    info: SlideInfo
    mpp: tuple[float, float] | None = None


def write_all(order: ExportOrder, prediction: Prediction) -> list[str]:
    """Write everything and return the files' names.

    Raises
    ------
    AmkdError
        When the slide was replaced or taken away since it was opened, or the prediction has no such map.
    OSError
        When the disk is full or the folder not writable.
    """
    from amkd_core.export.pseudonym import shown_name

    order.folder.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(order, prediction) if _WITH_PICTURES & set(order.kinds) else None
    name = safe_file_name(shown_name(prediction, identified=order.identified))
    stem = f"{name}{_model_of(prediction)}{scope_of(prediction)}"
    written = []
    for kind in order.kinds:
        path = order.folder / f"{stem}{_suffix(kind, order.source)}"
        _write(kind, path, order, prediction, pictures)
        written.append(path.name)
    return written


def scope_of(prediction: Prediction) -> str:
    """End of a file's name where a result is of more or less than the slide: beside the slide's own it stays apart.

    A region bears the beginning of a hash of what was drawn, so that two regions of a slide stay apart as well.
    """
    scope = "".join(f"-{word}" for word in scope_words(prediction))
    drawn = prediction.provenance.get("region")
    if drawn is None:
        return scope
    return (
        f"{scope}-{hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:_REGION_DIGITS]}"
    )


def _model_of(prediction: Prediction) -> str:
    """Part of a file's name that tells the results of two models apart, which may be called alike.

    The beginning of the model file's hash, as panel and report show it; empty where the model was never saved.
    """
    digest = str(prediction.provenance["bundle"]["sha256"] or "")[:_MODEL_DIGITS]
    return f"-{digest}" if digest else ""


def _suffix(kind: str, source: str) -> str:
    source = safe_file_name(source)  # a pathway's name may hold a slash
    return {
        "geojson": f"-{source}.geojson",
        "tiff": f"-{source}.ome.tif",
        "scores": "-scores.csv",
        "curve_png": "-survival.png",
        "curve_svg": "-survival.svg",
        "curve_csv": "-survival.csv",
        "figure": "-figure.png",
        "report_pdf": "-report.pdf",
        "report_html": "-report.html",
    }[kind]


def _write(
    kind: str, path: Path, order: ExportOrder, prediction: Prediction, pictures: SlidePictures | None
) -> None:
    bounds_xy = (order.info.bounds.x, order.info.bounds.y)
    if kind == "geojson":
        from amkd_core.export.geojson import write_geojson

        write_geojson(
            path,
            prediction,
            bounds_xy=bounds_xy,
            n_top=order.n_top,
            source=order.source,
            identified=order.identified,
        )
    elif kind == "tiff":
        from amkd_core.export.ome_tiff import write_heatmap_tiff

        write_heatmap_tiff(
            path, prediction, source=order.source, bounds_xy=bounds_xy, identified=order.identified
        )
    elif kind == "scores":
        from amkd_core.export.scores import write_scores_csv

        write_scores_csv(path, prediction)
    elif kind.startswith("curve"):
        from amkd_viewer.plot_foot import with_words
        from amkd_viewer.plots import draw_survival, survival_table, write_plot

        draw = with_words(partial(draw_survival, prediction=prediction), curve_words(prediction))
        write_plot(path, draw, survival_table(prediction), _CURVE_IN)
    elif kind == "figure":
        from amkd_core.export.figures import write_figure

        write_figure(path, prediction, pictures, identified=order.identified)
    else:
        from amkd_core.export.prediction_report import write_report

        write_report(path, prediction, pictures, identified=order.identified)


def _pictures(order: ExportOrder, prediction: Prediction) -> SlidePictures:
    from amkd_core.export.pictures import read_pictures
    from amkd_core.slides import open_slide

    info = order.info
    with open_slide(info.path, mpp=order.mpp, scene=info.scene, isolated=True) as slide:
        if slide.info.fingerprint != info.fingerprint:
            raise SlideError(
                f"{info.path.name} was replaced since it was opened here; open it again before its pixels are exported."
            )
        return read_pictures(slide, prediction)
