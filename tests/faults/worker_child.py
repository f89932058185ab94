"""`amkd`, but a slide's name says how the process that reads it ends; spawned workers import this file as well."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from amkd_core.cli.main import main
from amkd_core.inference import workers
from amkd_core.slides import slide as slides

STALL_S = 20.0
_open, _run = slides.open_slide, workers.run_in_workers


def open_slide(path: Path, **options: Any) -> Any:
    with Path(os.environ["ATTEMPTS"]).open("a") as file:
        file.write(f"{path.name}\n")
    if path.name.startswith("segv"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name.startswith("sleep"):
        time.sleep(3600)
    return _open(path, **options)


def run_in_workers(tasks: Sequence[Any], out: Path, settings: Any, *, jobs: int) -> Any:
    """Half an hour of silence is too long for a test."""
    return _run(tasks, out, replace(settings, stall_s=STALL_S), jobs=jobs)


slides.open_slide = open_slide
workers.run_in_workers = run_in_workers

if __name__ == "__main__":
    main()
