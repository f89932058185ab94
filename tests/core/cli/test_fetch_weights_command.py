"""`amkd fetch-weights` against a hub on this machine that answers as the real one does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from training_fixtures import run_amkd

from amkd_core.slides.encoders import find_weights

pytest.importorskip("huggingface_hub")

CONTENT = b"weights" * 1000
PUBLISHED = "/timm/resnet50.tv_in1k/resolve/main/model.safetensors"
OLD_NAME = "/MahmoodLab/UNI2-h/resolve/main/pytorch_model.bin"
GATED = "/MahmoodLab/UNI/resolve/main/model.safetensors"


class Hub(BaseHTTPRequestHandler):
    """Two repositories, one of them with a file of the older name, and a gated one."""

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)
        status, error = {PUBLISHED: (200, ""), OLD_NAME: (200, ""), GATED: (401, "GatedRepo")}.get(
            self.path, (404, "EntryNotFound")
        )
        self.send_response(status)
        self.send_header("ETag", '"0123456789abcdef"')
        self.send_header("X-Repo-Commit", "f" * 40)
        self.send_header("Content-Length", str(len(CONTENT)))
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command in a program of its own: the hub's address is read when its library loads."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("AMKD_WEIGHTS", raising=False)

    def run(address: str, encoder: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "amkd_core.cli.main", "fetch-weights", encoder]
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    return run


def address_of(hub: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{hub.server_port}"


@pytest.mark.parametrize(("encoder", "place"), [("resnet50", PUBLISHED), ("uni2-h", OLD_NAME)])
def test_weights_are_fetched_to_where_they_are_found(hub, fetch, encoder: str, place: str) -> None:
    assert find_weights(encoder) is None
    code, text = fetch(address_of(hub), encoder)
    assert code == 0, text
    found = find_weights(encoder)
    assert found is not None
    assert found.read_bytes() == CONTENT
    assert found.name == place.rsplit("/", 1)[1]
    assert str(found) in text
    assert "licence:" in text
    hub.asked.clear()
    assert fetch(address_of(hub), encoder)[0] == 0
    assert hub.asked == [], "what is here is not asked for again"


def test_a_gated_encoder_says_what_to_do(hub, fetch) -> None:
    code, text = fetch(address_of(hub), "uni")
    assert code == 2
    assert "refused model.safetensors" in text
    assert "accept its licence on its page and log in" in " ".join(text.split())
    assert "Traceback" not in text


def test_a_hub_without_the_files_is_named(hub, fetch) -> None:
    code, text = fetch(address_of(hub), "virchow2")
    assert code == 2
    assert "holds none of model.safetensors, pytorch_model.bin" in " ".join(text.split())
    assert "Traceback" not in text


def test_no_network_is_a_sentence(fetch) -> None:
    code, text = fetch("http://127.0.0.1:9", "resnet50")
    assert code == 2
    assert "The Hugging Face hub cannot be reached" in " ".join(text.split())
    assert "Traceback" not in text


@pytest.mark.parametrize(("encoder", "sentence"), [("texture", "built in"), ("unii", "unii")])
def test_what_has_no_weights_is_refused(encoder: str, sentence: str) -> None:
    code, text = run_amkd("fetch-weights", encoder)
    assert code == 2
    assert sentence in text
