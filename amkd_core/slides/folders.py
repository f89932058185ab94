"""Slides of a folder: those that open, and those that should and do not, so that none is lost in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amkd_core.slides.opening import SLIDE_SUFFIXES, looks_like_slide


def slides_in(folder: Path) -> list[Path]:
    """Slides that lie in a folder itself, in order of their names.

    A file with a slide's ending counts even when it is empty, unreadable or something else inside: whoever opens it
    says what is wrong. Hidden files, such as those that macOS lays beside others, are passed over.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and _is_meant(path)]


def expand_folders(paths: Sequence[Path]) -> list[Path]:
    """Slides as they are; a folder that is no slide itself is replaced by the slides in it, in order of their names.

    A folder without slides, or one that cannot be listed, stays, so that whoever opens it says what is wrong.
    """
    found: list[Path] = []
    for path in paths:
        found += _slides_of(path) or [path]
    return found


def _slides_of(path: Path) -> list[Path]:
    try:
        return slides_in(path) if path.is_dir() and not looks_like_slide(path) else []
    except OSError:
        return []


def _is_meant(path: Path) -> bool:
    return looks_like_slide(path) or (path.suffix.lower() in SLIDE_SUFFIXES and not path.is_dir())
