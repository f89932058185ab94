"""A slide is held against the hash beside it when it is encoded, and nothing is read for it where none lies there."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest
from scanner_files import write_mirax
from slide_files import tissue_like, write_tiff

from amkd_core import hash_beside
from amkd_core.cohort.bare_tables import write_hashes
from amkd_core.errors import SlideError
from amkd_core.slides import open_slide
from amkd_core.slides.encoders import encode_slide, load_encoder
from amkd_core.slides.hash_of_slide import STAGE

SIZE = (1024, 768)


def stages(path: Path) -> list[str]:
    with open_slide(path, mpp=0.5) as slide:
        return [step.stage for step in encode_slide(slide, load_encoder("texture"))]


def test_a_slide_with_a_fitting_hash_is_encoded_and_one_without_is_not_read_for_it(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [tissue_like(*SIZE, seed=1)])
    assert STAGE not in stages(path)
    write_hashes((path,))
    told = stages(path)
    assert told[0] == STAGE
    assert set(told) > {STAGE, "Finding tissue"}


def test_a_byte_within_a_tile_is_told(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [tissue_like(*SIZE, seed=1)])
    write_hashes((path,))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SlideError) as refused:
        stages(path)
    assert str(refused.value).startswith(f"{path}: is not the file of a.tif.sha256 (SHA-256 ")
    assert str(refused.value).endswith("delete a.tif.sha256 where it was changed on purpose")


def test_each_file_of_a_slide_counts_and_its_hash_is_no_part_of_it(tmp_path: Path) -> None:
    path = write_mirax(tmp_path / "a.mrxs", tissue_like(*SIZE, seed=2))
    with open_slide(path) as slide:
        before = slide.info.fingerprint
    data = tmp_path / "a" / "Data0000.dat"
    write_hashes((data,))
    with open_slide(path) as slide:
        assert slide.info.fingerprint == before
    assert STAGE in stages(path)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    with pytest.raises(SlideError, match=r"Data0000\.dat: is not the file of Data0000\.dat\.sha256"):
        stages(path)


def test_a_disk_that_fails_meanwhile_is_a_sentence_and_closing_cancels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiff(tmp_path / "a.tif", [tissue_like(*SIZE, seed=1)])
    write_hashes((path,))
    with open_slide(path, mpp=0.5) as slide:
        steps = encode_slide(slide, load_encoder("texture"))
        first: Any = next(steps)
        assert (first.stage, first.done, first.total) == (STAGE, path.stat().st_size >> 20, first.done)
        steps.close()

    def failing(path: Path) -> Any:
        yield 1
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(hash_beside, "hashing", failing)
    with (
        pytest.raises(SlideError, match=r"a\.tif cannot be read: Input/output error; look after its disk"),
        open_slide(path, mpp=0.5) as slide,
    ):
        deque(encode_slide(slide, load_encoder("texture")), maxlen=0)
