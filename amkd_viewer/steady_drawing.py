"""A fault of vispy 0.17 that ends the whole process when layers go, mended for this process; no Qt.

vispy deletes programs of the graphics driver that are still the ones in use. Mesa's software driver frees what the next
drawing needs with them, and a layer of shapes that is taken away soon after it came is enough: napari crashed within
seconds, with no plugin of ours in it.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

_log = logging.getLogger(__name__)


@functools.cache
def keep_drawing_steady() -> None:
    """Have vispy leave a program before it deletes it, for the rest of this process; once is enough."""
    try:
        from vispy.gloo.glir import GlirProgram

        delete, leave = GlirProgram.delete, GlirProgram.deactivate
    except (ImportError, AttributeError):
        # A version that keeps its programs elsewhere may do without.
        _log.debug("vispy deletes its programs as it ever did", exc_info=True)
        return

    def left_and_deleted(program: Any) -> None:
        leave(program)
        delete(program)

    GlirProgram.delete = left_and_deleted
