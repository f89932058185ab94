"""No test, and no process that a test starts, reaches beyond this machine.

Python imports this module at its start where its folder is on ``PYTHONPATH``, which `tests/conftest.py` sees to.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

EVENTS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in EVENTS:
        return
    host = arguments[0] if event == "socket.getaddrinfo" else _host(arguments[1])
    if not _is_here(host):
        raise PermissionError(f"a test reached for the network: {event} {host!r}")


def _host(address: Any) -> Any:
    return address[0] if isinstance(address, tuple) else None  # the others name files or nothing


def _is_here(host: Any) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(_refuse)
