"""Micrometres per pixel: order of sources, absurd values, the sentence where nothing tells."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from slide_files import halved, tissue_like, write_ome, write_svs, write_tiff

from amkd_core.errors import ConfigError, MissingMicronsError
from amkd_core.slides import Microns, open_slide
from amkd_core.slides.grid import PatchSpec, grid_shape
from amkd_core.slides.microns import (
    LENS_POWER,
    choose_microns,
    is_in_doubt,
    is_plausible,
    microns_from_power,
    microns_from_resolution,
    read_mpp,
)

IMAGE = tissue_like(300, 260)


@pytest.mark.parametrize("mpp", [0, -0.5, math.nan, math.inf, -math.inf, 1e-9, 0.019, 50, 250, 352.7778])
def test_absurd_values_count_as_missing(mpp: float) -> None:
    assert not is_plausible(mpp)
    absurd = Microns(mpp, mpp, "vendor")
    tags = Microns(0.3, 0.3, "tiff_resolution")
    assert choose_microns(absurd, tags, None) == tags
    assert choose_microns(absurd, None, 40) == Microns(0.25, 0.25, "objective_power")
    assert choose_microns(absurd, None, None) is None
    # one good axis does not make the other good
    assert choose_microns(Microns(0.25, mpp, "vendor"), None, None) is None


@pytest.mark.parametrize("mpp", [0.02, 0.1, 0.25, 0.5, 49.9])
def test_plausible_values_are_kept(mpp: float) -> None:
    found = Microns(mpp, mpp, "vendor")
    assert choose_microns(found, Microns(1, 1, "tiff_resolution"), None) is found


@pytest.mark.parametrize("power", [None, 0, -20, math.nan, 1000])
def test_absurd_objective_power_tells_nothing(power: float | None) -> None:
    assert microns_from_power(power) is None


def test_resolution_tags_need_a_physical_unit() -> None:
    assert microns_from_resolution(40_000, 20_000, "centimeter") == Microns(0.25, 0.5, "tiff_resolution")
    assert microns_from_resolution(25_400, 25_400, "inch") == Microns(1, 1, "tiff_resolution")
    assert microns_from_resolution(40_000, 40_000, "none") is None
    assert microns_from_resolution(0, 0, "inch") is None


def test_contradicting_objective_power_is_kept_beside_the_scale() -> None:
    agreed = choose_microns(Microns(0.25, 0.25, "vendor"), None, 40)
    assert agreed == Microns(0.25, 0.25, "vendor", contradicted_by=None)
    chosen = choose_microns(Microns(0.25, 0.25, "vendor"), None, 10)
    assert chosen == Microns(0.25, 0.25, "vendor", contradicted_by=1.0)


@pytest.mark.parametrize("vendor", ["aperio", "hamamatsu", "leica", "ventana", "generic-tiff"])
@pytest.mark.parametrize(
    ("x", "y", "power", "doubted"),
    [
        (0.25, 0.25, None, False),
        (0.2201, 0.2253, 40, False),  # 2.4 % apart, as some stages have it
        (0.5, 0.524, None, False),
        (0.5, 0.526, None, True),
        (0.526, 0.5, None, True),
        (0.16, 0.16, 40, False),
        (0.156, 0.156, 40, True),
        (0.39, 0.39, 40, False),
        (0.41, 0.41, 40, True),
    ],
)
def test_what_is_in_doubt(vendor: str, x: float, y: float, power: float | None, doubted: bool) -> None:
    found = choose_microns(Microns(x, y, "vendor"), None, power)
    assert found is not None
    assert is_in_doubt(found, vendor) is doubted


@pytest.mark.parametrize("vendor", sorted(LENS_POWER))
def test_the_power_of_a_lens_contradicts_nothing(vendor: str) -> None:
    """OpenSlide's own MIRAX sample has 0.2339 um per pixel with a 20x lens."""
    lens = choose_microns(Microns(0.23387573964497, 0.234330708661417, "vendor"), None, 20)
    assert lens is not None
    assert lens.contradicted_by == 0.5
    assert not is_in_doubt(lens, vendor)
    assert is_in_doubt(Microns(0.25, 0.5, "vendor"), vendor)


@pytest.mark.parametrize(
    ("text", "mpp"), [("0.25", 0.25), ("1", 1.0), ("0.25,0.5", (0.25, 0.5)), ("1., 2", (1, 2))]
)
def test_scales_are_read_as_users_write_them(text: str, mpp: float | tuple[float, float]) -> None:
    assert read_mpp(text) == mpp


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("half", "'half', which is no number; write 0.25, or 0.25,0.5 for x and y"),
        ("0,25", "'0,25', which is no number; write a point for the decimal comma"),
        ("1,2", "'1,2', which is no number; write a point for the decimal comma"),
        ("0.25,", "'0.25,', which is no number"),
        ("0.25,0.5,1", "which is no number"),
        ("0.25,250", "must lie between 0.02 and 50"),
        ("nan", "must lie between 0.02 and 50"),
    ],
)
def test_what_is_no_scale_is_said(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        read_mpp(text)


def test_sources_of_written_files(tmp_path: Path) -> None:
    with open_slide(write_svs(tmp_path / "a.svs", [IMAGE], mpp=0.2512)) as slide:
        assert slide.microns == Microns(0.2512, 0.2512, "vendor")
        assert slide.info.objective_power == 40
    with open_slide(write_svs(tmp_path / "b.svs", [IMAGE], mpp=0.0, power=20)) as slide:
        assert slide.microns == Microns(0.5, 0.5, "objective_power")
    with open_slide(write_tiff(tmp_path / "c.tif", [IMAGE], mpp=(0.25, 0.26))) as slide:
        assert slide.microns.source == "tiff_resolution"
        assert (slide.microns.x, slide.microns.y) == pytest.approx((0.25, 0.26), rel=1e-5)
    with open_slide(write_ome(tmp_path / "d.ome.tif", [[IMAGE, halved(IMAGE)]], mpp=(0.49, 0.5))) as slide:
        assert slide.microns == Microns(0.49, 0.5, "vendor")


def test_a_contradiction_passes_through_the_reader_process_and_is_asked_until_the_user_decides(
    tmp_path: Path,
) -> None:
    path = write_svs(tmp_path / "a.svs", [IMAGE], mpp=0.5, power=40)
    found = Microns(0.5, 0.5, "vendor", contradicted_by=0.25)
    sentence = (
        r"a\.svs records 0\.5 micrometres per pixel, but its objective power means about 0\.25; give the right one "
        r"with --mpp \(0\.5 confirms what is recorded\), in a column 'mpp' of .*, or in the dialog of the viewer\.$"
    )
    with open_slide(path, isolated=True) as slide:
        assert (slide.info.microns, slide.info.recorded) == (None, found)
        with pytest.raises(MissingMicronsError, match=sentence):
            _ = slide.microns
        with pytest.raises(MissingMicronsError, match=sentence):
            grid_shape(slide.info, PatchSpec())
    for given in ({"mpp": 0.5}, {"default_mpp": 0.25}):
        with open_slide(path, **given) as slide:
            assert slide.microns == Microns(*[*given.values()] * 2, "user")
            assert slide.info.recorded == found


def test_oblong_pixels_are_asked_until_the_user_confirms_them(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", [[IMAGE]], mpp=(0.25, 0.5))
    with open_slide(path) as slide:
        assert (slide.info.microns, slide.info.recorded) == (None, Microns(0.25, 0.5, "vendor"))
        with pytest.raises(
            MissingMicronsError,
            match=r"records 0\.25 x 0\.5 micrometres per pixel, which are not square; .* --mpp \(0\.25,0\.5 confirms",
        ):
            _ = slide.microns
    with open_slide(path, mpp=(0.25, 0.5)) as slide:
        assert slide.microns == Microns(0.25, 0.5, "user")


def test_a_certain_scale_goes_before_the_one_for_slides_without(tmp_path: Path) -> None:
    with open_slide(write_svs(tmp_path / "a.svs", [IMAGE], mpp=0.25), default_mpp=0.5) as slide:
        assert (slide.microns, slide.info.recorded) == (Microns(0.25, 0.25, "vendor"), None)


def test_a_nominal_magnification_is_a_guess_and_goes_behind_it(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [IMAGE], mpp=None, power=20)
    with open_slide(path) as slide:
        assert slide.microns == Microns(0.5, 0.5, "objective_power")
    with open_slide(path, default_mpp=0.44) as slide:
        assert slide.microns == Microns(0.44, 0.44, "user")
        assert slide.info.recorded == Microns(0.5, 0.5, "objective_power")


def test_user_value_overrides_all(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [IMAGE], mpp=0.25)
    with open_slide(path, mpp=0.31) as slide:
        assert slide.microns == Microns(0.31, 0.31, "user")
    with open_slide(path, mpp=(0.3, 0.4)) as slide:
        assert slide.microns == Microns(0.3, 0.4, "user")


@pytest.mark.parametrize("mpp", [0, -1, math.nan, math.inf, 250, (0.25, 0)])
def test_absurd_user_value_is_refused(tmp_path: Path, mpp: float) -> None:
    path = write_tiff(tmp_path / "a.tif", [IMAGE])
    with pytest.raises(ConfigError, match=r"mpp is .*must lie between 0\.02 and 50"):
        open_slide(path, mpp=mpp)


@pytest.mark.parametrize("mpp", [None, 352.7778, 1e-5])
def test_missing_scale_names_the_file_and_three_ways(tmp_path: Path, mpp: float | None) -> None:
    with open_slide(write_tiff(tmp_path / "plain.tif", [IMAGE], mpp=mpp)) as slide:
        assert slide.info.microns is None
        with pytest.raises(
            MissingMicronsError, match=r"plain\.tif .*--mpp .*column 'mpp' .*dialog of the viewer"
        ):
            _ = slide.microns


def test_shared_slides(shared: Path) -> None:
    expected = {
        "real/CMU-1-Small-Region.svs": (0.499, "vendor"),
        "real/CMU-1-Small-Region-dicom": (0.499, "vendor"),
        "real/OS-1-detail.ome.tif": (0.2271, "vendor"),
        "real/test3-DAPI-2-(387).ndpi": (0.2282, "vendor"),
        "derived/derived_gigapixel_dedup_cmu1-c3l.tif": (0.25, "tiff_resolution"),
        "derived/derived_c3l-00601-26_pyramid_nompp.tif": None,
        "malformed/boxes.tiff": None,
    }
    for name, value in expected.items():
        with open_slide(shared / "slides" / name) as slide:
            found = slide.info.microns
            assert slide.info.recorded is None, name  # nothing is in doubt
            assert (found is None) == (value is None), name
            if found is not None and value is not None:
                assert (found.x, found.source) == (pytest.approx(value[0], abs=1e-4), value[1])
