"""Keys of one window: ours are bound where napari leaves them free, and let go with the workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtGui import QAction, QKeySequence, QShortcut

from amkd_viewer.actions import ACTIONS, Action, WindowActions

if TYPE_CHECKING:
    from qtpy.QtWidgets import QMainWindow

    from amkd_viewer.workspace_widget import Workspace


class Shortcuts:
    """The keys of a window; they work wherever its focus is.

    Attributes
    ----------
    taken
        By key, what napari (or another plugin) does with it; these keys are left to it.
    """

    def __init__(self, window: QMainWindow, workspace: Workspace) -> None:
        self._actions = WindowActions(workspace)
        others = keys_in_use(window)
        self.taken = {
            action.key: others[_canonical(action.key)]
            for action in ACTIONS
            if _canonical(action.key) in others
        }
        self._bound = [self._bind(window, action) for action in ACTIONS if action.key not in self.taken]

    def release(self) -> None:
        """Let the keys go."""
        for shortcut in self._bound:
            # The window may be closing, and have taken them along.
            if isalive(shortcut):
                shortcut.setEnabled(False)
                shortcut.deleteLater()
        self._bound = []

    def _bind(self, window: QMainWindow, action: Action) -> QShortcut:
        shortcut = QShortcut(QKeySequence(action.key), window)
        run: Callable[[], None] = partial(action.do, self._actions)
        shortcut.activated.connect(run)
        return shortcut


def keys_in_use(window: QMainWindow) -> dict[str, str]:
    """Keys that others use in a window, as Qt writes them, with what they do.

    These are the menus' and napari's own for the canvas, as the user has set them in napari's preferences.
    """
    from napari.settings import get_settings

    keys = {}
    for name, bindings in get_settings().shortcuts.shortcuts.items():
        for binding in bindings:
            keys[_canonical(str(binding))] = str(name).removeprefix("napari:").replace("_", " ")
    for entry in window.findChildren(QAction):
        for sequence in entry.shortcuts():
            keys[sequence.toString()] = entry.text().replace("&", "")
    return keys


def tip_text(text: str, title: str, taken: Mapping[str, str]) -> str:
    """What a button does, with the key that does the same; `title` is that of the key's action.

    Keys that are `taken` are napari's, and not named.
    """
    keys = [action.key for action in ACTIONS if action.title == title and action.key not in taken]
    return f"{text} ({key_text(keys[0])})" if keys else text


def key_text(key: str) -> str:
    """A key as this system writes it."""
    return str(QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText))


def _canonical(key: str) -> str:
    return str(QKeySequence(key).toString())
