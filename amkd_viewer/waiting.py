"""Waiting for something while the window lives; for code that drives a window itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer

_SETTLED_S = 0.6


def settle(viewer: Viewer, timeout_s: float = 60.0) -> None:
    """Process events until every visible layer is drawn at its final resolution."""
    quiet_since = time.monotonic()

    def settled() -> bool:
        nonlocal quiet_since
        if not all(layer.loaded for layer in viewer.layers if layer.visible):
            quiet_since = time.monotonic()
        return time.monotonic() - quiet_since > _SETTLED_S

    wait_until(settled, timeout_s, "drawing")


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Let the window live until a condition holds.

    Raises
    ------
    TimeoutError
        If that takes too long; `what` names it.
    """
    from napari.qt import get_qapp

    app: Any = get_qapp()
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {timeout_s:.0f} s")
        app.processEvents()
        time.sleep(0.01)
    app.processEvents()
