"""Slides and bags of a run: who has them, and the extraction of those that are missing."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.cohort.cohort import Cohort
from amkd_core.errors import CohortError
from amkd_core.inference.extract import ExtractSettings, SlideTask, bag_folder, extract_slides
from amkd_core.progress import Progress
from amkd_core.slides import is_slide, slide_id_of

if TYPE_CHECKING:
    from distributed import Client


def with_slides(cohort: Cohort, out: Path) -> Cohort:
    """The cohort without patients of whom a slide is missing; they are named in the findings.

    A patient stays when each of its slides lies in the slides' folder or has a bag.

    Raises
    ------
    CohortError
        When the folder of slides is missing, or nobody is left.
    """
    folder = bags_of(cohort, out)
    slides = slides_of(cohort)
    left = cohort.keep_only(
        lambda patient: all(
            name in slides or (folder / f"{name}.h5").is_file() for name in patient.slide_ids
        ),
        "no slide or bag in the folders",
    )
    if not left.patients:
        places = " or ".join(str(place) for place in (cohort.file.slides, folder) if place is not None)
        first = cohort.patients[0].slide_ids[0]
        raise CohortError(
            f"none of the {len(cohort.patients)} patients has its slides or bags in {places} (there is no {first})"
        )
    return left


def bags_of(cohort: Cohort, out: Path) -> Path:
    """Folder of the run's bags."""
    return cohort.file.bags or out / "bags"


def slides_of(cohort: Cohort) -> dict[str, Path]:
    """Slides of the cohort's folder by name; files and folders that are no slides are passed over.

    Raises
    ------
    CohortError
        When the folder is missing.
    """
    folder = cohort.file.slides
    if folder is None:
        return {}
    if not folder.is_dir():
        raise CohortError(f"{folder}: no such folder of slides")
    wanted = {name for patient in cohort.patients for name in patient.slide_ids}
    named = ((slide_id_of(path), path) for path in sorted(folder.iterdir()))
    return {name: path for name, path in named if name in wanted and is_slide(path)}


def extract_missing(
    cohort: Cohort, out: Path, *, jobs: int, weights: Path | None, device: str, client: Client | None = None
) -> Generator[Progress, None, None]:
    """Extract the slides that have no bag, in processes of this machine or on a cluster.

    Raises
    ------
    CohortError
        When slides cannot be extracted; they are named, and the other bags are kept.
    """
    folder = bags_of(cohort, out)
    names = [name for patient in cohort.patients for name in patient.slide_ids]
    missing = [name for name in names if not (folder / f"{name}.h5").is_file()]
    if not missing:
        return
    slides = slides_of(cohort)
    settings = ExtractSettings(encoder=cohort.file.encoder, weights=weights, device=device)
    with bag_folder(folder):
        tasks = [SlideTask(slides[name]) for name in missing]
        if client is None:
            outcomes = yield from extract_slides(tasks, folder, settings, jobs=jobs)
        else:
            from amkd_core.training.cluster import extract_on_cluster

            outcomes = yield from extract_on_cluster(tasks, folder, settings, client)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        listed = "; ".join(f"{outcome.path.name}: {outcome.reason}" for outcome in failed[:5])
        raise CohortError(
            f"{len(failed)} of {len(missing)} slides could not be extracted ({listed}); mend them or leave them out "
            "of the clinical table, and repeat the command: the other bags are kept"
        )
