"""Texts in which scanners name the files of a slide: groups of keys and values."""

from __future__ import annotations

from configparser import ConfigParser, Error
from pathlib import Path, PurePosixPath, PureWindowsPath

from amkd_core.errors import SlideError

MAX_BYTES = 1 << 20


def read_ini(file: Path) -> ConfigParser:
    """Read a file of groups, keys and values as scanners write them; empty when it is none.

    Keys keep their case; a key that stands there twice has its last value, as for OpenSlide. Names in another encoding
    than UTF-8 keep their bytes, by which their files are found.
    """
    found = ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",))
    found.optionxform = str  # type: ignore[assignment,method-assign]
    with file.open("rb") as stream:
        text = stream.read(MAX_BYTES).decode("utf-8-sig", "surrogateescape")
    # A line that begins with blanks does not go on with the value before it, as configparser would have it.
    lines = "\n".join(line.strip() for line in text.splitlines())
    try:
        found.read_string(lines)
    except Error:
        return ConfigParser()
    return found


def inside(name: str, said_by: Path) -> str:
    """Give the name of a file in the slide's own folder back.

    Raises
    ------
    SlideError
        If it leads to another folder, into which nothing of a slide may point.
    """
    if name in ("", ".", "..") or {PurePosixPath(name).name, PureWindowsPath(name).name} != {name}:
        raise SlideError(
            f"{said_by} names a file {name!r}, which is not in the slide's own folder; it is not opened."
        )
    return name
