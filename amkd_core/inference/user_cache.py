"""The user's cache as a whole: where it is and why, how much is in it, and how it is kept small; imports no torch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amkd_core.atomic import TEMPORARY_PREFIX
from amkd_core.errors import ConfigError
from amkd_core.inference.kept_files import (
    FOLDER_VARIABLE,
    SUFFIXES,
    KeptFiles,
    cache_folder,
    user_folder,
    user_limit_bytes,
)
from amkd_core.settings import current_settings

StatedBy = Literal["variable", "settings", "default"]


@dataclass(frozen=True)
class CacheState:
    """What is kept on this computer.

    Attributes
    ----------
    folder
        Where; None when nothing is kept.
    stated_by
        What says so: the variable `FOLDER_VARIABLE`, the settings, or neither.
    size_bytes, limit_bytes
        Of each kind ("bags" of features, "results"): what there is, and the most that is kept.
    """

    folder: Path | None
    stated_by: StatedBy
    size_bytes: Mapping[str, int]
    limit_bytes: Mapping[str, int]


def measure_cache() -> CacheState:
    """Look at the user's cache; takes as long as listing its folders."""
    kept = _kept()
    stated_by: StatedBy = "default"
    if FOLDER_VARIABLE in os.environ:
        stated_by = "variable"
    elif current_settings().cache_folder is not None:
        stated_by = "settings"
    return CacheState(
        folder=cache_folder(),
        stated_by=stated_by,
        size_bytes={kind: files.size_bytes for kind, files in kept.items()},
        limit_bytes={kind: files.limit_bytes for kind, files in kept.items()},
    )


def trim_cache() -> int:
    """Keep to the limit that the settings state now: what was used longest ago goes. Bytes that were freed."""
    return sum(files.prune() for files in _kept().values())


def empty_cache() -> int:
    """Remove all that is kept; bytes that were freed."""
    return sum(files.empty() for files in _kept().values())


def check_cache_folder(folder: Path) -> Path:
    """Find out by writing whether the cache can be kept in a folder, which is made when missing.

    Raises
    ------
    ConfigError
        When it cannot.
    """
    folder = folder.expanduser()
    if not folder.is_absolute():
        raise ConfigError(f"{folder}: the cache needs a folder with its full path.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=TEMPORARY_PREFIX, dir=folder):
            return folder
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"{folder}: the cache cannot be kept there ({reason}); choose a folder that you may write to."
        ) from error


def _kept() -> dict[str, KeptFiles]:
    return {
        kind: KeptFiles(user_folder(kind), suffix, limit_bytes=user_limit_bytes(kind))
        for kind, suffix in SUFFIXES.items()
    }
