"""`amkd evaluate`: a bundle on a cohort that it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amkd_core.cli.terminal import drain, user_errors

if TYPE_CHECKING:
    from amkd_core.bag import FeatureBag
    from amkd_core.cohort.cohort import Cohort


def evaluate_command(
    bundle: Annotated[Path, typer.Option(help="Model bundle (.amkd).")],
    cohort: Annotated[Path, typer.Option(help="TOML file of the external cohort; it may lack expression.")],
    out: Annotated[Path, typer.Option(help="Folder of predictions, metrics, figures and report.")] = Path(
        "evaluation"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Validate on an external cohort: every patient is scored, nothing is fitted (research use only)."""
    from amkd_core.bundle_file import open_bundle
    from amkd_core.training.external import evaluate_bundle

    with user_errors():
        model = open_bundle(bundle)
        patients, bags = cohort_with_bags(cohort)
        statistics = drain(evaluate_bundle(patients, model, bags, out=out, seed=seed, device=device))
    typer.echo(("SYNTHETIC: " if model.card.synthetic or statistics.synthetic else "") + patients.summary)
    typer.echo(str(statistics))
    typer.echo(f"Report: {out / 'report.html'}")


def cohort_with_bags(path: Path) -> tuple[Cohort, Mapping[str, FeatureBag]]:
    """Read a cohort and the bags of its patients; those without a bag are named and left out.

    Raises
    ------
    AmkdError
        When cohort or bags cannot be used.
    """
    from amkd_core.errors import CohortError
    from amkd_core.training.external import with_bags
    from amkd_core.training.external_cohort import read_external_cohort
    from amkd_core.training.inputs import read_bags

    found = read_external_cohort(path)
    folder = found.file.bags
    if folder is None:
        raise CohortError(
            f"{path.name}: [cohort] bags names no folder; extract the slides (amkd extract) and name it there"
        )
    kept = with_bags(found, folder)
    for finding in kept.findings:
        typer.echo(str(finding))
    return kept, read_bags(kept, folder)
