"""Bags of other tools that are hostile, damaged, or say something else than the user."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from bundle_fixtures import encoder_identity, random_bag

from amkd_core.bag import FeatureBag, concatenate_bags
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bag_formats import BagAssumptions
from amkd_core.encoder_names import our_encoder_name
from amkd_core.errors import BagError

STATED = BagAssumptions(encoder_identity(8), 0.5, 256, 512)
TRIDENT = {"patch_size": 256, "patch_size_level0": 512, "target_magnification": 20}


def features(n_patches: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_patches, 8)).astype(np.float32) + 0.1


def write(
    path: Path, coords: np.ndarray | None = None, *, encoder: str | None = None, **attributes: object
) -> Path:
    with h5py.File(path, "w") as file:
        file["features"] = features()
        file["coords"] = np.arange(12).reshape(6, 2) if coords is None else coords
        file["coords"].attrs.update(attributes)
        if encoder is not None:
            file["features"].attrs["encoder"] = encoder
    return path


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("uni_v1", "uni"),
        ("uni_v2", "uni2-h"),
        ("hoptimus0", "h-optimus-0"),
        ("mahmood-uni-77ffbca1", "uni"),
        ("mahmood-uni2", "uni2-h"),
        ("h_optimus_0", "h-optimus-0"),
        ("virchow2", "virchow2"),
        ("phikon_v2", "phikon_v2"),
    ],
)
def test_encoders_of_other_tools_get_our_names(theirs: str, ours: str) -> None:
    assert our_encoder_name(theirs) == ours


def test_the_recorded_encoder_fits_models_by_our_name_and_may_not_be_contradicted(tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", encoder="uni_v1", **TRIDENT)
    assert read_bag(path).encoder.name == "uni"
    with pytest.raises(
        BagError, match=r"t.h5: records encoder uni_v1, but --encoder says texture; leave the option"
    ):
        read_bag(path, assume=STATED)
    stated = BagAssumptions(dataclasses.replace(encoder_identity(8), name="uni"))
    assert read_bag(path, assume=stated).encoder == stated.encoder


@pytest.mark.parametrize("size_px", [224, 256])
def test_a_bag_has_the_patches_that_it_records_whatever_we_give_its_encoder(
    tmp_path: Path, size_px: int
) -> None:
    """We cut 224 px for H-optimus-0; others have cut 256, and theirs is another scale of what the network saw."""
    sizes = {"patch_size": size_px, "patch_size_level0": 2 * size_px}
    bag = read_bag(write(tmp_path / "t.h5", encoder="hoptimus0", **{**TRIDENT, **sizes}))
    assert (bag.encoder.name, bag.patch_size_px, bag.mpp) == ("h-optimus-0", size_px, 0.5)
    assert bag.patch_size_level0 == (2 * size_px, 2 * size_px)
    write_bag(tmp_path / "ours.h5", bag)
    assert read_bag(tmp_path / "ours.h5").patch_size_px == size_px


def test_a_nominal_scale_is_named_and_gives_way_to_a_measured_one(tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", encoder="uni_v1", **TRIDENT)
    nominal = read_bag(path)
    assert nominal.mpp == 0.5
    assert "nominal magnification 20x" in " ".join(notice.sentence for notice in nominal.notices)
    for assume in (BagAssumptions(slide_mpp=0.2325), BagAssumptions(mpp=0.465)):
        measured = read_bag(path, assume=assume)
        assert measured.mpp == pytest.approx(0.465)
        assert "scale_source" not in {notice.code for notice in measured.notices}
    assert read_bag(path, assume=BagAssumptions(slide_id="patient 7")).slide_id == "patient 7"


@pytest.mark.parametrize(
    ("coords", "words"),
    [
        (
            np.full((6, 2), np.nan),
            r"coords of 6 patches are no pixels of a slide \(rows 0, 1, 2, 3, 4, ...\)",
        ),
        (np.full((6, 2), 2**63 + 1, dtype=np.uint64), "coords of 6 patches are no pixels of a slide"),
        (np.zeros((6, 3), dtype=int), r"coords must have shape \(6, 2\), found \(6, 3\)"),
        (np.zeros(6, dtype=int), r"coords must have shape \(n, 2\), found \(6,\)"),
    ],
)
def test_coordinates_of_no_slide_are_refused(tmp_path: Path, coords: np.ndarray, words: str) -> None:
    with pytest.raises(BagError, match=words):
        read_bag(write(tmp_path / "c.h5", coords), assume=STATED)


def test_a_scale_of_the_slide_that_contradicts_the_magnification_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.h5",
        encoder="uni_v1",
        **{**TRIDENT, "target_magnification": 10, "patch_size_level0": 1024},
    )
    assert read_bag(path, assume=BagAssumptions(slide_mpp=0.26)).mpp == pytest.approx(1.04)
    with pytest.raises(
        BagError, match=r"t\.h5: records 10x, about 1 um per px, .* makes its patches 0\.5; correct"
    ):
        read_bag(path, assume=BagAssumptions(slide_mpp=0.125))


def test_patches_beside_the_slide_are_refused(tmp_path: Path) -> None:
    sizes = {"level0_width": 10_000, "level0_height": 9_000}
    coords = np.array([(0, 0), (-200, 0), (9_900, 8_999), (512, 0), (1024, 0), (2048, 0)])
    assert len(read_bag(write(tmp_path / "t.h5", coords, encoder="uni_v1", **TRIDENT, **sizes))) == 6
    for row, place in ((2, (10_000, 0)), (4, (-512, 0)), (5, (0, 60_000))):
        far = coords.copy()
        far[row] = place
        with pytest.raises(
            BagError, match=rf"1 patches lie beside the slide \(row {row} at .*10000 x 9000 level-0"
        ):
            read_bag(write(tmp_path / "t.h5", far, encoder="uni_v1", **TRIDENT, **sizes))


def test_a_batch_axis_and_repeated_rows_of_a_tensor_change_nothing(tmp_path: Path) -> None:
    whole = torch.from_numpy(features())
    torch.save(torch.cat([whole, whole[1:3]])[None], tmp_path / "t.pt")
    bag = read_bag(tmp_path / "t.pt", assume=STATED)
    assert (bag.features == whole.numpy()).all()
    assert "2 patches stand in the feature file twice and count once." in [
        one.sentence for one in bag.notices
    ]


def test_a_tensor_of_an_old_torch_says_how_to_save_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.pt"
    torch.save(torch.from_numpy(features()), path, _use_new_zipfile_serialization=False)
    with pytest.raises(BagError, match=r"^t\.pt: was written by a torch before 1\.6, .* has saved again"):
        read_bag(path, assume=STATED)
    torch.save(torch.load(path, weights_only=True), path)
    assert len(read_bag(path, assume=STATED)) == 6


@pytest.mark.parametrize("value", ["twenty", -20, np.array([20, 40]), np.nan])
def test_attributes_that_are_no_positive_number_are_named(tmp_path: Path, value: object) -> None:
    path = write(tmp_path / "t.h5", **{**TRIDENT, "target_magnification": value})
    with pytest.raises(
        BagError, match=r"t.h5: its attribute target_magnification is .*, expected a positive number"
    ):
        read_bag(path, assume=STATED)


def test_vectors_of_whole_slides_are_no_bags(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "slide.h5", "w") as file:
        file["features"] = features()[0]
    with pytest.raises(BagError, match=r"features have shape \(8,\), expected one row per patch"):
        read_bag(tmp_path / "slide.h5", assume=STATED)
    with h5py.File(tmp_path / "stamp.h5", "w") as file:
        file["feats"] = features()
        file.attrs.update({"unit": "um", "feat_type": "patient"})
    with pytest.raises(BagError, match="holds patient features, expected those of tiles"):
        read_bag(tmp_path / "stamp.h5", assume=STATED)


@pytest.mark.parametrize("shape", [(0,), (0, 8)])
def test_what_trident_writes_for_an_empty_slide_is_said_to_be_empty(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["features"] = np.zeros(shape, dtype=np.float32)
    with pytest.raises(BagError, match=r"empty.h5: holds no patches"):
        read_bag(tmp_path / "empty.h5", assume=STATED)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited on Linux only")
def test_torch_is_loaded_without_the_limit_of_the_file_before(tmp_path: Path) -> None:
    """Torch for GPUs maps several GiB: every .pt read behind an .h5 was called damaged where it is installed."""
    torch.save(torch.ones(2, 8), tmp_path / "x.pt")
    program = """
import resource, sys
from pathlib import Path
from amkd_core import bag_child
path = Path(sys.argv[1])
bag_child.limit_memory(path, expansion=1)
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (soft - bag_child.GIB + 2**24, hard))  # no library fits into this
assert "torch" not in sys.modules
print(bag_child.answer(path)[0])
assert resource.getrlimit(resource.RLIMIT_AS)[0] != hard
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.pt")], capture_output=True, text=True, check=True
    )
    assert "'features': ['<f4', [2, 8]]" in done.stdout


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.ones(6, 8).to_sparse(), "without plain numbers"),
        (torch.ones(6, 8, device="meta"), "without plain numbers"),
        (torch.ones(6, 8, dtype=torch.int64), r"holds torch.int64 \(6, 8\)"),
        (torch.ones(8), r"holds torch.float32 \(8,\)"),
        ({"features": torch.ones(6, 8)}, "holds dict, expected one floating-point tensor"),
    ],
)
def test_a_pt_file_must_hold_one_plain_tensor(tmp_path: Path, tensor: object, words: str) -> None:
    torch.save(tensor, tmp_path / "x.pt")
    with pytest.raises(BagError, match=words):
        read_bag(tmp_path / "x.pt", assume=STATED)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_any_precision_load_also_with_a_gradient(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.from_numpy(features()).to(dtype).requires_grad_()
    torch.save(tensor, tmp_path / "x.pt")
    bag = read_bag(tmp_path / "x.pt", assume=STATED)
    np.testing.assert_array_equal(bag.features, tensor.detach().float().numpy())


@pytest.mark.parametrize("seed", range(4))
def test_damaged_tensors_are_refused_or_unchanged_never_different(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "x.pt"
    torch.save(torch.from_numpy(features(60)), path)
    original, expected = path.read_bytes(), features(60)
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(50):
        data = bytearray(original)
        place = int(rng.integers(len(data)))
        damage = rng.integers(3)
        if damage == 0:
            data[place] ^= 1 << int(rng.integers(8))
        elif damage == 1:
            del data[place:]
        else:
            data[place : place + 32] = bytes(len(data[place : place + 32]))
        path.write_bytes(data)
        try:
            bag = read_bag(path, assume=STATED)
        except BagError:
            refused += 1
        else:
            np.testing.assert_array_equal(bag.features, expected)
    assert refused > 10


def test_a_patch_that_stands_there_twice_is_named() -> None:
    bag = random_bag(20)
    repeated = np.array([*range(20), 4])
    with pytest.raises(BagError, match=r"1 patches stand in the bag twice, .* \(rows 20\)"):
        bag.subset(repeated)
    # The same place on two slides of a patient is no repetition.
    assert len(concatenate_bags([bag, bag], patient_id="P")) == 40


def test_a_patch_that_clam_lists_twice_counts_once_and_is_said(tmp_path: Path) -> None:
    path = tmp_path / "clam.h5"
    with h5py.File(path, "w") as file:
        file["features"] = features()[[0, 1, 2, 1, 3]]
        file["coords"] = np.array([[0, 0], [512, 0], [0, 512], [512, 0], [512, 0]])
    bag = read_bag(path, assume=STATED)
    np.testing.assert_array_equal(bag.features, features()[[0, 1, 2, 3]])
    np.testing.assert_array_equal(bag.coords[-1], [512, 0])  # same place, other features: kept
    assert "1 patches stand in the feature file twice" in " ".join(notice.sentence for notice in bag.notices)


def test_joining_bags_of_several_slides_keeps_every_slide_apart() -> None:
    pair = concatenate_bags([random_bag(3, seed=1), random_bag(4, seed=2)], patient_id="P")
    joined = concatenate_bags([pair, random_bag(5, seed=3)], patient_id="P")
    np.testing.assert_array_equal(joined.slide_index, [0] * 3 + [1] * 4 + [2] * 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mpp": np.inf}, "expected positive numbers"),
        ({"mpp": np.nan}, "expected positive numbers"),
        ({"slide_mpp": (0.25, -1.0)}, "slide_mpp must be two positive numbers"),
        ({"patch_size_level0": (0, 512)}, "patch_size_level0 must be two positive numbers"),
        ({"slide_index": np.full(30, -1, dtype=np.int32)}, "slide_index must not be negative"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(BagError, match=words):
        dataclasses.replace(random_bag(), **changes)


def test_numbers_of_numpy_become_plain_ones_and_can_be_written(tmp_path: Path) -> None:
    size = (np.int64(6000), np.int32(3000))
    bag = dataclasses.replace(random_bag(), slide_size_level0=size, mpp=np.float32(0.5))
    write_bag(tmp_path / "slide.h5", bag)
    again = read_bag(tmp_path / "slide.h5")
    assert again.slide_size_level0 == (6000, 3000)
    assert again.mpp == 0.5


def test_features_beyond_half_precision_are_not_written_as_infinity(tmp_path: Path) -> None:
    large = features() * 1e6
    bag = FeatureBag(large, encoder_identity(8), 256, 0.5, "slide")
    with pytest.raises(BagError, match=r"slide: features reach .*, more than float16 holds"):
        write_bag(tmp_path / "slide.h5", bag, precision="float16")
    assert not list(tmp_path.iterdir())
