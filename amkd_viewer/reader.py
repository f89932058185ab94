"""Slides as napari layers: lazy pyramids in micrometres; no slide is ever read whole."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from amkd_core.errors import SlideError
from amkd_core.file_names import SLIDE_SUFFIXES
from amkd_core.freed_memory import give_back_freed_memory
from amkd_core.private_names import private_logger
from amkd_core.slides import Slide, is_slide, open_slide, slide_pyramid
from amkd_core.slides.folders import slides_in
from amkd_core.slides.pyramid import SlidePyramid
from amkd_core.versions import require_versions
from amkd_viewer.slicing import slice_in_background
from amkd_viewer.steady_drawing import keep_drawing_steady

LayerData = tuple[Any, dict[str, Any], str]
PathOrPaths = str | Path | Sequence[str | Path]
SLIDE_KEY = "amkd"
"""Key of our entry in the metadata of every layer that we make."""

_MODEL = ".amkd"
_SLIDES_ALONE = SLIDE_SUFFIXES - {".tif", ".tiff"}
"""Endings that ordinary pictures do not have."""
_LET_GO_S = 1.0
"""By then the window has dropped the tiles and textures of a layer that was taken away."""

_log = private_logger(__name__)


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], Any] | None:
    """Give napari the reader of a slide or of a model, or None where `path` is neither.

    Only names and first bytes are looked at, so that a folder of ordinary pictures is left to others. A folder of
    slides is taken in order to say what to do with it: napari would only say that nobody reads it.
    """
    paths = _paths(path)
    if len(paths) == 1 and _is_model(paths[0]):
        return choose_model
    return read_slides if paths and all(is_slide(one) or _slides_of(one) for one in paths) else None


def read_slides(path: PathOrPaths) -> list[LayerData]:
    """Open slides as multiscale layers; the function that napari calls.

    Native readers run in a process of their own: a damaged file ends that process and not the window.

    Raises
    ------
    SlideError
        If a file looked like a slide but is none, or is damaged, or a folder holds other slides than one of DICOM; the
        sentence says how.
    ConfigError
        If a library that reads slides is too old to be safe with them.
    """
    require_versions()
    for one in _paths(path):
        if not is_slide(one) and (slides := _slides_of(one)):
            count = f"{len(slides)} slides" if len(slides) > 1 else "a slide"
            raise SlideError(
                f"{one} is a folder of {count} ({slides[0].name}{', …' if len(slides) > 1 else ''}); open single files "
                "of it, or choose it in Plugins > AMKD > Folder of slides to predict all."
            )
    return [slide_layer(open_slide(one, isolated=True)) for one in _paths(path)]


def choose_model(path: PathOrPaths) -> list[tuple[None]]:
    """Take a model file that was dropped on a window as the chosen one, and say so; it is no layer.

    The panel of predictions is docked where it is not, so that the choice is seen. As where a model is chosen there,
    the file is opened, and what is wrong with it told, when it is used.
    """
    import napari
    from napari.utils.notifications import show_info

    from amkd_viewer.wording import MODEL_CHOSEN

    (bundle_path,) = _paths(path)
    viewer = napari.current_viewer()
    if viewer is not None:
        dock, panel = viewer.window.add_plugin_dock_widget("amkd-viewer", "Predict survival risk")
        dock.show()
        dock.raise_()
        panel.bundle_path = bundle_path
        show_info(MODEL_CHOSEN.format(model=bundle_path.name))
    return [(None,)]


def slide_layer(slide: Slide, pyramid: SlidePyramid | None = None) -> LayerData:
    """Describe an open slide as a multiscale image layer.

    The layer is scaled to micrometres (y, x); where the slide does not tell its scale it stays in pixels, and the
    panels ask for it. The slide is closed when napari lets go of the layer.

    Parameters
    ----------
    slide
        Open, and owned by the layer from here on.
    pyramid
        Of this slide, where there is one whose coarsest level is read already: napari reads that in the GUI thread.
    """
    slice_in_background()
    keep_drawing_steady()
    pyramid = slide_pyramid(slide) if pyramid is None else pyramid
    # The pyramid lives exactly as long as the layer's data; the finalizer keeps the slide, not the pyramid.
    weakref.finalize(pyramid, _close_aside, slide)
    info = slide.info
    options: dict[str, Any] = {
        "name": info.slide_id,
        "rgb": True,
        "multiscale": True,
        "contrast_limits": (0, 255),
        "metadata": {SLIDE_KEY: {"role": "slide", "fingerprint": info.fingerprint, "info": info}},
        **pixel_geometry(None if info.microns is None else (info.microns.x, info.microns.y)),
    }
    if info.microns is None:
        _log.warning("%s does not tell its micrometres per pixel; it is shown in pixels", info.path)
    return list(pyramid), options, "image"


def pixel_geometry(mpp: tuple[float, float] | None) -> dict[str, Any]:
    """Give napari's `scale` and `units` of level-0 pixels of (x, y) micrometres; of plain pixels for None."""
    if mpp is None:
        return {"scale": (1.0, 1.0), "units": ("pixel", "pixel")}
    return {"scale": (mpp[1], mpp[0]), "units": ("um", "um")}


def demo_slide() -> list[LayerData]:
    """Open the synthetic demo slide; it is drawn at first use and kept in the user's cache."""
    from amkd_core.inference.demo import demo_slide_path

    return read_slides(demo_slide_path())


def _is_model(path: Path) -> bool:
    return path.suffix.lower() == _MODEL and path.is_file()


def _slides_of(folder: Path) -> list[Path]:
    """Slides in a folder; none where all that it holds may be ordinary pictures."""
    try:
        named = folder.is_dir() and any(path.suffix.lower() in _SLIDES_ALONE for path in folder.iterdir())
        return [path for path in slides_in(folder) if is_slide(path)] if named else []
    except OSError:
        return []


def _close_aside(slide: Slide) -> None:
    """Close a slide without waiting: its process takes up to 0.2 s to end, and the window would stand still."""
    try:
        threading.Thread(target=_close, args=(slide,), name="amkd-closing", daemon=True).start()
    except RuntimeError:
        # The interpreter ends and starts no thread any more.
        slide.close()


def _close(slide: Slide) -> None:
    """Close, and give back once more what the window lets go of a moment later."""
    slide.close()
    time.sleep(_LET_GO_S)
    give_back_freed_memory()


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
