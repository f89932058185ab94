"""Five fixed bags and the demo model: the same numbers on every supported version, machine and number of threads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bundle import Bundle
from amkd_core.bundle_file import open_bundle
from amkd_core.inference.demo import demo_bundle_path
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.versions import installed

GOLDEN = Path(__file__).with_name("golden_predictions.json")
LIBRARIES = ("torch", "numpy", "h5py", "safetensors", "openslide-bin")
SIZES = (1, 2, 37, 500, 3000)
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(demo_bundle_path())


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def fixed_bag(bundle: Bundle, seed: int) -> FeatureBag:
    """Sums of uniform numbers, whose stream no library changes; about as wide as the encoder's features."""
    encoder = EncoderIdentity(**bundle.card.encoder.model_dump())
    draws = np.random.Generator(np.random.PCG64(seed)).random((SIZES[seed], encoder.dimension, 4))
    features = (draws.sum(axis=2) - 2).astype(np.float32)
    return FeatureBag(features, encoder, bundle.card.patch_size_px, bundle.card.mpp, f"golden-{seed}")


def genes_of(bundle: Bundle, seed: int) -> dict[str, float]:
    values = np.random.Generator(np.random.PCG64(100 + seed)).random(len(bundle.card.genes)) * 6 + 2
    return dict(zip(bundle.card.genes, values.tolist(), strict=True))


def numbers(prediction: Prediction) -> dict[str, object]:
    assert prediction.teacher is not None
    order = np.argsort(-prediction.patch_scores, kind="stable")[:3]
    return {
        "risk": prediction.risk,
        "hazards": prediction.hazards.tolist(),
        "highest_scores": (prediction.patch_scores[order] * len(order)).tolist(),
        "teacher_risk": prediction.teacher.risk,
        "importance_head": prediction.teacher.pathway_importance[:5].tolist(),
    }


def predicted(bundle: Bundle, seed: int, bag: FeatureBag | None = None) -> dict[str, object]:
    """Of the fixed bag of a number, or of what became of it."""
    bag = fixed_bag(bundle, seed) if bag is None else bag
    return numbers(predict_bag(bag, bundle, genes=genes_of(bundle, seed)))


@pytest.mark.parametrize("seed", range(len(SIZES)))
def test_the_numbers_are_those_on_record(bundle: Bundle, seed: int, tmp_path: Path) -> None:
    """Of bags that were written and read, so that HDF5 has its part; run as a script, this file writes the record anew
    after the demo model was retrained."""
    record = json.loads(GOLDEN.read_text())
    assert record["weights"] == weights_of(bundle), "the demo model is another: write the record anew"
    made = fixed_bag(bundle, seed)
    write_bag(tmp_path / "golden.h5", made)
    bag = read_bag(tmp_path / "golden.h5")
    assert bag.features.dtype == np.float32
    assert bag.features.tobytes() == made.features.tobytes()
    compare(predicted(bundle, seed, bag), record["predictions"][seed], record["versions"])


def compare(found: dict[str, object], expected: dict[str, object], recorded: dict[str, str]) -> None:
    """Equal within the tolerance; else the libraries of both runs are named."""
    assert set(found) == set(expected)
    drift = f"recorded with {recorded}, found with {versions_here()}"
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=TOLERANCE, err_msg=f"{name}: {drift}")


def versions_here() -> dict[str, str]:
    return {name: version for name in LIBRARIES if (version := installed(name)) is not None}


def weights_of(bundle: Bundle) -> dict[str, str]:
    """Hashes of the networks' weights; what else a bundle carries changes no prediction."""
    return {name: value for name, value in bundle.card.parts.items() if name.startswith("member")}


@pytest.mark.parametrize("name", ["risk", "hazards", "highest_scores", "teacher_risk", "importance_head"])
def test_drift_is_noticed_and_tells_both_versions(name: str) -> None:
    record = json.loads(GOLDEN.read_text())
    expected = record["predictions"][2]
    assert set(record["versions"]) >= {"torch", "numpy"}

    def drifted(by: float) -> dict[str, object]:
        return {**expected, name: (np.asarray(expected[name]) + by).tolist()}

    compare(drifted(TOLERANCE / 2), expected, record["versions"])
    with pytest.raises(AssertionError, match=rf"{name}: recorded with .*torch.*, found with .*torch"):
        compare(drifted(2 * TOLERANCE), expected, record["versions"])


@pytest.mark.usefixtures("threads")
def test_one_and_two_threads_agree(bundle: Bundle) -> None:
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(predicted(bundle, len(SIZES) - 1))
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], rtol=0, atol=TOLERANCE, err_msg=name)


def test_three_runs_give_equal_bytes(bundle: Bundle) -> None:
    texts = {json.dumps(predicted(bundle, 3)) for _ in range(3)}
    assert len(texts) == 1


if __name__ == "__main__":
    demo = open_bundle(demo_bundle_path())
    golden = {
        "weights": weights_of(demo),
        "versions": versions_here(),
        "predictions": [predicted(demo, seed) for seed in range(len(SIZES))],
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
