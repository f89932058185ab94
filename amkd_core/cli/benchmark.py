"""`amkd benchmark`: every model on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amkd_core.cli.study_cohort import (
    IgnoreSplitOption,
    SetOption,
    say_budget,
    say_warnings,
    study_cohort,
    study_settings,
)
from amkd_core.cli.terminal import drain, say, user_errors

if TYPE_CHECKING:
    from amkd_core.studies.comparison_tables import Row


def benchmark_command(
    cohort: Annotated[Path, typer.Option(help="The cohort's TOML file, as for amkd-train.")],
    out: Annotated[Path, typer.Option(help="Folder; repeat the command to go on.")] = Path("benchmark"),
    models: Annotated[
        str | None, typer.Option(help="Comma between names, as in abmil,survpath,amkd; all by default.")
    ] = None,
    external: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of a cohort that every model scores as well (table 4); models finished without it are "
            "trained again."
        ),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            help="Paper's cohort (brca, stad, hnsc, crad) for the published column; none leaves it out."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; see docs/training.md.")] = None,
    set_: SetOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, over models and folds.")] = 1,
    ignore_split: IgnoreSplitOption = False,
) -> None:
    """Compare models under one protocol: tables 2 to 4 and figure 2 of the paper (research use only)."""
    from amkd_core.errors import ConfigError
    from amkd_core.studies.benchmark import compare
    from amkd_core.studies.comparison_report import REPORT, write_benchmark
    from amkd_core.studies.external_table import external_remarks
    from amkd_core.training.external_cohort import read_external_cohort
    from amkd_core.training.recipes import COMPARED, recipes_of

    with user_errors():
        settings = study_settings(config, set_ or ())
        names = COMPARED if models is None else [name.strip() for name in models.split(",") if name.strip()]
        if not names:
            raise ConfigError(f"--models {models!r}: names no model, expected such as abmil,amkd")
        recipes = recipes_of(names)
        patients = study_cohort(cohort, set_ or (), ignore_split=ignore_split, settings=settings)
        say_budget(recipes, settings)
        other = None if external is None else read_external_cohort(external)
        if other is not None:
            say(f"External cohort {other.summary}")
            for note in other.notes:
                say(note)
        paper = _cohort_of_paper(published, patients.file.name)
        rows: list[Row] = []
        found = drain(
            compare(
                patients, recipes, settings, out, external=other, jobs=jobs,
                write=lambda found: rows.extend(write_benchmark(out, found, settings, paper)),
            )
        )  # fmt: skip
    say_warnings(found.cohort, patients.warnings)
    for remark in external_remarks(found):
        say(f"External cohort {other.file.name if other else ''}: {remark}")
    say_rows(("SYNTHETIC " if patients.file.synthetic else "") + patients.summary, rows)
    say(f"Report: {out / REPORT}; tables as CSV and LaTeX beside it")


def say_rows(heading: str, rows: list[Row]) -> None:
    """The rows in short."""
    from amkd_core.studies.comparison_tables import p_text, spread, title_of

    say(heading)
    for row in rows:
        gap = (
            ""
            if row.gap is None
            else f"; minus AMKD {row.gap.interval.estimate:+.3f}, p {p_text(row.p_corrected, row.gap)}"
        )
        if row.same_as is not None:
            gap = f"; same as {title_of(row.same_as)}"
        say(f"{row.title}: C-index {spread(row.folds)}{gap}")


def _cohort_of_paper(asked: str | None, name: str) -> str | None:
    from amkd_core.errors import ConfigError
    from amkd_core.studies.published import COHORTS, cohort_of

    if asked is None:
        return cohort_of(name)
    if asked.lower() == "none":
        return None
    if asked.lower() not in COHORTS:
        raise ConfigError(f"--published {asked}: expected {', '.join(COHORTS)} or none")
    return asked.lower()
