"""Names that come from tables, bags and other people's files, where they become names of files or cells of tables.

Also the endings of slides' files, which tables write and folders hold.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
TIFF_SUFFIXES = frozenset({".svs", ".tif", ".tiff", ".scn", ".bif", ".btf", ".tf8", ".ndpi", ".svslide"})
OTHER_SUFFIXES = frozenset({".mrxs", ".vms", ".vmu", ".dcm"})
SLIDE_SUFFIXES = TIFF_SUFFIXES | OTHER_SUFFIXES
"""Endings, in lower case, of the files by which slides are opened."""
_BAG_SUFFIXES = frozenset({".h5", ".pt"})
MOST_BYTES = 200
"""Of a name in UTF-8; file systems hold 255, and an ending and a temporary prefix are added."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


def bag_of_slide(folder: Path, slide_id: str) -> Path:
    """Where a slide's bag lies in a folder, or would: ``<slide_id>.h5``, or a ``.pt`` where that alone is there."""
    own, tensor = folder / f"{slide_id}.h5", folder / f"{slide_id}.pt"
    return tensor if not own.is_file() and tensor.is_file() else own


def fault_of_file_name(name: str) -> str:
    """Why a name from a table cannot be the name of a file, in words; empty when it can.

    Separators count in any script: a full-width solidus becomes a plain one on some systems.
    """
    plain = unicodedata.normalize("NFKC", name)
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in name):
        return "holds letters that are not seen"
    if "/" in plain or "\\" in plain or "\N{FRACTION SLASH}" in plain or "\N{DIVISION SLASH}" in plain:
        return "is a path, expected the file's name alone"
    if plain.strip(". ") == "" or plain.endswith((".", " ")) or plain.startswith(("~", " ")):
        return "is no file's name"
    if _DRIVE.match(plain) or ":" in plain:
        return "holds a colon"
    if _RESERVED.fullmatch(plain):
        return "is a name that Windows keeps for devices"
    if len(name.encode()) > MOST_BYTES:
        return f"has {len(name.encode())} bytes, expected at most {MOST_BYTES}"
    return ""


def fault_of_identifier(name: str) -> str:
    """Why a name cannot name a patient, in words; empty when it can."""
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in name):
        return "holds letters that are not seen"
    if name.startswith(FORMULA_STARTS):
        return f"begins with {name[0]!r} like a formula"
    return ""


def fault_of_encoding(path: Path) -> str:
    """Why no result could name this file, as a sentence; empty when they can.

    The bytes of a name that are no UTF-8 text are lone surrogates in Python, which neither JSON nor HDF5 takes.
    """
    try:
        path.name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path.name).decode(errors="backslashreplace")
        return f"{shown}: the name of the file holds bytes that are no UTF-8 text, so no result can name it; rename it"
    return ""


def slide_named(text: str) -> str:
    """Name of the slide that a table names by itself or by the file of its pixels or features (``S1.ome.tif``).

    Only known endings are left out: dots within a name, as in ``TCGA-AA-0001-01Z-00-DX1.F6E9A5DF``, stay.
    """
    stem, dot, ending = text.rpartition(".")
    return without_ome(stem if stem and (dot + ending).lower() in SLIDE_SUFFIXES | _BAG_SUFFIXES else text)


def without_ome(stem: str) -> str:
    """A file's name without its ending, and without the ``.ome`` that stands before it in OME-TIFF."""
    return stem.removesuffix(".ome") or stem


def one_on_any_system(name: str) -> str:
    """What two names have in common that are one file on some system: case and Unicode form do not tell there."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_file_name(text: str) -> str:
    """Name that stays inside its folder on every system: letters, digits, dot, dash, underscore."""
    name = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFKC", text)).strip("._-") or "slide"
    name = name.encode()[:120].decode(errors="ignore").rstrip("._-")
    return f"slide_{name}" if _RESERVED.fullmatch(name) else name
