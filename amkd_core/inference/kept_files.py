"""Files kept in the user's cache under hashed names, within a limit: those used longest ago go first."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from amkd_core import __version__
from amkd_core.atomic import TEMPORARY_PREFIX
from amkd_core.settings import current_settings

FOLDER_VARIABLE = "AMKD_CACHE_DIR"
"""Environment variable that names another folder than the settings do; empty keeps nothing."""
SUFFIXES = {"bags": ".h5", "results": ".npz"}
"""Kinds of files that are kept, each in a folder of its name."""
SHARES = {"bags": 0.8, "results": 0.2}
"""Of the cache's limit that each kind may take."""
NO_LIMIT = 2**62
_LEFT_OVER_S = 24 * 3600.0


class KeptFiles:
    """Files of one kind in one folder.

    Patient identifiers stay where they are: the files lie in the user's own cache, named by hashes.

    Parameters
    ----------
    folder
        Where they are kept; None keeps nothing.
    suffix
        Of their names.
    limit_bytes
        When more than this is kept, the files that were used longest ago go.
    """

    def __init__(self, folder: Path | None, suffix: str, *, limit_bytes: int) -> None:
        self.folder = folder
        self.suffix = suffix
        self.limit_bytes = limit_bytes

    def __len__(self) -> int:
        return len(self._files())

    @property
    def size_bytes(self) -> int:
        """What is kept, in bytes."""
        return sum(_size(path) for path in self._files())

    def path_of(self, key: Mapping[str, Any]) -> Path | None:
        """Where the file of this key lies or would lie, for this release; None when nothing is kept."""
        if self.folder is None:
            return None
        text = json.dumps({**key, "release": __version__}, sort_keys=True, default=str)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}{self.suffix}"

    def holds(self, path: Path) -> bool:
        """Whether a file is kept; not where the folder may not be looked into."""
        try:
            return path.is_file()
        except OSError:
            return False

    def touch(self, path: Path) -> None:
        """Note that a file was used."""
        os.utime(path)

    def prune(self) -> int:
        """Keep to the limit; the file used last stays in any case. Bytes that were freed."""
        files = []
        for path in self._files():
            with suppress(FileNotFoundError):  # another process has just removed it
                files.append((path.stat(), path))
        total, freed = sum(status.st_size for status, _ in files), 0
        for status, path in sorted(files, key=lambda item: item[0].st_mtime_ns)[:-1]:
            if total - freed <= self.limit_bytes:
                break
            path.unlink(missing_ok=True)
            freed += status.st_size
        return freed

    def empty(self) -> int:
        """Remove all files; bytes that were freed."""
        freed = 0
        for path in self._files():
            freed += _size(path)
            path.unlink(missing_ok=True)
        return freed

    def _files(self) -> list[Path]:
        if self.folder is None:
            return []
        return sorted(path for path in self.folder.glob(f"*{self.suffix}") if not _being_written(path))


def user_limit_bytes(kind: str) -> int:
    """Most that is kept of a kind, by the settings."""
    return int(SHARES[kind] * current_settings().cache_limit_gib * 2**30)


def user_folder(kind: str) -> Path | None:
    """Folder of this user's kept files of a kind; None where nothing is kept."""
    cache = cache_folder()
    return None if cache is None else cache / kind


def cache_folder() -> Path | None:
    """Where this user's files are kept: as `FOLDER_VARIABLE` says, else the settings, else in the user's own cache."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) if named else None
    return current_settings().cache_folder or Path(user_cache_path("amkd-viewer"))


def _being_written(path: Path) -> bool:
    """Whether a file is another process's, under way; what a killed one left is a day old some day."""
    if not path.name.startswith(TEMPORARY_PREFIX):
        return False
    try:
        return time.time() - path.stat().st_mtime < _LEFT_OVER_S
    except FileNotFoundError:
        return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has just removed it
        return 0
