from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from slide_files import tissue_like, write_tiff
from typer.testing import Result

from amkd_core.bag_file import read_bag
from amkd_core.errors import BagError

Run = Callable[..., Result]
Refusal = Callable[..., str]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three small slides, and between them one that is none."""
    folder = tmp_path_factory.mktemp("cohort")
    paths = [write_tiff(folder / f"s{index}.tif", [tissue_like(768, 768, seed=index)]) for index in (1, 2, 3)]
    bad = folder / "bad.svs"
    bad.write_bytes(b"II*\0 but no more than that")
    return [paths[0], bad, *paths[1:]]


def test_one_bad_slide_is_reported_and_the_rest_goes_on(
    amkd: Run, slides: list[Path], tmp_path: Path
) -> None:
    done = amkd("extract", *slides, "--out", tmp_path, "--jobs", 2)
    assert done.exit_code == 1
    assert "FAILED bad.svs: " in done.stderr
    assert "3 of 4 slides have a bag" in done.stdout
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["s1.h5", "s2.h5", "s3.h5"]
    assert read_bag(tmp_path / "s1.h5").slide_id == "s1"


def test_nothing_usable_is_exit_code_2(amkd: Run, slides: list[Path], tmp_path: Path) -> None:
    done = amkd("extract", slides[1], tmp_path / "absent.svs", "--out", tmp_path / "bags")
    assert done.exit_code == 2
    assert done.stderr.count("FAILED") == 2


def test_what_is_done_is_kept_only_while_it_fits(amkd: Run, slides: list[Path], tmp_path: Path) -> None:
    arguments = ("extract", slides[0], slides[2], "--out", tmp_path)
    assert amkd(*arguments).exit_code == 0
    first, second = tmp_path / "s1.h5", tmp_path / "s2.h5"
    original, stamp = first.read_bytes(), second.stat().st_mtime_ns
    # One byte of the features of a finished bag flips: it is found and made again; the other is kept.
    flipped = bytearray(original)
    place = original.index(read_bag(first).features.tobytes()[:64])
    flipped[place] ^= 0x10
    first.write_bytes(flipped)
    done = amkd(*arguments)
    assert "s2.tif: 9 patches (kept)" in done.stdout or "(kept)" in done.stdout.split("s2.tif")[1]
    assert "(kept)" not in done.stdout.split("s2.tif")[0]
    np.testing.assert_array_equal(read_bag(first).features, _bag_from(original, tmp_path).features)
    assert second.stat().st_mtime_ns == stamp
    # Another scale, and another slide under the same name, make it again as well.
    (tmp_path / "mpp.csv").write_text("slide,mpp\ns2,0.45\n")
    again = amkd("extract", slides[2], "--out", tmp_path, "--mpp-table", tmp_path / "mpp.csv")
    assert "(kept)" not in again.stdout
    bag = read_bag(second)
    assert bag.slide_mpp == (0.45, 0.45)
    (notice,) = [notice.sentence for notice in bag.notices if notice.code == "scale_source"]
    assert notice.startswith("The slide records 0.5 micrometres per pixel; the 0.45 that the user gave")
    other = write_tiff(tmp_path / "s2.tif", [tissue_like(768, 768, seed=77)])
    # At the scale of the bag, else it would be made again for that.
    last = amkd("extract", other, "--out", tmp_path, "--mpp-table", tmp_path / "mpp.csv")
    assert "s2.tif: " in last.stdout
    assert "(kept)" not in last.stdout


def test_one_scale_for_a_folder_holds_for_those_that_tell_none(amkd: Run, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_tiff(folder / "told.tif", [tissue_like(768, 768)])
    write_tiff(folder / "untold.tif", [tissue_like(1536, 1536)], mpp=None)
    done = amkd("extract", folder, "--out", tmp_path / "bags", "--mpp", 0.25)
    assert done.exit_code == 0
    (line,) = [line for line in done.stderr.splitlines() if "--mpp-table" in line]
    assert line.startswith(
        "told.tif: its own 0.5 micrometres per pixel are taken, --mpp 0.25 is for slides that"
    )
    assert "--mpp-table" not in amkd("extract", folder, "--out", tmp_path / "other", "--mpp", 0.499).stderr
    told, untold = (read_bag(tmp_path / "bags" / f"{name}.h5") for name in ("told", "untold"))
    assert (told.slide_mpp, told.slide_mpp_source) == ((0.5, 0.5), "tiff_resolution")
    assert (untold.slide_mpp, untold.slide_mpp_source) == ((0.25, 0.25), "user")
    assert not [notice for notice in told.notices if notice.code == "scale_source"]


def _bag_from(content: bytes, folder: Path):
    path = folder / "original" / "s1.h5"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return read_bag(path)


def test_scales_come_from_a_table(amkd: Run, refusal: Refusal, tmp_path: Path) -> None:
    slide = write_tiff(tmp_path / "unscaled.tif", [tissue_like(768, 768)], mpp=None)
    out = tmp_path / "bags"
    done = amkd("extract", slide, "--out", out)
    assert done.exit_code == 2
    assert "micrometres per pixel" in done.stderr
    table = tmp_path / "scales.csv"
    table.write_text("slide,mpp\nunscaled.tif,0.5\n")
    assert amkd("extract", slide, "--out", out, "--mpp-table", table).exit_code == 0
    assert read_bag(out / "unscaled.h5").slide_mpp_source == "user"
    table.write_text("slide,mpp\nunscaled.tif,half\n")
    assert "scales.csv" in refusal("extract", slide, "--out", out, "--mpp-table", table)
    table.write_text("slide,mpp\nUnscaled.tif,0.4\n")
    assert "Unscaled.tif" in refusal("extract", slide, "--out", out, "--mpp-table", table)
    table.write_text("slide,mpp\nunscaled.tif,0.4\nunscaled,0.3\n")
    assert "expected one scale per slide" in refusal("extract", slide, "--out", out, "--mpp-table", table)
    assert read_bag(out / "unscaled.h5").slide_mpp == (0.5, 0.5)


def test_mistakes_are_said_before_any_process_starts(
    refusal: Refusal, slides: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "uni" in refusal("extract", slides[0], "--encoder", "unii", "--out", tmp_path)
    missing = ("--encoder", "uni", "--weights", tmp_path / "w.bin")
    assert "MahmoodLab/UNI" in refusal("extract", slides[0], "--out", tmp_path, *missing)
    twice = refusal("extract", slides[0], tmp_path / "elsewhere" / "s1.svs", "--out", tmp_path)
    assert "would both be written to s1.h5" in twice


def test_a_second_run_in_the_same_folder_waits_for_nobody(
    amkd: Run, slides: list[Path], tmp_path: Path
) -> None:
    from amkd_core.inference.extract import bag_folder

    with bag_folder(tmp_path):
        done = subprocess.run(_command(slides[:1], tmp_path), capture_output=True, text=True)
    assert done.returncode == 3
    assert f"another run extracts into this folder (process {os.getpid()} on " in done.stderr
    assert amkd("extract", slides[0], "--out", tmp_path).exit_code == 0


def test_a_killed_run_leaves_no_part_and_no_process_and_a_second_one_finishes(tmp_path: Path) -> None:
    slides = [
        write_tiff(tmp_path / f"k{index}.tif", [tissue_like(1536, 1536, seed=index)]) for index in (1, 2, 3)
    ]
    whole, out = tmp_path / "whole", tmp_path / "bags"
    assert subprocess.run(_command(slides, whole), capture_output=True).returncode == 0
    run = subprocess.Popen(_command(slides, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / "k1.h5").exists():
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGKILL)
    run.wait()
    for path in out.glob("*.h5"):
        if not path.name.startswith(".tmp-"):
            assert len(read_bag(path)) == len(read_bag(whole / path.name))
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "workers outlive a killed run"
    (out / ".tmp-deadbeef0000.h5").write_bytes(b"left by a killed run")
    assert subprocess.run(_command(slides, out), capture_output=True).returncode == 0
    assert sorted(path.name for path in out.glob("*.h5")) == ["k1.h5", "k2.h5", "k3.h5"]
    assert not list(out.glob(".tmp-*"))
    for path in sorted(whole.glob("*.h5")):
        again = read_bag(out / path.name)
        np.testing.assert_array_equal(again.features, read_bag(path).features)
        np.testing.assert_array_equal(again.coords, read_bag(path).coords)


def test_a_damaged_bag_is_an_error_and_not_other_numbers(
    amkd: Run, slides: list[Path], tmp_path: Path
) -> None:
    assert amkd("extract", slides[0], "--out", tmp_path).exit_code == 0
    bag = tmp_path / "s1.h5"
    content = bytearray(bag.read_bytes())
    content[content.index(read_bag(bag).features.tobytes()[:64])] ^= 0x01
    bag.write_bytes(content)
    with pytest.raises(BagError, match="checksum"):
        read_bag(bag)


def _command(slides: list[Path], out: Path) -> list[str]:
    start = [sys.executable, "-m", "amkd_core.cli.main", "extract"]
    return [*start, *map(str, slides), "--out", str(out)]


def test_this_process_left_nothing_behind() -> None:
    names = [" ".join(child.cmdline()) for child in psutil.Process(os.getpid()).children()]
    assert not [name for name in names if "spawn_main" in name]


def test_a_folder_of_slides_is_extracted_under_the_names_that_the_slides_have(
    amkd: Run, slides: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "slides"
    (folder / "empty").mkdir(parents=True)
    (folder / "b.ome.tif").write_bytes(slides[0].read_bytes())
    (folder / "a.tif").write_bytes(slides[2].read_bytes())
    (folder / "notes.txt").write_text("not a slide")
    (tmp_path / "mpp.csv").write_text("slide,mpp\nb,0.55\n")
    done = amkd("extract", folder, "--out", tmp_path / "bags", "--mpp-table", tmp_path / "mpp.csv")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "bags").glob("*.h5")) == ["a.h5", "b.h5"]
    bag = read_bag(tmp_path / "bags" / "b.h5")
    assert (bag.slide_id, bag.slide_mpp) == ("b", (0.55, 0.55))
    nothing = amkd("extract", folder / "empty", "--out", tmp_path / "none")
    assert nothing.exit_code == 2
    assert "FAILED empty: " in nothing.stderr


def test_broken_slides_of_a_folder_fail_by_name(amkd: Run, slides: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    (folder / "folder.svs").mkdir(parents=True)
    (folder / "good.tif").write_bytes(slides[0].read_bytes())
    (folder / "empty.svs").touch()
    (folder / "zeros.NDPI").write_bytes(bytes(4096))
    (folder / "page.svs").write_text("<!DOCTYPE html><html><body>Log in</body></html>")
    (folder / "copy.tif").write_bytes(bytes(512))
    (folder / "gone.scn").symlink_to(tmp_path / "nowhere.scn")
    # None of these is meant to be a slide.
    for name in ("._good.tif", ".hidden.svs", "notes.txt", "good.png", "half.svs.part"):
        (folder / name).write_text("no slide")
    done = amkd("extract", folder, "--out", tmp_path / "bags")
    assert done.exit_code == 1
    assert "1 of 6 slides have a bag" in done.stdout
    failed = dict(line.removeprefix("FAILED ").split(": ", 1) for line in done.stderr.strip().splitlines())
    assert sorted(failed) == ["copy.tif", "empty.svs", "gone.scn", "page.svs", "zeros.NDPI"]
    assert "is empty (0 bytes)" in failed["empty.svs"]
    assert all("is not a slide" in failed[name] for name in ("copy.tif", "page.svs", "zeros.NDPI"))
    assert "There is no file" in failed["gone.scn"]


def test_a_file_without_permission_fails_alone(
    amkd: Run, slides: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.svs"
    secret.write_bytes(b"II*\0")
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "access", lambda path, mode: Path(os.fspath(path)) != secret)
    else:
        secret.chmod(0)
    done = amkd("extract", secret, slides[0], "--out", tmp_path / "bags")
    assert done.exit_code == 1
    assert "FAILED secret.svs: " in done.stderr
    assert "1 of 2 slides have a bag" in done.stdout


def test_features_of_others_are_overwritten_only_by_force(
    amkd: Run, slides: list[Path], tmp_path: Path
) -> None:
    target = tmp_path / "s1.h5"
    with h5py.File(target, "w") as file:
        file["features"] = np.ones((4, 8), np.float32)
    theirs = target.read_bytes()
    arguments = ("extract", slides[0], slides[2], "--out", tmp_path)
    done = amkd(*arguments)
    assert done.exit_code == 1
    assert "FAILED s1.tif: " in done.stderr
    assert "holds CLAM features" in done.stderr
    assert "1 of 2 slides have a bag" in done.stdout
    assert target.read_bytes() == theirs
    assert amkd(*arguments, "--force").exit_code == 0
    assert read_bag(target).encoder.name == "texture"
