"""A slide whose file was replaced after it was opened: no kept result is given for it."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from slide_files import tissue_like, write_tiff

from amkd_core.bundle_file import open_bundle
from amkd_core.errors import SlideError
from amkd_core.inference.prediction import Prediction
from amkd_core.slides import open_slide
from amkd_viewer.events import PatientRequest, PredictionRequest, RegionRequest
from amkd_viewer.jobs import predict_one, recall, run_job

T = TypeVar("T")


def run(steps: Generator[object, None, T]) -> tuple[list[str], T]:
    stages = []
    while True:
        try:
            stages.append(getattr(next(steps), "stage", ""))
        except StopIteration as end:
            return stages, end.value


def flip(path: Path, place: int) -> None:
    """One bit, in place."""
    with path.open("r+b") as stream:
        stream.seek(place)
        byte = stream.read(1)[0]
        stream.seek(place)
        stream.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("n_slides", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_one_flipped_bit_stops_the_kept_results_of_twenty_slides(
    tmp_path: Path, bundle_path: Path, n_slides: int
) -> None:
    bundle = open_bundle(bundle_path)
    stopped = 0
    for index in range(n_slides):
        path = write_tiff(tmp_path / f"{index}.tif", [tissue_like(768, 512, seed=index)])
        with open_slide(path) as slide:
            request = PredictionRequest(path, slide.info.fingerprint, bundle_path, info=slide.info)
        _, first = run(predict_one(request, bundle))
        stages, again = run(predict_one(request, bundle))
        assert stages == ["Found in the cache"]
        assert isinstance(again, Prediction)
        assert again.risk == first.risk
        size = path.stat().st_size
        flip(path, size * index // n_slides + size // (2 * n_slides))
        for ask in (
            lambda asked=request: run(predict_one(asked, bundle)),
            lambda asked=request: recall(asked, bundle),
        ):
            with pytest.raises(SlideError) as refused:
                ask()
            assert str(refused.value) == (
                f"{path} has changed since it was opened here; open it again and predict then."
            )
        stopped += 1
    assert stopped == n_slides


def test_features_in_memory_are_held_against_the_file_again(tmp_path: Path, bundle_path: Path) -> None:
    """Of a part of the slide, and of a patient of two slides, nothing else would read the file."""
    bundle = open_bundle(bundle_path)
    asked, wholes = [], []
    for index in range(2):
        path = write_tiff(tmp_path / f"{index}.tif", [tissue_like(768, 512, seed=index)])
        with open_slide(path) as slide:
            asked.append(PredictionRequest(path, slide.info.fingerprint, bundle_path, info=slide.info))
        wholes.append(run(predict_one(asked[index], bundle))[1])
    all_of_it = (np.array([[0, 0], [768, 0], [768, 512], [0, 512]]),)
    part = RegionRequest(asked[1], wholes[1], all_of_it)
    patient = PatientRequest(tuple(asked), "P", wholes=tuple(wholes))
    regions = replace(patient, polygons=(all_of_it, all_of_it))
    for request in (part, patient, regions):
        run(run_job(request, bundle))

    flip(asked[1].slide_path, asked[1].slide_path.stat().st_size // 2)
    for request in (part, patient, regions):
        with pytest.raises(SlideError, match=r"1\.tif has changed since it was opened here; open it again"):
            run(run_job(request, bundle))


def test_the_window_says_that_a_slide_was_replaced(  # noqa: PLR0917 (fixtures)
    kept, panel, viewer, slide_path, tmp_path, spin
) -> None:
    path, workspace = Path(shutil.copy(slide_path, tmp_path / "mistaken.tif")), panel.workspace
    panel.open_slide(path, run=True)
    spin(lambda: panel.outcome is not None)
    assert isinstance(panel.outcome, Prediction)
    # Renamed it is the same slide, and its result bears its new name.
    viewer.layers.clear()
    path = path.rename(tmp_path / "own.tif")
    panel.open_slide(path)
    spin(lambda: workspace.prediction is not None)
    assert workspace.prediction.slide_id == workspace.asked_with.info.slide_id == "own"
    flip(path, path.stat().st_size // 2)
    panel.run()
    spin(lambda: isinstance(panel.outcome, BaseException))
    assert (
        "own.tif has changed since it was opened here; open it again and predict then." in panel.error.text()
    )
