"""Panels are closed as a user closes them."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtWidgets import QPushButton, QWidget

from amkd_viewer.beside_widget import dock_of


def close_by_x(panel: QWidget, spin: Callable[..., None]) -> None:
    """Click the X of a panel's dock, and wait until the panel has ended."""
    dock_of(panel).findChild(QPushButton, "QTitleBarCloseButton").click()
    spin(lambda: not isalive(panel))
