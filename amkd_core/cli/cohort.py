"""`amkd cohort`: who the patients are and what is wrong with the tables, without training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amkd_core.cli.study_cohort import IgnoreSplitOption
from amkd_core.cli.terminal import say, say_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amkd_core.cohort.cohort import Cohort
    from amkd_core.cohort.splits import Split
    from amkd_core.errors import CohortError


def cohort_command(
    cohort: Annotated[
        Path, typer.Argument(help="The cohort's TOML file (amkd-train --init prints an example).")
    ],
    folds: Annotated[
        int | None, typer.Option(min=2, help="Folds of the cross-validation that is planned (5).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the folds.")] = 0,
    ignore_split: IgnoreSplitOption = False,
    hashes: Annotated[
        bool,
        typer.Option(
            "--write-hashes",
            help="Write the SHA-256 of each table beside it: every later command refuses a table that has changed.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """Print table 1 of a cohort, how its tables were understood, who is kept out, and what looks wrong."""
    from amkd_core.cli.terminal import user_errors
    from amkd_core.cohort.folds import folds_in_words
    from amkd_core.cohort.pathways import coverage_of
    from amkd_core.cohort.table_one import bag_sizes, table_one
    from amkd_core.survival.endpoints import words_of

    with user_errors():
        found = _read(cohort, ignore_split=ignore_split)
        found, written = _with_hashes(found) if hashes else (found, ())
        sizes = bag_sizes(found, found.file.bags) if found.file.bags is not None else []
        rows = table_one(found, n_patches=sizes)
        without, about_slides = _slides(found)
        splits, about_folds, refused = _folds(found, folds or 5, seed)
    event = {patient.patient_id: patient.event for patient in found.patients}
    tested = [sum(event[name] for name in split.test) for split in splits]
    about_genes, thin = _coverage(found)
    refused = thin or refused
    warnings = [
        *found.warnings,
        *about_genes,
        *about_slides,
        *about_folds,
        *_about_tests(found, splits, tested),
    ]
    if as_json:
        record = {
            "name": found.file.name,
            "synthetic": found.file.synthetic,
            "table": rows,
            "folds": folds_in_words(found, len(splits)) if splits else None,
            "deaths_tested_by_fold": tested,
            "notes": list(found.notes),
            "kept_out": {item.reason: list(item.patients) for item in found.findings},
            "no_slide_or_bag": list(without),
            "coverage": coverage_of(found.pathways, found.expression.genes),
            "warnings": warnings,
            "hashes_written": [path.name for path in written],
        }
        say_lines(json.dumps(record, indent=1))
        _end(refused)
        return
    say(("SYNTHETIC cohort " if found.file.synthetic else "") + found.summary)
    width = max(map(len, rows))
    for name, text in rows.items():
        say(f"  {name:<{width}}  {text}")
    if splits:
        made = folds_in_words(found, folds or len(splits), setting=folds is not None)
        events = words_of(found.file.endpoint).events
        say(f"  {'folds':<{width}}  {made}; tested on {', '.join(map(str, tested))} {events}")
    for title, lines in (
        ("Understood as", found.notes),
        ("Kept out", [str(item) for item in found.findings]),
        ("Look at this", warnings),
    ):
        if lines:
            say(f"{title}:")
        for line in lines:
            say(f"  - {line}")
    if hashes:
        names = ", ".join(path.name for path in written)
        say(f"Written: {names}" if written else "Each table has a checksum, its own or beside it, already.")
    _end(refused)


def _read(path: Path, *, ignore_split: bool) -> Cohort:
    """The cohort as `amkd-train` reads it, or as `amkd evaluate` where its file names no genes."""
    from amkd_core.cohort.cohort import read_cohort
    from amkd_core.training.external_cohort import names_no_genes, read_external_cohort

    if names_no_genes(path):  # no folds are made of it, and its column split tells nothing
        return read_external_cohort(path)
    return read_cohort(path, {"use_split": False} if ignore_split else None)


def _with_hashes(cohort: Cohort) -> tuple[Cohort, tuple[Path, ...]]:
    """The cohort without the note that its tables have no hashes, and those that were written for it."""
    from amkd_core.cohort.bare_tables import bare_note, bare_tables, write_hashes

    outdated = bare_note(cohort.file)
    written = write_hashes(bare_tables(cohort.file))
    return replace(cohort, notes=tuple(note for note in cohort.notes if note not in outdated)), written


def _folds(
    cohort: Cohort, n_folds: int, seed: int
) -> tuple[tuple[Split, ...], tuple[str, ...], CohortError | None]:
    """Folds of a run, or what is to be said where none can be made; refused is what the user asked for in vain.

    Patients who are too few for a run may still be scored, so that their cohort is looked at all the same.
    """
    from amkd_core.cohort.folds import make_folds
    from amkd_core.errors import CohortError

    scored = "amkd evaluate scores it."
    if not cohort.expression.genes or not cohort.pathways:
        return (), (f"Without expression and pathways no run can be trained on it; {scored}",), None
    try:
        return make_folds(cohort, n_folds=n_folds, seed=seed), (), None
    except CohortError as error:
        if cohort.file.folds or cohort.file.group:
            return (), (f"No run can be trained on it: {error}.",), error
        how = "" if any(patient.split for patient in cohort.patients) else f" of {n_folds} folds"
        return (), (f"No run{how} can be trained on it: {error}. {scored}",), None


def _about_tests(cohort: Cohort, splits: Sequence[Split], tested: Sequence[int]) -> list[str]:
    """What is to be said about the events on which folds are tested, and about hospitals in two of their parts."""
    from amkd_core.cohort.shared_sites import shared_sites_note
    from amkd_core.survival.endpoints import words_of

    told = [shared_sites_note(splits)]
    if any(split.test for split in splits) and min(tested) < 10:
        words, fewest = words_of(cohort.file.endpoint), min(tested)
        few = {0: f"no {words.events} at all", 1: f"only 1 {words.event}"}.get(
            fewest, f"only {fewest} {words.events}"
        )
        told.insert(0, f"A fold is tested on {few}; its C-index will say little.")
    return [line for line in told if line]


def _coverage(cohort: Cohort) -> tuple[tuple[str, ...], CohortError | None]:
    """What is to be said about the pathways' genes, and the refusal where no run would begin on them."""
    from amkd_core.cohort.checks import gene_warnings
    from amkd_core.errors import CohortError

    if not cohort.expression.genes or not cohort.pathways:
        return (), None
    try:
        told = gene_warnings(cohort)
    except CohortError as error:
        return (str(error),), error
    return told, None


def _end(refused: CohortError | None) -> None:
    """Say at the end what would stop a run, by the exit code as well."""
    from amkd_core.cli.terminal import user_errors

    with user_errors():
        if refused is not None:
            raise refused


def _slides(cohort: Cohort) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Patients without slides and bags, and what is to be said about the folders; an unknown encoder is refused."""
    from amkd_core.cohort.patients import listed
    from amkd_core.errors import CohortError
    from amkd_core.training.misplaced import misplaced
    from amkd_core.training.slides_of_run import check_encoder, lacking_slides

    slides, bags = cohort.file.slides, cohort.file.bags
    try:
        without = lacking_slides(cohort, bags)
    except CohortError as error:
        return (), (str(error),)
    reachable = cohort.keep_only(lambda patient: patient.patient_id not in without, "no slide or bag")
    check_encoder(reachable, bags, weights=None, here=False)
    if slides is None and bags is None:
        return without, ("No folder of slides or bags is named, so nobody's slides were looked for.",)
    if not without:
        return (), ()
    places = " or ".join(str(place) for place in (slides, bags) if place is not None)
    shown = listed(without)
    unless = "" if bags is not None else ", unless the run's own folder of bags holds them"
    who = "1 patient lacks" if len(without) == 1 else f"{len(without)} patients lack"
    lacking = set(without)
    names = [name for one in cohort.patients if one.patient_id in lacking for name in one.slide_ids]
    clue = misplaced(names, [place for place in (slides, bags) if place is not None])
    return without, (
        f"{who} a slide or bag in {places} ({shown}) and will be kept out of a run{unless}{clue}.",
    )
