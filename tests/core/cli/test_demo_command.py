from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from amkd_core.cli import demo as command
from amkd_core.errors import FolderInUseError
from amkd_core.folder_lock import HOLDER, LOCK, hold_folder
from amkd_core.inference import demo as places
from amkd_core.slides import encoders

Run = Callable[..., Result]


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch, slide_path: Path, bundle_path: Path, tmp_path: Path) -> Path:
    """The demo with a small slide and a random bundle, on a machine without a screen; returns its cache."""
    cache = tmp_path / "cache"
    cache.mkdir()
    slide = cache / "demo.tif"
    slide.write_bytes(slide_path.read_bytes())
    expression = cache / "demo-expression.csv"
    expression.write_text("gene,demo\n" + "".join(f"GENE{index},{index}\n" for index in range(12)))
    monkeypatch.setattr(places, "demo_slide_path", lambda: slide)
    monkeypatch.setattr(places, "demo_expression_path", lambda: expression)
    monkeypatch.setattr(places, "demo_bundle_path", lambda: bundle_path)
    monkeypatch.setattr(command.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(command.shutil, "which", lambda name: None)
    return cache


def test_without_any_screen_it_writes_pictures_and_says_so(
    amkd: Run, small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = amkd("demo", "--out", out)
    assert first.exit_code == 0, first.output
    assert "SYNTHETIC demo: risk" in first.stdout
    assert "wrote pictures only, no window" in first.stdout
    assert str(out / "heatmap.png") in first.stdout.replace("\n", "")
    record = json.loads((out / "prediction.json").read_text())
    assert record["teacher"]["risk"] != record["risk"]
    # The second one reads no pixels for features again.
    monkeypatch.setattr(encoders, "encode_slide", lambda *_, **__: pytest.fail("encoded twice"))
    assert amkd("demo", "--out", out).exit_code == 0
    assert json.loads((out / "prediction.json").read_text())["risk"] == record["risk"]


def test_a_stale_or_damaged_bag_is_made_again(
    amkd: Run, small_demo: Path, tmp_path: Path, own_cache: Path
) -> None:
    out = tmp_path / "out"
    assert amkd("demo", "--out", out).exit_code == 0
    (kept,) = own_cache.glob("bags/*.h5")
    kept.write_bytes(b"damaged")
    assert amkd("demo", "--out", out).exit_code == 0
    risk = json.loads((out / "prediction.json").read_text())["risk"]
    from slide_files import tissue_like, write_tiff

    write_tiff(small_demo / "demo.tif", [tissue_like(1024, 1024, seed=9)])
    assert amkd("demo", "--out", out).exit_code == 0
    assert json.loads((out / "prediction.json").read_text())["risk"] != risk


def test_a_window_that_fails_is_reported(
    amkd: Run, small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":none")
    monkeypatch.setattr(command, "_PHOTOGRAPH", "raise SystemExit('no window today')")
    done = amkd("demo", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "the window could not be opened:\nno window today" in done.stderr


def test_the_window_is_photographed_by_a_process_of_its_own(
    amkd: Run, small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":none")
    monkeypatch.setattr(
        command, "_PHOTOGRAPH", "import sys, pathlib; pathlib.Path(sys.argv[2]).write_text(sys.argv[1])"
    )
    done = amkd("demo", "--out", tmp_path / "out", "--screenshot")
    assert done.exit_code == 0, done.stderr
    assert str(tmp_path / "out" / "window.png") in done.stdout
    assert (tmp_path / "out" / "window.png").read_text() == str(small_demo / "demo.tif")


def test_a_folder_is_held_from_before_the_slide_is_read_until_the_window_was_photographed(
    amkd: Run, small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, seen = tmp_path / "out", []
    with monkeypatch.context() as patched, hold_folder(out, "writes predictions into", FolderInUseError):
        patched.setattr(
            places, "demo_slide_path", lambda: pytest.fail("read a slide for a folder that is held")
        )
        second = amkd("demo", "--out", out)
        assert second.exit_code == 3, second.output
        assert f"(process {os.getpid()} on " in second.stderr.replace("\n", " ")
        assert {path.name for path in out.iterdir()} == {LOCK, HOLDER}
    monkeypatch.setattr(command, "_photograph", lambda slide, picture: seen.append((out / HOLDER).exists()))
    assert amkd("demo", "--out", out).exit_code == 0
    assert seen == [True]
    assert not (out / HOLDER).exists()


def test_a_machine_without_napari_writes_pictures_only(
    amkd: Run, small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":none")
    monkeypatch.setattr(command, "has_viewer", lambda: False)
    done = amkd("demo", "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert "napari is not installed: wrote pictures only, no window" in done.stdout


def test_the_bundle_is_found_beside_the_checkout_or_the_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from amkd_core.errors import BundleError

    monkeypatch.setattr(
        places, "__file__", str(tmp_path / "site-packages" / "amkd_core" / "inference" / "demo.py")
    )
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    with pytest.raises(BundleError, match="demo model is not installed"):
        places.demo_bundle_path()
    installed = tmp_path / "prefix" / "share" / "amkd" / "demo" / "demo.amkd"
    installed.parent.mkdir(parents=True)
    installed.touch()
    assert places.demo_bundle_path() == installed
