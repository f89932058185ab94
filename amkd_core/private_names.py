"""Names of slides stay out of logs and of what is passed on: pseudonyms under a secret of this user.

A file name may hold an accession number or a patient's name. A pseudonym is made from the slide's content under a salt
that lies beside the user's settings, so that the same slide has the same pseudonym on this computer, and nobody who
holds a list of slides can find out by trying which of them it is.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
from functools import lru_cache
from pathlib import Path

SALT_FILE = "pseudonyms.key"
MOST_NAMES = 10_000
# A shorter name would be found in the middle of sentences that do not mean it.
_SHORTEST = 3
_ACCESSION = re.compile(
    r"(?:^|[^A-Za-z0-9])[A-Za-z]{1,4}[-_ :]?(?:19|20)?\d{2}[-_ :]\d{3,7}(?!\d)"  # S21-12345, SP-2019_001234
    r"|(?:^|\D)\d{2,4}[-_ :][A-Za-z]{1,3}[-_ :]?\d{3,7}(?!\d)"  # 2021:S1234, 19-H-00123
    r"|(?:^|[^A-Za-z0-9])[A-Za-z]{0,3}\d{7,12}(?![A-Za-z0-9])"  # H2012345, a record number
    r"|(?:^|\D)(?:19|20)\d{2}[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])(?!\d)"  # a date, of birth perhaps
)

_names: dict[str, str] = {}


def pseudonym(content: bytes) -> str:
    """Name that says nothing of what it stands for, the same for equal content and user."""
    return f"slide-{_keyed(content)[:10]}"


def hidden_fingerprint(fingerprint: str) -> str:
    """What stands for a fingerprint where names are left out: ``"keyed:"`` and 64 hexadecimal digits.

    The fingerprint itself is a plain hash of the file, which whoever holds the slide can make as well. This one tells
    on this computer, and nowhere else, whether two exports are of the same slide.
    """
    return f"keyed:{_keyed(fingerprint.encode())}"


def looks_like_accession(name: str) -> bool:
    """Whether a name looks like an accession number, a record number or a date, which point to a patient."""
    return not name.upper().startswith(("TCGA-", "GTEX-")) and _ACCESSION.search(name) is not None


def remember_name(path: Path, slide_id: str, content: str = "") -> None:
    """Keep a slide's path and names, or those of another file of a patient, out of the logs from here on.

    Parameters
    ----------
    path
        As it was given.
    slide_id
        Its name without the extension; of another file any name that it must not be told by.
    content
        Its fingerprint, once that is known; the pseudonym is then the one that exports show.
    """
    shown = pseudonym((content or f"name {slide_id}").encode("utf-8", "surrogateescape"))
    for name in (str(path), path.name, slide_id):
        _names.pop(name, None)
        if len(name) >= _SHORTEST:
            _names[name] = shown
    while len(_names) > MOST_NAMES:
        del _names[next(iter(_names))]


def hide_names(text: str) -> str:
    """The text with the remembered names replaced by pseudonyms, the longest first."""
    found = sorted((name for name in _names.copy() if name in text), key=len, reverse=True)
    for name in found:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _names.get(name, "slide"), text)
    return text


def private_logger(name: str) -> logging.Logger:
    """Logger whose lines and tracebacks name no slide that was opened."""
    logger = logging.getLogger(name)
    if not any(isinstance(item, _NamesLeftOut) for item in logger.filters):
        logger.addFilter(_NamesLeftOut())
    return logger


class _NamesLeftOut(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide_names(record.getMessage()), ()
        if record.exc_info:
            # Formatted here, since every handler would format the exception with its names in it.
            record.exc_text = hide_names(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


def _keyed(content: bytes) -> str:
    return hmac.new(_salt(), content, hashlib.sha256).hexdigest()


@lru_cache(maxsize=1)
def _salt() -> bytes:
    """The user's secret, made at the first need; of this process alone where it cannot be kept."""
    from amkd_core.settings import settings_path

    path = settings_path().with_name(SALT_FILE)
    try:
        if not path.is_file():
            _write_once(path, secrets.token_hex(32))
        salt = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        salt = b""
    return salt if len(salt) == 32 else secrets.token_bytes(32)


def _write_once(path: Path, text: str) -> None:
    """Write a file that only its user reads, whole, unless another process was quicker: what that one wrote stays."""
    from amkd_core.atomic import TEMPORARY_PREFIX

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}{path.suffix}")
    try:
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            if not path.exists():
                os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
