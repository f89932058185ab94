"""Slides of a folder: those that open, and those that should and do not, so that none is lost in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amkd_core.file_names import SLIDE_SUFFIXES
from amkd_core.slides.detect import dicom_image_type, dicom_series, is_dicom
from amkd_core.slides.info import named
from amkd_core.slides.opening import looks_like_slide


def slides_in(folder: Path) -> list[Path]:
    """Slides that lie in a folder itself, in order of their names.

    A file with a slide's ending counts even when it is empty, unreadable or something else inside: whoever opens it
    says what is wrong. Of the files of a DICOM series, which are one slide, the first of a volume stands for all.
    Hidden files, such as those that macOS lays beside others, are passed over.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    paths = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return _one_of_each_series([path for path in paths if _is_meant(path)])


def folders_of_slides(folder: Path) -> list[Path]:
    """Folders in a folder that are no slides themselves and hold some, which `slides_in` passes over.

    Raises
    ------
    OSError
        If the folder cannot be listed; those in it that cannot are passed over.
    """
    inner = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return [path for path in inner if _slides_of(path)]


def expand_folders(paths: Sequence[Path]) -> list[Path]:
    """Slides as they are; a folder that is no slide itself is replaced by the slides in it, in order of their names.

    Files of one DICOM series in a folder are one slide, as in `slides_in`. A folder without slides, or one that cannot
    be listed, stays, so that whoever opens it says what is wrong.
    """
    found: list[Path] = []
    for path in paths:
        found += _slides_of(path) or [named(path)]
    return _one_of_each_series(found)


def _slides_of(path: Path) -> list[Path]:
    try:
        return slides_in(path) if path.is_dir() and not looks_like_slide(path) else []
    except OSError:
        return []


def _is_meant(path: Path) -> bool:
    return looks_like_slide(path) or (path.suffix.lower() in SLIDE_SUFFIXES and not path.is_dir())


def _one_of_each_series(paths: Sequence[Path]) -> list[Path]:
    """Paths in their order, each DICOM series of a folder once; a file whose series is not told stands for itself."""
    groups: dict[tuple[Path, str] | int, list[Path]] = {}
    for index, path in enumerate(paths):
        series = _series(path)
        groups.setdefault((path.parent.absolute(), series) if series else index, []).append(path)
    return [group[0] if len(group) == 1 else min(group, key=_place_in_series) for group in groups.values()]


def _series(path: Path) -> str:
    try:
        return dicom_series(path) if path.is_file() and is_dicom(path) else ""
    except OSError:
        return ""


def _place_in_series(path: Path) -> tuple[bool, bool, str]:
    """Volumes before labels and overviews, what was scanned before what was scaled down, then by name."""
    kind = dicom_image_type(path)
    return "VOLUME" not in kind, "RESAMPLED" in kind, path.name
