"""The settings panel in a real window: what is chosen there is kept, and begins the next window."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from napari.utils.notifications import notification_manager

from amkd_core.settings import change_settings, current_settings
from amkd_viewer.workspace_widget import Workspace


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files of features, 50 MiB each, in the folder that the settings name."""
    monkeypatch.delenv("AMKD_CACHE_DIR")
    change_settings(cache_folder=tmp_path / "first")
    folder = tmp_path / "first" / "bags"
    folder.mkdir(parents=True)
    for hour in range(3):
        (folder / f"{hour}.h5").write_bytes(bytes(50 << 20))
        os.utime(folder / f"{hour}.h5", (hour * 3600, hour * 3600))
    (tmp_path / "file").touch()
    return folder


def test_what_is_chosen_is_kept_and_begins_the_next_window(  # noqa: PLR0917 (fixtures)
    viewer, dock, bundle_path: Path, own_settings: Path, tmp_path: Path, monkeypatch, kept: Path, spin
) -> None:
    panel = dock("Settings")
    _choose_cache(panel, kept, tmp_path, spin)
    _choose_defaults(panel, bundle_path, tmp_path, spin)
    _name_weights(panel, tmp_path, spin)

    monkeypatch.setenv("AMKD_CACHE_DIR", str(tmp_path / "variable"))
    panel.cache.measure()
    spin(panel.cache.by_variable.isVisible)
    assert panel.cache.place.text() == str(tmp_path / "variable")
    assert not panel.cache.place_button.isEnabled()

    fresh = Workspace(viewer)
    assert (fresh.bundle_path, fresh.device) == (bundle_path, "cuda")
    fresh.close()
    own_settings.write_text("{")
    heard: list[str] = []
    notification_manager.notification_ready.connect(lambda note: heard.append(note.message))
    fresh = Workspace(viewer)
    assert fresh.device == "cpu"
    fresh.close()
    assert len(heard) == 1
    assert "the settings cannot be used (it is no JSON" in heard[0]


def _choose_cache(panel, kept: Path, folder: Path, spin) -> None:
    cache = panel.cache
    spin(lambda: "150.0 MB of at most 4.0 GB" in cache.facts.text)
    assert cache.place.text() == str(folder / "first")
    assert not cache.by_variable.isVisible()
    cache.limit.setValue(0.1)
    spin(lambda: "100.0 MB freed" in cache.said.text())
    spin(lambda: "50.0 MB of at most 81.9 MB" in cache.facts.text)
    assert [path.name for path in kept.iterdir()] == ["2.h5"]
    cache.choose_folder(folder / "second")
    spin(lambda: cache.place.text() == str(folder / "second"))
    cache.choose_folder(folder / "file")
    spin(panel.error.isVisible)
    assert panel.error.text().startswith(f"{folder / 'file'}: the cache cannot be kept there (")
    assert current_settings().cache_folder == folder / "second"


def _choose_defaults(panel, bundle_path: Path, folder: Path, spin) -> None:
    defaults = panel.defaults
    defaults.device.setCurrentIndex(1)
    defaults.device.activated.emit(1)
    spin(lambda: current_settings().device == "cuda")
    assert not panel.error.isVisible(), "a change that was kept takes the old sentence away"
    defaults.choose_bundle(folder / "file")
    spin(panel.error.isVisible)
    assert current_settings().bundle is None
    defaults.choose_bundle(bundle_path)
    spin(lambda: defaults.bundle.text() == str(bundle_path))
    assert panel.workspace.device == "cpu", "this window keeps what it has"


def _name_weights(panel, folder: Path, spin) -> None:
    weights = panel.weights
    weights.name("uni", folder)
    spin(panel.error.isVisible)
    assert "choose the folder or file with the weights of uni" in panel.error.text()
    (folder / "model.safetensors").touch()
    weights.name("uni", folder)
    spin(lambda: str(folder / "model.safetensors") in weights.facts.text)
    assert weights.forget_button.isEnabled()
    weights.forget_button.click()
    spin(lambda: str(folder / "model.safetensors") not in weights.facts.text)
    assert current_settings().weights == {}
