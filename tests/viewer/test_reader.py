"""The plugin's manifest, and slides as layer data."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest

from amkd_core.errors import SlideError
from amkd_viewer.reader import SLIDE_KEY, get_reader, pixel_geometry, read_slides


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, amkd_viewer, amkd_viewer.session, amkd_viewer.wording, amkd_viewer.reader\n"
        "print([name for name in ('torch', 'qtpy', 'PyQt6', 'napari', 'matplotlib', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_manifest_is_valid_and_its_commands_exist() -> None:
    manifest = PluginManifest.from_distribution("amkd-viewer")
    manifest.validate_imports()
    assert manifest.display_name == "AMKD"
    assert [widget.display_name for widget in manifest.contributions.widgets] == [
        "Predict survival risk",
        "View and heatmap",
        "Top patches",
        "Compare teacher and student",
        "Pathways",
        "Survival",
        "Patient and region",
        "Folder of slides",
        "Export",
        "Settings",
        "Slide information",
        "Help and shortcuts",
    ]


@pytest.mark.parametrize("name", ["notes.txt", "picture.tif", "folder", "missing.svs"])
def test_what_is_no_slide_is_left_to_others(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        (path / "readme.txt").write_text("no slide")
    elif name != "missing.svs":
        path.write_text("no slide")
    assert get_reader(str(path)) is None


def test_a_list_with_one_stranger_is_left_to_others(slide_path: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "a.txt"
    stranger.write_text("no slide")
    assert get_reader([str(slide_path), str(stranger)]) is None
    assert get_reader([str(slide_path)]) is not None


def test_a_slide_is_a_lazy_pyramid_in_micrometres(slide_path: Path) -> None:
    ((levels, options, kind),) = read_slides(str(slide_path))
    assert kind == "image"
    assert levels[0].shape == (2304, 3072, 3)
    assert not any(isinstance(level, np.ndarray) for level in levels)
    assert all(a.shape[0] > b.shape[0] for a, b in pairwise(levels))
    assert options["scale"] == pytest.approx((0.5, 0.5))
    assert options["units"] == ("um", "um")
    assert options["contrast_limits"] == (0, 255)
    assert options["rgb"] is True
    assert options["metadata"][SLIDE_KEY]["info"].path == slide_path
    assert np.asarray(levels[0][:8, :8]).dtype == np.uint8


def test_scales_are_row_first() -> None:
    assert pixel_geometry((0.25, 0.5))["scale"] == (0.5, 0.25)
    assert pixel_geometry(None) == {"scale": (1.0, 1.0), "units": ("pixel", "pixel")}


def test_a_slide_without_scale_stays_in_pixels(slide_without_scale: Path, caplog) -> None:
    ((_, options, _),) = read_slides(slide_without_scale)
    assert options["units"] == ("pixel", "pixel")
    assert "does not tell its micrometres per pixel" in caplog.text


def test_a_damaged_slide_is_a_sentence(tmp_path: Path, slide_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(slide_path.read_bytes()[:5000])
    with pytest.raises(SlideError, match=r"broken\.tif"):
        read_slides(broken)


def test_the_reader_process_ends_with_the_layer(slide_path: Path) -> None:
    import psutil

    me = psutil.Process()
    before = {child.pid for child in me.children()}
    layers = read_slides(slide_path)
    assert {child.pid for child in me.children()} - before
    del layers
    gc.collect()
    deadline = time.monotonic() + 10
    while {child.pid for child in me.children()} - before:
        assert time.monotonic() < deadline, "the reader process outlives its layer"
        time.sleep(0.02)


def test_a_dicom_folder_is_a_slide(shared: Path) -> None:
    folder = shared / "slides" / "real" / "CMU-1-Small-Region-dicom"
    reader = get_reader(str(folder))
    assert reader is not None
    ((levels, options, _),) = reader(str(folder))
    assert levels[0].shape == (2967, 2220, 3)
    assert options["scale"] == pytest.approx((0.499, 0.499))


def test_a_folder_of_slides_is_told_of_and_one_of_pictures_left_to_others(
    shared: Path, slide_path: Path, tmp_path: Path
) -> None:
    for path in [slide_path, *(shared / "slides" / "real" / "CMU-1-Small-Region-dicom").iterdir()]:
        (tmp_path / path.name).symlink_to(path)
    reader = get_reader([str(tmp_path)])
    assert reader is not None
    with pytest.raises(
        SlideError, match=r"is a folder of 2 slides \(.*, …\); open single files of it, or choose it in"
    ):
        reader([str(tmp_path)])
    for path in tmp_path.glob("*.dcm"):
        path.unlink()
    assert get_reader(str(tmp_path)) is None


def test_the_sample_is_the_demo_slide(slide_path: Path, monkeypatch) -> None:
    import amkd_core.inference.demo
    from amkd_viewer.reader import demo_slide

    monkeypatch.setattr(amkd_core.inference.demo, "demo_slide_path", lambda: slide_path)
    ((levels, options, _),) = demo_slide()
    assert levels[0].shape == (2304, 3072, 3)
    assert options["name"] == "first"


@pytest.mark.parametrize("chosen", [None, "0"])
def test_background_slicing_is_for_this_session_and_respects_the_user(
    chosen: str | None, monkeypatch
) -> None:
    import napari.settings
    from napari.settings import NapariSettings

    from amkd_viewer.slicing import slice_in_background

    monkeypatch.delenv("NAPARI_ASYNC", raising=False)
    if chosen is not None:
        monkeypatch.setenv("NAPARI_ASYNC", chosen)
    settings = NapariSettings(config_path=None)
    monkeypatch.setattr(napari.settings, "get_settings", lambda: settings)
    slice_in_background()
    assert settings.experimental.async_ is (chosen is None)
    # Nothing of it may reach the user's preferences.
    assert "async_" not in settings._save_dict().get("experimental", {})
