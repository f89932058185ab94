"""From the session's threads to the GUI thread."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal


class SessionBridge(QObject):
    """Carries events of a session; it must live as long as the session, and is connected by queued signals only.

    Objects made for one message each, and handed to Qt from other threads, were seen to crash some Qt bindings.
    """

    told = Signal(object)
