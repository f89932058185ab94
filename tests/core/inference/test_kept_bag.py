"""What lies under the name of a slide's bag: kept, made again, or left as it is and said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from slide_files import tissue_like, write_ome, write_tiff

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.inference.extract import ExtractSettings, SlideOutcome, SlideTask, extract_slide

Write = Callable[[Path, FeatureBag], None]


def extracted(slide: Path, out: Path, *, force: bool = False, scene: int = 0) -> SlideOutcome:
    steps = extract_slide(SlideTask(slide, scene=scene), out, ExtractSettings(force=force))
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiff(tmp_path_factory.mktemp("kept") / "s1.tif", [tissue_like(768, 768, seed=1)])


@pytest.fixture(scope="module")
def ours(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags")
    assert extracted(slide, folder).state == "done"
    return folder / "s1.h5"


def _by(**identity: str) -> Write:
    return lambda path, bag: write_bag(path, replace(bag, encoder=replace(bag.encoder, **identity)))


def _foreign(path: Path, _: FeatureBag, **attributes: object) -> None:
    with h5py.File(path, "w") as file:
        file["features"] = np.ones((4, 8), np.float32)
        file["coords"] = np.arange(8).reshape(4, 2)
        file["coords"].attrs.update(attributes)


def _trident(path: Path, bag: FeatureBag) -> None:
    _foreign(path, bag, patch_size_level0=512, encoder="uni_v1")


def _table(path: Path, _: FeatureBag) -> None:
    with h5py.File(path, "w") as file:
        file["risks"] = np.ones(3)


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (_by(name="uni"), "holds features of encoder uni, but texture was asked for"),
        (_by(weights_sha256="ab12"), "of encoder texture with weights_sha256 ab12, but texture with "),
        (_trident, "holds TRIDENT features of uni_v1, but features of texture were asked for"),
        (_foreign, "holds CLAM features, but features of texture were asked for"),
        (_table, "holds HDF5 data that are no bag of amkd, but features of texture were asked for"),
    ],
)
def test_work_of_others_is_left_as_it_is(
    slide: Path, ours: Path, tmp_path: Path, write: Write, found: str
) -> None:
    target = tmp_path / "s1.h5"
    write(target, read_bag(ours))
    theirs = target.read_bytes()
    outcome = extracted(slide, tmp_path)
    assert outcome.state == "failed"
    assert found in outcome.reason
    assert outcome.reason.startswith(str(target))
    assert outcome.reason.endswith("; --force overwrites it, and --out names another folder")
    assert target.read_bytes() == theirs
    assert extracted(slide, tmp_path, force=True).state == "done"
    np.testing.assert_array_equal(read_bag(target).features, read_bag(ours).features)


def test_a_bag_of_a_later_release_is_left_as_it_is(
    slide: Path, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = read_bag(ours)
    with monkeypatch.context() as later:
        later.setattr("amkd_core.bag_file.FORMAT_VERSION", 2)
        write_bag(tmp_path / "s1.h5", bag)
    outcome = extracted(slide, tmp_path)
    assert outcome.state == "failed"
    assert "bag format 2, this release reads 1" in outcome.reason
    assert "--force overwrites it" in outcome.reason


def test_the_image_of_a_file_is_chosen_and_another_ones_bag_left_as_it_is(tmp_path: Path) -> None:
    images = [[tissue_like(768, 768, seed=1)], [tissue_like(1024, 768, seed=2)]]
    file = write_ome(tmp_path / "two.ome.tif", images)
    assert extracted(file, tmp_path, scene=1).state == "done"
    bag = read_bag(tmp_path / "two.h5")
    assert (bag.slide_scene, bag.slide_size_level0) == (1, (1024, 768))
    assert "scene 1 (counted from 0) was read" in bag.notices[0].sentence
    assert extracted(file, tmp_path, scene=1).state == "skipped"
    outcome = extracted(file, tmp_path)
    assert outcome.state == "failed"
    assert "two.h5 is of scene 1 of this slide, but scene 0 was asked for; --force" in outcome.reason
    assert extracted(file, tmp_path, force=True).state == "done"
    assert read_bag(tmp_path / "two.h5").slide_scene == 0


def test_what_is_damaged_or_of_another_scale_is_made_again(slide: Path, ours: Path, tmp_path: Path) -> None:
    target, content, bag = tmp_path / "s1.h5", ours.read_bytes(), read_bag(ours)
    # Cut short, changed, or no HDF5 at all.
    changed = bytearray(content)
    changed[-1] ^= 1
    for remains in (content[: len(content) // 2], content[:100], bytes(changed), b"", b"not HDF5"):
        target.write_bytes(remains)
        assert extracted(slide, tmp_path).state == "done"
        np.testing.assert_array_equal(read_bag(target).features, bag.features)
    _foreign(target, bag)
    target.write_bytes(target.read_bytes()[:-700])
    assert extracted(slide, tmp_path).state == "done"
    # Terms are no part of what made the features.
    for other in (
        replace(bag, slide_mpp=(0.4, 0.4)),
        replace(bag, slide_fingerprint="sha256:0"),
        replace(bag, encoder=replace(bag.encoder, licence="other words")),
    ):
        write_bag(target, other)
        assert extracted(slide, tmp_path).state == "done"
        assert read_bag(target).slide_mpp == bag.slide_mpp
    assert extracted(slide, tmp_path).state == "skipped"
