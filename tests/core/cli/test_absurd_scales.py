"""Slides that tell no scale, an absurd one or two: the commands stop with exit code 2 and ask for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slide_files import tissue_like, write_svs, write_tiff
from typer.testing import Result

from amkd_core.bag_file import read_bag

Run = Callable[..., Result]
ASKED = "does not tell its micrometres per pixel (vendor metadata, resolution tags and objective power are missing or"
ASKED += " absurd); give it with --mpp (0.25 for most 40x scans, 0.5 for 20x)"
SCALES = {
    "none": None, "zero": 0, "nan": "nan", "negative": -0.5, "tiny": 1e-9, "huge": 250, "infinite": "inf",
    "text": "unknown",
}  # fmt: skip


def written(path: Path, scale: Any) -> Path:
    """A slide of 768 x 768 pixels; its objective power, by which a scale may be told as well, is 0."""
    image = tissue_like(768, 768)
    if scale is None:
        return write_tiff(path.with_suffix(".tif"), [image], mpp=None)
    return write_svs(path, [image], mpp=scale, power=0)


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("command", ["extract", "predict"])
def test_a_scale_that_is_missing_or_absurd_is_asked_for(
    amkd: Run, bundle_path: Path, tmp_path: Path, command: str, kind: str
) -> None:
    slide = written(tmp_path / f"{kind}.svs", SCALES[kind])
    more = ["--bundle", bundle_path] if command == "predict" else []
    done = amkd(command, slide, "--out", tmp_path / "out", *more)
    assert done.exit_code == 2, done.output
    said = " ".join(done.stderr.split())
    assert ASKED in said
    assert said.count("micrometres per pixel") == 1
    assert not list((tmp_path / "out").glob("*.h5"))
    assert not list((tmp_path / "out").glob("*.json"))


DOUBTFUL = {
    "power": "records 0.5 micrometres per pixel, but its objective power means about 0.25; give the right one with "
    "--mpp (0.5 confirms what is recorded)",
    "oblong": "records 0.25 x 0.5 micrometres per pixel, which are not square; give the right one with --mpp (0.25,0.5 "
    "confirms what is recorded)",
}


def doubtful(path: Path, kind: str) -> Path:
    image = tissue_like(1536, 1536)
    if kind == "power":
        return write_svs(path.with_suffix(".svs"), [image], mpp=0.5, power=40)
    return write_tiff(path.with_suffix(".tif"), [image], mpp=(0.25, 0.5))


@pytest.mark.parametrize("kind", DOUBTFUL)
@pytest.mark.parametrize("command", ["extract", "predict"])
def test_a_scale_that_contradicts_itself_is_asked_for_until_the_user_decides(
    amkd: Run, bundle_path: Path, tmp_path: Path, command: str, kind: str
) -> None:
    slide, out = doubtful(tmp_path / kind, kind), tmp_path / "out"
    more = ["--bundle", bundle_path] if command == "predict" else []
    done = amkd(command, slide, "--out", out, *more)
    assert done.exit_code == 2, done.output
    assert f"{slide.name} {DOUBTFUL[kind]}" in " ".join(done.stderr.split())
    assert not list(out.glob("*.h5"))
    assert not list(out.glob("*.json"))
    given, read = ("0.25", (0.25, 0.25)) if kind == "power" else ("0.25,0.5", (0.25, 0.5))
    done = amkd(command, slide, "--out", out, "--mpp", given, *more)
    assert done.exit_code == 0, done.output
    if command == "extract":
        bag = read_bag(out / f"{kind}.h5")
        assert (bag.slide_mpp, bag.slide_mpp_source) == (read, "user")
        told = "The slide records 0.5 micrometres per pixel; the 0.25 that the user gave were taken instead."
        if kind == "oblong":
            told = "The slide's pixels are not square (0.25 x 0.5 um); width and height were scaled apart."
        assert told in [notice.sentence for notice in bag.notices]


def test_two_scales_in_a_table_are_x_and_y(amkd: Run, tmp_path: Path) -> None:
    slide = doubtful(tmp_path / "oblong", "oblong")
    (tmp_path / "mpp.csv").write_text('slide,mpp\noblong,"0.25, 0.5"\n')
    done = amkd("extract", slide, "--out", tmp_path, "--mpp-table", tmp_path / "mpp.csv")
    assert done.exit_code == 0, done.output
    assert read_bag(tmp_path / "oblong.h5").slide_mpp == (0.25, 0.5)


def test_what_is_no_scale_is_refused_on_the_command_line(amkd: Run, tmp_path: Path) -> None:
    slide = written(tmp_path / "none.svs", None)
    for command in ("extract", "predict", "view"):
        more = [] if command == "view" else ["--out", tmp_path / "out"]
        done = amkd(command, slide, "--mpp", "0,25", *more)
        assert done.exit_code == 2
        assert "write a point for the decimal comma" in " ".join(done.stderr.replace("│", " ").split())


def test_a_bag_takes_one_scale(amkd: Run, bundle_path: Path, tmp_path: Path) -> None:
    bag = tmp_path / "bag.h5"
    bag.write_bytes(b"")
    done = amkd("predict", bag, "--out", tmp_path / "out", "--bundle", bundle_path, "--mpp", "0.25,0.5")
    assert done.exit_code == 2
    assert "bag.h5" in done.stderr


def test_eight_of_them_are_named_each_and_the_scale_that_is_given_is_taken(amkd: Run, tmp_path: Path) -> None:
    slides = [written(tmp_path / f"{kind}.svs", scale) for kind, scale in SCALES.items()]
    done = amkd("extract", *slides, "--out", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert " ".join(done.stderr.split()).count(ASKED) == done.stderr.count("FAILED ") == 8
    done = amkd("extract", *slides, "--out", tmp_path / "out", "--mpp", 0.5)
    assert done.exit_code == 0, done.output
    made = [read_bag(tmp_path / "out" / f"{kind}.h5") for kind in SCALES]
    assert {(bag.slide_mpp, bag.slide_mpp_source) for bag in made} == {((0.5, 0.5), "user")}
