"""Notices: what a user must know about a bag or a prediction before trusting it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Literal

NoticeCode = Literal[
    "coarse_scale",
    "not_he",
    "out_of_range",
    "few_patches",
    "invalid_patches",
    "unreadable_places",
    "tissue_left_out",
    "unverified_bag",
    "synthetic_bundle",
    "research_only",
    "no_map",
    "non_square_pixels",
    "encoder_licence",
    "scale_source",
    "region",
    "several_slides",
    "several_images",
    "on_processor",
    "trained_on",
    "seen_reference",
    "identifying_name",
    "expression_scale",
    "expression_patient",
    "pathway_genes",
]

DOUBTS: Final[frozenset[NoticeCode]] = frozenset({"not_he", "out_of_range", "few_patches", "trained_on"})
"""Of results that say nothing of the slide, or may: their risk group is never told alone."""
RESEARCH_CODE: Final[NoticeCode] = "research_only"
"""Goes along with everything that is exported."""


@dataclass(frozen=True)
class Notice:
    """One sentence about the limits of a result, with a stable code for programs.

    Parameters
    ----------
    code
        Stable identifier, for filtering and tests.
    sentence
        The sentence that a person reads. It names no slide: exports without names show it as it is.
    """

    code: NoticeCode
    sentence: str

    def to_dict(self) -> dict[str, str]:
        """Return the notice as JSON-able strings."""
        return asdict(self)


def processor_remark(n_moved: int) -> str:
    """Sentence on patients for whom the processor stood in; empty where there were none."""
    if not n_moved:
        return ""
    patients = "1 patient" if n_moved == 1 else f"{n_moved} patients"
    return (
        f"The device's memory did not hold the patches of {patients}; the processor computed what is told of them "
        "instead."
    )
