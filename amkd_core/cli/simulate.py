"""`amkd simulate`: a synthetic cohort with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amkd_core.cli.terminal import say

_OPTIONS = {"width_px": "--slide-size: the width", "height_px": "--slide-size: the height"}


def simulate_command(
    out: Annotated[Path, typer.Option(help="Folder of the cohort; finished slides in it are kept.")],
    patients: Annotated[int, typer.Option(min=4, help="Number of patients, one slide each.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything.")] = 0,
    slide_size: Annotated[
        tuple[int, int],
        typer.Option(help="Width and height of a slide in pixels, each at least 512, as in 1024 768."),
    ] = (2560, 2048),
    mpp: Annotated[float, typer.Option(min=0.1, max=2.0, help="Micrometres per pixel.")] = 0.5,
    pathways: Annotated[
        Path | None, typer.Option(help="GMT file of real gene sets, in place of made-up ones.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes; the result does not depend on it.")] = 2,
) -> None:
    """Simulate slides, expression and follow-up with a known truth. Everything in it is SYNTHETIC."""
    from pydantic import ValidationError

    from amkd_core.cli.terminal import drain, user_errors
    from amkd_core.errors import ConfigError, FolderInUseError
    from amkd_core.folder_lock import hold_folder
    from amkd_core.simulate.cohorts import simulate_cohort
    from amkd_core.simulate.config import SimulationConfig

    with user_errors():
        try:
            config = SimulationConfig(
                n_patients=patients,
                seed=seed,
                width_px=slide_size[0],
                height_px=slide_size[1],
                mpp=mpp,
                pathways=pathways,
            )
        except ValidationError as error:
            found = error.errors()[0]
            field = ".".join(map(str, found["loc"]))
            raise ConfigError(f"{_OPTIONS.get(field, field)} is {found['input']}: {found['msg']}") from None
        with hold_folder(out, "simulates into", FolderInUseError):
            toml = drain(simulate_cohort(config, out, jobs=jobs))
    say(f"SYNTHETIC cohort of {patients} patients (no real patient stands behind it): {toml}")
    say(f"Slides: {toml.parent / 'slides'}; their truth masks: {toml.parent / 'truth'}")
    say(f"True hazards, activities and planted shares: {toml.parent / 'truth.csv'}")


def simulate_bags_command(
    cohort: Annotated[Path, typer.Argument(help="Cohort file whose patients and expression are used.")],
    out: Annotated[Path, typer.Option(help="Folder of the bags and of a cohort file that uses them.")],
    patches: Annotated[int, typer.Option(min=16, help="Patches per patient.")] = 4096,
    dimension: Annotated[int, typer.Option(min=64, help="Width of the features.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything.")] = 0,
    own_follow_up: Annotated[
        bool, typer.Option("--own-follow-up", help="Simulate survival too, so that the truth is known.")
    ] = False,
) -> None:
    """Draw bags for the slides of a cohort from its real expression; no slide stands behind them."""
    from amkd_core.cli.terminal import drain, user_errors
    from amkd_core.cohort.cohort import read_cohort
    from amkd_core.errors import FolderInUseError
    from amkd_core.folder_lock import hold_folder
    from amkd_core.simulate.bag_cohort import simulate_bag_cohort
    from amkd_core.simulate.bags import BagSimulationConfig

    config = BagSimulationConfig(seed=seed, n_patches=patches, d_encoder=dimension)
    with user_errors():
        patients = read_cohort(cohort)
        with hold_folder(out, "simulates into", FolderInUseError):
            toml = drain(simulate_bag_cohort(patients, out, config, own_follow_up=own_follow_up))
    say(f"SIMULATED bags (no slide stands behind them): {toml}")
