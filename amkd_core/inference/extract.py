"""Slides to bags, one after another or many at a time."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from amkd_core.atomic import TEMPORARY_PREFIX
from amkd_core.bag_file import write_bag
from amkd_core.errors import AmkdError, BagError, EncoderError, FolderInUseError, SlideError
from amkd_core.file_names import one_on_any_system
from amkd_core.folder_lock import hold_folder
from amkd_core.inference.kept_bag import patches_kept
from amkd_core.progress import Progress
from amkd_core.slides import slide_id_of

if TYPE_CHECKING:
    from amkd_core.slides.encoders.registry import PatchEncoder
    from amkd_core.slides.slide import Slide

State = Literal["done", "skipped", "failed"]

_SAME_SCALE = 0.01
"""Scales that differ by less are one, written with fewer digits."""


@dataclass(frozen=True)
class ExtractSettings:
    """How slides become bags.

    Attributes
    ----------
    encoder
        Key of the encoder registry.
    weights
        File or folder of its weights; None for the usual places.
    device
        As torch names it.
    precision
        Of the features on disk.
    force
        Extract again what is there already, whoever wrote it; without it, features of another tool or encoder
        are left as they are and their slide fails.
    workers
        Reading threads per slide.
    stall_s
        A slide that makes no progress for so long hangs, and fails. Loading a large encoder from a slow disk
        or one batch of it on an old processor takes minutes.
    """

    encoder: str = "texture"
    weights: Path | None = None
    device: str = "cpu"
    precision: Literal["float32", "float16"] = "float32"
    force: bool = False
    workers: int = 2
    stall_s: float = 1800.0


@dataclass(frozen=True)
class SlideTask:
    """One slide to extract: where it is, and its scale.

    Attributes
    ----------
    mpp
        Micrometres per pixel of this very slide, one number or (x, y); overrules what it records.
    default_mpp
        The same, where it records nothing or contradicts itself.
    scene
        Which image of a file with several, from 0.
    """

    path: Path
    mpp: float | tuple[float, float] | None = None
    default_mpp: float | tuple[float, float] | None = None
    scene: int = 0

    @property
    def slide_id(self) -> str:
        """Name of the bag."""
        return slide_id_of(self.path)


@dataclass(frozen=True)
class SlideOutcome:
    """What became of one slide; `reason` is the sentence of a failure, `note` what else is to be known of it."""

    path: Path
    state: State
    n_patches: int = 0
    seconds: float = 0.0
    reason: str = ""
    note: str = ""


def extract_slide(
    task: SlideTask, out: Path, settings: ExtractSettings
) -> Generator[Progress, None, SlideOutcome]:
    """Extract one slide in this process, or keep its bag when it is whole and fits.

    Yields
    ------
    Progress

    Returns
    -------
    SlideOutcome
        "failed" with a sentence for whatever the user can mend; other errors surface.
    """
    start = time.monotonic()
    try:
        n_patches, state, note = yield from _extract(task, out, settings)
    except (AmkdError, OSError) as error:
        return SlideOutcome(task.path, "failed", 0, time.monotonic() - start, str(error))
    return SlideOutcome(task.path, state, n_patches, time.monotonic() - start, note=note)


def extract_slides(
    tasks: Sequence[SlideTask], out: Path, settings: ExtractSettings, *, jobs: int = 1
) -> Generator[Progress, None, list[SlideOutcome]]:
    """Extract slides in worker processes, each slide in one that may die without harm to the rest.

    Parameters
    ----------
    tasks
        Slides; each gives ``<out>/<slide_id>.h5``.
    jobs
        Slides at a time.

    Yields
    ------
    Progress
        `done` counts slides; the message tells the patches of the slides under way.

    Returns
    -------
    list of SlideOutcome
        In the order of `tasks`.

    Raises
    ------
    AmkdError
        When two slides would write the same bag.
    """
    from amkd_core.inference.workers import run_in_workers

    _refuse_same_names(tasks)
    return (yield from run_in_workers(tasks, out, settings, jobs=jobs))


@contextmanager
def bag_folder(folder: Path) -> Iterator[Path]:
    """Own a folder of bags for the length of the block, and clear bags that killed runs left half-written.

    Journals of slides that they had begun stay, for the run that takes those up again.

    Raises
    ------
    FolderInUseError
        When another run holds it.
    """
    with hold_folder(folder, "extracts into", FolderInUseError):
        for left_over in folder.glob(f"{TEMPORARY_PREFIX}*.h5"):
            left_over.unlink(missing_ok=True)
        yield folder


def _refuse_same_names(tasks: Sequence[SlideTask]) -> None:
    seen: dict[str, SlideTask] = {}
    for task in tasks:
        key = one_on_any_system(task.slide_id)
        if key in seen:
            where = "" if seen[key].slide_id == task.slide_id else ", on some systems at least"
            raise AmkdError(
                f"{seen[key].path} and {task.path} would both be written to {task.slide_id}.h5{where}; "
                "extract them into different folders"
            )
        seen[key] = task


def _extract(
    task: SlideTask, out: Path, settings: ExtractSettings
) -> Generator[Progress, None, tuple[int, State, str]]:
    from amkd_core.slides.encoders import encode_slide
    from amkd_core.slides.encoders.journal import EncodingJournal

    path = out / f"{task.slide_id}.h5"
    yield Progress("Loading encoder")
    encoder = _encoder(settings.encoder, settings.weights, settings.device)
    yield Progress("Opening slide")
    bag_bytes = 2 if settings.precision == "float16" else 4
    journal = EncodingJournal(out, task.slide_id, device=settings.device, bag_bytes=bag_bytes)
    with closing(journal), _open(task) as slide:
        note = _scale_note(task, slide)
        kept = None if settings.force or not path.exists() else patches_kept(path, encoder.identity, slide)
        if kept is not None or settings.force:
            journal.discard()
        if kept is not None:
            return kept, "skipped", note
        try:
            bag = yield from encode_slide(slide, encoder, workers=settings.workers, journal=journal)
            write_bag(path, bag, precision=settings.precision)
        except (SlideError, EncoderError, BagError):
            journal.discard()  # a disk or a network that failed for a while must not be remembered
            raise
    journal.discard()
    return len(bag), "done", note


def _open(task: SlideTask) -> Slide:
    from amkd_core.slides.slide import open_slide

    return open_slide(task.path, mpp=task.mpp, default_mpp=task.default_mpp, scene=task.scene)


def _scale_note(task: SlideTask, slide: Slide) -> str:
    """That a slide's own scale was taken where another was given for those without one; empty where they agree."""
    from amkd_core.slides.microns import user_microns

    if task.default_mpp is None or slide.info.microns is None or slide.info.microns.source == "user":
        return ""
    own, given = slide.info.microns, user_microns(task.default_mpp)
    if max(abs(own.x / given.x - 1), abs(own.y / given.y - 1)) < _SAME_SCALE:
        return ""
    return (
        f"its own {own.text} micrometres per pixel are taken, --mpp {given.text} is for slides that tell none; a row "
        "of --mpp-table overrules what a slide records"
    )


@lru_cache(maxsize=1)
def _encoder(name: str, weights: Path | None, device: str) -> PatchEncoder:
    """Loaded once per worker process."""
    from amkd_core.slides.encoders import load_encoder

    return load_encoder(name, weights=weights, device=device)
