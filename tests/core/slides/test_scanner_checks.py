"""Slides of several files, and of more than 4 GiB, that were cut off or lack a file are refused when they are opened.

OpenSlide reads all of these slides as they are written here, so that the layouts are those that it knows.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scanner_files import write_mirax, write_vms, write_vmu, write_wide_ndpi
from slide_files import tissue_like

from amkd_core.errors import SlideError
from amkd_core.slides import open_slide
from amkd_core.slides.hamamatsu_check import check_hamamatsu

IMAGE = tissue_like(512, 384)
CUTS = 50
FIRST_PAGE = len("01.02") + 32 + 8 + 3 * 4 + 8
"""Of the index: behind version, identifier, two roots, lists of three levels and the first list's two numbers."""


@pytest.fixture
def mirax(tmp_path: Path) -> Path:
    return write_mirax(tmp_path / "a.mrxs", IMAGE, without={0, 1, 8, 9})


def assert_every_cut_is_noticed(part: Path, slide: Path) -> None:
    """Cut one file of a slide at fifty places; it is whole again afterwards."""
    whole = part.read_bytes()
    for end in np.linspace(0, len(whole) - 1, CUTS).astype(int):
        part.write_bytes(whole[:end])
        with pytest.raises(SlideError, match=r"is (truncated or damaged|empty|incomplete)"):
            open_slide(slide)
    part.write_bytes(whole)


def assert_every_shorter_one_is_refused(slide: Path, least: int, sentence: str) -> None:
    """Take ever more of a slide's end away, down to so many bytes."""
    for end in np.linspace(least, slide.stat().st_size - 1, CUTS).astype(int)[::-1]:
        os.truncate(slide, int(end))
        with pytest.raises(SlideError, match=sentence):
            open_slide(slide)


def test_a_mirax_slide_is_read_at_its_place(mirax: Path) -> None:
    with open_slide(mirax) as slide:
        assert slide.info.vendor == "mirax"
        assert slide.size_px == (512, 384)
        pixels = slide.read_level(0, (150, 70), (300, 200))
        assert np.abs(pixels.astype(int) - IMAGE[70:270, 150:450]).mean() < 2
        # four pictures that were not taken are transparent, and glass to whoever looks for tissue
        assert (slide.read_level(0, (0, 0), (128, 128)) == 255).all()


@pytest.mark.parametrize("name", ["Data0000.dat", "Data0001.dat", "Index.dat"])
def test_every_cut_of_a_mirax_slide_is_noticed(mirax: Path, name: str) -> None:
    assert_every_cut_is_noticed(mirax.with_suffix("") / name, mirax)
    with open_slide(mirax) as slide:
        assert len(slide.info.levels) == 3


def test_lost_pictures_are_counted(mirax: Path) -> None:
    data = mirax.with_suffix("") / "Data0001.dat"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(
        SlideError, match=r"Data0001\.dat is truncated or damaged: 1 of its \d+ pictures lie beyond"
    ):
        open_slide(mirax)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "Data0000.dat",
            r"a\.mrxs is incomplete: Data0000\.dat, which holds \d+ of its pictures, is missing",
        ),
        ("Index.dat", r"a\.mrxs is incomplete: Index\.dat is missing from its folder"),
        ("Slidedat.ini", r"a\.mrxs is incomplete: its folder a with Slidedat\.ini is not beside it"),
    ],
)
def test_a_file_that_was_forgotten_is_named(mirax: Path, name: str, sentence: str) -> None:
    (mirax.with_suffix("") / name).unlink()
    with pytest.raises(SlideError, match=sentence):
        open_slide(mirax)


def test_a_file_without_pictures_may_be_missing(mirax: Path) -> None:
    """Scanners list files for layers that a slide does not have."""
    settings = mirax.with_suffix("") / "Slidedat.ini"
    settings.write_text(
        settings.read_text().replace("FILE_COUNT = 2", "FILE_COUNT = 3\nFILE_2 = Data0002.dat")
    )
    with open_slide(mirax) as slide:
        assert slide.size_px == (512, 384)


@pytest.mark.parametrize("name", ["../b.dat", "/etc/passwd", "..\\b.dat", "C:\\b.dat", ".."])
def test_files_of_other_folders_are_not_opened(mirax: Path, name: str) -> None:
    (mirax.parent / "b.dat").write_bytes(b"secret" * 10_000)
    settings = mirax.with_suffix("") / "Slidedat.ini"
    settings.write_text(settings.read_text().replace("FILE_0 = Data0000.dat", f"FILE_0 = {name}"))
    with pytest.raises(SlideError, match=r"Slidedat\.ini names a file .* not in the slide's own folder"):
        open_slide(mirax)


@pytest.mark.parametrize(
    ("following", "sentence"),
    [
        (FIRST_PAGE, rf"Index\.dat is truncated or damaged: the page at byte {FIRST_PAGE} comes again"),
        (2_000_000_000, r"Index\.dat is truncated or damaged: it points to byte 2000000008"),
        (-1, r"a\.mrxs cannot be opened"),
    ],
)
def test_an_index_that_leads_nowhere_ends(mirax: Path, following: int, sentence: str) -> None:
    """A page that names itself as the next one, one beyond the end, and one before the beginning."""
    index = mirax.with_suffix("") / "Index.dat"
    body = bytearray(index.read_bytes())
    struct.pack_into("<i", body, FIRST_PAGE + 4, following)
    index.write_bytes(body)
    with pytest.raises(SlideError, match=sentence):
        open_slide(mirax)


@pytest.mark.parametrize("write", [write_vms, write_vmu])
def test_every_cut_of_a_hamamatsu_slide_is_noticed(tmp_path: Path, write) -> None:
    slide = write(tmp_path / f"made.{write.__name__[-3:]}", IMAGE)
    with open_slide(slide) as opened:
        assert opened.size_px == (512, 384)
        pixels = opened.read_level(0, (150, 70), (300, 200))
        assert np.abs(pixels.astype(int) - IMAGE[70:270, 150:450]).mean() < 2
    pictures = [part for part in tmp_path.iterdir() if part.suffix in (".jpg", ".ngr")]
    assert len(pictures) >= 3
    for picture in pictures:
        assert_every_cut_is_noticed(picture, slide)
        whole = picture.read_bytes()
        picture.unlink()
        with pytest.raises(SlideError, match=r"made\.vm. is incomplete: made.* is not beside it"):
            open_slide(slide)
        picture.write_bytes(whole)


def test_names_of_other_encodings_are_found(tmp_path: Path) -> None:
    """Scanners write texts in the code page of their computer; the bytes are those of the file's name."""
    slide = write_vms(tmp_path / "made.vms", IMAGE)
    name = os.fsdecode(b"m\xe4de_map2.jpg")
    (tmp_path / "made_map2.jpg").rename(tmp_path / name)
    slide.write_bytes(slide.read_bytes().replace(b"made_map2.jpg", os.fsencode(name)))
    check_hamamatsu(slide)


def test_a_value_does_not_go_on_behind_blanks(tmp_path: Path) -> None:
    slide = write_vms(tmp_path / "made.vms", IMAGE)
    slide.write_text(slide.read_text().replace("MapFile=", " MapFile="))
    with open_slide(slide) as opened:
        assert opened.size_px == (512, 384)


def test_a_vmu_on_which_openslide_crashes_is_refused(tmp_path: Path) -> None:
    """OpenSlide 4.0.1 ends the process where the kind of pixels is missing."""
    slide = write_vmu(tmp_path / "made.vmu", IMAGE)
    slide.write_text(slide.read_text().replace("BitsPerPixel=36\n", ""))
    code = f"import openslide; openslide.OpenSlide({str(slide)!r})"
    crash = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert crash.returncode < 0
    with pytest.raises(SlideError, match="BitsPerPixel should be 36, but is missing"):
        open_slide(slide)


def test_every_cut_of_an_ndpi_is_noticed(shared: Path, tmp_path: Path) -> None:
    """Below and beyond 4 GiB; OpenSlide and libtiff opened those that had lost only their later directories."""
    source = shared / "slides/real/test3-DAPI-2-(387).ndpi"
    small = tmp_path / "small.ndpi"
    small.write_bytes(source.read_bytes())
    wide = write_wide_ndpi(tmp_path / "wide.ndpi", source)
    with open_slide(small) as one, open_slide(wide) as other:
        assert other.size_px == (3968, 4864)
        region = (500, 500), (300, 200)
        assert np.array_equal(one.read_level(0, *region), other.read_level(0, *region))
    hole = 1 << 32
    assert wide.stat().st_size > hole
    for path, least in ((small, 16), (wide, hole + 16)):
        assert_every_shorter_one_is_refused(path, least, r"ndpi is truncated or damaged")
    for end in (hole - 5, 2_000_000_000, 3_000_000):
        os.truncate(wide, end)
        with pytest.raises(
            SlideError, match=r"ndpi (is truncated or damaged|is not a slide|cannot be opened)"
        ):
            open_slide(wide)


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "OS-1-detail.ome.tif", "OS-2-ndpi.ome.tif"])
def test_every_cut_of_a_real_slide_is_noticed(shared: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((shared / "slides/real" / name).read_bytes())
    assert_every_shorter_one_is_refused(path, 16, r"is (truncated or damaged|not a slide)")
