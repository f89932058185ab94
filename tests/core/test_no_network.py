"""The network is closed to the tests, and nothing of ours has an address built in."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ("192.0.2.1", 80)  # reserved for documentation; nobody answers
REACH = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)"


def test_a_test_cannot_reach_out() -> None:
    with pytest.raises(PermissionError, match="reached for the network"):
        socket.create_connection(OUTSIDE, timeout=2)
    with pytest.raises(PermissionError, match="reached for the network"):
        socket.getaddrinfo("example.org", 443)


def test_a_process_that_a_test_starts_cannot_either() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", REACH], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "reached for the network" in done.stderr


def test_this_machine_may_talk_to_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_one_place_of_the_product_reaches_out_and_only_when_asked() -> None:
    """Encoders' weights are fetched in one place, and only when asked for; a cluster is named by its address."""
    names = (
        "urllib.request",
        "urlopen",
        "requests.",
        "httpx",
        "aiohttp",
        "hf_hub_download",
        "load_state_dict_from_url",
    )
    reaching = re.compile("|".join(re.escape(name) for name in names))
    files = [path for part in ("amkd_core", "amkd_viewer") for path in (ROOT / part).rglob("*.py")]
    assert len(files) > 200
    found = {
        str(path.relative_to(ROOT)): reaching.findall(path.read_text(encoding="utf-8")) for path in files
    }
    assert [name for name, hits in found.items() if hits] == ["amkd_core/slides/encoders/hub.py"]
