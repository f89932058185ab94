from __future__ import annotations

import importlib.metadata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from amkd_core.cli import view
from amkd_core.cli.predict import load_bundle
from amkd_core.cli.terminal import chosen_device
from amkd_core.errors import MissingExtraError
from amkd_core.settings import change_settings

Refusal = Callable[..., str]


def test_a_missing_slide_is_said_before_a_window_opens(refusal: Refusal, tmp_path: Path) -> None:
    assert "no such file or folder" in refusal("view", tmp_path / "absent.svs")


def test_a_file_that_is_no_bundle_is_said_before_a_window_opens(
    refusal: Refusal, slide_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "viewer_command", lambda name: lambda *given, **options: None)
    absent, text, other = (tmp_path / name for name in ("absent.amkd", "text.amkd", "other.amkd"))
    text.write_text("no zip")
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "a")
    for path, words in (
        (absent, "no such file, expected a model bundle (.amkd)"),
        (tmp_path, "is a folder, expected a model bundle (.amkd)"),
        (text, "is not a model bundle, or is damaged"),
        (other, "a zip without manifest.json, expected a model bundle (.amkd)"),
    ):
        assert refusal("view", slide_path, "--bundle", path).startswith(f"{path}: {words}")


def test_without_napari_the_sentence_says_how_to_get_it(
    refusal: Refusal, slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "has_viewer", lambda: False)
    assert "pip install 'amkd-viewer[viewer]'" in refusal("view", slide_path)


def test_without_a_screen_a_sentence_says_what_to_do(
    refusal: Refusal, slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "viewer_command", lambda name: lambda *given, **options: None)
    monkeypatch.setattr(view.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    said = refusal("view", slide_path)
    assert "no window opens here" in said
    assert "amkd predict" in said
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen:fonts")
    assert view.has_screen()


def test_the_window_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "has_viewer", lambda: True)
    assert view.viewer_command("view").__module__ == "amkd_viewer.launch"
    assert view.viewer_command("screenshot").__name__ == "screenshot"
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    with pytest.raises(MissingExtraError, match="the viewer is not installed"):
        view.viewer_command("view")


def test_slide_bundle_and_scale_reach_the_window(
    amkd: Callable[..., object], slide_path: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []

    def opened(slide: Path, bundle: Path | None, **options: object) -> None:
        calls.append((slide, bundle, options))

    monkeypatch.setattr(view, "viewer_command", lambda name: opened)
    monkeypatch.setattr(view, "has_screen", lambda: True)
    amkd("view", slide_path, "--bundle", bundle_path, "--mpp", 0.3, "--no-predict")
    assert calls == [(slide_path, bundle_path, {"mpp": 0.3, "run": False})]


def test_the_settings_give_the_commands_their_model_and_device(
    refusal: Refusal, slide_path: Path, bundle_path: Path, tmp_path: Path, own_settings: Path
) -> None:
    assert chosen_device(None) == "cpu"
    assert load_bundle(None).card.synthetic
    change_settings(bundle=bundle_path, device="cuda:1")
    assert (chosen_device(None), chosen_device("mps")) == ("cuda:1", "mps")
    assert load_bundle(None).sha256 == load_bundle(bundle_path).sha256
    change_settings(bundle=tmp_path / "gone.amkd")
    assert "gone.amkd" in refusal("predict", slide_path, "--out", tmp_path / "out")
    # Of settings that cannot be read nobody knows what model they name: no other takes its place.
    own_settings.write_bytes(b"\xef\xbb\xbf" + own_settings.read_bytes())  # as Notepad writes it
    assert "gone.amkd" in refusal("predict", slide_path, "--out", tmp_path / "out")
    own_settings.write_text('{"device": "gpu0"}')
    said = refusal("predict", slide_path, "--out", tmp_path / "out")
    assert "gpu0" in said
    assert "give --bundle" in said
    assert load_bundle(bundle_path).sha256
