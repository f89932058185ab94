"""What *Patient and region* says of regions and of the result that rests on them, as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_viewer.queue_rows import notice_words, state_of
from amkd_viewer.wording import risk_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amkd_core.inference.prediction import Prediction

OTHER_SHAPES = (
    "Only what is drawn with the button above counts. There are shapes in another layer; they can be copied into the "
    "region of the slide in view:"
)
REGION_COPY = (
    "“{name}” is a copy of a region and does not count as one. What is drawn there can be copied into the region "
    "(panel Patient and region)."
)


def result_line(prediction: Prediction) -> str:
    """Say a result in short, with what it rests on and what speaks against trusting it."""
    name = prediction.slide_id if prediction.patient is None else prediction.patient.patient_id
    rests = next((notice.sentence for notice in prediction.notices if notice.code == "region"), "")
    words = notice_words(prediction)
    notices = f"Notices: {words}." if words else ""
    parts = (f"{name}: {state_of(prediction)}.", risk_sentence(prediction), rests, notices)
    return " ".join(part for part in parts if part)


def other_side_text(*, excludes: bool) -> str:
    """Say that a result is of the tissue inside a region, or of all but it, and that the other is chosen by now."""
    side = "outside" if excludes else "inside"
    return f"The choice has changed since this result, which is of the tissue {side} the region; predict from it again."


def no_region_text(slides: Sequence[str], others: Sequence[str]) -> str:
    """Say that nothing is drawn, and what else could be meant."""
    instead = "" if not others else f", or copy the shapes of “{others[0]}” into its region"
    return f"{' and '.join(slides)}: no region is drawn; draw one on the slide first{instead}"


def copied_text(number: int, source: str, region: str) -> str:
    """Say that shapes are regions now."""
    return f"{number} shape{' is' if number == 1 else 's are'} copied from “{source}” into “{region}”, which counts."
