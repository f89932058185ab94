"""The queue of a folder's slides: what is in it, what came of it and by which model; no Qt.

The workspace keeps it, so that a panel that is closed and opened again shows what came meanwhile.
"""

from __future__ import annotations

from pathlib import Path

from amkd_viewer import events
from amkd_viewer.events import QueueRequest, QueueRow, SessionEvent
from amkd_viewer.wording import QUEUE_HINT, progress_text, slides_found_text


class QueueRecord:
    """Slides of a folder and their results.

    Attributes
    ----------
    paths : tuple of path
        In the queue's order.
    rows : dict
        What is known of those slides that are done, by their place in the queue.
    request : QueueRequest or None
        What the rows were asked with; None before any run of these slides.
    stage, error : str
        How far it has come, and why it stopped where that was not meant.
    """

    def __init__(self) -> None:
        self.paths: tuple[Path, ...] = ()
        self.rows: dict[int, QueueRow] = {}
        self.request: QueueRequest | None = None
        self.stage, self.error = QUEUE_HINT, ""

    def choose(self, paths: tuple[Path, ...], n_folders_aside: int = 0) -> None:
        """Begin with the slides of another folder; those of its sub-folders that hold slides are counted alone."""
        self.paths, self.rows, self.request, self.error = paths, {}, None, ""
        self.stage = slides_found_text(len(paths), n_folders_aside)

    def begin(self, request: QueueRequest) -> None:
        """A run begins: what earlier ones brought goes."""
        self.paths, self.rows, self.request, self.error = request.paths, {}, request, ""
        self.stage = "Starting"

    def hear(self, event: SessionEvent) -> bool:
        """Note what a run of these slides tells; False where it is another's."""
        request = getattr(event, "request", None)
        if not isinstance(request, QueueRequest) or request.paths != self.paths:
            return False
        match event:
            case events.Queued():
                self.rows[event.row.index] = event.row
            case events.Advanced():
                self.stage = progress_text(event.progress)
            case events.QueueEnded():
                failed = sum(bool(entry.error) for entry in self.rows.values())
                self.stage = f"Done: {len(self.rows) - failed} predicted, {failed} not."
            case events.Cancelled():
                self.stage = f"Cancelled after {len(self.rows)} of {len(self.paths)} slides."
            case events.Failed() | events.Crashed():
                self.stage = f"Stopped after {len(self.rows)} of {len(self.paths)} slides."
                self.error = str(event.error)
        return True

    @property
    def model(self) -> str:
        """Name and hash of the model that the rows are by, as it calls itself; empty before the first result."""
        found = next((row.prediction for row in self.rows.values() if row.prediction is not None), None)
        if found is None:
            return ""
        bundle = found.provenance["bundle"]
        return f"{bundle['name']} ({bundle['sha256'][:12]})" if bundle["sha256"] else str(bundle["name"])
