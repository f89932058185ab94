"""Rows of a folder's table: what stands in a cell, and what its tool tip and the table's file say; no Qt.

A cell's text is the first line of its value; the tool tip shows all of it.
"""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.notices import DOUBTS
from amkd_viewer.wording import group_text, notice_sentences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from amkd_core.export.scores import NoResult
    from amkd_core.inference.prediction import Prediction
    from amkd_viewer.events import QueueRow

HEADINGS = ("Slide", "Risk", "Percentile", "State", "Notices")
_NAN = float("nan")
_FAILED = "failed"
_FOLDERS = re.compile(r"(?<![\w./:])(?:[A-Za-z]:[\\/]|/)(?:[^\s/\\'\"]+[/\\])+")
"""Folders of a whole path, as far as they hold no spaces; what follows the last separator stays."""
_TIP_WIDTH = 80
"""Characters; Qt breaks no line of a tool tip."""
_WORDS = {
    "not_he": "not H&E",
    "out_of_range": "outside training range",
    "few_patches": "few patches",
    "trained_on": "seen in training",
    "synthetic_bundle": "simulated model",
    "seen_reference": "flattered cohort",
    "coarse_scale": "coarse scan",
    "scale_source": "doubtful scale",
    "invalid_patches": "unreadable patches",
    "unreadable_places": "damaged slide",
    "tissue_left_out": "tissue not weighed",
    "several_images": "several images",
    "non_square_pixels": "oblong pixels",
    "encoder_licence": "encoder's licence",
    "identifying_name": "identifying name",
    "on_processor": "computed on the CPU",
    "unverified_bag": "unverified features",
    "expression_scale": "expression on another scale",
    "expression_patient": "expression of another name",
    "pathway_genes": "few genes of a pathway",
}


def cells(path: Path, entry: QueueRow | None) -> tuple[object, ...]:
    """Values of one slide's row, under `HEADINGS`."""
    if entry is None:
        return path.name, _NAN, _NAN, "waiting", ""
    found = entry.prediction
    if found is None:
        short = _with_tip(_without_path(entry.error, path), entry.error)
        return path.name, _NAN, _NAN, f"{_FAILED}: {entry.error}", short
    state, words, told = state_of(found), notice_words(found), "\n".join(notice_sentences(found))
    return path.name, found.risk, found.risk_percentile, _with_tip(state, told), _with_tip(words, told)


def state_of(prediction: Prediction) -> str:
    """Name the risk group, not without a doubt that takes its meaning away."""
    return group_text(prediction).lower()


def notice_words(prediction: Prediction) -> str:
    """Name the notices in a word or two each, those that take the result's meaning away first."""
    codes = [notice.code for notice in prediction.notices if notice.code in _WORDS]
    ordered = sorted(dict.fromkeys(codes), key=lambda code: code not in DOUBTS)
    return ", ".join(_WORDS[code] for code in ordered)


def row_text(path: Path, entry: QueueRow | None) -> str:
    """All that is known of one slide of the queue, in sentences."""
    if entry is None:
        return f"{path.name}: waiting."
    if entry.prediction is None:
        return f"{path.name} was not predicted: {entry.error}"
    said = notice_sentences(entry.prediction) or ["No notices."]
    return f"{path.name}: {state_of(entry.prediction)}. {' '.join(said)}"


def table_rows(paths: Sequence[Path], rows: Mapping[int, QueueRow]) -> list[Prediction | NoResult]:
    """Every slide of the queue for the table's file, in the queue's order: its result, or why it has none."""
    from amkd_core.export.scores import NoResult
    from amkd_core.slides import slide_id_of

    found: list[Prediction | NoResult] = []
    for index, path in enumerate(paths):
        entry = rows.get(index)
        if entry is None:
            found.append(NoResult(slide_id_of(path), "waiting"))
        else:
            found.append(
                entry.prediction or NoResult(slide_id_of(path), "failed", _without_folders(entry.error, path))
            )
    return found


def _without_folders(error: str, path: Path) -> str:
    """The sentence with names of files alone: folders are often named after patients, and the table is passed on."""
    for shown in dict.fromkeys((path.resolve(), path.absolute(), path)):
        folder = str(shown.parent)
        if folder not in (".", shown.anchor):
            error = error.replace(str(shown), path.name).replace(f"{folder}{os.sep}", "")
            error = error.replace(folder, "its folder")
    return _FOLDERS.sub("", error)


def first_line(value: str) -> str:
    """Text of a cell."""
    return value.split("\n", 1)[0]


def state_text(value: str) -> str:
    """Text of a state's cell: why a slide failed stands beside it."""
    return _FAILED if value.startswith(f"{_FAILED}: ") else first_line(value)


def _with_tip(text: str, told: str) -> str:
    lines = [line for sentence in told.split("\n") for line in textwrap.wrap(sentence, _TIP_WIDTH)]
    return "\n".join([text.replace("\n", " "), *lines])


def _without_path(error: str, path: Path) -> str:
    """The sentence without the slide's own name in front, which stands in the row already."""
    for name in (str(path), path.name):
        if error.startswith(name):
            return error.removeprefix(name).lstrip(": ")
    return error
