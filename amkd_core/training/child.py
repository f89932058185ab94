"""The owner's side of a child process that trains a fold or extracts slides."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

from amkd_core.ended import signal_of
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
        self._stalled_s: float | None = None
        self._reader: threading.Thread | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "amkd_core.training.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
            encoding="utf-8",
        )
        if self._process.stdin is not None:
            # Of a child that is dead already the pipe is broken; `answers` and `cause_of_death` tell of that.
            with suppress(BrokenPipeError):
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

    def answers(self, stall_s: float | None = None) -> Iterator[dict[str, Any]]:
        """What it answers, until it ends; a half-written last line is left out.

        Parameters
        ----------
        stall_s
            A child that is silent for so long hangs, and is killed; None waits for ever.

        Raises
        ------
        AmkdError
            With the child's own sentence, when the task cannot be done.
        """
        for line in (self._process.stdout or ()) if stall_s is None else self._lines(stall_s):
            try:
                record: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if "error" in record:
                raise AmkdError(record["error"])
            yield record

    def _lines(self, stall_s: float) -> Iterator[str]:
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=_hand_on, args=(self._process.stdout, lines), daemon=True)
        self._reader.start()
        while True:
            try:
                line = lines.get(timeout=stall_s)
            except queue.Empty:
                self._stalled_s = stall_s
                self._process.kill()
                return
            if line is None:
                return
            yield line

    def cause_of_death(self, report: str = "above") -> str:
        """How it ended, as the end of a sentence that says where its own report stands."""
        if self._stalled_s is not None:
            return f"no progress for {self._stalled_s:.0f} s, so it was stopped; the file may be damaged"
        code = self._process.wait()
        name = signal_of(code)
        if name:
            return f"its process died by {name} (killed, or memory ran out)"
        return f"its process ended with an unexpected error (exit code {code}); its report is {report}"

    def close(self) -> None:
        """End the process now, if it has not ended by itself."""
        if self.is_alive:
            self._process.kill()
        self._process.wait()
        if self._reader is not None:
            self._reader.join(5)  # the pipe has ended with the child
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue


def _hand_on(stream: IO[str] | None, lines: queue.SimpleQueue[str | None]) -> None:
    with suppress(ValueError):  # bytes that are no text end the answers, as do those of a closed pipe
        for line in stream or ():
            lines.put(line)
    lines.put(None)
