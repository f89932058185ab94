"""What a killed encoding left behind is taken over where it is whole and of the same patches, and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from amkd_core.cli.terminal import drain
from amkd_core.errors import DiskFullError, EncoderError, SlideError
from amkd_core.inference import extract
from amkd_core.inference.extract import ExtractSettings, SlideTask, extract_slide
from amkd_core.progress import Progress
from amkd_core.slides.encoders.journal import MAGIC, EncodingJournal

N, D, BATCH = 7, 3, 2
KEY = {"slide": "f", "encoder": {"name": "texture"}}
ROWS = np.arange(N * D, dtype=np.float32).reshape(N, D) + 0.5
VALID = np.array([True, True, False, True, True, True, True])


def restored(journal: EncodingJournal, key: dict[str, object] = KEY, n: int = N, batch_size: int = BATCH):
    features, valid = np.zeros((n, D), np.float32), np.zeros(n, bool)
    with closing(journal):
        return journal.restore(key, features, valid, batch_size=batch_size), features, valid


def append(journal: EncodingJournal, starts: range, expected: int) -> None:
    with closing(journal):
        done = journal.restore(KEY, np.zeros((N, D), np.float32), np.zeros(N, bool), batch_size=BATCH)
        assert done == expected
        for start in starts:
            journal.append(ROWS[start : start + BATCH], VALID[start : start + BATCH])


def begun(folder: Path) -> EncodingJournal:
    """Three batches of four."""
    journal = EncodingJournal(folder, "s1")
    append(journal, range(0, 6, BATCH), 0)
    return journal


def test_batches_are_found_again_and_the_rest_follows(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    done, features, valid = restored(journal)
    assert done == 6
    np.testing.assert_array_equal(features[:6], ROWS[:6])
    np.testing.assert_array_equal(valid, [*VALID[:6], False])
    append(journal, range(6, N, BATCH), 6)
    assert restored(EncodingJournal(tmp_path, "s1"))[0] == N
    journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_torn_or_changed_batch_ends_what_is_taken_over(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    whole = journal.path.read_bytes()
    batch_bytes = BATCH * (1 + 4 * D) + 32
    for size in range(0, len(whole), 5):
        journal.path.write_bytes(whole[:size])
        done, features, _ = restored(EncodingJournal(tmp_path, "s1"))
        assert done == max(0, size - len(MAGIC)) // batch_bytes * BATCH
        np.testing.assert_array_equal(features[:done], ROWS[:done])
    for place in range(len(MAGIC), len(whole), 4):
        changed = bytearray(whole)
        changed[place] ^= 0x40
        journal.path.write_bytes(changed)
        done, features, _ = restored(EncodingJournal(tmp_path, "s1"))
        assert done == (place - len(MAGIC)) // batch_bytes * BATCH
        np.testing.assert_array_equal(features[:done], ROWS[:done])
    # A batch that stands where another one belongs, whole as it is.
    head, first, second = (
        whole[:24],
        whole[24 : 24 + batch_bytes],
        whole[24 + batch_bytes : 24 + 2 * batch_bytes],
    )
    journal.path.write_bytes(head + second + first)
    assert restored(EncodingJournal(tmp_path, "s1"))[0] == 0


def test_what_is_of_other_patches_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun(tmp_path)
    kept = tmp_path / "kept"
    shutil.copy(journal.path, kept)

    def taken_over(**other: object) -> int:
        shutil.copy(kept, journal.path)
        return restored(EncodingJournal(tmp_path, "s1"), **other)[0]

    assert taken_over() == 6
    assert taken_over(key={**KEY, "slide": "g"}) == 0
    assert taken_over(key={**KEY, "encoder": {"name": "uni"}}) == 0
    assert taken_over(n=N + 1) == 0
    assert taken_over(batch_size=BATCH + 1) == 0
    shutil.copy(kept, journal.path)
    assert restored(EncodingJournal(tmp_path, "s1", device="cuda"))[0] == 0
    monkeypatch.setattr("amkd_core.slides.encoders.journal.__version__", "another")
    assert taken_over() == 0


def test_too_little_space_is_said_before_anything_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=300))
    with pytest.raises(DiskFullError) as refused:
        restored(EncodingJournal(tmp_path, "s1"))
    # 7 rows of 3 floats and a place in the bag; the same, a byte and at most a checksum each in the journal.
    assert str(refused.value) == (
        f"{tmp_path}: slide s1 (7 patches x 3 features) needs 511 bytes and 300 bytes are free; make room there, or "
        "choose another folder"
    )
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=511))
    assert restored(EncodingJournal(tmp_path, "s1"))[0] == 0


def test_names_are_short_and_of_one_slide(tmp_path: Path) -> None:
    names = {EncodingJournal(tmp_path, slide).path.name for slide in ("a", "b", "x" * 250, "\udcff")}
    assert len(names) == 4
    assert {len(name) for name in names} == {len(".part-.journal") + 16}


@pytest.mark.parametrize(
    ("error", "is_kept"), [(SlideError("away"), False), (EncoderError("odd"), False), (OSError("away"), True)]
)
def test_a_slide_that_fails_is_not_taken_up_where_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, is_kept: bool
) -> None:
    """White patches of a disk that was away for a while would be taken over."""

    def failing(
        slide: object, encoder: object, *, workers: int, journal: EncodingJournal
    ) -> Iterator[Progress]:
        yield Progress("Reading")
        append(journal, range(0, 6, BATCH), 0)
        raise error

    monkeypatch.setattr("amkd_core.slides.encoders.encode_slide", failing)
    monkeypatch.setattr(extract, "_open", lambda task: nullcontext(SimpleNamespace()))
    outcome = drain(extract_slide(SlideTask(tmp_path / "a.tif"), tmp_path, ExtractSettings()))
    assert (outcome.state, outcome.reason) == ("failed", str(error))
    assert bool(list(tmp_path.iterdir())) == is_kept
