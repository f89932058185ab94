"""`amkd-train`: a cohort in; folds, a report and a model bundle out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from amkd_core.cli.calling import ContinuedCommand
from amkd_core.cli.study_cohort import IgnoreSplitOption, divided, given_twice, say_reading, say_warnings
from amkd_core.cli.terminal import EXIT_STOPPED, EXIT_WRONG_INPUT, drain, say, say_lines, user_errors
from amkd_core.versions import require_versions

if TYPE_CHECKING:
    from amkd_core.cohort.cohort import Cohort
    from amkd_core.training.config import TrainingConfig
    from amkd_core.training.run import Run

_TABLES = ("clinical", "expression", "pathways")
Found = TypeVar("Found")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(cls=ContinuedCommand)
def train(
    cohort: Annotated[
        Path | None,
        typer.Option(help="The cohort's TOML file; single keys are overridden by the flags below."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; repeat the command to continue.")] = None,
    clinical: Annotated[Path | None, typer.Option(help="Clinical table.")] = None,
    expression: Annotated[Path | None, typer.Option(help="Expression table.")] = None,
    pathways: Annotated[Path | None, typer.Option(help="Gene sets (GMT).")] = None,
    slides: Annotated[Path | None, typer.Option(help="Folder of slides.")] = None,
    bags: Annotated[Path | None, typer.Option(help="Folder of feature bags.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Patch encoder.")] = None,
    bag_mpp: Annotated[float | None, typer.Option(help="Scale of foreign bags' patches.")] = None,
    patch_size: Annotated[int | None, typer.Option(help="Side of foreign bags' patches in px.")] = None,
    patch_size_level0: Annotated[int | None, typer.Option(help="The same in level-0 px.")] = None,
    slide_mpp: Annotated[float | None, typer.Option(help="Scale of the slides of foreign bags.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="os, dss or pfi.")] = None,
    fold_file: Annotated[Path | None, typer.Option(help="Table of given folds.")] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Clinical column whose groups no fold tears apart, such as the hospital."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; see docs/training.md.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override any setting, as in student.epochs=40 or cohort.time_unit=days."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only kernels that give the same bits each time.")
    ] = False,
    folds: Annotated[int | None, typer.Option(min=2, help="Folds of the cross-validation (5).")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes for slides without a bag (2), and for folds (1).")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask cluster that takes slides and folds, as in tcp://host:8786.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights of a foundation encoder.")] = None,
    ignore_split: IgnoreSplitOption = False,
    init: Annotated[
        bool, typer.Option("--init", help="Print a commented example cohort file and stop.")
    ] = False,
) -> None:
    """Train teacher and student, test them on held-out patients, write RUN/model.amkd (research use only)."""
    with user_errors():
        require_versions()
    if init:
        from amkd_core.cohort.example import EXAMPLE_COHORT

        say_lines(EXAMPLE_COHORT.rstrip())
        return
    flags = {
        "clinical": clinical, "expression": expression, "pathways": pathways, "slides": slides, "bags": bags,
        "encoder": encoder, "endpoint": endpoint, "folds": fold_file, "group": group,
        "use_split": False if ignore_split else None, "bag_mpp": bag_mpp, "patch_size": patch_size,
        "patch_size_level0": patch_size_level0, "slide_mpp": slide_mpp,
    }  # fmt: skip
    given = {name: value for name, value in flags.items() if value is not None}
    if out is None or (cohort is None and any(name not in given for name in _TABLES)):
        _refuse(
            [
                "--out, and --cohort or --clinical, --expression and --pathways, are needed (--init prints an example)"
            ]
        )
    overrides, of_cohort = divided(set_ or ())
    short = {
        "seed": seed, "folds": folds, "device": None if device is None else f'"{device}"',
        "deterministic": "true" if deterministic else None,
    }  # fmt: skip
    of_settings = {name: value for name, value in short.items() if value is not None}
    twice = [*given_twice(of_settings, overrides), *given_twice(given, of_cohort, of="cohort.")]
    if twice:
        _refuse(twice)
    overrides += [f"{name}={value}" for name, value in of_settings.items()]
    checked = _check(
        _Asked(cohort, given, of_cohort, config, overrides), out, weights, here=scheduler is None
    )
    _announce(checked)
    _report(_train(checked, out, jobs=jobs, scheduler=scheduler, weights=weights), out, checked.cohort)


@dataclass(frozen=True)
class _Asked:
    cohort: Path | None
    given: dict[str, Any]
    of_cohort: list[str]
    config: Path | None
    overrides: list[str]


@dataclass(frozen=True)
class _Checked:
    cohort: Cohort
    config: TrainingConfig
    n_folds: int


def _check(asked: _Asked, out: Path, weights: Path | None, *, here: bool) -> _Checked:
    """Everything that can be known to be wrong before any training, all of it at once."""
    from amkd_core.cohort.checks import gene_warnings
    from amkd_core.cohort.cohort import read_cohort
    from amkd_core.cohort.folds import make_folds
    from amkd_core.inference.forward import check_device
    from amkd_core.training.config import load_config, merge_overrides
    from amkd_core.training.foreign_bags import require_complete_bags
    from amkd_core.training.slides_of_run import bags_of, check_features, with_slides
    from amkd_core.training.time_bins import require_time_bins

    problems: list[str] = []
    config = _attempt(lambda: load_config(asked.config, asked.overrides), problems)
    if config is not None:
        device = config.device
        _attempt(lambda: check_device(device), problems)
    _attempt(lambda: merge_overrides(asked.given, asked.of_cohort), problems)
    found = _attempt(lambda: with_slides(read_cohort(asked.cohort, asked.given), out), problems)
    splits = None
    if found is not None:
        of_run = found
        _attempt(lambda: require_complete_bags(of_run, bags_of(of_run, out)), problems)
        _attempt(lambda: check_features(of_run, bags_of(of_run, out), weights=weights, here=here), problems)
    if found is not None and config is not None:
        cohort, settings = found, config
        splits = _attempt(lambda: make_folds(cohort, n_folds=settings.folds, seed=settings.seed), problems)
        if splits is not None:
            made = splits
            _attempt(lambda: require_time_bins(cohort, settings, made), problems)
        thin = _attempt(lambda: gene_warnings(cohort, min_coverage=settings.min_coverage), problems)
        found = replace(cohort, warnings=(*cohort.warnings, *(thin or ())))
    if config is None or found is None or splits is None or problems:
        _refuse(problems if asked.cohort else [_without_file(problem) for problem in problems])
    return _Checked(found, config, len(splits))


def _attempt(make: Callable[[], Found], problems: list[str]) -> Found | None:
    """What is made, or None after its complaint was noted, so that one mistake does not hide another."""
    from amkd_core.errors import AmkdError

    try:
        return make()
    except AmkdError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"{error.filename or 'input'}: {error.strerror or error}")
    return None


def _without_file(problem: str) -> str:
    """A complaint about a cohort that was given by flags, whose other keys have no file to stand in."""
    return problem.replace("in the cohort file", "with --set cohort.KEY=VALUE")


def _refuse(problems: list[str]) -> NoReturn:
    for problem in problems:
        say(f"Error: {problem}", err=True)
    raise typer.Exit(EXIT_WRONG_INPUT)


def _announce(checked: _Checked) -> None:
    """Who is trained on, how the tables were read, and what looks wrong in them."""
    from amkd_core.cohort.folds import folds_in_words

    cohort, folds = checked.cohort, checked.config.folds
    say(("SYNTHETIC cohort " if cohort.file.synthetic else "") + cohort.summary)
    say_reading(cohort)
    # Unset, the number of folds is nobody's wish, and a split or a file of folds takes its place without a word.
    made = folds_in_words(cohort, folds, setting="folds" in checked.config.model_fields_set)
    count = f"; {checked.n_folds} folds" if cohort.file.folds is not None and checked.n_folds > 1 else ""
    say(f"Folds: {made}{count}")


def _train(
    checked: _Checked, out: Path, *, jobs: int | None, scheduler: str | None, weights: Path | None
) -> Run:
    from amkd_core.training.run import train_run

    steps = train_run(checked.cohort, out, checked.config, jobs=jobs, scheduler=scheduler, weights=weights)
    with user_errors():
        try:
            return drain(steps)
        except KeyboardInterrupt:
            say("Stopped. Repeat the same command to continue; at most the running epoch is lost.", err=True)
            raise typer.Exit(EXIT_STOPPED) from None


def _report(run: Run, out: Path, announced: Cohort) -> None:
    from amkd_core.notices import processor_remark
    from amkd_core.training.cohort_pathways import ON_PROCESSOR

    say_warnings(run.cohort, announced.warnings)  # what its bags told
    card = run.bundle.card
    dropped = card.provenance.get("pathways_dropped", 0)
    say(f"{len(card.pathways)} pathways kept, {dropped} dropped for coverage")
    if remark := processor_remark(card.provenance.get(ON_PROCESSOR, 0)):
        say(f"Pathways: {remark}")
    if len(run.folds) == 1:  # what the report does not tell: the patients who chose the epoch
        lines = [str(score) for score in run.scores if score.part == "validation"]
        lines += [str(group) for group in run.groups if group.part == "validation"]
        for line in lines:
            say(line)
    if run.statistics is None:
        say("No patient was kept for testing, so there is no report")
    else:
        say_lines(str(run.statistics))
        say(f"Report: {out / 'report.html'}")
    say(f"Model: {run.bundle_path}")


def main() -> None:
    """Entry point of the console script."""
    app()
