"""`amkd-train`: a cohort in, a teacher, a student and a model bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amkd_core.cli.terminal import EXIT_FOLDER_IN_USE, EXIT_WRONG_INPUT, drain, user_errors

EXAMPLE_COHORT = """# A cohort for `amkd-train`. Paths are relative to this file.
[cohort]
name = "my-cohort"

# CSV, TSV or Parquet with the columns patient_id, slide_ids (joined by ";"), os_months (above 0) and
# os_event (1 = death, 0 = censored); optionally split (train, validation or test).
clinical = "clinical.csv"

# CSV, TSV or Parquet: a column patient_id, then one column per gene symbol, log scale.
expression = "expression.parquet"

# Gene sets, one a line: name, description, genes, separated by tabs.
pathways = "pathways.gmt"

# Slides named <slide_id>.<suffix>, and/or a folder of bags named <slide_id>.h5; missing bags are extracted.
slides = "slides"
# bags = "bags"

encoder = "texture"
# os, dss or pfi: which columns of the clinical table.
endpoint = "os"
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def train(
    cohort: Annotated[Path | None, typer.Option(help="The cohort's TOML file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; repeat the command to continue.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; see docs/training.md.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override, as in student.epochs=40.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Folds of the cross-validation.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes for slides without a bag (2), and for folds (1)."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask cluster that takes slides and folds, as in tcp://host:8786.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights of a foundation encoder.")] = None,
    init: Annotated[
        bool, typer.Option("--init", help="Print a commented example cohort file and stop.")
    ] = False,
) -> None:
    """Train teacher and student on a cohort and write RUN/model.amkd (research use only)."""
    if init:
        typer.echo(EXAMPLE_COHORT, nl=False)
        return
    if cohort is None or out is None:
        typer.echo("Error: --cohort and --out are needed (--init prints an example cohort file)", err=True)
        raise typer.Exit(EXIT_WRONG_INPUT)
    from amkd_core.cohort.cohort import read_cohort
    from amkd_core.inference.extract import BagFolderInUseError
    from amkd_core.training.config import load_config
    from amkd_core.training.run import train_run, with_slides
    from amkd_core.training.run_folder import FolderInUseError

    overrides = list(set_ or ())
    overrides += [f"seed={seed}"] if seed is not None else []
    overrides += [f"folds={folds}"] if folds is not None else []
    overrides += [f'device="{device}"'] if device is not None else []
    with user_errors():
        try:
            settings = load_config(config, overrides)
            found = with_slides(read_cohort(cohort), out)
            typer.echo(("SYNTHETIC cohort " if found.file.synthetic else "") + found.summary)
            for finding in found.findings:
                typer.echo(str(finding))
            run = drain(train_run(found, out, settings, jobs=jobs, scheduler=scheduler, weights=weights))
        except (FolderInUseError, BagFolderInUseError) as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(EXIT_FOLDER_IN_USE) from None
    if len(run.folds) == 1:
        for item in (*run.scores, *run.groups):
            typer.echo(str(item))
    if run.statistics is not None:
        typer.echo(str(run.statistics))
    typer.echo(f"Model: {run.bundle_path}")


def main() -> None:
    """Entry point of the console script."""
    app()
