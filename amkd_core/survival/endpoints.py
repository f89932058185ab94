"""What the endpoints are called, so that no curve of progression is read as one of survival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Endpoint = Literal["os", "dss", "pfi"]


@dataclass(frozen=True)
class EndpointWords:
    """Words for an endpoint; the definitions are those of the TCGA clinical data resource (Liu et al., Cell 2018).

    Attributes
    ----------
    name
        In full.
    event, events
        What is counted.
    free
        What a curve shows the probability of.
    ended, going_on
        What has become of patients with and without an event.
    """

    name: str
    event: str
    events: str
    free: str
    ended: str
    going_on: str


_WORDS = {
    "os": EndpointWords("overall survival", "death", "deaths", "survival", "died", "alive"),
    "dss": EndpointWords(
        "disease-specific survival", "death from the disease", "deaths from the disease", "disease-specific survival",
        "died from the disease", "not died from it",
    ),
    "pfi": EndpointWords(
        "progression-free interval", "progression", "progressions", "freedom from progression",
        "progressed", "free of progression",
    ),
}  # fmt: skip


def words_of(endpoint: str) -> EndpointWords:
    """Words for "os", "dss" or "pfi"."""
    return _WORDS[endpoint]
