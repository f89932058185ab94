"""What is exported says what it is for, in the way of its format."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pandas as pd

from amkd_core.folder_lock import LOCK

WORDS = "research use only"
RECORDS = {"predictions.csv", "metrics.json", LOCK}
"""Numbers of a comparison that programs read back; `report.html` beside them says it. A lock's file is empty."""


def files_without_words(folder: Path) -> list[str]:
    """Names of a folder's own files and of those of its ``figures`` that do not say it."""
    files = [path for place in (folder, folder / "figures") for path in place.glob("*") if path.is_file()]
    return sorted(path.name for path in files if path.name not in RECORDS and not says_it(path))


def says_it(path: Path) -> bool:
    """A table in every row, a picture in its drawing; of a PNG with an SVG beside it, that is the same drawing."""
    kind = path.suffix
    if kind == ".csv":
        table = pd.read_csv(path)
        return "notices" in table and table["notices"].astype(str).str.contains("research_only").all()
    if kind == ".png":
        drawing = path.with_suffix(".svg")
        return drawing.is_file() and says_it(drawing)
    if kind == ".pdf":
        return WORDS.replace(" ", "") in _drawn(path.read_bytes())
    return re.search(WORDS, path.read_text(encoding="utf-8", errors="replace"), re.IGNORECASE) is not None


def _drawn(data: bytes) -> str:
    """Strings of a PDF in lower case, one or two bytes a letter, joined without their spaces, which kerning splits."""
    text = b""
    for packed in re.findall(rb"stream\r?\n(.*?)endstream", data, re.S):
        try:
            text += b"".join(re.findall(rb"\(((?:\\.|[^()\\])*)\)", zlib.decompress(packed)))
        except zlib.error:
            continue
    return text.replace(b"\0", b"").decode("latin-1").replace(" ", "").lower()
