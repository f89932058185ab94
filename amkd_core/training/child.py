"""The owner's side of a child process that trains a fold or extracts slides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from amkd_core.errors import AmkdError


class Child:
    """A fresh interpreter with one task; it ends with its owner.

    Not a child of `multiprocessing`, because workers of a cluster may not have such children.

    Parameters
    ----------
    task
        JSON-able; see `amkd_core.training.worker`.
    environment
        Variables beside the owner's own.
    """

    def __init__(self, task: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "amkd_core.training.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
            encoding="utf-8",
        )
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """Process identifier."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still works."""
        return self._process.poll() is None

    def answers(self) -> Iterator[dict[str, Any]]:
        """What it answers, until it ends; a half-written last line is left out.

        Raises
        ------
        AmkdError
            With the child's own sentence, when the task cannot be done.
        """
        for line in self._process.stdout or ():
            try:
                record: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if "error" in record:
                raise AmkdError(record["error"])
            yield record

    def cause_of_death(self) -> str:
        """How it ended, as the end of a sentence."""
        code = self._process.wait()
        if code < 0:
            return f"its process died by {signal.Signals(-code).name} (killed, or memory ran out)"
        return f"its process ended with an unexpected error (exit code {code}); its report is above"

    def close(self) -> None:
        """End the process now, if it has not ended by itself."""
        if self.is_alive:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
