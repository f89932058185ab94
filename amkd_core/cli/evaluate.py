"""`amkd evaluate`: a bundle on a cohort that it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amkd_core.cli.terminal import DeviceOption, chosen_device, drain, user_errors

if TYPE_CHECKING:
    from amkd_core.bag import FeatureBag
    from amkd_core.cohort.cohort import Cohort


def evaluate_command(
    bundle: Annotated[Path, typer.Option(help="Model bundle (.amkd).")],
    cohort: Annotated[Path, typer.Option(help="TOML file of the external cohort; it may lack expression.")],
    out: Annotated[Path, typer.Option(help="Folder of predictions, metrics, figures and report.")] = Path(
        "evaluation"
    ),
    bags: Annotated[Path | None, typer.Option(help="Folder of the cohort's bags, such as RUN/bags.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes for slides without a bag.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    device: DeviceOption = None,
) -> None:
    """Validate on an external cohort: every patient is scored, nothing is fitted (research use only)."""
    from amkd_core.bundle_file import open_bundle
    from amkd_core.training.external import evaluate_bundle

    with user_errors():
        model = open_bundle(bundle)
        patients, found = cohort_with_bags(cohort, out, bags=bags, jobs=jobs, device=chosen_device(device))
        statistics = drain(
            evaluate_bundle(patients, model, found, out=out, seed=seed, device=chosen_device(device))
        )
    typer.echo(("SYNTHETIC: " if model.card.synthetic or statistics.synthetic else "") + patients.summary)
    typer.echo(str(statistics))
    typer.echo(f"Report: {out / 'report.html'}")


def cohort_with_bags(
    path: Path, out: Path, *, bags: Path | None = None, jobs: int = 2, device: str = "cpu"
) -> tuple[Cohort, Mapping[str, FeatureBag]]:
    """Read a cohort and the bags of its patients; those without slide or bag are named and left out.

    Parameters
    ----------
    path
        The cohort's file.
    out
        Where slides without a bag are extracted to (``bags``), when no folder of bags is named.
    bags
        Folder that comes before the file's.
    jobs
        Worker processes of the extraction.
    device
        That the extraction runs on.

    Raises
    ------
    AmkdError
        When cohort or bags cannot be used.
    """
    from amkd_core.errors import CohortError
    from amkd_core.training.external import with_bags
    from amkd_core.training.external_cohort import read_external_cohort
    from amkd_core.training.inputs import read_bags
    from amkd_core.training.slides_of_run import bags_of, extract_missing, with_slides

    found = read_external_cohort(path)
    if bags is not None:
        found = replace(found, file=found.file.model_copy(update={"bags": bags}))
    if found.file.bags is None and found.file.slides is None:
        raise CohortError(
            f"{path.name}: [cohort] names neither slides nor bags, expected one of them, or --bags"
        )
    kept = with_slides(found, out) if found.file.bags is None else with_bags(found, found.file.bags)
    for finding in kept.findings:
        typer.echo(str(finding))
    if kept.file.bags is None:
        drain(extract_missing(kept, out, jobs=jobs, weights=None, device=device))
    return kept, read_bags(kept, bags_of(kept, out))
