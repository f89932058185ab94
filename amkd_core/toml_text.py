"""TOML of a user, read so that whatever is wrong with it is a sentence."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from amkd_core.errors import ConfigError

MOST_CHARACTERS = 2**20
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 text begins, as Windows writes it where UTF-8 is meant."""


def read_toml(path: Path) -> dict[str, Any]:
    """Tables of a TOML file, also of one that begins with a byte order mark, as Notepad writes it.

    Raises
    ------
    ConfigError
        As `parsed_toml`, and when it is no UTF-8 text; UTF-16, which PowerShell's ``>`` writes, is named.
    OSError
        When it cannot be read.
    """
    content = path.read_bytes()
    if content.startswith(WIDE_MARKS):
        raise ConfigError(f"{path.name}: is UTF-16 text, expected UTF-8; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: is not TOML ({error})") from error
    return parsed_toml(text.replace("\r\n", "\n").replace("\r", "\n"), path.name)


def parsed_toml(text: str, name: str) -> dict[str, Any]:
    """Tables of a TOML text.

    Parameters
    ----------
    name
        What the text is, for the sentence.

    Raises
    ------
    ConfigError
        When it is no TOML, longer than a mebibyte, nested deeper than Python follows, or holds a number of thousands of
        digits.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{name}: has {len(text):,} characters, expected at most {MOST_CHARACTERS:,}")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{name}: is not TOML (nested too deeply)") from error
    except ValueError as error:  # its own errors among them
        raise ConfigError(f"{name}: is not TOML ({error}){_about_backslashes(text, str(error))}") from error


def _about_backslashes(text: str, said: str) -> str:
    """How a path of Windows is written, where one is what the parser stumbled on; else empty."""
    place = re.search(r"at line (\d+)", said)
    line = text.splitlines()[int(place.group(1)) - 1] if place else ""
    return "; write paths with / or in 'single quotes'" if "\\" in line and '"' in line else ""
