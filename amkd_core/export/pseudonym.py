"""De-identification of what leaves the machine: names of slides and their hashes stay out unless asked for."""

from __future__ import annotations

from typing import Any

from amkd_core.inference.prediction import Prediction
from amkd_core.private_names import hidden_fingerprint, pseudonym


def shown_name(prediction: Prediction, *, identified: bool) -> str:
    """Name of a slide in an export: its own, or one made from its content that says nothing of the file's name."""
    if identified:
        return prediction.slide_id
    bag = prediction.bag
    return pseudonym((bag.slide_fingerprint or "").encode() or bag.features.tobytes())


def shown_provenance(prediction: Prediction, *, identified: bool) -> dict[str, Any]:
    """Provenance for an export: the slide is called as `shown_name` calls it, and its hash cannot be made again.

    Whose expression it was is left out: a pseudonym of the table's name would be one more thing to guess it by.
    """
    record = dict(prediction.provenance)
    slide = {**record["slide"], "id": shown_name(prediction, identified=identified)}
    if not identified and slide["fingerprint"] is not None:
        slide["fingerprint"] = hidden_fingerprint(slide["fingerprint"])
    record["slide"] = slide
    if not identified and record["genes"] is not None:
        record["genes"] = {key: value for key, value in record["genes"].items() if key != "patient"}
    return record
