"""Slides and bags of a run: who has them, and the extraction of those that are missing."""

from __future__ import annotations

from collections.abc import Collection, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.bag_file import read_bag
from amkd_core.cohort.cohort import Cohort
from amkd_core.errors import CohortError, IncompleteBagError
from amkd_core.file_names import bag_of_slide
from amkd_core.inference.extract import ExtractSettings, SlideTask, bag_folder, extract_slides
from amkd_core.private_names import private_logger
from amkd_core.progress import Progress
from amkd_core.slides import is_slide, slide_id_of
from amkd_core.slides.encoders.registry import card_of
from amkd_core.slides.encoders.weights import check_weights, find_weights, missing_weights
from amkd_core.training.foreign_bags import another_encoder, bag_assumptions
from amkd_core.training.misplaced import misplaced
from amkd_core.training.outdated_bags import bags_of_other_slides

if TYPE_CHECKING:
    from distributed import Client

_log = private_logger(__name__)


def with_slides(cohort: Cohort, out: Path, *, tied: bool = True) -> Cohort:
    """The cohort without patients of whom a slide is missing; they are named in the findings.

    A patient stays when each of its slides lies in the slides' folder or has a bag.

    Parameters
    ----------
    tied
        Whether `out` takes one cohort alone. Where it does not, a bag that it holds may be another cohort's, and does
        not stand for a slide that is gone.

    Raises
    ------
    CohortError
        When the folder of slides is missing, or nobody is left.
    """
    folder = bags_of(cohort, out)
    taken = folder if tied or cohort.file.bags is not None else None
    lacking = set(lacking_slides(cohort, taken))
    reason = "no slide or bag in the folders"
    if taken is None and lacking != set(lacking_slides(cohort, folder)):
        reason = f"no slide in the folder, and bags in {folder} may be another cohort's (--bags takes them)"
    left = cohort.keep_only(lambda patient: patient.patient_id not in lacking, reason)
    if not left.patients:
        folders = [place for place in (cohort.file.slides, taken) if place is not None]
        names = [patient.slide_ids[0] for patient in cohort.patients]
        raise CohortError(
            f"none of the {len(cohort.patients)} patients has its slides or bags in {' or '.join(map(str, folders))} "
            f"(there is no {names[0]}){misplaced(names, folders)}"
        )
    return left


def lacking_slides(cohort: Cohort, bags: Path | None) -> tuple[str, ...]:
    """Patients of whom a slide neither lies in the slides' folder nor has a bag in a folder, where there is one.

    Raises
    ------
    CohortError
        When the folder of slides is missing.
    """
    slides = slides_of(cohort)
    return tuple(
        patient.patient_id
        for patient in cohort.patients
        if not all(name in slides or _has_bag(bags, name) for name in patient.slide_ids)
    )


def _has_bag(bags: Path | None, name: str) -> bool:
    return bags is not None and bag_of_slide(bags, name).is_file()


def check_encoder(
    cohort: Cohort, bags: Path | None, *, weights: Path | None, here: bool, again: Collection[str] = ()
) -> None:
    """Refuse an encoder that cannot make the bags that are missing; where none is missing, any name may stand.

    Parameters
    ----------
    bags
        Folder of the bags that are there; None where there is none.
    weights
        As for `amkd_core.slides.encoders.load_encoder`.
    here
        Whether this machine encodes; elsewhere the weights may lie where they are not found from here.
    again
        Slides whose bags will be made again.

    Raises
    ------
    EncoderError
        When there is no encoder of that name, it takes no weights and some are given, or they were not found.
    """
    names = [name for patient in cohort.patients for name in patient.slide_ids]
    if names and not again and all(_has_bag(bags, name) for name in names):
        return
    card = card_of(cohort.file.encoder)
    stated = None if weights is None else weights.expanduser()
    if card.hub_id is None and stated is not None:
        check_weights(card.name, stated)  # which says that it takes none
    elif card.hub_id is not None and here and find_weights(card.name, stated) is None:
        raise missing_weights(card, stated)


def check_features(cohort: Cohort, bags: Path, *, weights: Path | None, here: bool) -> None:
    """Refuse, before a run claims its folder, features that cannot be made or that another encoder has made.

    Of the bags that are there the first is looked at; `amkd_core.training.inputs.read_bags` looks at all.

    Raises
    ------
    CohortError
        When the bag was made by another encoder than the cohort's.
    AmkdError
        As `check_encoder`, or when the bag is damaged.
    """
    check_encoder(cohort, bags, weights=weights, here=here)
    names = (name for patient in cohort.patients for name in patient.slide_ids)
    first = next((name for name in names if _has_bag(bags, name)), None)
    if first is None:
        return
    path = bag_of_slide(bags, first)
    try:
        made_by = read_bag(path, assume=bag_assumptions(cohort.file)).encoder.name
    except IncompleteBagError:
        return  # said by `require_complete_bags`, with the keys that state it
    if made_by != cohort.file.encoder:
        raise CohortError(f"{path.name}: {another_encoder('the bag was', made_by, cohort.file)}")


def bags_of(cohort: Cohort, out: Path) -> Path:
    """Folder of the run's bags."""
    return cohort.file.bags or out / "bags"


def slides_of(cohort: Cohort) -> dict[str, Path]:
    """Slides of the cohort's folder by name; files and folders that are no slides are passed over.

    Raises
    ------
    CohortError
        When the folder is missing, or holds two slides of one name.
    """
    folder = cohort.file.slides
    if folder is None:
        return {}
    if not folder.is_dir():
        raise CohortError(f"{folder}: no such folder of slides")
    wanted = {name for patient in cohort.patients for name in patient.slide_ids}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = slide_id_of(path)
        if name not in wanted or not is_slide(path):
            continue
        other = found.setdefault(name, path)
        if other != path:
            raise CohortError(
                f"{folder}: {other.name} and {path.name} are both slide {name}, expected one; take the other out"
            )
    return found


def extract_missing(
    cohort: Cohort, out: Path, *, jobs: int, weights: Path | None, device: str, client: Client | None = None
) -> Generator[Progress, None, None]:
    """Extract the slides that have no bag or one of another file, in processes of this machine or on a cluster.

    Raises
    ------
    CohortError
        When slides cannot be extracted; they are named, and the other bags are kept.
    EncoderError
        As `check_encoder`.
    """
    folder = bags_of(cohort, out)
    names = [name for patient in cohort.patients for name in patient.slide_ids]
    slides = slides_of(cohort)
    outdated = yield from bags_of_other_slides(folder, slides)
    wanted = [name for name in names if not _has_bag(folder, name) or name in outdated]
    if not wanted:
        return
    # Once, rather than for each slide.
    check_encoder(cohort, folder, weights=weights, here=client is None, again=outdated)
    if outdated:
        _log.warning(
            "%d bags are of other slides than those that have their names now, and are made again",
            len(outdated),
        )
    settings = ExtractSettings(encoder=cohort.file.encoder, weights=weights, device=device)
    with bag_folder(folder):
        tasks = [SlideTask(slides[name]) for name in wanted]
        if client is None:
            outcomes = yield from extract_slides(tasks, folder, settings, jobs=jobs)
        else:
            from amkd_core.training.cluster import extract_on_cluster

            outcomes = yield from extract_on_cluster(tasks, folder, settings, client)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        listed = "; ".join(f"{outcome.path.name}: {outcome.reason}" for outcome in failed[:5])
        raise CohortError(
            f"{len(failed)} of {len(wanted)} slides could not be extracted ({listed}); mend them or leave them out "
            "of the clinical table, and repeat the command: the other bags are kept"
        )
