"""From a slide to a bag: the right rows, the notices that belong to it, and a prompt end when cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slide_files import tissue_like, write_svs

from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.errors import EncoderError, MissingMicronsError, SlideReadError, TissueError
from amkd_core.progress import Progress
from amkd_core.slides.encoders import encode_slide, load_encoder
from amkd_core.slides.encoders.journal import EncodingJournal
from amkd_core.slides.grid import PatchSpec
from amkd_core.slides.slide import Slide, open_slide


class MeanColour:
    """An encoder that a test can compute by hand: mean red, green, blue, and one."""

    patch_size_px, mpp = 256, 0.5
    identity = EncoderIdentity("mean", "1", 4, "0" * 64, "none", "none", "none")

    def encode(self, images: np.ndarray) -> np.ndarray:
        means = images.mean(axis=(1, 2))
        return np.concatenate([means, np.ones((len(images), 1))], axis=1).astype(np.float32)


def run(generator: Generator[Progress, None, FeatureBag]) -> tuple[list[Progress], FeatureBag]:
    seen = []
    while True:
        try:
            seen.append(next(generator))
        except StopIteration as stop:
            return seen, stop.value


class Damaged:
    """A slide of which patches with given corners cannot be read; the low-power reads pass."""

    def __init__(self, slide: Slide, bad: set[tuple[int, int]]) -> None:
        self._slide, self._bad = slide, bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._slide, name)

    def read_patch(self, xy: tuple[int, int], level: int, read: tuple[int, int], size: int) -> np.ndarray:
        if xy in self._bad:
            raise SlideReadError("a damaged tile")
        return self._slide.read_patch(xy, level, read, size)


def test_a_bag_holds_every_patch_of_the_tissue(slide_file: Path) -> None:
    with open_slide(slide_file) as slide:
        progress, bag = run(encode_slide(slide, MeanColour(), batch_size=4))
        pixels = [slide.read_region((int(x), int(y)), 0, (256, 256)).mean(axis=(0, 1)) for x, y in bag.coords]
    assert bag.coords.tolist() == [[x, y] for y in (256, 512) for x in (256, 512, 768)]
    np.testing.assert_allclose(bag.features[:, :3], pixels, rtol=1e-5)
    assert (bag.features[:, 3] == 1).all()
    assert (bag.patch_size_level0, bag.patch_size_px, bag.mpp) == ((256, 256), 256, pytest.approx(0.5))
    assert (bag.slide_id, bag.slide_size_level0) == ("small", (1536, 1536))
    assert bag.slide_fingerprint
    assert (bag.slide_mpp, bag.slide_mpp_source) == (pytest.approx((0.5, 0.5)), "tiff_resolution")
    assert bag.encoder == MeanColour.identity
    assert bag.notices == ()
    assert bag.verified
    assert progress[0] == Progress("Finding tissue")
    assert [step.done for step in progress[1:]] == [0, 4, 6]
    assert {step.total for step in progress[1:]} == {6}


def test_batches_and_workers_change_nothing(slide_file: Path) -> None:
    encoder = load_encoder("texture")
    bags = []
    for batch_size, workers in ((1, 1), (64, 3)):
        with open_slide(slide_file) as slide:
            bags.append(run(encode_slide(slide, encoder, batch_size=batch_size, workers=workers))[1])
    np.testing.assert_allclose(bags[0].features, bags[1].features, atol=2e-4)
    assert bags[0].coords.tolist() == bags[1].coords.tolist()
    assert bags[0].features.std(axis=0).max() > 0.5


def test_the_same_run_twice_is_bit_identical(slide_file: Path) -> None:
    encoder = load_encoder("texture")
    features = []
    for _ in range(2):
        with open_slide(slide_file) as slide:
            features.append(run(encode_slide(slide, encoder))[1].features)
    assert (features[0] == features[1]).all()


def test_more_than_one_percent_of_unreadable_patches_fails_with_counts(slide_file: Path) -> None:
    with (
        open_slide(slide_file) as slide,
        pytest.raises(
            SlideReadError,
            match=r"small\.tif is damaged: 1 of the first 2 patches \(of 6\) cannot be read, more than 1%",
        ),
    ):
        run(encode_slide(Damaged(slide, {(256, 256)}), MeanColour(), batch_size=2))  # type: ignore[arg-type]


def test_a_few_unreadable_patches_are_left_out_and_counted(
    slide_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amkd_core.slides.encoders.encode.MOST_INVALID_SHARE", 0.2)
    with open_slide(slide_file) as slide:
        _, bag = run(encode_slide(Damaged(slide, {(512, 256)}), MeanColour()))  # type: ignore[arg-type]
    assert [512, 256] not in bag.coords.tolist()
    assert len(bag) == 5
    assert [notice.code for notice in bag.notices] == ["invalid_patches"]
    assert bag.notices[0].sentence == "1 of 6 patches could not be read and were left out."


class DamagedOverview(Damaged):
    """A slide whose overview cannot be read at its upper left corner, on glass, where no patch lies."""

    def read_region(self, xy: tuple[int, int], level: int, size: tuple[int, int]) -> np.ndarray:
        if xy[0] < 64 and xy[1] < 64:
            raise SlideReadError("a damaged tile")
        return self._slide.read_region(xy, level, size)


def test_a_damaged_overview_is_told_where_no_patch_fails(slide_file: Path) -> None:
    """Places that cannot be read are white there, so that no tissue is found and no patch is left out."""
    with open_slide(slide_file) as slide:
        _, whole = run(encode_slide(slide, MeanColour()))
        _, bag = run(encode_slide(DamagedOverview(slide, set()), MeanColour()))  # type: ignore[arg-type]
    assert bag.coords.tolist() == whole.coords.tolist()
    (notice,) = bag.notices
    assert notice.code == "unreadable_places"
    assert notice.sentence == (
        "The slide is damaged: 0.4% of its area could not be read at low power, and tissue there was not looked for."
    )


@pytest.mark.parametrize("other", [{"fingerprint": "sha256:of another slide"}, {"scene": 1}])
def test_what_a_killed_run_left_is_taken_over_for_the_same_image_only(
    slide_file: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    """Slides of one size have equal grids, and so may the images of one file."""
    with open_slide(slide_file) as slide:
        for facts, first in (({}, 0), ({}, 6), (other, 0)):
            slide.info = replace(slide.info, **facts)
            with closing(EncodingJournal(tmp_path, "small")) as journal:
                progress, _ = run(encode_slide(slide, MeanColour(), journal=journal))
            assert next(step.done for step in progress if step.total) == first


def test_a_damaged_real_slide_fails_in_one_sentence(shared: Path) -> None:
    path = shared / "slides/malformed/derived_cmu1_10-tiles-zeroed.svs"
    with (
        open_slide(path) as slide,
        pytest.raises(SlideReadError, match=r"zeroed\.svs is damaged: \d+ of the first"),
    ):
        run(encode_slide(slide, MeanColour()))


@pytest.mark.parametrize(
    ("mpp", "source", "codes"),
    [
        ((1.0, 1.0), "user", ["scale_source", "coarse_scale"]),
        ((0.5, 0.52), "user", ["non_square_pixels"]),
        ((0.5, 0.55), "user", ["scale_source", "non_square_pixels"]),
        ((0.5, 0.5), "objective_power", ["scale_source"]),
    ],
)
def test_what_limits_a_result_travels_with_the_bag(
    slide_file: Path, mpp: tuple[float, float], source: str, codes: list[str]
) -> None:
    with open_slide(slide_file, mpp=mpp) as slide:
        microns = replace(slide.info.microns, source=source)  # type: ignore[type-var]
        slide.info = replace(slide.info, microns=microns)
        _, bag = run(encode_slide(slide, MeanColour()))
    assert [notice.code for notice in bag.notices] == codes
    assert bag.slide_mpp_source == source


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            (0.25, 0.25),
            "The slide records 0.5 micrometres per pixel; the 0.25 that the user gave were taken instead.",
        ),
        (
            (0.5, 0.5),
            "The slide's nominal objective power means about 0.25 micrometres per pixel; the 0.5 that the user gave "
            "were taken instead.",
        ),
        # The mean is the same: each side counts.
        (
            (0.45, 0.5 / 0.9),
            "The slide records 0.5 micrometres per pixel; the 0.45 x 0.5556 that the user gave were taken instead.",
        ),
    ],
)
def test_what_the_user_decided_against_is_kept_with_the_bag(
    tmp_path: Path, given: tuple[float, float], sentence: str
) -> None:
    path = write_svs(tmp_path / "a.svs", [tissue_like(1536, 1536)], mpp=0.5, power=40)
    with open_slide(path, mpp=given) as slide:
        _, bag = run(encode_slide(slide, MeanColour()))
    assert sentence in [notice.sentence for notice in bag.notices if notice.code == "scale_source"]
    assert (bag.slide_mpp, bag.slide_mpp_source) == (given, "user")


def test_a_scale_that_the_power_of_the_lens_is_far_from_is_said(slide_file: Path) -> None:
    with open_slide(slide_file) as slide:
        microns = replace(slide.info.microns, source="vendor", contradicted_by=0.25)  # type: ignore[type-var]
        slide.info = replace(slide.info, microns=microns)
        _, bag = run(encode_slide(slide, MeanColour()))
    (notice,) = bag.notices
    assert notice.code == "scale_source"
    assert notice.sentence == (
        "The slide records 0.5 micrometres per pixel, but its nominal objective power means about 0.25; the former was "
        "taken (amkd predict overrules it by --mpp, amkd extract by --mpp-table)."
    )
    assert bag.slide_mpp == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        (
            0,
            "holds 3 images; the first (scene 0) was read, the others were not; amkd extract and amkd predict take "
            "another by --scene.",
        ),
        (1, "holds 3 images; scene 1 (counted from 0) was read, the others were not."),
    ],
)
def test_of_a_file_with_several_images_the_one_read_is_said(
    slide_file: Path, scene: int, sentence: str
) -> None:
    with open_slide(slide_file) as slide:
        _, alone = run(encode_slide(slide, MeanColour()))
        assert (alone.slide_scene, alone.notices) == (0, ())
        slide.info = replace(slide.info, scene=scene, n_scenes=3)
        _, bag = run(encode_slide(slide, MeanColour()))
    (notice,) = bag.notices
    assert (notice.code, notice.sentence) == ("several_images", f"The slide's file {sentence}")
    assert bag.slide_scene == scene


@pytest.mark.parametrize("file", ["OS-2-ndpi.ome.tif", "test3-DAPI-2-(387).ndpi"])
def test_slides_that_are_not_he_say_so(shared: Path, file: str) -> None:
    with open_slide(shared / "slides/real" / file) as slide:
        _, bag = run(encode_slide(slide, MeanColour()))
    assert [notice.code for notice in bag.notices if notice.code != "tissue_left_out"] == ["not_he"]


def test_features_of_one_slide_in_three_containers_agree(shared: Path) -> None:
    """SVS, DICOM and a recompressed TIFF: the same patches, features within what the codec changes."""
    encoder, bags = load_encoder("texture"), []
    for file in (
        "real/CMU-1-Small-Region.svs",
        "real/CMU-1-Small-Region-dicom",
        "derived/derived_emulated-philips_cmu1.tiff",
    ):
        with open_slide(shared / "slides" / file) as slide:
            bags.append(run(encode_slide(slide, encoder))[1])
    for bag in bags[1:]:
        assert bag.coords.tolist() == bags[0].coords.tolist()
        assert np.median(np.abs(bag.features - bags[0].features)) < 0.1


def test_an_unknown_scale_is_an_error_before_anything_is_read(slide_file: Path) -> None:
    with open_slide(slide_file) as slide:
        slide.info = replace(slide.info, microns=None)
        with pytest.raises(MissingMicronsError, match="does not tell its micrometres per pixel"):
            next(encode_slide(slide, MeanColour()))


def test_a_slide_smaller_than_a_patch_is_one_sentence(shared: Path) -> None:
    with (
        open_slide(shared / "slides/malformed/small.svs") as slide,
        pytest.raises(TissueError, match=r"small\.svs is 16 x 16 px, smaller than one patch of 256 x 256 px"),
    ):
        next(encode_slide(slide, MeanColour()))


def test_patches_that_the_encoder_does_not_take_are_refused(slide_file: Path) -> None:
    with open_slide(slide_file) as slide:
        for spec in (PatchSpec(size_px=224), PatchSpec(mpp=0.25)):
            with pytest.raises(EncoderError, match=r"takes patches of 256 px at 0\.5 um/px, but"):
                next(encode_slide(slide, MeanColour(), spec=spec))


def test_features_that_are_not_numbers_are_refused(slide_file: Path) -> None:
    class Broken(MeanColour):
        def encode(self, images: np.ndarray) -> np.ndarray:
            return np.full((len(images), 4), np.nan, dtype=np.float32)

    with (
        open_slide(slide_file) as slide,
        pytest.raises(EncoderError, match="returned values that are not numbers"),
    ):
        run(encode_slide(slide, Broken()))


def test_closing_cancels_within_a_second_and_leaves_no_thread(slide_file: Path) -> None:
    with open_slide(slide_file) as slide:
        generator = encode_slide(slide, load_encoder("texture"), batch_size=1)
        for _ in range(4):
            next(generator)
        started = time.monotonic()
        generator.close()
        assert time.monotonic() - started < 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("amkd-patches")]
