"""Where bags or slides lie that are not where a cohort's file says: the folder beneath, or under a longer name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from amkd_core.file_names import bag_of_slide, slide_named

_MOST_LOOKED_FOR = 20
_DEPTHS = ("*/", "*/*/")


def misplaced(names: Sequence[str], folders: Sequence[Path]) -> str:
    """What was found in place of the slides or bags of these names, as the end of a sentence; empty without a clue.

    Parameters
    ----------
    names
        Slides; the first twenty are looked for.
    folders
        Of bags and of slides; one that does not exist tells nothing.
    """
    places = [folder for folder in folders if folder.is_dir()]
    for folder in places:
        files = sorted(path.name for path in folder.iterdir())
        for name in names[:_MOST_LOOKED_FOR]:
            longer = next((file for file in files if _is_longer(file, name)), "")
            if longer:
                return f"; {longer} lies there, and the whole name counts: write it so in the clinical table"
    for folder in places:
        for name in names[:_MOST_LOOKED_FOR]:
            found = _beneath(folder, name)
            if found is not None:
                return f"; {found.name} lies in {found.parent}, and subfolders are not searched: name that folder"
    return ""


def _is_longer(file: str, name: str) -> bool:
    """Whether a bag or slide is named so and further, as by GDC's UUID."""
    return file.startswith(f"{name}.") and slide_named(file) not in (file, name)


def _beneath(folder: Path, name: str) -> Path | None:
    # No pattern is made of the name: it may hold brackets.
    for depth in _DEPTHS:
        for inner in sorted(folder.glob(depth)):
            if (bag := bag_of_slide(inner, name)).is_file():
                return bag
    return None
