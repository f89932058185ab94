"""`amkd simulate`: a synthetic cohort with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate_command(
    out: Annotated[Path, typer.Option(help="Folder of the cohort; finished slides in it are kept.")],
    patients: Annotated[int, typer.Option(min=4, help="Number of patients, one slide each.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything.")] = 0,
    width: Annotated[int, typer.Option(min=512, help="Slide width in pixels.")] = 2560,
    height: Annotated[int, typer.Option(min=512, help="Slide height in pixels.")] = 2048,
    mpp: Annotated[float, typer.Option(min=0.1, max=2.0, help="Micrometres per pixel.")] = 0.5,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
) -> None:
    """Simulate slides, expression and follow-up with a known truth. Everything in it is SYNTHETIC."""
    from amkd_core.cli.terminal import drain, user_errors
    from amkd_core.simulate.cohorts import simulate_cohort
    from amkd_core.simulate.config import SimulationConfig

    with user_errors():
        config = SimulationConfig(n_patients=patients, seed=seed, width_px=width, height_px=height, mpp=mpp)
        toml = drain(simulate_cohort(config, out, jobs=jobs))
    typer.echo(f"SYNTHETIC cohort of {patients} patients: {toml}")
