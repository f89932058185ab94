"""A slide on the screen with its prediction, and pictures of that; behind ``amkd view`` and ``amkd demo``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.atomic import atomic_path
from amkd_core.private_names import private_logger
from amkd_viewer.waiting import settle, wait_until

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from amkd_viewer.predict_widget import PredictWidget

PANEL = "Predict survival risk"
_PLUGIN = "amkd-viewer"
_log = private_logger(__name__)


def view(
    slide: Path | str | None = None,
    bundle: Path | str | None = None,
    *,
    mpp: float | tuple[float, float] | None = None,
    run: bool = True,
    block: bool = True,
) -> Viewer:
    """Open napari with a slide and the prediction panel.

    Parameters
    ----------
    slide
        File or folder; without it the panel waits for one.
    bundle
        Model bundle; by default the demo's.
    mpp
        Micrometres per pixel, one number or (x, y); overrules what the slide records.
    run
        Start predicting as soon as the slide is there.
    block
        Return only when the window is closed.

    Returns
    -------
    napari.Viewer
    """
    viewer, panel = _open_window(bundle)
    if slide is not None:
        panel.open_slide(slide, mpp=mpp, run=run)
    if block:
        import napari

        napari.run()
    return viewer


def screenshot(
    slide: Path | str,
    bundle: Path | str | None,
    out_png: Path | str,
    *,
    mpp: float | tuple[float, float] | None = None,
    size_px: tuple[int, int] = (1600, 1000),
    timeout_s: float = 300.0,
) -> Path:
    """Open the real window, predict through the panel, save a picture of the whole window, and close it.

    Parameters
    ----------
    slide, bundle, mpp
        As for `view`.
    out_png
        Where the picture goes; written atomically.
    size_px
        (width, height) of the window.
    timeout_s
        Most time that opening and predicting may take.

    Returns
    -------
    Path
        Of the picture.

    Raises
    ------
    AmkdError
        What went wrong, in the panel's own sentence.
    TimeoutError
        If the result is not there in time.
    """
    viewer, panel = _open_window(bundle)
    from napari.utils.notifications import notification_manager

    try:
        # As under napari.run: an error in a slot becomes a notification and not the end of the process.
        with notification_manager:
            viewer.window.resize(*size_px)
            panel.open_slide(slide, mpp=mpp, run=True)
            wait_until(lambda: panel.outcome is not None, timeout_s, f"the prediction of {slide}")
            if isinstance(panel.outcome, BaseException):
                raise panel.outcome
            settle(viewer, timeout_s)
            return _save(viewer, Path(out_png))
    finally:
        panel.session.close()
        viewer.close()


def _open_window(bundle: Path | str | None) -> tuple[Viewer, PredictWidget]:
    # Read by napari as it is imported; see amkd_viewer.slicing for what it is for.
    os.environ.setdefault("NAPARI_ASYNC", "1")
    import napari

    from amkd_core.slides.isolate import keep_reader_ready
    from amkd_viewer.rehearsal import rehearse
    from amkd_viewer.warm_up import keep_loaded, warm_up_layers, warm_up_prediction

    keep_reader_ready()
    # Better before there is a window than while it is being looked at.
    warm_up_layers()
    warm_up_prediction()

    viewer = napari.Viewer(title="AMKD Viewer", show=False)
    rehearse(viewer)
    viewer.show()
    _, panel = viewer.window.add_plugin_dock_widget(_PLUGIN, PANEL)
    if bundle is not None:
        panel.bundle_path = Path(bundle)
    keep_loaded()
    return viewer, panel


def _save(viewer: Viewer, out_png: Path) -> Path:
    from PIL import Image

    out_png.parent.mkdir(parents=True, exist_ok=True)
    picture = viewer.window.screenshot(canvas_only=False, flash=False)
    with atomic_path(out_png) as temporary:
        Image.fromarray(picture[..., :3]).save(temporary, format="PNG")
    _log.info("window saved, %d x %d pixels", *picture.shape[1::-1])
    return out_png
