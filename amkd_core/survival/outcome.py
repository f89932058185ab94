"""Follow-up of patients, and the ordinal time bins of the survival head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amkd_core.errors import OutcomeError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def _as_time(time: ArrayLike) -> FloatArray:
    """Months as float64, or one sentence that says which entry is unusable."""
    try:
        values = np.array(time, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OutcomeError(f"time must hold numbers (months), but one entry is none: {error}") from error
    if values.ndim != 1:
        raise OutcomeError(f"time must be one column of months, found an array of shape {values.shape}")
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        raise OutcomeError(
            f"time must be finite and above 0 months, but {bad.size} of {values.size} entries are not "
            f"(the first is entry {bad[0]}: {values[bad[0]]:g}); correct or leave out these patients"
        )
    return values


def _as_event(event: ArrayLike) -> BoolArray:
    """Event flags as bool; only booleans and the whole numbers 0 and 1 are taken."""
    values = np.asarray(event)
    if values.ndim != 1:
        raise OutcomeError(f"event must be one column of flags, found an array of shape {values.shape}")
    if values.dtype == np.bool_:
        return values.astype(np.bool_)
    if np.issubdtype(values.dtype, np.number) and bool(np.isin(values, (0, 1)).all()):
        return values.astype(np.bool_)
    found = sorted({str(value) for value in values.tolist()})[:5]
    raise OutcomeError(
        f"event must hold True/False or 1/0 (1 = event seen, 0 = censored), found {', '.join(found)}"
    )


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """Follow-up of a group of patients (paper section 2.1).

    Parameters
    ----------
    time : array, shape (n,)
        Months from diagnosis to death or to the last contact; finite and above 0.
    event : array of bool, shape (n,)
        True where death was seen, False where the patient was censored. This is ``1 - c`` of the paper.

    Raises
    ------
    OutcomeError
        When lengths differ, a time is missing, zero or negative, or a flag is neither 0 nor 1.
    """

    time: FloatArray
    event: BoolArray

    def __post_init__(self) -> None:
        time, event = _as_time(self.time), _as_event(self.event)
        if time.shape != event.shape:
            raise OutcomeError(
                f"time and event must have one entry per patient, found {time.size} times and {event.size} flags"
            )
        time.setflags(write=False)
        event.setflags(write=False)
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "event", event)

    def __len__(self) -> int:
        return int(self.time.size)

    def __repr__(self) -> str:
        share = f", {100 * self.n_events / len(self):.0f} %" if len(self) else ""
        return f"Outcome({len(self)} patients, {self.n_events} events{share})"

    @property
    def n_events(self) -> int:
        """Number of deaths seen."""
        return int(self.event.sum())

    def take(self, index: ArrayLike) -> Outcome:
        """Outcome of the patients at these positions (or under this boolean mask)."""
        chosen = np.asarray(index)
        return Outcome(self.time[chosen], self.event[chosen])


@dataclass(frozen=True, eq=False, repr=False)
class TimeBins:
    """Ordinal time bins ``[edge_k, edge_k+1)`` of the discrete survival head.

    Parameters
    ----------
    edges : array, shape (n_bins + 1,)
        Months, rising; the first is 0 and the last is infinity.

    Raises
    ------
    OutcomeError
        When the edges do not rise from 0 to infinity.
    """

    edges: FloatArray

    def __post_init__(self) -> None:
        edges = np.array(self.edges, dtype=np.float64)
        rising = edges.ndim == 1 and edges.size >= 2 and bool((edges[1:] > edges[:-1]).all())
        if not (rising and edges[0] == 0 and np.isposinf(edges[-1])):
            raise OutcomeError(f"bin edges must rise from 0 to infinity, found {edges.tolist()}")
        edges.setflags(write=False)
        object.__setattr__(self, "edges", edges)

    def __repr__(self) -> str:
        return f"TimeBins({', '.join(f'{edge:g}' for edge in self.edges)} months)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimeBins) and np.array_equal(self.edges, other.edges)

    def __hash__(self) -> int:
        return hash(self.edges.tobytes())

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.edges.size - 1)

    @classmethod
    def fit(cls, outcome: Outcome, n_bins: int = 4) -> TimeBins:
        """Cut at equal shares of the uncensored times (quartiles for four bins).

        Parameters
        ----------
        outcome : Outcome
            *Training* patients only; edges that saw a test patient leak its follow-up.
        n_bins : int
            Number of bins, 4 in the paper.

        Returns
        -------
        TimeBins

        Raises
        ------
        OutcomeError
            When there are fewer deaths than bins, or ties leave a bin without any death.
        """
        if n_bins < 1:
            raise OutcomeError(f"n_bins must be at least 1, found {n_bins}")
        if outcome.n_events < n_bins:
            raise OutcomeError(
                f"{n_bins} time bins need at least {n_bins} events among the training patients, "
                f"found {outcome.n_events} of {len(outcome)}; use fewer bins or more patients"
            )
        deaths = outcome.time[outcome.event]
        cuts = np.quantile(deaths, np.linspace(0, 1, n_bins + 1)[1:-1])
        counts = np.bincount(np.searchsorted(cuts, deaths, side="right"), minlength=n_bins)
        if not counts.all():
            raise OutcomeError(
                f"equal times of events leave {int((counts == 0).sum())} of {n_bins} time bins without an event "
                f"(cuts at {', '.join(f'{cut:g}' for cut in cuts)} months); use fewer bins"
            )
        return cls(np.concatenate(([0.0], cuts, [np.inf])))

    @classmethod
    def at_deaths(cls, outcome: Outcome, most: int = 63) -> TimeBins:
        """Cut at the times of death, where a baseline hazard steps (`amkd_core.survival.baseline`).

        Parameters
        ----------
        outcome : Outcome
            *Training* patients only.
        most : int
            Cuts; of more distinct times so many are taken, evenly, the first and the last among them.

        Returns
        -------
        TimeBins
            Its last, open bin begins at the last death.

        Raises
        ------
        OutcomeError
            When nobody died.
        """
        times = np.unique(outcome.time[outcome.event])
        if not times.size:
            raise OutcomeError(
                f"a baseline hazard needs at least one event among the training patients, found none of {len(outcome)}"
            )
        if times.size > most:
            times = times[np.linspace(0, times.size - 1, most).round().astype(np.int64)]
        return cls(np.concatenate(([0.0], times, [np.inf])))

    def assign(self, time: ArrayLike) -> NDArray[np.int64]:
        """Bin of each time in months, shape (n,): ``edge_k <= time < edge_k+1``.

        Raises
        ------
        OutcomeError
            When a time is missing, zero or negative.
        """
        return np.searchsorted(self.edges[1:-1], _as_time(time), side="right").astype(np.int64)

    def to_list(self) -> list[float]:
        """Finite edges in months, for JSON; the last edge, infinity, is implied."""
        return [float(edge) for edge in self.edges[:-1]]

    @classmethod
    def from_list(cls, edges: Iterable[float]) -> TimeBins:
        """Bins from `to_list`; an infinity at the end is accepted as well."""
        finite = [float(edge) for edge in edges if not np.isposinf(edge)]
        return cls(np.array([*finite, np.inf]))
