"""Asynchronous slicing, without which every pan over a slide would stop the window; asked for as soon as may be."""

from __future__ import annotations

import os
import weakref
from typing import Any

from amkd_core.private_names import private_logger

_log = private_logger(__name__)
_asks_sooner: weakref.WeakSet[Any] = weakref.WeakSet()


def slice_in_background() -> None:
    """Let napari read pixels off the GUI thread for the rest of this session.

    napari 0.9.2 calls this experimental and leaves it off. Over a slide it is the difference between stalls of 300 to
    500 ms at every pan and stalls below 100 ms, and with PyQt6 it ran without a fault. It is set as the environment
    variable ``NAPARI_ASYNC`` would set it: napari writes changed settings to the user's preferences, except those
    that came from the environment, so what we choose for a session never outlives it. A user who set ``NAPARI_ASYNC``
    or the preference "Render Layers Asynchronously" himself is left alone.
    """
    if "NAPARI_ASYNC" in os.environ:
        return
    from napari.settings import get_settings

    settings = get_settings()
    if settings.experimental.async_:
        return
    settings.env_settings.setdefault("experimental", {})["async_"] = True
    settings.experimental.async_ = True
    _log.debug("asynchronous slicing is on for this session")


def slice_before_drawing(canvas: Any) -> None:
    """Have a canvas of napari ask for the pixels of a new view before it draws that view of those at hand.

    napari asks after that drawing, which takes some 35 ms where the processor draws: tiles are read meanwhile now, and
    the view is complete sooner. What a change of view does to scale bar and camera is done before it as well. Asking
    once more after the drawing, as napari does, finds nothing left to ask for.

    Parameters
    ----------
    canvas
        napari's `VispyCanvas`; None, or one of a version that draws in another way, is left alone.
    """
    if canvas is None or canvas in _asks_sooner:
        return
    try:
        drawing, _ = canvas._scene_canvas.events.draw, canvas.on_draw
    except AttributeError:
        _log.debug("napari asks for pixels after it has drawn, as it ever did", exc_info=True)
        return
    held = weakref.ref(canvas)

    def ask(event: Any) -> None:
        own = held()
        if own is not None:
            own.on_draw(event)

    drawing.connect(ask, position="first")
    _asks_sooner.add(canvas)


def canvas_of(viewer: Any) -> Any:
    """The canvas of a window of napari; None where it has no window."""
    return getattr(getattr(getattr(viewer, "window", None), "_qt_viewer", None), "canvas", None)
