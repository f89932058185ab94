"""The program of a reader process: opens one slide and answers requests until its owner is gone.

It imports neither torch nor Qt and starts in a fraction of a second. It is started by
`amkd_core.slides.reader_launch`, with the shared memory and modules to load ahead as JSON on the command line; the
first message names the slide and what opens it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from amkd_core.address_space import limit_address_space
from amkd_core.errors import AmkdError
from amkd_core.slides.backends.base import Backend, Pixels
from amkd_core.slides.shared_slots import SharedSlots
from amkd_core.slides.wire import WireError, receive, send

MEMORY_LIMIT_BYTES = 8 << 30
"""Address space of a reader process where the system can limit it; a wild allocation ends the reader alone."""

_THREADS = 8


class _Server:
    """Answers requests in threads; answers go out in the order in which they are ready."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO, slots: SharedSlots | None) -> None:
        self._requests = requests
        self._answers = answers
        self._slots = slots
        self._sending = threading.Lock()

    def serve(self, opener: str, file: Path, options: dict[str, int]) -> None:
        module, name = opener.split(":")
        opening: Future[Backend] = Future()
        with ThreadPoolExecutor(_THREADS) as pool:
            opened = pool.submit(lambda: getattr(import_module(module), name)(file, **options))
            opened.add_done_callback(partial(self._report_opening, opening, file))
            while True:
                try:
                    header, _ = receive(self._requests)
                except WireError:
                    # Threads may hang in a native library: do not wait for them.
                    os._exit(0)
                task = pool.submit(_answer, opening, header)
                task.add_done_callback(partial(self._report, file, header))

    def _report_opening(self, opening: Future[Backend], file: Path, opened: Future[Backend]) -> None:
        error = opened.exception()
        if error is not None:
            opening.set_exception(error)
            self._send({"id": 0, **_words(file, error)})
            return
        backend = opened.result()
        self._send({"id": 0, "facts": backend.facts.to_dict()})
        opening.set_result(backend)

    def _report(self, file: Path, request: dict[str, Any], task: Future[Pixels]) -> None:
        number, slot = int(request["id"]), request.get("slot")
        error = task.exception()
        if error is not None:
            self._send({"id": number, **_words(file, error)})
            return
        pixels = task.result()
        answer = {"id": number, "shape": pixels.shape}
        if slot is None or self._slots is None:
            self._send(answer, np.ascontiguousarray(pixels).data.cast("B"))
            return
        self._slots.fill(int(slot), pixels)
        self._send(answer)

    def _send(self, header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
        with self._sending:
            send(self._answers, header, payload)


def _answer(opening: Future[Backend], header: dict[str, Any]) -> Pixels:
    backend = opening.result()
    if header["call"] == "associated_image":
        return backend.associated_image(str(header["name"]))
    level, x, y, width, height = (int(value) for value in header["region"])
    read = backend.read_halved if header["call"] == "read_halved" else backend.read
    return read(level, (x, y), (width, height))


def _words(file: Path, error: BaseException) -> dict[str, str]:
    if isinstance(error, AmkdError):
        return {"error": type(error).__name__, "sentence": str(error)}
    return {"error": "SlideReadError", "sentence": f"{file} cannot be read: {type(error).__name__}: {error}."}


def _limit_resources() -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_address_space(MEMORY_LIMIT_BYTES)


def main() -> None:
    """Serve one slide over standard input and output until the input ends."""
    # Native libraries may print: they get standard error, the messages keep the real output to themselves.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _limit_resources()
    shared, *modules = json.loads(sys.argv[1])
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    buffered = os.fdopen(answers.fileno(), "wb", buffering=1 << 20, closefd=False)
    slots = None if shared is None else SharedSlots(int(shared))
    for module in modules:
        import_module(module)
    try:
        task, _ = receive(requests)
    except WireError:
        return
    _Server(requests, buffered, slots).serve(task["opener"], Path(task["file"]), task["options"])


if __name__ == "__main__":
    main()
