"""A child process that ends with the one that started it, however that one ends."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_owner() -> None:
    """Have this process end as soon as its parent is gone; `initializer` of a pool of spawned processes.

    A pool's workers wait for tasks on a pipe whose other end each of them holds too, and so would wait for ever for a
    parent that was killed.
    """
    owner = multiprocessing.parent_process()
    if owner is not None:
        threading.Thread(target=_wait_for_end, args=(owner,), daemon=True).start()


def _wait_for_end(owner: multiprocessing.process.BaseProcess) -> None:
    owner.join()
    os._exit(1)  # whatever is written gets its name when it is whole
