"""The command line `amkd`."""

from __future__ import annotations

from typing import Annotated

import typer

from amkd_core import __version__
from amkd_core.cli.ablate import ablate_command
from amkd_core.cli.benchmark import benchmark_command
from amkd_core.cli.calling import Command, ContinuedCommand
from amkd_core.cli.cohort import cohort_command
from amkd_core.cli.cost import cost_command
from amkd_core.cli.demo import demo_command
from amkd_core.cli.doctor import doctor_command
from amkd_core.cli.evaluate import evaluate_command
from amkd_core.cli.explain import explain_command
from amkd_core.cli.extract import extract_command
from amkd_core.cli.fetch_weights import fetch_weights_command
from amkd_core.cli.figures import figures_command
from amkd_core.cli.model import model_command
from amkd_core.cli.predict import predict_command
from amkd_core.cli.simulate import simulate_bags_command, simulate_command
from amkd_core.cli.terminal import say, user_errors
from amkd_core.cli.view import view_command
from amkd_core.versions import require_versions

app = typer.Typer(
    name="amkd",
    help="Cancer survival risk from H&E slides. Research use only; not for diagnosis or treatment decisions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("view", cls=Command)(view_command)
app.command("predict", cls=Command)(predict_command)
app.command("model", cls=Command)(model_command)
app.command("extract", cls=ContinuedCommand)(extract_command)
app.command("cohort", cls=Command)(cohort_command)
app.command("evaluate", cls=Command)(evaluate_command)
app.command("explain", cls=Command)(explain_command)
app.command("benchmark", cls=ContinuedCommand)(benchmark_command)
app.command("ablate", cls=ContinuedCommand)(ablate_command)
app.command("cost", cls=ContinuedCommand)(cost_command)
app.command("figures", cls=Command)(figures_command)
app.command("simulate", cls=ContinuedCommand)(simulate_command)
app.command("simulate-bags", cls=Command)(simulate_bags_command)
app.command("demo", cls=Command)(demo_command)
app.command("fetch-weights", cls=Command)(fetch_weights_command)
app.command("doctor", cls=Command)(doctor_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"amkd {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand != "doctor":  # which tells of old versions among the rest
        with user_errors():
            require_versions()


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
