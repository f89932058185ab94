from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from bundle_fixtures import encoder_identity, random_bag, random_bundle
from typer.testing import CliRunner

from amkd_core import bag_file
from amkd_core.bag import EncoderIdentity, FeatureBag, concatenate_bags
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bag_formats import BagAssumptions
from amkd_core.bag_record import record_of
from amkd_core.bundle_file import write_bundle
from amkd_core.cli.main import app
from amkd_core.errors import BagError
from amkd_core.file_hash import file_sha256
from amkd_core.notices import Notice
from amkd_core.seen_slides import slide_digests

STATED = BagAssumptions(encoder_identity(8), 0.5, 256, 512)


def features(n_patches: int = 6, dimension: int = 8) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_patches, dimension)).astype(np.float32) + 0.1


def same(first: FeatureBag, second: FeatureBag) -> bool:
    arrays = all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("features", "coords", "slide_index")
    )
    plain = (
        "encoder", "patch_size_px", "mpp", "slide_id", "patch_size_level0", "slide_fingerprint", "slide_size_level0",
        "slide_mpp", "slide_mpp_source", "slide_bounds_xy", "slide_scene", "notices", "verified",
    )  # fmt: skip
    return arrays and all(getattr(first, name) == getattr(second, name) for name in plain)


def test_a_bag_comes_back_as_it_was_written(tmp_path: Path) -> None:
    bag = random_bag()
    object.__setattr__(bag, "notices", (Notice("coarse_scale", "coarser than 20x"),))
    object.__setattr__(bag, "slide_scene", 2)
    write_bag(tmp_path / "slide.h5", bag)
    assert same(read_bag(tmp_path / "slide.h5"), bag)


def test_where_the_scanned_area_begins_is_recorded_and_bags_without_it_stay_as_they_were(
    tmp_path: Path,
) -> None:
    bag = replace(random_bag(), slide_bounds_xy=(np.int64(1531), 3107))
    write_bag(tmp_path / "slide.h5", bag)
    assert read_bag(tmp_path / "slide.h5").slide_bounds_xy == (1531, 3107)
    write_bag(tmp_path / "old.h5", random_bag())
    with h5py.File(tmp_path / "old.h5") as file:
        # The record's keys before bounds were kept: not one more, so that bags are equal to the byte.
        assert set(json.loads(file.attrs["amkd_record"])) == {
            "software_version", "encoder", "patch_size_px", "mpp", "patch_size_level0", "slide_id", "slide_fingerprint",
            "slide_size_level0", "slide_mpp", "slide_mpp_source", "notices", "verified",
        }  # fmt: skip
    assert read_bag(tmp_path / "old.h5").slide_bounds_xy is None
    joined = concatenate_bags([bag, random_bag(seed=1)], patient_id="P")
    assert joined.slide_bounds_xy is None
    assert concatenate_bags([bag], patient_id="P").slide_bounds_xy == (1531, 3107)


@pytest.mark.parametrize("corner", [(-1, 0), (0, 2**31), (float("nan"), 0), (1, 2, 3)])
def test_bounds_that_are_no_place_on_a_slide_are_refused(corner) -> None:
    with pytest.raises(BagError, match="slide: slide_bounds_xy must be two pixels"):
        replace(random_bag(), slide_bounds_xy=corner)


def test_half_precision_rounds_the_features_and_nothing_else(tmp_path: Path) -> None:
    bag = random_bag()
    write_bag(tmp_path / "slide.h5", bag, precision="float16")
    again = read_bag(tmp_path / "slide.h5")
    np.testing.assert_array_equal(again.features, bag.features.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(again.coords, bag.coords)


def test_clam_and_trident_users_find_what_their_tools_write(tmp_path: Path) -> None:
    write_bag(tmp_path / "slide.h5", random_bag())
    with h5py.File(tmp_path / "slide.h5") as file:
        assert file["features"].shape == (30, 16)
        assert file["features"].chunks is None  # contiguous: one read
        attributes = dict(file["coords"].attrs)
    assert attributes["patch_size"] == 256
    assert attributes["patch_size_level0"] == 512
    assert attributes["target_magnification"] == 20
    assert attributes["level0_magnification"] == 40
    assert attributes["level0_width"] == 6000
    assert attributes["level0_height"] == 3000
    assert attributes["savetodir"] == "."


@pytest.mark.parametrize("seed", range(8))
def test_damaged_bags_are_refused_or_unchanged_never_different(tmp_path: Path, seed: int) -> None:
    bag = random_bag(40)
    path = tmp_path / "slide.h5"
    write_bag(path, bag)
    original = path.read_bytes()
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(25):
        path.write_bytes(mutated(original, rng))
        try:
            again = read_bag(path)
        except BagError:
            refused += 1
        else:
            assert same(again, bag)
    assert refused > 5  # the mutations do reach what matters


def mutated(original: bytes, rng: np.random.Generator) -> bytes:
    """Bit flips, zero runs, truncation, header bytes or inserted bytes."""
    data = bytearray(original)
    kind = rng.integers(5)
    place = int(rng.integers(len(data)))
    if kind == 0:
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data[place : place + 64] = bytes(len(data[place : place + 64]))
    elif kind == 2:
        del data[place:]
    elif kind == 3:
        data[int(rng.integers(min(512, len(data))))] = int(rng.integers(256))
    else:
        data[place:place] = bytes(rng.integers(0, 256, 16).tolist())
    return bytes(data)


def write_hdf5(
    path: Path, name: str, values: np.ndarray, coords: np.ndarray | None = None, **attributes: object
) -> None:
    with h5py.File(path, "w") as file:
        file[name] = values
        if coords is not None:
            file["coords"] = coords
            file["coords"].attrs.update(attributes)


def test_a_clam_bag_asks_for_all_that_it_lacks_in_one_sentence(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "clam.h5", "features", features(), np.zeros((6, 2), dtype=np.int32))
    expected = r"CLAM bag does not record encoder \(--encoder NAME\), mpp .*patch_size_px .*patch_size_level0"
    with pytest.raises(BagError, match=expected):
        read_bag(tmp_path / "clam.h5")
    bag = read_bag(tmp_path / "clam.h5", assume=STATED)
    assert bag.patch_size_level0 == (512, 512)
    assert not bag.verified
    (unverified,) = (notice.sentence for notice in bag.notices if notice.code == "unverified_bag")
    assert unverified.endswith(
        "No SHA-256 lies beside it, so that damaged numbers would not be noticed either."
    )
    (tmp_path / "clam.h5.sha256").write_text(file_sha256(tmp_path / "clam.h5"))
    held = read_bag(tmp_path / "clam.h5", assume=STATED)
    assert [notice.sentence for notice in held.notices if "SHA-256" in notice.sentence] == []


def test_a_trident_bag_needs_only_what_it_does_not_record(tmp_path: Path) -> None:
    attributes = {"patch_size": 256, "patch_size_level0": 508, "target_magnification": 20, "level0_width": 9000,
                  "level0_height": 8000}  # fmt: skip
    write_hdf5(tmp_path / "t.h5", "features", features(), np.arange(12).reshape(6, 2), **attributes)
    with pytest.raises(
        BagError, match=r"TRIDENT bag does not record encoder \(--encoder NAME\); please give it"
    ):
        read_bag(tmp_path / "t.h5")
    bag = read_bag(tmp_path / "t.h5", assume=BagAssumptions(encoder_identity(8)))
    assert (bag.patch_size_level0, bag.mpp, bag.slide_size_level0) == ((508, 508), 0.5, (9000, 8000))


def test_a_stated_value_may_not_contradict_a_recorded_one(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "t.h5", "features", features(), np.zeros((6, 2), int), patch_size=512, patch_size_level0=512,
               target_magnification=10)  # fmt: skip
    with pytest.raises(BagError, match=r"records mpp 1, but --bag-mpp says 0.5"):
        read_bag(tmp_path / "t.h5", assume=STATED)


@pytest.mark.parametrize(("slide_mpp", "refused"), [(0.25, True), (0.4, True), (0.5, False), (0.504, False)])
def test_a_patch_has_one_length(tmp_path: Path, slide_mpp: float, refused: bool) -> None:
    """CLAM, cut at level 0: 256 px are 128 um of a slide at 0.5 um per px, and not of one at 0.25."""
    write_hdf5(tmp_path / "clam.h5", "features", features(), np.arange(12).reshape(6, 2))
    stated = replace(STATED, patch_size_level0=256, slide_mpp=slide_mpp)
    if refused:
        with pytest.raises(
            BagError, match=rf"256 level-0 px at {slide_mpp} um per px is .* as the encoder saw it 128"
        ):
            read_bag(tmp_path / "clam.h5", assume=stated)
    else:
        assert read_bag(tmp_path / "clam.h5", assume=stated).patch_size_level0 == (256, 256)


def test_stamp_coordinates_become_level0_pixels(tmp_path: Path) -> None:
    path = tmp_path / "stamp.h5"
    coords_um = np.array([[0.0, 256.0], [256.0, 512.0]])
    write_hdf5(path, "feats", features(2).astype(np.float16), coords_um)
    with h5py.File(path, "a") as file:
        file.attrs.update({"unit": "um", "tile_size_um": 256.0, "tile_size_px": 224, "extractor": "virchow2"})
    with pytest.raises(BagError, match=r"STAMP bag does not record slide_mpp \(--mpp UM_PER_PX\)"):
        read_bag(path)
    bag = read_bag(path, assume=BagAssumptions(slide_mpp=0.25))
    np.testing.assert_array_equal(bag.coords, [[0, 1024], [1024, 2048]])
    assert bag.patch_size_level0 == (1024, 1024)
    assert bag.mpp == pytest.approx(256 / 224)
    assert bag.encoder.name == "virchow2"


def test_a_tensor_without_coordinates_predicts_but_cannot_be_mapped(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(features()), tmp_path / "slide.pt")
    bag = read_bag(tmp_path / "slide.pt", assume=BagAssumptions(encoder_identity(8), 0.5, 256))
    assert bag.coords is None
    assert not bag.has_map
    assert "no_map" in {notice.code for notice in bag.notices}
    np.testing.assert_array_equal(bag.features, features())


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (f"touch {self.path}",)


def test_code_hidden_in_a_pt_file_is_refused_and_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    torch.save({"features": Canary(canary)}, tmp_path / "evil.pt")
    with pytest.raises(BagError, match=r"evil.pt: is damaged or holds more than a tensor"):
        read_bag(tmp_path / "evil.pt", assume=STATED)
    assert not canary.exists()


def test_a_tensor_that_declares_more_than_it_stores_is_refused(tmp_path: Path) -> None:
    bomb = torch.zeros(1).as_strided((100_000_000, 1024), (0, 0))
    torch.save(bomb, tmp_path / "bomb.pt")
    with pytest.raises(BagError, match=r"declares shape \(100000000, 1024\) over fewer bytes"):
        read_bag(tmp_path / "bomb.pt", assume=STATED)


SECRET = 777.25


def leading_outside(folder: Path) -> dict[str, str]:
    """Four files whose features are the bytes of a secret beside them, and what is said of each."""
    secret = folder / "secret.bin"
    secret.write_bytes(np.full(64, SECRET, np.float32).tobytes())
    stored = {"external": [(str(secret), 0, 256)]}
    with h5py.File(folder / "external.h5", "w") as file:
        file.create_dataset("features", (8, 8), "float32", **stored)
    with h5py.File(folder / "link.h5", "w") as file:
        file["features"] = h5py.ExternalLink(str(folder / "external.h5"), "features")
    with h5py.File(folder / "soft.h5", "w") as file:
        file.create_dataset("below/hidden", (8, 8), "float32", **stored)
        file["features"] = h5py.SoftLink("/below/hidden")
    layout = h5py.VirtualLayout((8, 8), "float32")
    layout[:] = h5py.VirtualSource(folder / "external.h5", "features", (8, 8))
    with h5py.File(folder / "virtual.h5", "w") as file:
        file.create_virtual_dataset("features", layout)
    elsewhere, link = "keeps its data in another file", "is a link to other data"
    return {"external.h5": elsewhere, "virtual.h5": elsewhere, "link.h5": link, "soft.h5": link}


def test_hdf5_that_leads_outside_the_file_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    sentences = leading_outside(tmp_path)
    write_bundle(tmp_path / "made.amkd", random_bundle())
    stated = ["--encoder", "texture", "--bag-mpp", "0.5", "--patch-size", "256", "--patch-size-level0", "512"]
    told = []
    for name, sentence in sentences.items():
        with h5py.File(tmp_path / name) as file:  # what follows them finds the secret
            assert (file["features"][()] == SECRET).all()
        with pytest.raises(BagError, match=sentence) as caught:
            read_bag(tmp_path / name, assume=STATED)
        words = [
            "predict",
            tmp_path / name,
            "--bundle",
            tmp_path / "made.amkd",
            "--out",
            tmp_path / "out" / name,
        ]
        done = CliRunner().invoke(app, [*map(str, words), *stated])
        assert done.exit_code == 2
        assert sentence in " ".join(done.output.split())
        told += [str(caught.value), done.output]
    told += [caplog.text, *capfd.readouterr()]
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    for found in [*(text.encode() for text in told), *written]:
        assert np.float32(SECRET).tobytes() not in found
        assert str(SECRET).encode() not in found


def test_a_tiny_file_that_declares_gigabytes_is_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("features", (1_900_000, 5_400), "float32", chunks=(1024, 1024))
    assert (tmp_path / "bomb.h5").stat().st_size < 10_000
    with pytest.raises(BagError, match=r"features declares shape \(1900000, 5400\), 38.2 GiB"):
        read_bag(tmp_path / "bomb.h5", assume=STATED)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.h5", b"", "empty.h5: is empty, expected a feature bag"),
        ("text.h5", b"not a bag at all", "text.h5: is neither HDF5 nor a .pt file"),
        ("archive.pt", b"PK\x03\x04broken", "archive.pt: is neither HDF5 nor a .pt file"),
    ],
)
def test_what_is_no_bag_gets_one_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=sentence):
        read_bag(tmp_path / name)


def test_a_missing_file_and_an_hdf5_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"absent.h5: no such file"):
        read_bag(tmp_path / "absent.h5")
    write_hdf5(tmp_path / "other.h5", "weights", features())
    with pytest.raises(BagError, match=r"other.h5: holds weights, expected a dataset named features"):
        read_bag(tmp_path / "other.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["features"] = np.zeros((0, 8), dtype=np.float32)
    with pytest.raises(BagError, match=r"holds no patches, features have shape \(0, 8\)"):
        read_bag(tmp_path / "empty.h5", assume=STATED)


def test_a_bag_of_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bag_file, "FORMAT_VERSION", 9)
    write_bag(tmp_path / "slide.h5", random_bag())
    monkeypatch.undo()
    with pytest.raises(BagError, match="bag format 9, this release reads 1"):
        read_bag(tmp_path / "slide.h5")


def test_a_changed_record_fails_the_checksum(tmp_path: Path) -> None:
    write_bag(tmp_path / "slide.h5", random_bag())
    with h5py.File(tmp_path / "slide.h5", "a") as file:
        record = json.loads(file.attrs["amkd_record"])
        record["mpp"] = 0.25
        file.attrs["amkd_record"] = json.dumps(record, sort_keys=True)
    with pytest.raises(BagError, match="the checksum does not match"):
        read_bag(tmp_path / "slide.h5")


def forged(path: Path, monkeypatch: pytest.MonkeyPatch, **odd: object) -> Path:
    """A bag of ours with odd values in its record and a checksum that fits."""
    with monkeypatch.context() as patched:
        patched.setattr(bag_file, "record_of", lambda bag: {**record_of(bag), **odd})
        write_bag(path, random_bag())
    return path


DEEP = json.loads("[" * 400 + "]" * 400)


@pytest.mark.parametrize(
    "odd",
    [
        {"patch_size_px": float("inf")},
        {"patch_size_px": [256]},
        {"patch_size_px": "many"},
        {"mpp": "half"},
        {"mpp": float("nan")},
        {"patch_size_level0": []},
        {"patch_size_level0": [512]},
        {"patch_size_level0": 512},
        {"patch_size_level0": [float("inf"), 512]},
        {"patch_size_level0": [10**300, 512]},
        {"slide_size_level0": [-1, 5]},
        {"slide_mpp": [float("nan"), 1]},
        {"slide_bounds_xy": [1e400, 0]},
        {"slide_scene": "first"},
        {"slide_scene": float("inf")},
        {"slide_scene": -1},
        {"slide_id": 5},
        {"slide_id": "half of a letter: \ud800"},
        {"slide_fingerprint": 5},
        {"slide_mpp_source": {"a": 1}},
        {"encoder": []},
        {"encoder": {"name": "texture"}},
        {"encoder": None},
        {"notices": [{"code": "not_he", "sentence": ["a", "list"]}]},
        {"notices": [{"code": "not_he"}]},
        {"notices": [5]},
        {"notices": 5},
        {"notices": DEEP},
        {"verified": DEEP},
        {"verified": "yes"},
    ],
    ids=lambda odd: json.dumps(odd)[:40],
)
def test_a_record_of_odd_values_with_a_fitting_checksum_is_a_sentence(
    odd: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BagError) as raised:
        read_bag(forged(tmp_path / "slide.h5", monkeypatch, **odd))
    assert "slide" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("index", [2**31 - 2, 10_000, 2**32 + 1])
def test_a_slide_index_that_no_patient_has_is_refused(
    index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes through a bag slide by slide would never end; 2**32 + 1 is 1 in 32 bits."""
    bag, far = random_bag(3), np.array([0, 0, index], dtype=np.int64)
    with pytest.raises(BagError, match="slide_index"):
        replace(bag, slide_index=far)
    with monkeypatch.context() as patched:
        patched.setattr(FeatureBag, "_check_shapes", lambda _: None)
        write_bag(tmp_path / "slide.h5", replace(bag, slide_index=far))
    with h5py.File(tmp_path / "slide.h5") as file:
        assert file["slide_index"][2] == index
    with pytest.raises(BagError, match="slide_index"):
        read_bag(tmp_path / "slide.h5")


def test_slides_without_a_patch_are_not_looked_for_among_seen_ones() -> None:
    """What is left of a drawn region may be of the last slide alone; nothing is no slide that was seen."""
    bag = random_bag(6)
    joined = concatenate_bags([random_bag(6, seed=1), bag], patient_id="P")
    alone = joined.subset(joined.slide_index == 1)
    assert set(slide_digests(alone)) <= set(slide_digests(joined))
    assert set(slide_digests(alone)) & set(slide_digests(bag))
    everything = replace(joined, slide_index=np.repeat([0, 9_999], 6))
    assert set(slide_digests(everything)) == set(slide_digests(joined))


def test_a_bag_of_ours_without_its_checksum_is_refused(tmp_path: Path) -> None:
    write_bag(tmp_path / "slide.h5", random_bag())
    with (tmp_path / "slide.h5").open("r+b") as raw:
        raw.write(b"\0" * 512)
    with pytest.raises(BagError, match="a bag of ours whose checksum is missing"):
        read_bag(tmp_path / "slide.h5", assume=STATED)


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (0, "all zero")]
)
def test_unusable_rows_are_named(value: float, words: str) -> None:
    broken = features(20)
    broken[[3, 7]] = value
    with pytest.raises(BagError, match=rf"2 patches are {words} \(rows 3, 7\)"):
        FeatureBag(broken, encoder_identity(8), 256, 0.5, "slide")


def test_shapes_must_agree() -> None:
    with pytest.raises(BagError, match="width 8, but encoder texture gives 9"):
        FeatureBag(features(), encoder_identity(9), 256, 0.5, "slide")
    with pytest.raises(BagError, match=r"coords must have shape \(6, 2\), found \(5, 2\)"):
        FeatureBag(features(), encoder_identity(8), 256, 0.5, "slide", coords=np.zeros((5, 2)))
    with pytest.raises(BagError, match="the bag holds no patches"):
        FeatureBag(features(0), encoder_identity(8), 256, 0.5, "slide")
    with pytest.raises(BagError, match=r"patch size 256 px at 0 um/px"):
        FeatureBag(features(), encoder_identity(8), 256, 0, "slide")


def test_slides_of_a_patient_become_one_bag() -> None:
    first, second = random_bag(5, seed=1, slide_id="a"), random_bag(7, seed=2, slide_id="b")
    joined = concatenate_bags([first, second], patient_id="P")
    np.testing.assert_array_equal(joined.features, np.concatenate([first.features, second.features]))
    np.testing.assert_array_equal(joined.slide_index, [0] * 5 + [1] * 7)
    assert joined.n_slides == 2
    assert joined.slide_id == "P"


def test_bags_of_different_encoders_are_not_joined() -> None:
    other = random_bag(7, encoder=encoder_identity(16, name="resnet50"))
    with pytest.raises(BagError, match="differ in encoder"):
        concatenate_bags([random_bag(5), other], patient_id="P")


def test_an_identity_with_missing_or_wrong_fields_is_refused() -> None:
    values = encoder_identity().to_dict()
    assert EncoderIdentity.from_dict(values) == encoder_identity()
    with pytest.raises(BagError, match="fields missing or unknown: licence"):
        EncoderIdentity.from_dict({key: value for key, value in values.items() if key != "licence"})
    with pytest.raises(BagError, match="dimension must be int, found '16'"):
        EncoderIdentity.from_dict({**values, "dimension": "16"})


def test_real_bags_load_under_stated_assumptions_or_say_what_they_lack(shared: Path) -> None:
    folder = shared / "data" / "bags"
    with pytest.raises(BagError, match=r"plain feats bag does not record encoder .*patch_size_level0"):
        read_bag(folder / "TCGA-AD-6964-01Z-00-DX1.h5")
    stated = BagAssumptions(encoder_identity(512, "mopadi"), 0.5, 512, 512)
    bag = read_bag(folder / "TCGA-AD-6964-01Z-00-DX1.h5", assume=stated)
    assert len(bag) == 777
    assert bag.has_map
    without_places = read_bag(folder / "TCGA-3X-AAVA-01Z-00-DX1.h5", assume=stated)
    assert len(without_places) == 180
    assert without_places.coords is None
    for name in ("TCGA-06-0174", "TCGA-26-1442", "TCGA-HT-7470"):
        (path,) = folder.glob(f"{name}*.h5")
        nuclei = read_bag(path, assume=BagAssumptions(encoder_identity(1024, "cpc"), 0.25, 64, 64))
        assert nuclei.has_map
        assert not nuclei.verified
        with h5py.File(path) as file:  # one of the 667 nuclei stands there twice
            n_listed = file["features"].shape[0]
        assert len(nuclei) == n_listed - (name == "TCGA-06-0174")
    with pytest.raises(BagError, match=r"part 'prototypes.npy' is compressed, as in no .pt file"):
        read_bag(folder / "uni_prototypes_tcga_brca.npz")
