"""What `amkd predict` is asked to predict from: slides, feature bags, and folders of either."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amkd_core.cli.idle_options import is_bag


def sources_in(given: Sequence[Path]) -> tuple[list[Path], bool]:
    """Slides and bags as they are; of a folder that is no slide the slides in it, or its bags where it has no slide.

    Returns
    -------
    sources
        In the order given, those of a folder in order of their names. A folder of neither stays, so that whoever opens
        it says what is wrong.
    from_folder
        Whether any folder was opened, so that there may be another number of sources the next time.
    """
    from amkd_core.slides.folders import expand_folders
    from amkd_core.slides.info import named

    unopened = [named(path) for path in given]
    found = [one for path in expand_folders(given) for one in (_bags_in(path) or [path])]
    return found, found != unopened


def _bags_in(path: Path) -> list[Path]:
    """Bags in what is a folder still, and no slide: one that has no slide in it."""
    from amkd_core.slides.opening import looks_like_slide

    try:
        if not path.is_dir() or looks_like_slide(path):
            return []
        return sorted(
            one for one in path.iterdir() if is_bag(one) and one.is_file() and not one.name.startswith(".")
        )
    except OSError:
        return []
