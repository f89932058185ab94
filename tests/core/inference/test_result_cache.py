"""Results that are kept: given back whole, for the same slide, bundle and expression, and for nothing else."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from bundle_fixtures import N_GENES, random_bag, random_bundle
from test_bag_cache import info_of

from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.inference.bag_cache import BagCache
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.region import predict_region
from amkd_core.inference.result_cache import ResultCache
from amkd_core.slides.grid import PatchSpec

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(N_GENES)}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return replace(random_bundle(n_members=2), sha256="b" * 64)


@pytest.fixture
def bag() -> FeatureBag:
    return random_bag(30)


@pytest.fixture
def cache(tmp_path: Path, bag: FeatureBag) -> ResultCache:
    bags = BagCache(tmp_path / "bags")
    bags.keep(bag, info_of(), bag.encoder, PatchSpec())
    return ResultCache(tmp_path / "results", bags)


def same(first: object, second: object) -> bool:
    """Whether two results hold the same numbers, all the way down."""
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if is_dataclass(first):
        return all(same(getattr(first, item.name), getattr(second, item.name)) for item in fields(first))
    if isinstance(first, tuple | list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return first == second


@pytest.mark.parametrize("genes", [None, GENES])
def test_a_result_comes_back_whole(cache: ResultCache, bag: FeatureBag, bundle: Bundle, genes) -> None:
    prediction = replace(predict_bag(bag, bundle, genes=genes), slide_id="first")
    prediction = replace(prediction, bag=replace(bag, slide_id="first"))
    prediction.provenance["slide"]["id"] = "first"
    cache.keep(prediction, info_of(), bundle, genes=genes)
    found = cache.find(info_of(), bundle, genes=genes)
    assert found is not None
    lists = {"provenance": _tupled(prediction.provenance)}
    assert same(replace(found, provenance=_tupled(found.provenance)), replace(prediction, **lists))
    renamed = cache.find(info_of("renamed"), bundle, genes=genes)
    assert renamed.slide_id == renamed.bag.slide_id == renamed.provenance["slide"]["id"] == "renamed"


@pytest.mark.parametrize(("first", "then"), [("plain", "S21-12345"), ("S21-12345", "plain")])
def test_a_kept_result_warns_of_the_name_that_the_slide_has_now(
    cache: ResultCache, bag: FeatureBag, bundle: Bundle, first: str, then: str
) -> None:
    cache.keep(predict_bag(replace(bag, slide_id=first), bundle), info_of(first), bundle)
    found = cache.find(info_of(then), bundle)
    assert found is not None
    assert found.notices == predict_bag(replace(bag, slide_id=then), bundle).notices
    warned = "identifying_name" in [notice.code for notice in found.notices]
    assert warned == (then == "S21-12345")


def _tupled(value):
    if isinstance(value, dict):
        return {key: _tupled(item) for key, item in value.items()}
    return tuple(_tupled(item) for item in value) if isinstance(value, list | tuple) else value


def test_found_for_nothing_else(cache: ResultCache, bag: FeatureBag, bundle: Bundle) -> None:
    cache.keep(predict_bag(bag, bundle, genes=GENES), info_of(), bundle, genes=GENES)
    assert cache.find(info_of(), bundle, genes=GENES) is not None
    assert cache.find(info_of(), bundle) is None
    assert cache.find(info_of(), bundle, genes={**GENES, "GENE0": 9.0}) is None
    assert cache.find(info_of(), replace(bundle, sha256="c" * 64), genes=GENES) is None
    assert cache.find(info_of(fingerprint="c" * 64), bundle, genes=GENES) is None
    assert cache.find(info_of(mpp=0.25), bundle, genes=GENES) is None
    with pytest.raises(ValueError, match="do not belong together"):
        cache.keep(predict_bag(bag, bundle), info_of(), bundle, genes=GENES)


def test_damaged_results_and_lost_features_count_as_gone(
    cache: ResultCache, bag: FeatureBag, bundle: Bundle, tmp_path: Path
) -> None:
    cache.keep(predict_bag(bag, bundle), info_of(), bundle)
    (path,) = (tmp_path / "results").glob("*.npz")
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    expected = cache.find(info_of(), bundle)
    for place in rng.integers(0, len(sound), 150):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        found = cache.find(info_of(), bundle)
        assert found is None or same(found, expected), f"byte {place}"
    path.write_bytes(sound[:-30])
    assert cache.find(info_of(), bundle) is None
    path.write_bytes(sound)
    assert cache.find(info_of(), bundle) is not None
    for kept in (tmp_path / "bags").glob("*"):
        kept.unlink()
    assert cache.find(info_of(), bundle) is None


def test_regions_are_not_kept_for_the_whole(cache: ResultCache, bag: FeatureBag, bundle: Bundle) -> None:
    whole = predict_bag(bag, bundle)
    region = predict_region(whole, bundle, [np.array([(0, 0), (2000, 0), (0, 2000)])])
    cache.keep(region, info_of(), bundle)
    assert cache.find(info_of(), bundle) is None
    cache.keep(whole, info_of(), bundle)
    cache.keep(region, info_of(), bundle)
    found = cache.find(info_of(), bundle)
    assert found is not None
    assert (found.risk, len(found.bag)) == (whole.risk, len(bag))
    assert region.risk != whole.risk


def test_a_patients_result_is_not_kept_for_one_of_his_slides(
    cache: ResultCache, bag: FeatureBag, bundle: Bundle
) -> None:
    alone = predict_bag(bag, bundle)
    cache.keep(alone, info_of(), bundle)
    both = replace(bag, slide_index=np.arange(len(bag)) % 2)
    assert both.n_slides == 2
    cache.keep(replace(alone, risk=alone.risk + 1, bag=both), info_of(), bundle)
    found = cache.find(info_of(), bundle)
    assert found is not None
    assert found.risk == alone.risk


def test_the_limit_and_a_disk_that_refuses(
    cache: ResultCache, bag: FeatureBag, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = ResultCache(tmp_path / "results", BagCache(None), limit_bytes=1)
    for letter in "ab":
        small.keep(predict_bag(bag, bundle), info_of(fingerprint=letter * 64), bundle)
    assert len(list((tmp_path / "results").glob("*.npz"))) == 1
    (tmp_path / "file").write_text("in the way")
    ResultCache(tmp_path / "file" / "x", BagCache(None)).keep(predict_bag(bag, bundle), info_of(), bundle)
    assert "is not kept" in caplog.text


def test_a_folder_that_cannot_be_looked_into_holds_no_result(tmp_path: Path, bundle: Bundle) -> None:
    cache = ResultCache(tmp_path / ("x" * 300), BagCache(None))
    assert cache.find(info_of(), bundle) is None
