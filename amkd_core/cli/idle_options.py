"""Options of `amkd predict` that would change nothing: refused, for whoever gave one takes the result to be by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from amkd_core.errors import ConfigError

BAG_SUFFIXES = (".h5", ".hdf5", ".pt")
_OF_SLIDES = ("--scene", "--weights")
_OF_FOREIGN_BAGS = ("--encoder", "--bag-mpp", "--patch-size", "--patch-size-level0")


def is_bag(source: Path) -> bool:
    """Whether a file is taken for a bag, by its name; all others are slides."""
    return source.suffix.lower() in BAG_SUFFIXES


def refuse_idle(sources: Sequence[Path], given: Mapping[str, object]) -> None:
    """Refuse options that have no effect on any of the sources, all of them in one sentence.

    Parameters
    ----------
    given
        Options as they are typed, with their values; None, False and 0 where they were not given.

    Raises
    ------
    ConfigError
    """
    from amkd_core.bag_file import is_own_bag

    stated = [name for name, value in given.items() if value]
    bags = [source for source in sources if is_bag(source)]
    # What is no file is refused by its reader, in better words.
    foreign = [source for source in bags if not source.is_file() or not is_own_bag(source)]
    whole = "bags of amkd extract record all of it" if bags else "of a slide it is the model that says so"
    reasons = {
        "without a slide": [name for name in stated if name in _OF_SLIDES and len(bags) == len(sources)],
        f"here ({whole})": [
            name
            for name in stated
            if (name in _OF_FOREIGN_BAGS and not foreign)
            or (name == "--mpp" and len(bags) == len(sources) and not foreign)
        ],
    }
    for option, needed in (("--patient", "--expression"), ("--identified", "--report")):
        reasons[f"without {needed}"] = [option] if option in stated and needed not in stated else []
    idle = [f"{_listed(names)} {why}" for why, names in reasons.items() if names]
    if idle:
        raise ConfigError(f"these options have no effect, leave them out: {'; '.join(idle)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
