"""Who waits for what is done off the GUI thread: values go to widgets that still live, and to no other; no Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from amkd_core.errors import AmkdError

if TYPE_CHECKING:
    from amkd_viewer.events import TaskEnded
    from amkd_viewer.tasks import Tasks

Then = Callable[[Any], None]
_Waits = tuple[int, str, Then, Then | None]
"""Owner, key, and who gets the value or the error."""


class Errands:
    """Sends tasks for widgets and hands them what comes back.

    Parameters
    ----------
    tasks
        Does them.
    fail
        Says an `AmkdError` for which the widget has no better place.
    """

    def __init__(self, tasks: Tasks, fail: Callable[[AmkdError], None]) -> None:
        self._tasks, self._fail = tasks, fail
        self._waiting: dict[int, _Waits] = {}
        self._owners: set[int] = set()

    def send(
        self, owner: Any, key: str, function: Callable[[], Any], then: Then, failed: Then | None = None
    ) -> None:
        """Do something for a widget; as `Workspace.do` says."""
        token = self._tasks.submit(f"{id(owner)} {key}", function)
        if token is None:
            return
        known = id(owner)
        # The answer to an older request may be on its way already: it is not the answer to this one.
        self._drop(lambda waits: waits[:2] == (known, key))
        self._waiting[token] = (known, key, then, failed)
        # As soon as the widget is gone: parts of a closed panel are told nothing.
        if known not in self._owners:
            self._owners.add(known)
            owner.destroyed.connect(lambda: self.forget(known))

    def end(self, event: TaskEnded) -> None:
        """Hand on what a task returned or raised; an error that is a fault of ours surfaces."""
        *_, then, failed = self._waiting.pop(event.token, (0, "", None, None))
        if then is None:
            return
        if event.error is None:
            then(event.value)
        elif isinstance(event.error, AmkdError):
            (failed or self._fail)(event.error)
        else:
            raise event.error

    def forget(self, owner: int) -> None:
        """Drop what waits for the widget of this id."""
        self._owners.discard(owner)
        self._drop(lambda waits: waits[0] == owner)

    def clear(self) -> None:
        """Drop all."""
        self._waiting.clear()

    def _drop(self, is_out: Callable[[_Waits], bool]) -> None:
        self._waiting = {token: waits for token, waits in self._waiting.items() if not is_out(waits)}
