"""Messages between a slide's reader process and its owner: a JSON header, then raw bytes.

Nothing is pickled: a reader that a hostile file has taken over cannot make its owner run code.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

_LENGTHS = struct.Struct("<IQ")
_LARGEST_HEADER = 1 << 24
_LARGEST_PAYLOAD = 1 << 34


class WireError(EOFError):
    """The other side is gone, or sent what is no message."""


def send(stream: BinaryIO, header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one message and flush it."""
    text = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(text), len(payload)))
    stream.write(text)
    if len(payload):
        stream.write(payload)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytearray]:
    """Read one message.

    Raises
    ------
    WireError
        If the stream ends or carries something else.
    """
    n_header, n_payload = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    if n_header > _LARGEST_HEADER or n_payload > _LARGEST_PAYLOAD:
        raise WireError("a message claims an impossible length")
    try:
        header = json.loads(bytes(_exactly(stream, n_header)))
    except ValueError as error:
        raise WireError("a message is not JSON") from error
    if not isinstance(header, dict):
        raise WireError("a message has no header")
    return header, _exactly(stream, n_payload)


def _exactly(stream: BinaryIO, n_bytes: int) -> bytearray:
    buffer = bytearray(n_bytes)
    view, filled = memoryview(buffer), 0
    while filled < n_bytes:
        n_read = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not n_read:
            raise WireError("the other side closed the connection")
        filled += n_read
    return buffer
