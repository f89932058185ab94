"""A cache that is not as it was written is made again by a run, and no fold is trained on it."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from amkd_core.errors import RunFolderError
from amkd_core.training import packed_cache
from amkd_core.training.packed_cache import EXPRESSION, FEATURES, INDEX, pack_cohort, read_packed, share_bags

KEY = {"bags": "1"}


def flip(path: Path, place: int) -> None:
    """One bit, in place."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (FEATURES, EXPRESSION, INDEX)}


@pytest.mark.parametrize("name", [FEATURES, EXPRESSION, INDEX])
def test_one_flipped_bit_is_noticed_and_the_cache_made_again(
    inputs, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    cohort, bags, *_ = inputs
    folder = pack_cohort(tmp_path / "cache", cohort, bags, key=KEY, dtype="auto")
    whole = contents(folder)
    size = len(whole[name])
    rng = np.random.default_rng(0)
    for place in (size - 1, size // 2, *rng.integers(0, size, 10).tolist()):
        flip(folder / name, place)
        with pytest.raises(RunFolderError, match="the cache is damaged"):
            read_packed(folder)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="amkd_core.training.packed_cache"):
            shared = share_bags(tmp_path, cohort, bags, key=KEY, dtype="auto")
        assert contents(folder) == whole
        for patient, bag in shared.items():
            np.testing.assert_array_equal(bag.features, bags[patient].features)
        if name != INDEX:
            assert f"is damaged ({name} is not as it was written); it is made again" in caplog.text


def test_a_cache_without_hashes_is_made_again(inputs, tmp_path: Path) -> None:
    """As an earlier release wrote it."""
    cohort, bags, *_ = inputs
    folder = pack_cohort(tmp_path / "cache", cohort, bags, key=KEY, dtype="auto")
    whole = contents(folder)
    index = json.loads(whole[INDEX])
    del index["sha256"], index["seal"]
    for layout in (index["key"]["layout"], 5):
        index["key"]["layout"] = layout
        (folder / INDEX).write_text(json.dumps(index))
        with pytest.raises(
            RunFolderError, match=r"cache\.json is not as it was written, or of an earlier release"
        ):
            read_packed(folder)
        pack_cohort(folder, cohort, bags, key=KEY, dtype="auto")
        assert contents(folder) == whole


def test_a_process_hashes_a_cache_once(inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, bags, *_ = inputs
    written = pack_cohort(tmp_path / "cache", cohort, bags, key=KEY, dtype="auto")
    folder = Path(shutil.copytree(written, tmp_path / "other"))
    hashed: list[str] = []
    true_hash = packed_cache.file_sha256

    def counting(path: Path) -> str:
        hashed.append(path.name)
        return true_hash(path)

    monkeypatch.setattr(packed_cache, "file_sha256", counting)
    read_packed(written)
    assert hashed == []  # it was hashed as it was written
    for _ in range(3):
        read_packed(folder)
        pack_cohort(folder, cohort, bags, key=KEY, dtype="auto")
    assert sorted(hashed) == sorted([FEATURES, EXPRESSION])
