"""Bags that are kept: found again for the same content, scale, encoder and patches, and for nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundle_fixtures import random_bag

from amkd_core.bag import FeatureBag
from amkd_core.inference.bag_cache import BagCache, slide_key, user_bag_cache
from amkd_core.slides.grid import PatchSpec
from amkd_core.slides.info import Bounds, Level, Microns, SlideInfo

SPEC = PatchSpec()


def info_of(name: str = "first", *, fingerprint: str = "a" * 64, mpp: float = 0.5) -> SlideInfo:
    return SlideInfo(
        path=Path(f"{name}.svs"),
        slide_id=name,
        fingerprint=fingerprint,
        backend="direct",
        vendor="aperio",
        levels=(Level(0, (1024, 1024), (1.0, 1.0)),),
        microns=Microns(mpp, mpp, "vendor"),
        objective_power=20.0,
        bounds=Bounds(0, 0, 1024, 1024),
    )


@pytest.fixture
def bag() -> FeatureBag:
    return random_bag(4)


def test_found_for_the_same_content_under_the_present_name_only(tmp_path: Path, bag: FeatureBag) -> None:
    cache = BagCache(tmp_path)
    cache.keep(bag, info_of(), bag.encoder, SPEC)
    found = cache.find(info_of("renamed"), bag.encoder, SPEC)
    assert found is not None
    assert found.slide_id == "renamed"
    assert np.array_equal(found.features, bag.features)
    other_weights = replace(bag.encoder, weights_sha256="1" * 64)
    assert cache.find(info_of(fingerprint="b" * 64), bag.encoder, SPEC) is None
    assert cache.find(info_of(mpp=0.25), bag.encoder, SPEC) is None
    assert cache.find(info_of(), other_weights, SPEC) is None
    assert cache.find(info_of(), bag.encoder, PatchSpec(size_px=224)) is None


def test_a_bag_without_the_notice_of_a_contradiction_is_not_found_for_one(
    tmp_path: Path, bag: FeatureBag
) -> None:
    cache, info = BagCache(tmp_path), info_of()
    cache.keep(bag, info, bag.encoder, SPEC)
    contradicted = replace(info, microns=Microns(0.5, 0.5, "vendor", contradicted_by=0.25))
    assert cache.find(contradicted, bag.encoder, SPEC) is None
    # What was kept before contradictions were known of is still found for all others.
    before = {"slide": info.fingerprint, "scene": 0, "microns": {"x": 0.5, "y": 0.5, "source": "vendor"}}
    assert slide_key(info) == before


def test_a_bag_without_the_notice_of_other_images_is_not_found_for_a_file_with_several(
    tmp_path: Path, bag: FeatureBag
) -> None:
    cache = BagCache(tmp_path)
    cache.keep(bag, info_of(), bag.encoder, SPEC)
    assert cache.find(replace(info_of(), n_scenes=2), bag.encoder, SPEC) is None


def test_a_damaged_file_is_passed_over(tmp_path: Path, bag: FeatureBag) -> None:
    cache = BagCache(tmp_path)
    cache.keep(bag, info_of(), bag.encoder, SPEC)
    (kept,) = tmp_path.glob("*.h5")
    raw = bytearray(kept.read_bytes())
    raw[-9] ^= 1
    kept.write_bytes(raw)
    assert cache.find(info_of(), bag.encoder, SPEC) is None


def test_the_longest_unused_go_first_and_the_last_one_stays(tmp_path: Path, bag: FeatureBag) -> None:
    cache = BagCache(tmp_path)
    for hour, letter in enumerate("abc"):
        cache.keep(bag, info_of(fingerprint=letter * 64), bag.encoder, SPEC)
        newest = max(tmp_path.glob("*.h5"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (hour * 3600, hour * 3600))
    assert cache.find(info_of(fingerprint="a" * 64), bag.encoder, SPEC) is not None  # used now
    size = max(path.stat().st_size for path in tmp_path.glob("*.h5"))
    cache = BagCache(tmp_path, limit_bytes=3 * size + size // 2)
    cache.keep(bag, info_of(fingerprint="e" * 64), bag.encoder, SPEC)  # a fourth, and three find room
    lies = {x: cache.find(info_of(fingerprint=x * 64), bag.encoder, SPEC) is not None for x in "abce"}
    assert lies == {"a": True, "b": False, "c": True, "e": True}, "a lay there longest and was used since"
    cache = BagCache(tmp_path, limit_bytes=1)
    cache.keep(bag, info_of(fingerprint="d" * 64), bag.encoder, SPEC)
    assert [cache.find(info_of(fingerprint=x * 64), bag.encoder, SPEC) is not None for x in "abcd"] == [
        False,
        False,
        False,
        True,
    ]


def test_nothing_is_kept_where_the_user_wants_none_or_the_disk_refuses(
    tmp_path: Path, bag: FeatureBag, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AMKD_CACHE_DIR", "")
    cache = user_bag_cache()
    cache.keep(bag, info_of(), bag.encoder, SPEC)
    assert cache.find(info_of(), bag.encoder, SPEC) is None
    (tmp_path / "file").write_text("in the way")
    BagCache(tmp_path / "file" / "bags").keep(bag, info_of(), bag.encoder, SPEC)
    assert "is not kept" in caplog.text


def test_a_folder_that_cannot_be_looked_into_holds_nothing(tmp_path: Path, bag: FeatureBag) -> None:
    """As where another user owns it; a name that is too long fails for the superuser as well."""
    cache = BagCache(tmp_path / ("x" * 300))
    assert cache.find(info_of(), bag.encoder, SPEC) is None
    cache.keep(bag, info_of(), bag.encoder, SPEC)
    assert cache.find(info_of(), bag.encoder, SPEC) is None
