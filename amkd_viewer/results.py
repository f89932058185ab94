"""Results of a session by the slide that they belong to, and what each was asked with; no Qt, no lock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from amkd_viewer.events import (
    Finished,
    PatientRequest,
    PredictionRequest,
    QueueRequest,
    RegionRequest,
    Request,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from amkd_core.inference.prediction import Prediction

HISTORY = 8
"""As many results are kept for comparing."""
FileState = tuple[int, int] | None
"""Time and size of a model's file, by which one that was replaced under its name is told; None where there is none."""
MODELS = 2
"""Of so many models used last each slide's results are at hand; those of others are found among the kept ones."""


@dataclass(frozen=True, eq=False)
class Result:
    """A result and what it rests on.

    Attributes
    ----------
    prediction
        Of one slide.
    asked
        With which model, scale and expression.
    slides
        Fingerprints of all slides whose tissue went into it.
    is_whole
        Whether it rests on all tissue of them, and not on a drawn region.
    model
        The model's file as it was when it was read; None where nobody knows.
    """

    prediction: Prediction
    asked: PredictionRequest
    slides: frozenset[str]
    is_whole: bool
    model: FileState = None


class Results:
    """The last results of each slide, by the fingerprint of its content and by model."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Result]] = {}
        self._history: list[tuple[str, Result]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, fingerprint: object) -> bool:
        return fingerprint in self._kept

    def remember(self, event: Finished, model: FileState = None) -> None:
        """Keep a result as its slide's last; of a region, beside that of the whole slide by the same model."""
        fingerprint, request = event.fingerprint, event.request
        if isinstance(request, QueueRequest):
            raise TypeError("a queue's rows are kept by its panel")
        asked = asked_of(request, fingerprint)
        new = Result(event.prediction, asked, slides_of(request), is_of_all_tissue(request), model)
        # A new result of the whole slide replaces both, so that no older region comes back after it.
        others = [
            old
            for old in self._kept.get(fingerprint, [])
            if old.asked.bundle_path != asked.bundle_path or (old.is_whole and not new.is_whole)
        ]
        newest = list(dict.fromkeys(old.asked.bundle_path for old in reversed([*others, new])))[:MODELS]
        self._kept[fingerprint] = [old for old in (*others, new) if old.asked.bundle_path in newest]
        self._history = [*self._history, (fingerprint, new)][-HISTORY:]

    def last(self, fingerprint: str, bundle_path: Path | None = None) -> Result | None:
        """The last result of a slide, by one model where it is named; None where there is none."""
        of_model = self._of(fingerprint, bundle_path)
        return of_model[-1] if of_model else None

    def whole(self, fingerprint: str, bundle_path: Path | None = None) -> Result | None:
        """The last result of all of a slide's tissue, by the named model where it has one; None where there is none."""
        wholes = [one for path in (None, bundle_path) for one in self._of(fingerprint, path) if one.is_whole]
        return wholes[-1] if wholes else None

    def history(self) -> list[tuple[str, Prediction]]:
        """Results with the fingerprints of their slides, the newest first."""
        return [(name, one.prediction) for name, one in reversed(self._history)]

    def forget(self, fingerprint: str) -> None:
        """Drop what a slide has to do with, a patient's results on his other slides among it."""
        self._keep_only(lambda one: fingerprint not in one.slides)
        self._history = [(name, one) for name, one in self._history if fingerprint not in one.slides]

    def forget_regions(self, fingerprint: str) -> None:
        """Drop what rests on regions of a slide, on a patient's other slides too; older whole results come back."""
        self._keep_only(lambda one: one.is_whole or fingerprint not in one.slides)

    def forget_replaced(self, bundle_path: Path, model: FileState) -> bool:
        """Drop what a model's file gave that is another one by now; whether there was any."""
        n_before = sum(map(len, self._kept.values()))
        self._keep_only(lambda one: one.asked.bundle_path != bundle_path or one.model in (None, model))
        return sum(map(len, self._kept.values())) < n_before

    def clear(self) -> None:
        """Drop all."""
        self._kept.clear()
        self._history.clear()

    def _of(self, fingerprint: str, bundle_path: Path | None) -> list[Result]:
        kept = self._kept.get(fingerprint, [])
        return [one for one in kept if bundle_path is None or one.asked.bundle_path == bundle_path]

    def _keep_only(self, wanted: Callable[[Result], bool]) -> None:
        kept = {name: [one for one in results if wanted(one)] for name, results in self._kept.items()}
        self._kept = {name: results for name, results in kept.items() if results}


def state_of(bundle_path: Path) -> FileState:
    """A model's file as it is now."""
    try:
        found = bundle_path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def slides_of(request: Request | Path) -> frozenset[str]:
    """Fingerprints of the slides that a request is about; none of a queue or a path."""
    if isinstance(request, PatientRequest):
        return frozenset(slide.fingerprint for slide in request.slides)
    if isinstance(request, PredictionRequest | RegionRequest):
        return frozenset((request.fingerprint,))
    return frozenset()


def slides_with_regions_of(request: Request | Path) -> frozenset[str]:
    """Fingerprints of the slides on whose drawn regions a request rests."""
    if isinstance(request, RegionRequest):
        return frozenset((request.fingerprint,))
    if isinstance(request, PatientRequest) and request.polygons:
        drawn = zip(request.slides, request.polygons, strict=True)
        return frozenset(slide.fingerprint for slide, polygons in drawn if polygons)
    return frozenset()


def asked_of(
    request: PredictionRequest | PatientRequest | RegionRequest, fingerprint: str
) -> PredictionRequest:
    """A request's part about one slide."""
    if isinstance(request, PatientRequest):
        return next(slide for slide in request.slides if slide.fingerprint == fingerprint)
    return request.slide if isinstance(request, RegionRequest) else request


def is_of_all_tissue(request: Request | Path) -> bool:
    """Whether a result of it rests on all tissue of its slides."""
    return isinstance(request, PredictionRequest) or (
        isinstance(request, PatientRequest) and not request.polygons
    )
