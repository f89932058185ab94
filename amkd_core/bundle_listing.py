"""How large a bundle's file, its list of parts and its parts' headers may be, before a library reads any of them.

A zip lists its parts at its end, and whoever opens it makes an object of each entry: 400,000 of them took seconds and
200 MiB. Bundles have one part for each network and two more.
"""

from __future__ import annotations

import struct
from pathlib import Path

from amkd_core.errors import BundleError

RUN_BUNDLE = "model.amkd"
"""What a run calls its bundle."""

MAX_FILE_BYTES = 2 * 2**30
MAX_MANIFEST_BYTES = 2**20
MAX_HEADER_BYTES = 2**20
"""Of a safetensors part: it names the arrays, some 100 bytes each."""
MAX_PARTS = 1024
MAX_LIST_BYTES = 128 * MAX_PARTS

_END = struct.Struct("<4s4H2LH")
_END_MARK, _LARGE_MARK, _LARGE_BYTES = b"PK\5\6", b"PK\6\7", 20


def check_listing(path: Path, file_name: str) -> None:
    """Look at the size of a bundle's file and at the end record of its zip; some 40 bytes are read.

    Raises
    ------
    BundleError
        When there is no such file, or it is a folder; when the file or its list of parts is too large, or it is no zip
        as bundles are: without a comment, and not of the kind for more than 65,535 parts.
    """
    if path.is_dir():
        inside = path / RUN_BUNDLE
        found = f"; give {inside}, which is one" if inside.is_file() else ""
        raise BundleError(f"{file_name}: is a folder, expected a model bundle (.amkd){found}")
    if not path.is_file():
        raise BundleError(f"{file_name}: no such file, expected a model bundle (.amkd)")
    size = path.stat().st_size
    if size == 0 or size > MAX_FILE_BYTES:
        raise BundleError(f"{file_name}: {size} bytes, expected a model bundle of at most 2 GiB")
    with path.open("rb") as file:
        file.seek(max(0, size - _END.size - _LARGE_BYTES))
        tail = file.read()
    end, before = tail[-_END.size :], tail[: -_END.size]
    if len(end) < _END.size or not end.startswith(_END_MARK):
        raise BundleError(f"{file_name}: is not a model bundle, or is damaged (File is not a zip file)")
    _, _, _, _, n_parts, list_bytes, _, _ = _END.unpack(end)
    if before.startswith(_LARGE_MARK) or n_parts > MAX_PARTS or list_bytes > MAX_LIST_BYTES:
        raise BundleError(
            f"{file_name}: lists more than {MAX_PARTS} parts, which no model bundle has; it was not read"
        )


def check_header(part: bytes, name: str, file_name: str) -> None:
    """Refuse a safetensors part whose header claims more than `MAX_HEADER_BYTES`, before it is parsed.

    Raises
    ------
    BundleError
        With the length that it claims.
    """
    claimed = int.from_bytes(part[:8], "little")
    if claimed > MAX_HEADER_BYTES and len(part) >= 8:
        raise BundleError(
            f"{file_name}: the header of {name} claims {claimed} bytes, expected at most 1 MiB; it was not read"
        )
