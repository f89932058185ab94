"""`amkd figures`: the paper's figures for finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amkd_core.cli.terminal import DeviceOption, chosen_device, drain, say, user_errors


def figures_command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of amkd-train, a panel each.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder; by default paper-figures in the first run.")
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Patient of figures 3 and 5; by default one of median agreement.")
    ] = None,
    cohort: Annotated[
        Path | None, typer.Option(help="TOML file with the paths of moved tables; of a single run.")
    ] = None,
    identified: Annotated[
        bool, typer.Option("--identified", help="Name the slide in the pictures; a pseudonym by default.")
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Draw figures 2 to 5 of the paper, as PNG, SVG and PDF with captions (research use only)."""
    from amkd_core.errors import ConfigError, FolderInUseError
    from amkd_core.folder_lock import hold_folder
    from amkd_core.studies.paper_figures import FigureOptions, paper_figures
    from amkd_core.training.finished_run import open_run

    with user_errors():
        if cohort is not None and len(runs) > 1:
            raise ConfigError(f"--cohort is of one run, and {len(runs)} runs were given")
        found = [open_run(run, cohort) for run in runs]
        options = FigureOptions(patient, identified, chosen_device(device))
        folder = out or runs[0] / "paper-figures"
        with hold_folder(folder, "draws figures into", FolderInUseError):
            written = drain(paper_figures(found, folder, options))
    for path in written:
        say(str(path))
