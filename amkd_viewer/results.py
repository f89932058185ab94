"""Results of a session by the slide that they belong to, and what each was asked with; no Qt, no lock of its own."""

from __future__ import annotations

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
    from pathlib import Path

    from amkd_core.inference.prediction import Prediction

HISTORY = 8
"""Predictions that are kept for comparing."""


class Results:
    """The last result of each slide, by the fingerprint of its content."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Prediction, PredictionRequest]] = {}
        self._others: dict[str, frozenset[str]] = {}
        self._wholes: dict[str, Prediction] = {}
        self._history: list[tuple[str, Prediction]] = []

    def __len__(self) -> int:
        return len(self._last)

    def __contains__(self, fingerprint: object) -> bool:
        return fingerprint in self._last

    def remember(self, event: Finished) -> None:
        """Keep a result as its slide's last."""
        fingerprint, request = event.fingerprint, event.request
        if isinstance(request, QueueRequest):
            raise TypeError("a queue's rows are kept by its panel")
        self._last[fingerprint] = event.prediction, asked_of(request, fingerprint)
        self._others[fingerprint] = slides_of(request)
        if is_of_all_tissue(request):
            self._wholes[fingerprint] = event.prediction
        self._history = [*self._history, (fingerprint, event.prediction)][-HISTORY:]

    def last(self, fingerprint: str) -> Prediction | None:
        """The last result of a slide, or None."""
        return self._last[fingerprint][0] if fingerprint in self._last else None

    def asked_with(self, fingerprint: str) -> PredictionRequest | None:
        """What the last result of a slide was asked with, or None."""
        return self._last[fingerprint][1] if fingerprint in self._last else None

    def whole(self, fingerprint: str) -> Prediction | None:
        """The last result of all of a slide's tissue, or None."""
        return self._wholes.get(fingerprint)

    def history(self) -> list[tuple[str, Prediction]]:
        """Results with the fingerprints of their slides, the newest first."""
        return list(reversed(self._history))

    def forget(self, fingerprint: str) -> None:
        """Drop what a slide has to do with, a patient's results on his other slides among it."""
        gone = {name for name, slides in self._others.items() if fingerprint in slides} | {fingerprint}
        for kept in (self._last, self._others, self._wholes):
            for name in gone & kept.keys():
                del kept[name]
        self._history = [entry for entry in self._history if entry[0] not in gone]

    def clear(self) -> None:
        """Drop all."""
        for kept in (self._last, self._others, self._wholes, self._history):
            kept.clear()


def slides_of(request: Request | Path) -> frozenset[str]:
    """Fingerprints of the slides that a request is about; none of a queue or a path."""
    if isinstance(request, PatientRequest):
        return frozenset(slide.fingerprint for slide in request.slides)
    if isinstance(request, PredictionRequest | RegionRequest):
        return frozenset((request.fingerprint,))
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
