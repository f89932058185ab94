"""`amkd evaluate`: a bundle on a cohort that it never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amkd_core.cli.study_cohort import say_reading, say_warnings
from amkd_core.cli.terminal import DeviceOption, chosen_device, drain, say, say_lines, user_errors

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
    from amkd_core.training.folder_owner import EVALUATE, result_folder
    from amkd_core.training.strangers import refuse_training_files, unlike_the_training

    with user_errors():
        model, asked = open_bundle(bundle), cohort_to_score(cohort, bags)

        def refuse_trained(kept: Cohort, slides: Mapping[str, Path]) -> None:
            drain(
                refuse_training_files(
                    kept, slides, model.card.training_slides, f"model {model.card.name} was"
                )
            )

        with result_folder(out, EVALUATE):
            patients, found = cohort_with_bags(
                asked,
                out,
                named=bags is not None,
                jobs=jobs,
                device=chosen_device(device),
                before=refuse_trained,
            )
            statistics = drain(
                evaluate_bundle(patients, model, found, out=out, seed=seed, device=chosen_device(device))
            )
    say(("SYNTHETIC: " if model.card.synthetic or statistics.synthetic else "") + patients.summary)
    card = model.card
    for warning in unlike_the_training(
        patients, "the model was", endpoint=card.endpoint, synthetic=card.synthetic
    ):
        say(warning)
    say_lines(str(statistics))
    say(f"Report: {out / 'report.html'}")


def cohort_to_score(path: Path, bags: Path | None = None) -> Cohort:
    """Read the tables of a cohort that is not trained on.

    Parameters
    ----------
    path
        The cohort's file.
    bags
        Folder that comes before the file's.

    Raises
    ------
    AmkdError
        When the cohort cannot be used, names neither slides nor bags, or `bags` is no folder.
    """
    from amkd_core.errors import CohortError
    from amkd_core.training.external_cohort import read_external_cohort

    if bags is not None and not bags.is_dir():
        raise CohortError(f"--bags {bags}: no such folder")
    found = read_external_cohort(path)
    if bags is not None:
        found = replace(found, file=found.file.model_copy(update={"bags": bags}))
    if found.file.bags is None and found.file.slides is None:
        raise CohortError(
            f"{path.name}: [cohort] names neither slides nor bags, expected one of them, or --bags"
        )
    return found


def cohort_with_bags(
    cohort: Cohort,
    out: Path,
    *,
    named: bool = False,
    jobs: int = 2,
    device: str = "cpu",
    before: Callable[[Cohort, Mapping[str, Path]], object] | None = None,
) -> tuple[Cohort, Mapping[str, FeatureBag]]:
    """The bags of a cohort's patients, missing ones extracted; those without slide or bag are named and left out.

    How the tables were understood, who is kept out and what looks wrong is printed, as `amkd-train` prints it.

    Parameters
    ----------
    cohort
        As `cohort_to_score` reads it.
    out
        Where slides without a bag are extracted to (``bags``), when no folder of bags is named.
    named
        Whether the folder of bags was named in the command: it may be a run's, and none of its bags is made again.
    jobs
        Worker processes of the extraction.
    device
        That the extraction runs on.
    before
        Called with the patients to score and, by name, the slides' files that have no bag yet, before the extraction,
        which may take hours: what would be refused after it.

    Raises
    ------
    AmkdError
        When slides or bags cannot be used.
    """
    from amkd_core.file_names import bag_of_slide
    from amkd_core.training.external import with_bags
    from amkd_core.training.foreign_bags import warned_of_foreign_bags
    from amkd_core.training.inputs import read_bags
    from amkd_core.training.outdated_bags import refuse_bags_of_other_slides
    from amkd_core.training.slides_of_run import bags_of, extract_missing, slides_of, with_slides

    folder, slides = bags_of(cohort, out), cohort.file.slides
    # A folder of slides that is gone is missed only where no bags are named.
    has_slides = slides is not None and (slides.is_dir() or cohort.file.bags is None)
    kept = with_slides(cohort, out, tied=False) if has_slides else with_bags(cohort, folder)
    say_reading(kept)
    files = slides_of(kept) if has_slides else {}
    if named:
        drain(refuse_bags_of_other_slides(folder, files))
    if before is not None:
        before(kept, {name: path for name, path in files.items() if not bag_of_slide(folder, name).is_file()})
    if has_slides:
        drain(extract_missing(kept, out, jobs=jobs, weights=None, device=device))
    bags = read_bags(kept, folder)
    warned = warned_of_foreign_bags(kept, bags, folder)
    say_warnings(warned, kept.warnings)
    return warned, bags
