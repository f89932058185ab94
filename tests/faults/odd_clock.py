"""Other clocks for a process, by a variable of the environment; to be imported before all that asks for the time.

`datetime` asks the system itself, past `time.time`: it is replaced by a class that asks Python's clock, and is so
found by all that is imported afterwards, whichever way. Dates that were made otherwise still count as of that class.
What is compiled against the real one is imported before.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from typing import Any

import pandas as pd  # noqa: F401 (compiled against the real datetime)

YEAR_S = 365 * 86400.0
SWITCH = "AMKD_TEST_CLOCK"
"""Variable of the environment with the case, by which workers that are started anew know their clock."""


def jumping() -> Callable[[], float]:
    """A year ahead and a year back in turns."""
    real, calls = time.time, [0]

    def moment() -> float:
        calls[0] += 1
        return real() + (YEAR_S if calls[0] % 2 else -YEAR_S)

    return moment


CLOCKS: dict[str, Callable[[], Callable[[], float]]] = {
    "clock in 1971": lambda: lambda: YEAR_S,
    "clock in 2100": lambda: lambda: 130 * YEAR_S,
    "clock that jumps": jumping,
}


def at(moment: Callable[[], float]) -> None:
    """Another clock, for all that asks Python."""
    time.time = moment
    time.time_ns = lambda: int(moment() * 1e9)
    local, utc, shown = time.localtime, time.gmtime, time.strftime
    time.localtime = lambda seconds=None: local(moment() if seconds is None else seconds)
    time.gmtime = lambda seconds=None: utc(moment() if seconds is None else seconds)
    time.strftime = lambda form, of=None: shown(form, time.localtime() if of is None else of)
    datetime.datetime = _Datetime  # type: ignore[misc]
    datetime.date = _Date  # type: ignore[misc]


class _AsBefore(type):
    """Dates are of the class that is replaced, whoever made them."""

    def __instancecheck__(cls, one: Any) -> bool:
        return isinstance(one, cls.__mro__[1])


class _Datetime(datetime.datetime, metaclass=_AsBefore):
    __slots__ = ()  # compiled modules look at the size

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


class _Date(datetime.date, metaclass=_AsBefore):
    __slots__ = ()

    @classmethod
    def today(cls) -> Any:
        return cls.fromtimestamp(time.time())


if os.environ.get(SWITCH) in CLOCKS:
    at(CLOCKS[os.environ[SWITCH]]())
