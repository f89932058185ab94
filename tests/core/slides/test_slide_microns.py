"""Micrometres per pixel: order of sources, absurd values, the sentence where nothing tells."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest
from slide_files import halved, tissue_like, write_ome, write_svs, write_tiff

from amkd_core.errors import ConfigError, MissingMicronsError
from amkd_core.slides import Microns, open_slide
from amkd_core.slides.microns import choose_microns, is_plausible, microns_from_power, microns_from_resolution

IMAGE = tissue_like(300, 260)
FILE = Path("slide.svs")


@pytest.mark.parametrize("mpp", [0, -0.5, math.nan, math.inf, -math.inf, 1e-9, 0.019, 50, 250, 352.7778])
def test_absurd_values_count_as_missing(mpp: float) -> None:
    assert not is_plausible(mpp)
    absurd = Microns(mpp, mpp, "vendor")
    tags = Microns(0.3, 0.3, "tiff_resolution")
    assert choose_microns(FILE, absurd, tags, None) == tags
    assert choose_microns(FILE, absurd, None, 40) == Microns(0.25, 0.25, "objective_power")
    assert choose_microns(FILE, absurd, None, None) is None
    # one good axis does not make the other good
    assert choose_microns(FILE, Microns(0.25, mpp, "vendor"), None, None) is None


@pytest.mark.parametrize("mpp", [0.02, 0.1, 0.25, 0.5, 49.9])
def test_plausible_values_are_kept(mpp: float) -> None:
    found = Microns(mpp, mpp, "vendor")
    assert choose_microns(FILE, found, Microns(1, 1, "tiff_resolution"), None) is found


@pytest.mark.parametrize("power", [None, 0, -20, math.nan, 1000])
def test_absurd_objective_power_tells_nothing(power: float | None) -> None:
    assert microns_from_power(power) is None


def test_resolution_tags_need_a_physical_unit() -> None:
    assert microns_from_resolution(40_000, 20_000, "centimeter") == Microns(0.25, 0.5, "tiff_resolution")
    assert microns_from_resolution(25_400, 25_400, "inch") == Microns(1, 1, "tiff_resolution")
    assert microns_from_resolution(40_000, 40_000, "none") is None
    assert microns_from_resolution(0, 0, "inch") is None


def test_contradicting_objective_power_is_kept_beside_the_scale_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        agreed = choose_microns(FILE, Microns(0.25, 0.25, "vendor"), None, 40)
        assert agreed == Microns(0.25, 0.25, "vendor", contradicted_by=None)
        assert not caplog.records
        chosen = choose_microns(FILE, Microns(0.25, 0.25, "vendor"), None, 10)
    assert chosen == Microns(0.25, 0.25, "vendor", contradicted_by=1.0)
    assert "objective power means about 1" in caplog.text


def test_sources_of_written_files(tmp_path: Path) -> None:
    with open_slide(write_svs(tmp_path / "a.svs", [IMAGE], mpp=0.2512)) as slide:
        assert slide.microns == Microns(0.2512, 0.2512, "vendor")
        assert slide.info.objective_power == 40
    with open_slide(write_svs(tmp_path / "b.svs", [IMAGE], mpp=0.0, power=20)) as slide:
        assert slide.microns == Microns(0.5, 0.5, "objective_power")
    with open_slide(write_tiff(tmp_path / "c.tif", [IMAGE], mpp=(0.25, 0.5))) as slide:
        assert slide.microns.source == "tiff_resolution"
        assert (slide.microns.x, slide.microns.y) == pytest.approx((0.25, 0.5), rel=1e-5)
    with open_slide(write_ome(tmp_path / "d.ome.tif", [[IMAGE, halved(IMAGE)]], mpp=(0.4, 0.5))) as slide:
        assert slide.microns == Microns(0.4, 0.5, "vendor")


def test_a_contradiction_passes_through_the_reader_process_and_ends_with_the_users_value(
    tmp_path: Path,
) -> None:
    path = write_svs(tmp_path / "a.svs", [IMAGE], mpp=0.5, power=40)
    with open_slide(path, isolated=True) as slide:
        assert slide.microns == Microns(0.5, 0.5, "vendor", contradicted_by=0.25)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.microns == Microns(0.5, 0.5, "user")


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
            assert (found is None) == (value is None), name
            if found is not None and value is not None:
                assert (found.x, found.source) == (pytest.approx(value[0], abs=1e-4), value[1])
