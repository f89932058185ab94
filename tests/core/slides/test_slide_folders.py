"""Slides of a folder: each once, under the name of what shows the tissue."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from slide_files import tissue_like, write_tiff

from amkd_core.errors import SlideError
from amkd_core.slides import is_slide, open_slide, slide_id_of
from amkd_core.slides.folders import expand_folders, folders_of_slides, slides_in


def write_dicom(path: Path, series: str, kind: str) -> Path:
    """The beginning of a DICOM file, enough to tell what it is."""
    body = bytes(128) + b"DICM"
    for tag, text in ((b"\x08\x00\x08\x00CS", f"ORIGINAL\\PRIMARY\\{kind}"), (b"\x20\x00\x0e\x00UI", series)):
        value = text.encode() + b" " * (len(text) % 2)
        body += tag + struct.pack("<H", len(value)) + value
    path.write_bytes(body)
    return path


@pytest.fixture
def two_series(tmp_path: Path) -> Path:
    """A folder of two DICOM slides of four files each, labels first by name, and a TIFF."""
    kinds = ("LABEL\\NONE", "OVERVIEW\\NONE", "VOLUME\\RESAMPLED", "VOLUME\\NONE")
    for series, letter in (("1.2.3", "p"), ("1.2.4", "q")):
        for index, kind in enumerate(kinds):
            write_dicom(tmp_path / f"{letter}{index}.dcm", series, kind)
    write_tiff(tmp_path / "a.tif", [tissue_like(64, 64)])
    return tmp_path


def test_a_dicom_series_is_one_slide_and_named_by_its_volume(two_series: Path) -> None:
    expected = [two_series / name for name in ("a.tif", "p3.dcm", "q3.dcm")]
    assert slides_in(two_series) == expected
    assert expand_folders([two_series]) == expected
    given = sorted(two_series.glob("*.dcm"))
    assert expand_folders(given) == expected[1:]
    assert expand_folders([*reversed(given), two_series / "a.tif"]) == [*expected[:0:-1], expected[0]]
    # One file that the user chose keeps its name, whatever it shows.
    assert expand_folders([two_series / "p0.dcm"]) == [two_series / "p0.dcm"]


def test_a_folder_of_one_dicom_series_and_other_slides_is_no_slide(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for index, kind in enumerate(("LABEL\\NONE", "VOLUME\\NONE")):
        write_dicom(folder / f"p{index}.dcm", "1.2.3", kind)
    (folder / "notes.txt").write_text("no slide")
    assert is_slide(folder)
    assert folders_of_slides(tmp_path) == []
    for name in ("a.tif", "b.tif"):
        write_tiff(folder / name, [tissue_like(64, 64)])
    assert not is_slide(folder)
    with pytest.raises(
        SlideError, match=r"mixed holds a DICOM slide and 2 other slide files \(a\.tif, …\); give the"
    ):
        open_slide(folder)
    assert [path.name for path in expand_folders([folder])] == ["a.tif", "b.tif", "p1.dcm"]
    assert slides_in(tmp_path) == []
    assert folders_of_slides(tmp_path) == [folder]


def test_dicom_files_of_no_told_series_or_of_two_folders_stand_for_themselves(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        for name in ("a.dcm", "b.dcm"):
            (folder / name).write_bytes(bytes(128) + b"DICM")
    assert [path.name for path in slides_in(folders[0])] == ["a.dcm", "b.dcm"]
    same = [write_dicom(folder / "c.dcm", "1.2.3", "VOLUME\\NONE") for folder in folders]
    assert expand_folders(same) == same
    # The same path twice is the caller's to refuse.
    assert expand_folders([tmp_path / "s.svs"] * 2) == [tmp_path / "s.svs"] * 2


def test_a_real_dicom_folder_gives_its_volume_once(shared: Path) -> None:
    folder = shared / "slides/real/CMU-1-Small-Region-dicom"
    assert len(list(folder.glob("*.dcm"))) == 4
    (found,) = expand_folders(sorted(folder.glob("*.dcm")))
    assert found.stem.endswith("58740178995208579534253317996600852419")
    with open_slide(found) as slide:
        assert slide.size_px == (2220, 2967)
    assert slides_in(folder) == [found]


def test_a_folder_given_as_a_dot_has_its_own_name(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shared / "slides/real/CMU-1-Small-Region-dicom"
    (tmp_path / "linked").symlink_to(folder)
    (tmp_path / "inner").mkdir()
    assert slide_id_of(tmp_path / "linked") == "linked"
    monkeypatch.chdir(folder)
    assert [slide_id_of(path) for path in expand_folders([Path()])] == [folder.name]
    with open_slide(".") as slide:
        assert slide.info.slide_id == folder.name
    monkeypatch.chdir(tmp_path / "inner")
    assert slide_id_of(Path("..")) == slide_id_of(Path("../inner/..")) == tmp_path.name
    # A folder without slides fails under its name.
    assert [path.name for path in expand_folders([Path()])] == ["inner"]
