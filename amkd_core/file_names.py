"""Names that come from tables, bags and other people's files, where they become names of files or cells of tables."""

from __future__ import annotations

import re
import unicodedata

# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
MOST_BYTES = 200
"""Of a name in UTF-8; file systems hold 255, and an ending and a temporary prefix are added."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


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


def safe_file_name(text: str) -> str:
    """Name that stays inside its folder on every system: letters, digits, dot, dash, underscore."""
    name = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFKC", text)).strip("._-") or "slide"
    name = name.encode()[:120].decode(errors="ignore").rstrip("._-")
    return f"slide_{name}" if _RESERVED.fullmatch(name) else name
