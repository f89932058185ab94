"""A fault of napari and vispy that ends the whole process when layers go, mended for this process; no Qt.

When a layer goes, napari has its canvas carry out what is left to be done, in whichever drawing context was the current
one: Qt's own, another canvas's of maps side by side, another window's. Programs and textures are taken away there, and
what the graphics driver frees with them the next drawing needs: with Mesa's software driver a layer of shapes that is
taken away soon after it came is enough, with no plugin of ours.
"""

from __future__ import annotations

import functools
from typing import Any

from amkd_core.private_names import private_logger

_log = private_logger(__name__)


@functools.cache
def keep_drawing_steady() -> None:
    """Have each canvas carry out its commands in its own context, for the rest of this process; once is enough."""
    try:
        from vispy.gloo.context import GLContext

        flush = GLContext.flush_commands
    except (ImportError, AttributeError):
        # A version that does it elsewhere may do it well.
        _log.debug("vispy draws in whichever context is current, as it ever did", exc_info=True)
        return

    def in_its_own(context: Any, event: Any = None) -> None:
        native = _native_of(context)
        if native is None:
            flush(context, event)
        elif native.isValid():
            own = native.context()
            current = own.currentContext()
            if current is own:
                flush(context, event)
                return
            native.makeCurrent()
            try:
                flush(context, event)
            finally:
                # Another canvas may be in the middle of drawing.
                if current is None:
                    native.doneCurrent()
                else:
                    current.makeCurrent(current.surface())
        # A canvas that was never shown has no context yet; its commands wait for it.

    GLContext.flush_commands = in_its_own


def _native_of(context: Any) -> Any:
    """The widget of Qt that a context of vispy draws in; None where it draws in none."""
    try:
        native = context.shared.ref
    except RuntimeError:
        return None
    return native if hasattr(native, "makeCurrent") else None
