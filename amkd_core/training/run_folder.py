"""An output folder that one run owns, and that a later run of the same command continues."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import amkd_core
from amkd_core import __version__
from amkd_core.atomic import TEMPORARY_PREFIX, write_text
from amkd_core.cohort.cohort import LATER_KEYS, PATHS, Cohort
from amkd_core.errors import FolderInUseError, RunFolderError
from amkd_core.file_hash import file_sha256
from amkd_core.folder_lock import hold_folder
from amkd_core.training.config import TrainingConfig
from amkd_core.training.folder_owner import COMMAND, RUN, TRAIN, require_owner
from amkd_core.versions import installed, loaded_openslide

_ENVIRONMENT, _LATER = "environment", "continued_with"
_CODE = Path(amkd_core.__file__).resolve().parents[1]


@contextmanager
def run_folder(folder: Path, config: TrainingConfig, cohort: Cohort, command: str = TRAIN) -> Iterator[Path]:
    """Own a run's folder for the length of the block.

    The first run writes ``run.json`` (the command, configuration in full, versions, the code's commit, the cohort's
    settings without its paths, a hash of the cohort file if there is one); a later one continues when they are the
    same. Half-written files of a killed run are cleared.

    Raises
    ------
    FolderInUseError
        When another run holds it.
    RunFolderError
        When it holds the results of another command, or a run of other settings or another cohort; the first
        difference is named.
    """
    with hold_folder(folder, "is working in", FolderInUseError):
        require_owner(folder, command)
        clear_leftovers(folder)
        _claim(folder, config, cohort, command)
        yield folder


def clear_leftovers(folder: Path) -> None:
    """Remove what killed runs left half-written, in its folders too; to be called by the folder's owner.

    Folders of folds are left alone: a cluster may still train one that a stopped run began. Whoever takes a fold's lock
    clears it.
    """
    for path in folder.rglob(f"{TEMPORARY_PREFIX}*"):
        if not any(part.startswith("fold-") for part in path.relative_to(folder).parts):
            path.unlink(missing_ok=True)


def _claim(folder: Path, config: TrainingConfig, cohort: Cohort, command: str) -> None:
    record = {
        "config": config.record(),
        "cohort": settings_of(cohort),
    }
    # Where the tables lie is no part of the run: a moved folder continues. Later commands look there first.
    found_at = {name: os.path.relpath(getattr(cohort.file, name), folder) for name in _places_of(cohort)}
    note = {
        COMMAND: command,
        "report": config.report.model_dump(mode="json"),
        _ENVIRONMENT: {**environment(), **checkout()},
        "cohort_paths": dict(sorted(found_at.items())),
        # What its keys say is compared above, its tables by their content: a comment or a moved folder is no change.
        "cohort_file_sha256": None if cohort.path is None else file_sha256(cohort.path),
    }
    keep_record(folder / RUN, record, note=note)


def settings_of(cohort: Cohort) -> dict[str, Any]:
    """What a cohort's file states, without its paths; JSON-able."""
    # Unstated, they are left out: a run of a release that did not know them is continued.
    unstated = {name for name in LATER_KEYS if getattr(cohort.file, name) is None}
    return cohort.file.model_dump(mode="json", exclude={*PATHS, *unstated})


def _places_of(cohort: Cohort) -> set[str]:
    return {name for name, value in cohort.file if isinstance(value, Path)}


def keep_record(path: Path, record: Mapping[str, Any], *, note: Mapping[str, Any] | None = None) -> None:
    """Write what a run rests on, or compare it with what an earlier call wrote.

    Parameters
    ----------
    path
        JSON file in the run's folder.
    record
        Compared; JSON-able.
    note
        Written beside it, and not compared.

    Raises
    ------
    RunFolderError
        When the file is damaged, says something else (the first difference is named) or does not say it.
    """
    if not path.exists():
        write_text(path, json.dumps({**record, **(note or {})}, indent=1))
        return
    found = _without_places(kept_record(path))
    for key, value in record.items():
        if key not in found and value is not None:
            raise RunFolderError(
                f"{path}: does not tell {key.removesuffix('_sha256')}, as earlier releases did not, so nobody can say "
                "whether its results rest on the same data; choose another folder"
            )
        if found.get(key) != value:
            raise RunFolderError(
                f"{path.parent}: holds a run with {_difference(key, found.get(key), value)}; choose another folder, "
                "or repeat the same command on the same data to continue it"
            )


def note_versions(folder: Path) -> None:
    """Add this process's versions to a run's record, where others began it or trained last; for its owner to call."""
    path, now = folder / RUN, {**environment(), **checkout()}
    found = kept_record(path)
    later = found.get(_LATER, [])
    if now != [found.get(_ENVIRONMENT), *later][-1]:
        write_text(path, json.dumps({**found, _LATER: [*later, now]}, indent=1))


def versions_mixed(folder: Path) -> str:
    """That a run was continued with other versions, and which, as a sentence; empty where one made all of it."""
    found = kept_record(folder / RUN)
    made_by = [found.get(_ENVIRONMENT, {}), *found.get(_LATER, [])]
    values = {
        name: dict.fromkeys(str(one.get(name, "unknown")) for one in made_by)
        for name in dict.fromkeys(key for one in made_by for key in one)
    }
    differ = [f"{name} {' and '.join(seen)}" for name, seen in values.items() if len(seen) > 1]
    if not differ:
        return ""
    return f"What stands in this folder was made with different versions: {', '.join(differ)}."


def _without_places(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record without the paths among a cohort's settings: earlier releases kept those not given, as None."""
    found = {
        key: _without_places(value) if isinstance(value, dict) else value for key, value in record.items()
    }
    if isinstance(found.get("cohort"), dict):
        found["cohort"] = {key: value for key, value in found["cohort"].items() if key not in PATHS}
    return found


def kept_record(path: Path) -> dict[str, Any]:
    """What `keep_record` wrote.

    Raises
    ------
    RunFolderError
        When the file is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path}: is damaged ({error}); choose another folder") from error
    return found


def environment() -> dict[str, Any]:
    """Versions that decide a run's numbers; None of what is not installed."""
    import numpy
    import torch

    return {
        "amkd": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "h5py": installed("h5py"),
        "openslide": loaded_openslide(),
        "tifffile": installed("tifffile"),
    }


@lru_cache(maxsize=1)
def checkout(folder: Path = _CODE) -> dict[str, str]:
    """The commit that this code was run from, and whether files differed from it; empty when it is no git checkout.

    A version stands for a release; between two of them only the commit tells which code made a run.
    """
    if not (folder / ".git").exists():
        return {}
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", "amkd_core")
    return {"commit": commit + (" with changes" if changed else "")}


def _git(folder: Path, *words: str) -> str:
    """What git says; nothing where it is not installed, hangs, or refuses the folder as somebody else's."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _difference(name: str, found: Any, asked: Any) -> str:
    if isinstance(found, dict) and isinstance(asked, dict):
        for key in (*asked, *found):
            if key not in asked and found[key] is None:
                return f"{name}.{key} = None where this one does not tell it"
            if key not in found and asked[key] is None:
                return f"no {name}.{key} where this one has None"
            if found.get(key) != asked.get(key):
                return _difference(f"{name}.{key}", found.get(key), asked.get(key))
    if name.endswith("_sha256"):
        return f"another content of {name.removesuffix('_sha256')}"
    if isinstance(asked, list):
        return _other_patients(name, found, asked)
    return f"{name} = {found!r} where this one has {asked!r}"


def _other_patients(name: str, found: Any, asked: list[Any]) -> str:
    """The first fold and part whose patients differ."""
    if not isinstance(found, list) or len(found) != len(asked):
        return f"{len(found) if isinstance(found, list) else 'no'} {name} where this one has {len(asked)}"
    for fold, (left, right) in enumerate(zip(found, asked, strict=True), start=1):
        for part in right:
            if left.get(part) != right[part]:
                return f"other {part} patients in fold {fold}"
    return f"other {name}"
