"""`amkd fetch-weights` against a hub on this machine that answers as the real one does."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from training_fixtures import run_amkd

from amkd_core.slides.encoders import find_weights
from amkd_core.slides.encoders.weights import own_weights_folder

pytest.importorskip("huggingface_hub")

CONTENT = b"weights" * 1000
COMMIT = "f" * 40
PUBLISHED = "timm/resnet50.tv_in1k", "model.safetensors"
OLD_NAME = "MahmoodLab/UNI2-h", "pytorch_model.bin"
GATED = "MahmoodLab/UNI", "model.safetensors"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Two repositories, one of them with a file of the older name, and a gated one.

    What it states and what it sends are the server's `stated` and `sent`. The SHA-256 stands in a header of its own, as
    on the real hub; the tag beside it is another number. Files are asked for by branch, then by commit.
    """

    def do_HEAD(self) -> None:
        self.answer(self.server.stated)

    def do_GET(self) -> None:
        sent = self.server.sent
        # A cut file: the connection closes before all the bytes that were told have come.
        if self.answer(self.server.stated, length=max(len(sent), len(CONTENT))):
            self.wfile.write(sent)

    def answer(self, stated: str, length: int = len(CONTENT)) -> bool:
        self.server.asked.append(self.path)
        repository, _, rest = self.path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        status, error = {PUBLISHED: (200, ""), OLD_NAME: (200, ""), GATED: (401, "GatedRepo")}.get(
            (repository, file), (404, "EntryNotFound")
        )
        if revision not in ("main", COMMIT):
            status, error = 404, "RevisionNotFound"
        self.send_response(status)
        self.send_header("ETag", f'"{"0123456789abcdef" * 4}"' if stated else '"0123456789abcdef"')
        if stated:
            self.send_header("X-Linked-ETag", f'"{stated}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(length))
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        return not error

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked, server.stated, server.sent = [], sha256(CONTENT), CONTENT
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
def test_weights_are_fetched_to_where_they_are_found(
    hub, fetch, encoder: str, place: tuple[str, str]
) -> None:
    assert find_weights(encoder) is None
    code, text = fetch(address_of(hub), encoder)
    assert code == 0, text
    found = find_weights(encoder)
    assert found is not None
    assert found.read_bytes() == CONTENT
    assert found.name == place[1]
    assert str(found) in text
    assert "licence:" in text
    hub.asked.clear()
    assert fetch(address_of(hub), encoder)[0] == 0
    assert hub.asked == [], "what is here is not asked for again"


def test_the_hash_and_the_commit_are_kept_beside_the_weights(hub, fetch) -> None:
    assert fetch(address_of(hub), "resnet50")[0] == 0
    folder = own_weights_folder("resnet50")
    beside = folder / "model.safetensors.sha256"
    assert beside.read_text() == (
        f"# timm/resnet50.tv_in1k at commit {COMMIT}\n{sha256(CONTENT)}  model.safetensors\n"
    )
    checked = subprocess.run(["sha256sum", "-c", beside.name], cwd=folder, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert {path.name for path in folder.iterdir()} <= {"model.safetensors", beside.name, ".lock"}
    assert any(f"/resolve/{COMMIT}/" in path for path in hub.asked), "the file that the hash was stated of"


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (CONTENT[:-1] + b"S", "did not arrive as the hub states it"),
        (CONTENT + b"more", "did not arrive as the hub states it|broke off"),
        (CONTENT[:3000], "broke off"),
    ],
    ids=["altered", "longer", "cut"],
)
def test_weights_that_are_not_what_the_hub_states_are_refused_and_removed(
    hub, fetch, sent: bytes, sentence: str
) -> None:
    hub.sent = sent
    code, text = fetch(address_of(hub), "resnet50")
    said = " ".join(text.split())
    assert code == 2, text
    assert re.search(rf"timm/resnet50\.tv_in1k: .*({sentence}).* removed; fetch it again", said)
    assert "Traceback" not in text
    assert find_weights("resnet50") is None
    assert {path.name for path in own_weights_folder("resnet50").rglob("*")} <= {".lock"}
    hub.sent = CONTENT
    assert fetch(address_of(hub), "resnet50")[0] == 0


def test_a_file_without_a_stated_hash_is_not_asked_for(hub, fetch) -> None:
    hub.stated = ""
    code, text = fetch(address_of(hub), "resnet50")
    assert code == 2
    assert "the hub states no SHA-256 of model.safetensors (found '0123456789abcdef'" in " ".join(
        text.split()
    )
    assert find_weights("resnet50") is None
    assert len(hub.asked) == 1


def test_other_content_than_was_first_fetched_is_refused_until_the_hash_is_deleted(hub, fetch) -> None:
    assert fetch(address_of(hub), "resnet50")[0] == 0
    folder = own_weights_folder("resnet50")
    first, beside = folder / "model.safetensors", folder / "model.safetensors.sha256"
    first.unlink()
    kept = beside.read_bytes()
    hub.sent = CONTENT[:-1] + b"S"
    hub.stated = sha256(hub.sent)
    code, text = fetch(address_of(hub), "resnet50")
    said = " ".join(text.split())
    assert code == 2
    assert f"is another file now (SHA-256 {hub.stated[:12]}…, expected {sha256(CONTENT)[:12]}…" in said
    # Terminals break the line within the path.
    assert f"delete {beside} if you want the new one" in said or f"delete{beside}if" in said.replace(" ", "")
    assert not first.exists()
    assert beside.read_bytes() == kept
    beside.unlink()
    assert fetch(address_of(hub), "resnet50")[0] == 0
    assert first.read_bytes() == hub.sent
    assert hub.stated in beside.read_text()


def test_the_other_files_name_is_no_way_round_the_hash(hub, fetch) -> None:
    """UNI2-h has the old name alone; that it had the new one before is kept."""
    folder = own_weights_folder("uni2-h")
    folder.mkdir(parents=True)
    (folder / "model.safetensors.sha256").write_text(f"{sha256(CONTENT)}  model.safetensors\n")
    code, text = fetch(address_of(hub), "uni2-h")
    assert code == 2
    assert "holds none of model.safetensors." in " ".join(text.split())


def test_weights_that_were_changed_since_are_not_said_to_be_found(hub, fetch) -> None:
    assert fetch(address_of(hub), "resnet50")[0] == 0
    (own_weights_folder("resnet50") / "model.safetensors").write_bytes(CONTENT[:-1] + b"S")
    code, text = fetch(address_of(hub), "resnet50")
    assert code == 2
    assert "is not the file of model.safetensors.sha256" in " ".join(text.split())


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
