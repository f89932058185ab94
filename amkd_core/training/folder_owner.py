"""Which command a folder's results are of; another one that writes files of the same names is kept out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amkd_core.errors import FolderInUseError, RunFolderError
from amkd_core.folder_lock import hold_folder

RUN, CELLS = "run.json", "cells"
COMMAND = "command"
TRAIN, BENCHMARK, ABLATE = "amkd-train", "amkd benchmark", "amkd ablate"
EVALUATE, EXPLAIN = "amkd evaluate", "amkd explain"
# Their files have names of their own, and they share the bags of a cohort.
_BESIDE_EACH_OTHER = frozenset((EVALUATE, EXPLAIN))


@contextmanager
def result_folder(folder: Path, command: str) -> Iterator[Path]:
    """Own a folder of results for the length of the block, unless it holds those of another command.

    Raises
    ------
    FolderInUseError
        When another process holds it.
    RunFolderError
        As `require_owner`.
    """
    require_owner(folder, command)
    with hold_folder(folder, "is working in", FolderInUseError):
        require_owner(folder, command)
        yield folder


def require_owner(folder: Path, command: str) -> None:
    """Refuse a folder whose report, figures and predictions another command wrote.

    Raises
    ------
    RunFolderError
        Naming both.
    """
    owners = owners_of(folder)
    if owners and command not in owners and not {command, *owners} <= _BESIDE_EACH_OTHER:
        raise RunFolderError(
            f"{folder}: holds the results of {' or '.join(owners)}, which {command} would overwrite; "
            "choose another folder"
        )


def owners_of(folder: Path) -> tuple[str, ...]:
    """The command that a folder is of; several where what lies there does not tell which, none in a new folder."""
    if not (folder / RUN).exists():
        if (folder / "predictions.csv").exists() and (folder / "metrics.json").exists():
            return (EVALUATE,)
        return (EXPLAIN,) if (folder / "explanation.json").exists() else ()
    recorded = _recorded(folder / RUN)
    if recorded:
        return (recorded,)
    # Releases before did not record it.
    if (folder / CELLS).is_dir():
        if (folder / "table-2.csv").exists():
            return (BENCHMARK,)
        ablated = any((folder / f"{name}.csv").exists() for name in ("table-5", "table-6", "ablation"))
        return (ABLATE,) if ablated else (BENCHMARK, ABLATE)
    return (TRAIN,) if any(folder.glob("fold-*")) else (TRAIN, BENCHMARK, ABLATE)


def _recorded(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # said by whoever reads the rest of it
    command = found.get(COMMAND) if isinstance(found, dict) else None
    return command if isinstance(command, str) else ""
