"""A DICOM slide that was cut off in transfer is refused when it is opened, whichever of its files it was."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from amkd_core.errors import SlideError
from amkd_core.slides import open_slide
from amkd_core.slides.dicom_check import check_dicom

FRAMES = [bytes([number]) * 20 for number in range(5)]


@pytest.fixture
def series(shared: Path, tmp_path: Path) -> list[Path]:
    """The files of a real series, copied; the volume first."""
    for file in (shared / "slides/real/CMU-1-Small-Region-dicom").glob("*.dcm"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return sorted(tmp_path.glob("*.dcm"), key=lambda file: -file.stat().st_size)


def test_every_cut_of_a_dicom_slide_is_noticed(series: list[Path]) -> None:
    """Fifty cuts of each file; OpenSlide opened most of those of the volume, and predicted from what was left."""
    for file in series:
        whole = file.read_bytes()
        ends = np.linspace(0, len(whole) - 1, 50).astype(int)
        for end in (*ends, 200, len(whole) - 9):
            file.write_bytes(whole[:end])
            with pytest.raises(SlideError, match=rf"{file.name} is (truncated or damaged|empty|not a slide)"):
                open_slide(series[0] if file != series[0] or end == 0 else file)
        file.write_bytes(whole)
    with open_slide(series[0]) as slide:
        assert slide.size_px == (2220, 2967)


def test_lost_frames_are_counted(series: list[Path]) -> None:
    whole = series[0].read_bytes()
    series[0].write_bytes(whole[: int(0.98 * len(whole))])
    with pytest.raises(SlideError, match=r"\d+ of 130 frames lie beyond its end at byte 1225760"):
        open_slide(series[0])


def dicom(*, table: bool = True, icon: bool = False) -> bytes:
    """Marks of a DICOM file around five frames of twenty bytes."""
    value = b"ORIGINAL\\PRIMARY\\VOLUME\\NONE"
    body = bytes(128) + b"DICM" + b"\x08\x00\x08\x00CS" + struct.pack("<H", len(value)) + value
    body += b"\x20\x00\x0e\x00UI" + struct.pack("<H", 6) + b"1.2.3\0"
    pixels = b"\xe0\x7f\x10\x00OB\0\0"
    if icon:
        body += pixels + struct.pack("<I", 64) + bytes(64)
    offsets = (28 * np.arange(5, dtype="<u4")).tobytes()
    items = [offsets if table else b"", *FRAMES]
    body += pixels + struct.pack("<I", 0xFFFFFFFF)
    body += b"".join(struct.pack("<II", 0xE000FFFE, len(item)) + item for item in items)
    return body + struct.pack("<II", 0xE0DDFFFE, 0)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("icon", [True, False])
def test_frames_are_found_with_and_without_a_table(table: bool, icon: bool, tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    whole = dicom(table=table, icon=icon)
    file.write_bytes(whole)
    check_dicom(file)
    file.write_bytes(
        whole + b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", 4) + bytes(4)
    )  # padding behind the pixels
    check_dicom(file)
    start = whole.index(b"\xe0\x7f\x10\x00OB\0\0")
    for end in range(start, len(whole)):
        if icon and end >= start + 12 + 64 and end < start + 12 + 64 + 8:
            continue  # the slide's own pixels are not begun: what is there looks like a whole picture
        file.write_bytes(whole[:end])
        with pytest.raises(SlideError, match=r"a\.dcm is truncated or damaged: .* at byte"):
            check_dicom(file)


def test_pixels_as_they_are_must_all_be_there(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    head = dicom()[: dicom().index(b"\xe0\x7f\x10\x00")]
    whole = head + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 1000) + bytes(1000)
    file.write_bytes(whole)
    check_dicom(file)
    file.write_bytes(whole[:-7])
    with pytest.raises(
        SlideError, match=f"7 bytes of its pixels lie beyond its end at byte {len(whole) - 7}"
    ):
        check_dicom(file)


def test_a_mark_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    whole = bytearray(dicom(table=False))
    place = len(whole) - 8 - 28
    whole[place] ^= 1
    file.write_bytes(whole)
    with pytest.raises(SlideError, match=f"no frame begins at byte {place}"):
        check_dicom(file)


def test_files_beside_a_slide_that_tell_no_series_may_be_a_level_of_it(tmp_path: Path) -> None:
    file, beside = tmp_path / "a.dcm", tmp_path / "b.dcm"
    file.write_bytes(dicom())
    for content in (b"", bytes(100), bytes(128) + b"DICM", dicom()[:150]):
        beside.write_bytes(content)
        with pytest.raises(SlideError, match=r"b\.dcm is truncated or damaged: .* perhaps that of a\.dcm"):
            check_dicom(file)
    # Another slide's file, cut or not, is that slide's matter; a letter of the same ending is nobody's.
    for content in (dicom().replace(b"1.2.3", b"1.2.4")[:-50], b"a letter to the pathologist\n" * 50):
        beside.write_bytes(content)
        check_dicom(file)
