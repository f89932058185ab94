"""The user's settings: typed, frozen, written whole, and never lost silently."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from amkd_core import settings as module
from amkd_core.errors import ConfigError
from amkd_core.settings import Settings, change_settings, current_settings, read_settings


def test_without_a_file_the_defaults_hold(own_settings: Path) -> None:
    found = read_settings()
    assert (found.settings, found.path, found.stored, found.problem) == (Settings(), own_settings, False, "")
    assert not own_settings.exists(), "reading writes nothing"


def test_what_is_chosen_is_kept_and_the_rest_stays(own_settings: Path, tmp_path: Path) -> None:
    change_settings(device="cuda:1", weights={"uni": tmp_path / "uni"})
    change_settings(cache_limit_gib=0.5, cache_folder=tmp_path / "cache", bundle=Path("~/model.amkd"))
    assert current_settings() == Settings(
        cache_folder=tmp_path / "cache",
        cache_limit_gib=0.5,
        bundle=Path.home() / "model.amkd",
        device="cuda:1",
        weights={"uni": tmp_path / "uni"},
    )
    assert json.loads(own_settings.read_text())["cache_limit_gib"] == 0.5
    assert [path.name for path in own_settings.parent.iterdir()] == ["settings.json"]
    change_settings(bundle=None)
    assert current_settings().bundle is None
    with pytest.raises(TypeError):
        current_settings().weights["conch"] = tmp_path  # type: ignore[index]
    with pytest.raises(ValueError, match="frozen"):
        current_settings().device = "cpu"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"device": "gpu"},
            "Setting device is 'gpu': expected cpu, cuda, cuda:1 or mps; nothing was changed.",
        ),
        ({"cache_limit_gib": 0}, "Setting cache_limit_gib is '0': .*greater than or equal to 0.1"),
        ({"cache_limit_gib": float("inf")}, "Setting cache_limit_gib is 'inf': .*finite"),
        ({"cache_folder": "cache"}, "Setting cache_folder is 'cache': expected an absolute path"),
        ({"colour": "red"}, "Setting colour is no setting of this release; known are cache_folder, "),
    ],
)
def test_values_outside_their_range_change_nothing(own_settings: Path, changes, sentence: str) -> None:
    change_settings(device="mps")
    before = own_settings.read_bytes()
    with pytest.raises(ConfigError, match=sentence):
        change_settings(**changes)
    assert own_settings.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"device": "cuda', "it is no JSON: EOF"),
        ("", "it is no JSON"),
        ("[1, 2]", r"file is '\[1, 2\]'"),
        ('{"device": "cuda", "theme": "dark"}', "theme is no setting of this release"),
        ('{"device": 3}', "device is '3'"),
        ('{"weights": {"uni": "here"}}', "weights.uni is 'here': expected an absolute path"),
        (b"\xff\xfe{}", "it is no UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_and_the_defaults(
    own_settings: Path, text, reason: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_told", set())
    own_settings.parent.mkdir(parents=True)
    own_settings.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = own_settings.read_bytes()
    found = read_settings()
    assert found.settings == Settings()
    assert str(own_settings) in found.problem
    assert re.search(reason, found.problem)
    assert "\n" not in found.problem
    assert current_settings() == current_settings() == Settings()
    assert caplog.text.count("cannot be used") == 1, "said once, not at every look"
    assert own_settings.read_bytes() == before, "reading leaves the file as it is"
    change_settings(device="mps")
    assert own_settings.with_name("settings.json.unreadable").read_bytes() == before, "put aside, not lost"
    assert read_settings().settings == Settings(device="mps")
    assert read_settings().problem == ""


def test_a_disk_that_refuses_leaves_the_old_settings(
    own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_settings(device="mps")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("amkd_core.atomic.os.fsync", full)
    with pytest.raises(OSError, match=r"(?i)no space left on device"):
        change_settings(device="cuda")
    monkeypatch.undo()
    monkeypatch.setenv("AMKD_CONFIG_DIR", str(own_settings.parent))
    assert current_settings().device == "mps"
