"""TOML of a user, read so that whatever is wrong with it is a sentence."""

from __future__ import annotations

import tomllib
from typing import Any

from amkd_core.errors import ConfigError

MOST_CHARACTERS = 2**20


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
        raise ConfigError(f"{name}: is not TOML ({error})") from error
