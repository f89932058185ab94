"""`amkd ablate`: one row for each switch of the method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amkd_core.cli.benchmark import say_rows
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


def ablate_command(
    cohort: Annotated[Path, typer.Option(help="The cohort's TOML file, as for amkd-train.")],
    out: Annotated[Path, typer.Option(help="Folder; repeat the command to go on.")] = Path("ablation"),
    table: Annotated[
        int | None,
        typer.Option(min=5, max=6, help="Table of the paper: 5 (terms and teachers) or 6 (alpha)."),
    ] = None,
    switch: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting of the models and its values, as in distill.tau_logits=1,2,4; one row for each."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; see docs/training.md.")] = None,
    set_: SetOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, over rows and folds.")] = 1,
    ignore_split: IgnoreSplitOption = False,
) -> None:
    """Leave out or change one thing at a time: tables 5 and 6 of the paper, or switches of your own."""
    from amkd_core.errors import ConfigError
    from amkd_core.studies.ablation import rows_of_table, switch_rows
    from amkd_core.studies.benchmark import compare
    from amkd_core.studies.comparison_report import REPORT, write_ablation
    from amkd_core.studies.published import cohort_of
    from amkd_core.training.folder_owner import ABLATE

    with user_errors():
        if (table is None) == (not switch):
            raise ConfigError("give either --table 5 or 6, or --switch section.key=value,value")
        settings = study_settings(config, set_ or ())
        recipes = rows_of_table(table, settings) if table else switch_rows(switch or (), settings)
        patients = study_cohort(cohort, set_ or (), ignore_split=ignore_split, settings=settings)
        say_budget(recipes, settings)
        rows: list[Row] = []
        about = table, cohort_of(patients.file.name)
        found = drain(
            compare(
                patients, recipes, settings, out, jobs=jobs, command=ABLATE,
                write=lambda found: rows.extend(write_ablation(out, found, settings, about)),
            )
        )  # fmt: skip
    say_warnings(found.cohort, patients.warnings)
    say_rows(("SYNTHETIC " if patients.file.synthetic else "") + patients.summary, rows)
    say(f"Report: {out / REPORT}; the table as CSV and LaTeX beside it")
