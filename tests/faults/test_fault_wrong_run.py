"""The right encoder run wrongly: eight golden patches tell a swapped channel, a missing normalisation, another size
of image and other weights from the encoder that the model was trained with, in full and in half precision.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_fixtures import encoder_identity, random_bag, random_bundle
from cohort_fixtures import write_tiny_cohort
from fault_count import FaultCount
from safetensors.torch import save_file

from amkd_core.bag import concatenate_bags
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bundle import Bundle
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import BagError, BundleError, BundleMismatchError, CohortError
from amkd_core.golden_features import GoldenFeatures
from amkd_core.inference.demo import demo_bundle_path
from amkd_core.inference.encoder_check import check_running_encoder
from amkd_core.inference.predict import predict_bag
from amkd_core.slides.encoders import ENCODERS, load_encoder
from amkd_core.slides.encoders.foundation import FoundationEncoder, load_foundation
from amkd_core.slides.encoders.golden_patches import golden_features, golden_patches
from amkd_core.slides.encoders.network import build_network
from amkd_core.slides.encoders.registry import EncoderCard
from amkd_core.training.inputs import read_bags

SMALL = {"embed_dim": 96, "depth": 2, "num_heads": 2}
FAULTS = ("blue for red", "no normalisation", "another side", "other weights")
VISION_TRANSFORMERS = ("uni", "uni2-h", "virchow2", "h-optimus-0")


def small_card(name: str) -> EncoderCard:
    card = ENCODERS[name]
    if name not in VISION_TRANSFORMERS:
        return card
    dimension = 96 * (2 if card.token_policy == "cls+mean_patch" else 1)
    return replace(card, arguments={**card.arguments, **SMALL}, dimension=dimension)


def drawn_weights(card: EncoderCard, path: Path, seed: int) -> Path:
    """Random weights through which an image still shows, as in a trained network: nothing fades with depth."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in build_network(card).state_dict().items():
        drawn = torch.randn(value.shape, generator=generator)
        if not value.is_floating_point():
            state[name] = torch.zeros(value.shape, dtype=value.dtype)
        elif value.ndim > 1 and name.endswith("weight"):
            state[name] = drawn * math.sqrt(1.5 / value[0].numel())
        elif name.endswith(("weight", "gamma", "running_var")):
            state[name] = torch.ones(value.shape)
        else:
            state[name] = 0.02 * drawn
    save_file(state, path)
    return path


class Swapped:
    """The encoder behind a reader that gives BGR."""

    def __init__(self, inner: FoundationEncoder) -> None:
        self.identity, self.patch_size_px, self.mpp = inner.identity, inner.patch_size_px, inner.mpp
        self._inner = inner

    def encode(self, images: np.ndarray) -> np.ndarray:
        return self._inner.encode(np.ascontiguousarray(images[..., ::-1]))


def run_wrongly(fault: str, card: EncoderCard, weights: Path) -> object:
    """An encoder that says it is the right one, as its identity is what a careless script would write."""
    right = load_foundation(card, weights, "cpu")
    assert card.preprocess is not None
    if fault == "blue for red":
        return Swapped(right)
    if fault == "no normalisation":
        card = replace(card, preprocess=replace(card.preprocess, mean=(0.0,) * 3, std=(1.0,) * 3))
    elif fault == "another side":
        side = (
            224
            if card.preprocess.crop_px == 256
            else 256
            if card.arguments.get("patch_size", 14) == 16
            else 252
        )
        arguments = (
            {**card.arguments, "dynamic_img_size": True}
            if card.name in VISION_TRANSFORMERS
            else card.arguments
        )
        preprocess = replace(card.preprocess, resize_px=side, crop_px=side)
        card = replace(card, arguments=arguments, preprocess=preprocess)
    else:
        weights = drawn_weights(card, weights.with_name("other.safetensors"), seed=1)
    wrong = load_foundation(card, weights, "cpu")
    wrong.identity = right.identity
    return wrong


def bundle_of(encoder: object, path: Path) -> Bundle:
    """A bundle on disk whose training bags that encoder made."""
    bundle = replace(random_bundle(encoder=encoder.identity), golden=golden_features(encoder))
    return write_bundle(path, bundle)


def sentence_of(action: Callable[[], None]) -> str:
    """Of the refusal; empty where nothing was refused."""
    try:
        action()
    except BundleMismatchError as error:
        return str(error)
    return ""


def count_faults(name: str, folder: Path, counted: list[FaultCount]) -> FaultCount:
    count = FaultCount(f"encoder run wrongly: {name}")
    counted.append(count)
    card = small_card(name)
    weights = drawn_weights(card, folder / "model.safetensors", seed=0)
    bundle = bundle_of(load_foundation(card, weights, "cpu"), folder / "model.amkd")
    for fault in FAULTS:
        encoder = run_wrongly(fault, card, weights)
        started = time.perf_counter()
        count.cases += 1
        sentence = sentence_of(lambda encoder=encoder: check_running_encoder(encoder, bundle, "slide-1"))
        count.refused, count.different = count.refused + bool(sentence), count.different + (not sentence)
        assert not sentence or sentence.startswith(
            f"slide-1: encoder {name} answers the golden patches otherwise"
        )
        count.slowest = max(count.slowest, time.perf_counter() - started)
    for half in (None, "float16", "bfloat16"):
        encoder = load_foundation(card, weights, "cpu")
        if half is not None:
            encoder.half_precision, encoder._card = True, replace(card, half=half)
        check_running_encoder(encoder, bundle, "slide-1")
        count.cases, count.same = count.cases + 1, count.same + 1
    return count


@pytest.mark.usefixtures("timm_imports")
def test_uni_run_wrongly_in_four_ways_is_refused_and_run_rightly_is_not(
    tmp_path: Path, counted: list[FaultCount]
) -> None:
    count = count_faults("uni", tmp_path, counted)
    assert (count.refused, count.same, count.different) == (4, 3, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("timm_imports")
@pytest.mark.parametrize("name", [*VISION_TRANSFORMERS, "resnet50"])
def test_every_architecture_run_wrongly_is_refused(
    name: str, tmp_path: Path, counted: list[FaultCount]
) -> None:
    count = count_faults(name, tmp_path, counted)
    assert (count.refused, count.same, count.different) == (4, 3, 0)


def test_the_sentence_names_the_cause_that_was_found(tmp_path: Path) -> None:
    texture = load_encoder("texture")
    bundle = bundle_of(texture, tmp_path / "model.amkd")
    with pytest.raises(
        BundleMismatchError, match=r"encoder texture .* worst cosine -?0\.\d+, .*blue for red"
    ):
        check_running_encoder(Swapped(texture), bundle, "slide-1")
    check_running_encoder(texture, bundle, "slide-1")
    check_running_encoder(
        Swapped(texture), replace(bundle, golden=None), "an older bundle compares no features"
    )


def test_a_slide_is_not_encoded_by_an_encoder_that_runs_wrongly(tmp_path: Path) -> None:
    from slide_files import tissue_like, write_tiff

    from amkd_core.inference.predict import encode_for

    texture = load_encoder("texture")
    bundle = bundle_of(texture, tmp_path / "model.amkd")
    slide = write_tiff(tmp_path / "a.tif", [tissue_like(600, 600, seed=1)])
    steps = []
    with pytest.raises(BundleMismatchError, match="golden patches"):
        steps.extend(encode_for(slide, bundle, encoder=Swapped(texture), mpp=0.5, isolated=False))
    assert [step.stage for step in steps] == ["Opening slide"]


def test_bags_carry_the_answers_and_are_refused_by_them(tmp_path: Path) -> None:
    bundle = replace(random_bundle(), golden=random_golden(0))
    for seed, half in ((0, False), (0, True)):
        write_bag(tmp_path / "a.h5", replace(random_bag(), golden=random_golden(seed, half=half)))
        bag = read_bag(tmp_path / "a.h5")
        assert (bag.golden.half, bag.golden.cosine(bundle.golden)) == (half, pytest.approx(1))
        predict_bag(bag, bundle)
    predict_bag(random_bag(), bundle)  # an older bag records none
    wrong = replace(random_bag(), golden=random_golden(1))
    with pytest.raises(
        BundleMismatchError, match="slide: encoder texture answers the golden patches otherwise"
    ):
        predict_bag(wrong, bundle)
    with pytest.raises(BagError, match=r"run differently for the bags of slide and slide \(worst cosine"):
        concatenate_bags([replace(random_bag(), golden=random_golden(0)), wrong], patient_id="P1")


def test_half_precision_is_judged_less_strictly_than_full() -> None:
    rows = random_golden(0, width=1000).features
    noisy = rows + 0.07 * np.random.default_rng(1).normal(size=rows.shape).astype(np.float32)
    exact = GoldenFeatures(rows)
    assert 0.995 < exact.cosine(GoldenFeatures(noisy)) < 0.999
    assert not exact.agrees(GoldenFeatures(noisy))
    assert exact.agrees(GoldenFeatures(noisy, half=True))
    assert GoldenFeatures(rows, half=True).agrees(GoldenFeatures(noisy))


def test_what_every_patch_has_in_common_hides_no_difference() -> None:
    rows = random_golden(0).features
    other = random_golden(1).features
    assert GoldenFeatures(rows + 100).cosine(GoldenFeatures(other + 100)) < 0.9
    assert GoldenFeatures(rows + 100).cosine(GoldenFeatures(rows + 100)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda golden: golden["features"][:7], "must have shape"),
        (lambda golden: golden["features"] * 0, "finite and no row of them all zero"),
        (lambda golden: golden["features"] * np.float32(np.nan), "finite and no row"),
        (lambda golden: golden["features"].astype(np.int64), "must be floats"),
        (lambda golden: golden["features"][:, :5], "its golden features have width 5, its encoder 16"),
    ],
)
def test_bundles_with_impossible_golden_features_are_refused(
    change: Callable[[dict[str, np.ndarray]], np.ndarray],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = random_golden(0).to_arrays()
    monkeypatch.setattr(GoldenFeatures, "to_arrays", lambda self: {**arrays, "features": change(arrays)})
    with pytest.raises(BundleError, match=sentence):
        write_bundle(tmp_path / "a.amkd", replace(random_bundle(), golden=random_golden(0)))


def test_a_cohort_whose_bags_were_made_by_two_ways_of_running_the_encoder_is_refused(tmp_path: Path) -> None:
    toml = write_tiny_cohort(
        tmp_path, name="tiny", n_patients=12, width=16, patches=(2, 4), pathways=((0, 1, 2), (3, 4, 5))
    )
    cohort = read_cohort(toml)
    assert all(bag.golden is not None for bag in read_bags(cohort, tmp_path / "bags").values())
    path = tmp_path / "bags" / "P07s.h5"
    write_bag(path, replace(read_bag(path), golden=random_golden(5)))
    with pytest.raises(CohortError, match="was run differently for the bags of P00 and P07"):
        read_bags(cohort, tmp_path / "bags")


def test_the_demo_bundle_knows_its_encoder() -> None:
    bundle = open_bundle(demo_bundle_path())
    assert bundle.golden is not None
    assert bundle.golden.cosine(golden_features(load_encoder("texture"))) > 0.9999


def test_the_patches_are_the_same_everywhere() -> None:
    """Means of red, green and blue, and corners; a rounding apart is nothing to an encoder."""
    patches = golden_patches()
    assert (patches.shape, patches.dtype) == ((8, 256, 256, 3), np.uint8)
    means = [
        [172.42, 91.77, 125.62],
        [173.47, 110.77, 143.74],
        [184.04, 134.57, 164.66],
        [187.87, 131.95, 158.98],
    ]
    np.testing.assert_allclose(patches[:4].mean(axis=(1, 2)), means, atol=0.01)
    assert golden_patches(224).shape == (8, 224, 224, 3)


def random_golden(
    seed: int, *, half: bool = False, width: int = encoder_identity().dimension
) -> GoldenFeatures:
    return GoldenFeatures(np.random.default_rng(seed).normal(size=(8, width)).astype(np.float32), half)
