"""The content hash: every byte of small files, samples of big ones, all files of a slide in several."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from slide_files import tissue_like, write_svs

from amkd_core.slides import fingerprint as module
from amkd_core.slides import open_slide
from amkd_core.slides.detect import files_of
from amkd_core.slides.fingerprint import fingerprint


def test_one_flipped_bit_anywhere_changes_it(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [tissue_like(500, 400)])
    body, before = bytearray(path.read_bytes()), fingerprint([path])
    assert before.startswith("sha256:")
    assert len(before) == len("sha256:") + 64
    for at in np.random.default_rng(0).integers(0, len(body), 20):
        body[at] ^= 1
        path.write_bytes(body)
        assert fingerprint([path]) != before
        body[at] ^= 1
    path.write_bytes(body)
    assert fingerprint([path]) == before


def test_name_and_place_do_not_matter(tmp_path: Path) -> None:
    path = write_svs(tmp_path / "a.svs", [tissue_like(300, 300)])
    (tmp_path / "other").mkdir()
    copy = shutil.copy(path, tmp_path / "other" / "b.svs")
    with open_slide(path) as one, open_slide(copy) as two:
        assert one.info.fingerprint == two.info.fingerprint
        assert (one.info.slide_id, two.info.slide_id) == ("a", "b")


def test_big_files_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_BYTES", 1 << 16)
    monkeypatch.setattr(module, "END_BYTES", 1 << 12)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1 << 6)
    body = bytearray(np.random.default_rng(1).bytes(1 << 20))
    path = tmp_path / "big.bin"
    path.write_bytes(body)
    before = fingerprint([path])
    assert before.startswith("sampled:")
    for change in (0, (1 << 12) - 1, (1 << 20) - 1, (1 << 20) - (1 << 12)):
        changed = bytearray(body)
        changed[change] ^= 1
        path.write_bytes(changed)
        assert fingerprint([path]) != before
    path.write_bytes(body[:-1])
    assert fingerprint([path]) != before
    path.write_bytes(np.random.default_rng(2).bytes(1 << 20))
    assert fingerprint([path]) != before


def test_dicom_by_any_file_or_folder_is_the_same(shared: Path) -> None:
    folder = shared / "slides/real/CMU-1-Small-Region-dicom"
    prints = set()
    for path in (folder, *folder.glob("*.dcm")):
        with open_slide(path) as slide:
            assert slide.info.vendor == "dicom"
            assert slide.size_px == (2220, 2967)
            prints.add(slide.info.fingerprint)
    assert len(prints) == 1


def test_mirax_folder_belongs_to_the_slide(tmp_path: Path) -> None:
    (tmp_path / "m.mrxs").write_bytes(b"1")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "Data0000.dat").write_bytes(b"pixels")
    before = fingerprint(files_of(tmp_path / "m.mrxs"))
    (tmp_path / "m" / "Data0000.dat").write_bytes(b"pixelz")
    assert fingerprint(files_of(tmp_path / "m.mrxs")) != before
