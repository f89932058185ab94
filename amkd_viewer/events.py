"""What is asked of a session, and what it tells; no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amkd_core.errors import AmkdError
from amkd_core.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amkd_core.inference.prediction import Prediction
    from amkd_core.slides import Slide, SlideInfo
    from amkd_core.slides.pyramid import SlidePyramid


@dataclass(frozen=True, eq=False)
class Expression:
    """A patient's expression, read from a file.

    Attributes
    ----------
    path
        File.
    patient
        Whose, as the file calls him.
    genes
        Expression by gene symbol, as it stands in the file.
    note
        What is to be said of the file; empty for nothing.
    patients
        All that the file holds, one of which may fit a slide's name better; empty where he is known alone.
    """

    path: Path = field(repr=False)  # a log that tells of a request must not name the patient
    patient: str = field(repr=False)
    genes: Mapping[str, float] = field(repr=False)
    note: str = field(default="", repr=False)
    patients: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class PredictionRequest:
    """What to predict, with what.

    Attributes
    ----------
    slide_path
        File or folder of the slide.
    fingerprint
        Of the slide as it is shown; a file that has changed since is refused.
    bundle_path
        Model bundle.
    mpp
        (x, y) micrometres per level-0 pixel, where the user gave them.
    scene
        Which image of a file with several.
    device
        As torch names it.
    expression
        The patient's, for the teacher.
    info
        What is known of the slide; with it results are kept and found again.
    """

    slide_path: Path
    fingerprint: str
    bundle_path: Path
    mpp: tuple[float, float] | None = None
    scene: int = 0
    device: str = "cpu"
    expression: Expression | None = None
    info: SlideInfo | None = None


@dataclass(frozen=True, eq=False)
class PatientRequest:
    """Several slides of one patient, as one bag.

    Attributes
    ----------
    slides
        All with the same bundle, device and expression.
    patient_id
        Stands in the result and in exports that name slides.
    polygons
        Per slide what is drawn on it, (k, 2) level-0 (x, y) each; empty for all tissue of all slides.
    exclude
        Leave the inside of the regions out.
    wholes
        Per slide a prediction of all its tissue whose features can be used again, or None.
    """

    slides: tuple[PredictionRequest, ...]
    patient_id: str = field(repr=False)  # a log that tells of the request must not name the patient
    polygons: tuple[tuple[NDArray[Any], ...], ...] = field(default=(), repr=False)
    exclude: bool = False
    wholes: tuple[Prediction | None, ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        """Of the first slide."""
        return self.slides[0].fingerprint

    @property
    def bundle_path(self) -> Path:
        """Model bundle."""
        return self.slides[0].bundle_path


@dataclass(frozen=True, eq=False)
class RegionRequest:
    """A part of a slide's tissue, from the features of a prediction that is there.

    Attributes
    ----------
    slide
        What the prediction of the whole tissue was asked with.
    prediction
        Of the whole tissue.
    polygons
        (k, 2) level-0 (x, y) each.
    exclude
        Leave the inside out.
    """

    slide: PredictionRequest
    prediction: Prediction = field(repr=False)
    polygons: tuple[NDArray[Any], ...] = field(repr=False)
    exclude: bool = False

    @property
    def fingerprint(self) -> str:
        """Of the slide."""
        return self.slide.fingerprint

    @property
    def bundle_path(self) -> Path:
        """Model bundle."""
        return self.slide.bundle_path


@dataclass(frozen=True)
class QueueRequest:
    """Slides to be predicted one after another, unseen.

    Attributes
    ----------
    paths
        Files or folders.
    bundle_path, device
        As for one slide.
    mpp
        Micrometres per level-0 pixel of those slides that do not tell their own, where the user gave them.
    """

    paths: tuple[Path, ...] = field(repr=False)  # those not opened yet have no pseudonym in the log
    bundle_path: Path
    device: str = "cpu"
    mpp: float | None = None

    @property
    def fingerprint(self) -> str:
        """None of the slides on the screen is meant."""
        return ""


Request = PredictionRequest | PatientRequest | RegionRequest | QueueRequest


@dataclass(frozen=True)
class QueueRow:
    """One slide of a queue is done.

    Attributes
    ----------
    index
        Place in the queue.
    prediction
        Without the patches' features; None where it failed.
    error
        One sentence; empty where it did not.
    """

    index: int
    prediction: Prediction | None = field(default=None, repr=False)
    error: str = ""


@dataclass(frozen=True)
class Advanced:
    """The prediction under way has come this far."""

    request: Request
    progress: Progress


@dataclass(frozen=True)
class Finished:
    """A prediction is there.

    Attributes
    ----------
    fingerprint
        Of the slide that it belongs to; of several slides each is told apart.
    recalled
        Whether it was found among the kept results, and no run was asked for.
    """

    request: Request
    prediction: Prediction
    fingerprint: str
    recalled: bool = False


@dataclass(frozen=True)
class Queued:
    """One slide of a queue is done."""

    request: Request
    row: QueueRow


@dataclass(frozen=True)
class QueueEnded:
    """All slides of a queue are done."""

    request: Request


@dataclass(frozen=True)
class Cancelled:
    """The prediction was given up; nothing of it will follow."""

    request: Request


@dataclass(frozen=True)
class Opened:
    """A slide is open, its coarsest level read; whoever hears this owns it."""

    slide: Slide
    pyramid: SlidePyramid | None = None


@dataclass(frozen=True)
class Failed:
    """Something went wrong that the user can mend; ``str(error)`` is the sentence for him."""

    request: Request | Path
    error: AmkdError


@dataclass(frozen=True)
class Crashed:
    """Something went wrong that is a fault of ours; the listener must let it surface."""

    request: Request | Path
    error: BaseException


@dataclass(frozen=True, eq=False)
class TaskEnded:
    """A task off the GUI thread is done.

    Attributes
    ----------
    token
        As `Tasks.submit` gave it.
    value
        What the task returned.
    error
        Or what it raised.
    """

    token: int
    value: Any = None
    error: BaseException | None = None


SessionEvent = Advanced | Finished | Queued | QueueEnded | Cancelled | Opened | Failed | Crashed | TaskEnded
