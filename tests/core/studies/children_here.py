"""Children whose tasks are done in this process: one of its own takes longer to start than tiny models to train."""

from __future__ import annotations

from collections.abc import Iterator

from amkd_core.training.worker import _cell


class Here:
    """A child whose task was done when it was made."""

    is_alive = False

    def __init__(self, task: dict) -> None:
        self._answers: list = []
        _cell(task, self._answers.append)

    def answers(self) -> Iterator:
        return iter(self._answers)

    def close(self) -> None:
        """Nothing is open."""
