"""Asynchronous slicing, without which every pan over a slide would stop the window."""

from __future__ import annotations

import os

from amkd_core.private_names import private_logger

_log = private_logger(__name__)


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
