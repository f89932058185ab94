"""Cohort and settings as commands ask for them: of `amkd benchmark` and `amkd ablate` as of `amkd-train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amkd_core.cli.terminal import say

if TYPE_CHECKING:
    from amkd_core.cohort.cohort import Cohort
    from amkd_core.training.config import TrainingConfig
    from amkd_core.training.recipes import Recipe

_OF_COHORT = "cohort."
_FLAGS = {"cohort.folds": "--fold-file", "cohort.use_split": "--ignore-split"}

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override any setting, as in student.epochs=40 or cohort.endpoint=pfi."),
]
IgnoreSplitOption = Annotated[
    bool, typer.Option("--ignore-split", help="Cross-validate although the table has a column split.")
]


def divided(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides of ``--set``: those of the settings, and those of the cohort without what marks them."""
    of_cohort = [item.removeprefix(_OF_COHORT) for item in overrides if item.startswith(_OF_COHORT)]
    return [item for item in overrides if not item.startswith(_OF_COHORT)], of_cohort


def given_twice(flags: Mapping[str, Any], overrides: Sequence[str], *, of: str = "") -> list[str]:
    """A sentence for each key that a flag and ``--set`` both give, so that neither is dropped without a word.

    Parameters
    ----------
    flags
        By key.
    overrides
        As `divided` gives them.
    of
        What marks the keys in ``--set``.
    """
    named = {item.partition("=")[0].strip() for item in overrides}
    return [
        f"{_FLAGS.get(of + key, '--' + key.replace('_', '-'))} and --set {of}{key}=... give the same setting twice; "
        "expected one of them"
        for key in flags
        if key in named
    ]


def study_settings(config: Path | None, overrides: Sequence[str]) -> TrainingConfig:
    """Settings of a file and of `--set`, those of the cohort left to `study_cohort`.

    Raises
    ------
    ConfigError
        As `amkd_core.training.config.load_config`.
    """
    from amkd_core.training.config import load_config

    return load_config(config, divided(overrides)[0])


def say_budget(recipes: Sequence[Recipe], settings: TrainingConfig) -> None:
    """Say before anything is trained that the budget is not equal, where it is not."""
    from amkd_core.studies.protocol import unequal_budget

    if unequal := unequal_budget(recipes, settings):
        say(f"Warning: {unequal}")


def study_cohort(
    path: Path, overrides: Sequence[str], *, ignore_split: bool, settings: TrainingConfig
) -> Cohort:
    """The cohort, with keys that ``--set cohort.key=value`` replaces; folds, notes and warnings are told at once.

    Raises
    ------
    ConfigError, CohortError
        As `amkd_core.cohort.cohort.read_cohort` and `amkd_core.cohort.checks.gene_warnings`.
    """
    from amkd_core.cohort.checks import gene_warnings
    from amkd_core.cohort.cohort import read_cohort
    from amkd_core.cohort.folds import folds_in_words
    from amkd_core.errors import ConfigError
    from amkd_core.training.config import merge_overrides

    given: dict[str, Any] = {"use_split": False} if ignore_split else {}
    of_cohort = divided(overrides)[1]
    if twice := given_twice(given, of_cohort, of=_OF_COHORT):
        raise ConfigError(twice[0])
    merge_overrides(given, of_cohort)
    found = read_cohort(path, given)
    thin = gene_warnings(found, min_coverage=settings.min_coverage)
    found = replace(found, warnings=(*found.warnings, *thin))
    say_reading(found)
    say(f"Folds: {folds_in_words(found, settings.folds, setting=True)}")
    return found


def say_reading(cohort: Cohort) -> None:
    """How the tables were read, who was kept out, and what looks wrong."""
    for line in (*cohort.notes, *map(str, cohort.findings)):
        say(line)
    say_warnings(cohort)


def say_warnings(cohort: Cohort, announced: tuple[str, ...] = ()) -> None:
    """A cohort's warnings, but for those that were announced before."""
    for warning in cohort.warnings:
        if warning not in announced:
            say(f"Warning: {warning}")
