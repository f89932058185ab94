"""Slides that tell no scale, or an absurd one: the commands stop with exit code 2 and ask for it."""

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


def test_eight_of_them_are_named_each_and_the_scale_that_is_given_is_taken(amkd: Run, tmp_path: Path) -> None:
    slides = [written(tmp_path / f"{kind}.svs", scale) for kind, scale in SCALES.items()]
    done = amkd("extract", *slides, "--out", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert " ".join(done.stderr.split()).count(ASKED) == done.stderr.count("FAILED ") == 8
    done = amkd("extract", *slides, "--out", tmp_path / "out", "--mpp", 0.5)
    assert done.exit_code == 0, done.output
    made = [read_bag(tmp_path / "out" / f"{kind}.h5") for kind in SCALES]
    assert {(bag.slide_mpp, bag.slide_mpp_source) for bag in made} == {((0.5, 0.5), "user")}
