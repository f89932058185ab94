"""What is asked of a session, and what it tells; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.errors import AmkdError
from amkd_core.progress import Progress

if TYPE_CHECKING:
    from amkd_core.inference.prediction import Prediction
    from amkd_core.slides import Slide


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
    """

    slide_path: Path
    fingerprint: str
    bundle_path: Path
    mpp: tuple[float, float] | None = None
    scene: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Advanced:
    """The prediction under way has come this far."""

    request: PredictionRequest
    progress: Progress


@dataclass(frozen=True)
class Finished:
    """A prediction is there."""

    request: PredictionRequest
    prediction: Prediction


@dataclass(frozen=True)
class Cancelled:
    """The prediction was given up; nothing of it will follow."""

    request: PredictionRequest


@dataclass(frozen=True)
class Opened:
    """A slide is open; whoever hears this owns it."""

    slide: Slide


@dataclass(frozen=True)
class Failed:
    """Something went wrong that the user can mend; ``str(error)`` is the sentence for him."""

    request: PredictionRequest | Path
    error: AmkdError


@dataclass(frozen=True)
class Crashed:
    """Something went wrong that is a fault of ours; the listener must let it surface."""

    request: PredictionRequest | Path
    error: BaseException


SessionEvent = Advanced | Finished | Cancelled | Opened | Failed | Crashed
