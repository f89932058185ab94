"""Bags that were made from another file than the slide which has their name now."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

from amkd_core.bag_file import is_own_bag, read_bag
from amkd_core.cohort.patients import listed
from amkd_core.errors import AmkdError, CohortError
from amkd_core.file_names import bag_of_slide
from amkd_core.progress import Progress
from amkd_core.slides.opening import fingerprint_of


def bags_of_other_slides(
    bags: Path, slides: Mapping[str, Path]
) -> Generator[Progress, None, tuple[str, ...]]:
    """Names of the slides whose bag was extracted from another content: another cohort's, or an earlier scan.

    Bags of other tools do not record what they were made from, and are passed over, as are bags and slides that cannot
    be read: whoever uses them says so.

    Parameters
    ----------
    bags
        Folder of the bags.
    slides
        Files by name, of which those without a bag are passed over.
    """
    bags_of = {name: bag_of_slide(bags, name) for name in slides}
    there = [(name, path) for name, path in slides.items() if bags_of[name].is_file()]
    found = []
    for number, (name, path) in enumerate(there):
        yield Progress("Comparing bags with slides", number, len(there), path.name)
        if _is_of_other_slide(bags_of[name], path):
            found.append(name)
    return tuple(found)


def refuse_bags_of_other_slides(bags: Path, slides: Mapping[str, Path]) -> Generator[Progress, None, None]:
    """Refuse a folder that was named as this cohort's and whose bags nobody asked to make again.

    Raises
    ------
    CohortError
        Naming the first slides.
    """
    found = yield from bags_of_other_slides(bags, slides)
    if found:
        raise CohortError(
            f"{bags}: {len(found)} of the bags were made from other slides than those of the same name in the cohort's "
            f"folder ({listed(found)}); name the folder of this cohort's bags, or leave --bags out"
        )


def _is_of_other_slide(bag: Path, slide: Path) -> bool:
    try:
        if not is_own_bag(bag):
            return False
        made_from = read_bag(bag).slide_fingerprint
        return bool(made_from) and made_from != fingerprint_of(slide)
    except (AmkdError, OSError):
        return False
