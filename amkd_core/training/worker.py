"""What a child process does: train one fold, train one model of a comparison, or extract some slides.

It is started as ``python -m amkd_core.training.worker``, is told its task in one line of JSON, and answers in lines of
JSON. It reads its input to the end all the while, so that it ends with its owner, however that one ended.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from amkd_core.errors import AmkdError

Answer = Callable[[Mapping[str, Any]], None]
FOLD_LOG = "epochs.tsv"
ALIVE = "alive"
"""Key of what a child says between its answers: that it has not stalled."""


def main() -> None:
    """Run the task that stands on the first line of the input."""
    # Ctrl-C reaches the whole process group; the owner decides what becomes of its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with _answers() as stream:

        def answer(record: Mapping[str, Any]) -> None:
            stream.write(json.dumps(record) + "\n")
            stream.flush()

        task = json.loads(sys.stdin.readline())
        threading.Thread(target=_end_with_owner, daemon=True).start()
        try:
            _TASKS[task["kind"]](task, answer)
        except AmkdError as error:
            answer({"error": str(error)})


@contextmanager
def _answers() -> Iterator[TextIO]:
    """The output, kept for answers alone; whatever else is printed goes to the error output."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stream:
        os.dup2(2, 1)
        yield stream


def _end_with_owner() -> None:
    while sys.stdin.readline():
        pass
    os._exit(1)  # the run is gone; checkpoints hold all but the running epoch


def _require_seen(folder: Path) -> None:
    """Refuse a folder that the machine which gave the task sees, and this one does not: a cluster's usual mistake."""
    if not folder.is_dir():
        raise AmkdError(
            f"{folder} is not seen from {socket.gethostname()}; every worker needs the run's folder, slides and bags "
            "under the same paths as the machine that the command runs on"
        )


def _train(task: Mapping[str, Any], answer: Answer) -> None:
    """Train one fold of a run folder; everything it needs lies there."""
    import torch

    from amkd_core.training.chance_networks import FOLDER, split_and_cohort
    from amkd_core.training.config import TrainingConfig
    from amkd_core.training.crossval import train_fold
    from amkd_core.training.fold_record import fold_folder
    from amkd_core.training.packed_cache import CACHE, read_packed
    from amkd_core.training.progress_log import Epoch, FoldLog

    torch.set_num_threads(task["threads"])
    run, fold = Path(task["run"]), int(task["fold"])
    _require_seen(run)
    config = TrainingConfig.model_validate(
        json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]
    )
    record = json.loads((run / "folds.json").read_text(encoding="utf-8"))
    # Shuffles lie below the run whose bags they share.
    cohort, bags = read_packed((run.parent if run.name == FOLDER and "outcomes" in record else run) / CACHE)
    split, cohort = split_and_cohort(run, record, fold, cohort)
    log = FoldLog(fold_folder(run, fold) / FOLD_LOG)
    for step in train_fold(cohort, bags, split, config, run=run, fold=fold):
        epoch = Epoch.of(step, fold)
        if epoch is not None:
            log.add(epoch)
    answer({"done": fold})


def _cell(task: Mapping[str, Any], answer: Answer) -> None:
    """Train one model of a comparison on some folds."""
    import torch

    from amkd_core.training.cell import run_cell
    from amkd_core.training.recipes import Recipe

    torch.set_num_threads(task["threads"])
    for fold in task["folds"]:
        for _ in run_cell(Path(task["run"]), Recipe(**task["recipe"]), fold):
            pass
        answer({"done": fold})


def _extract(task: Mapping[str, Any], answer: Answer) -> None:
    """Extract slides one after another; one line for each, and signs of life in between."""
    from amkd_core.inference.extract import ExtractSettings, SlideTask, extract_slide

    _require_seen(Path(task["out"]).parent)  # the folder of bags itself may be new
    weights = task["settings"]["weights"]
    settings = ExtractSettings(**{**task["settings"], "weights": None if weights is None else Path(weights)})
    for slide in task["slides"]:
        steps = extract_slide(
            SlideTask(**{**slide, "path": Path(slide["path"])}), Path(task["out"]), settings
        )
        while True:
            try:
                answer({ALIVE: next(steps).done})
            except StopIteration as stop:
                outcome = stop.value
                break
        answer(
            {
                "state": outcome.state,
                "n_patches": outcome.n_patches,
                "seconds": outcome.seconds,
                "reason": outcome.reason,
            }
        )


_TASKS: dict[str, Callable[[Mapping[str, Any], Answer], None]] = {
    "fold": _train,
    "slides": _extract,
    "cell": _cell,
}

if __name__ == "__main__":
    main()
