"""What of a patch reaches a published network, and at which scale: the whole of it, at the scale that is published."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_fixtures import random_bundle

from amkd_core.bag_file import read_bag, write_bag
from amkd_core.errors import BundleMismatchError
from amkd_core.slides.encoders import ENCODERS, encode_slide
from amkd_core.slides.encoders.foundation import FoundationEncoder
from amkd_core.slides.encoders.registry import EncoderCard
from amkd_core.slides.slide import open_slide

# Side of the patch at 0.5 um per px, side of the network's input, micrometres per pixel of that input.
PUBLISHED = {
    "uni": (256, 224, 0.571),
    "uni2-h": (256, 224, 0.571),
    "conch": (512, 448, 0.571),
    "virchow2": (224, 224, 0.5),
    "h-optimus-0": (224, 224, 0.5),
    "resnet50": (256, 224, 0.571),
}
CHANGED = {"conch", "virchow2", "h-optimus-0", "resnet50"}


class Recorder(torch.nn.Module):
    """A network that keeps what it was given; its features are the means of the colours, repeated."""

    def __init__(self, card: EncoderCard) -> None:
        super().__init__()
        self.card, self.batches = card, []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(batch)
        means = batch.mean(dim=(2, 3)).repeat(1, self.card.dimension)
        if self.card.token_policy == "cls+mean_patch":
            return means[:, None, : self.card.dimension // 2].repeat(1, 6, 1)
        return means[:, : self.card.dimension]


def recording(name: str) -> tuple[FoundationEncoder, Recorder]:
    network = Recorder(ENCODERS[name])
    return FoundationEncoder(ENCODERS[name], network, "0" * 64, torch.device("cpu")), network


def seen_by(name: str, images: list[np.ndarray]) -> np.ndarray:
    """What reaches the network, in grey values of (b, h, w, 3)."""
    encoder, network = recording(name)
    encoder.encode(np.stack(images))
    preprocess = ENCODERS[name].preprocess
    assert preprocess is not None
    pixels = network.batches[0].permute(0, 2, 3, 1).numpy()
    return (pixels * np.array(preprocess.std) + np.array(preprocess.mean)) * 255


def white(side: int) -> np.ndarray:
    return np.full((side, side, 3), 255, dtype=np.uint8)


@pytest.mark.parametrize("name", PUBLISHED)
def test_two_marks_are_as_far_apart_as_the_published_scale_says(name: str) -> None:
    side, side_seen, mpp_seen = PUBLISHED[name]
    image = white(side)
    for middle in (side // 4, 3 * side // 4):
        image[:, middle - 4 : middle + 4] = 0
    (seen,) = seen_by(name, [image])
    assert seen.shape == (side_seen, side_seen, 3)
    dark = 255 - seen.mean(axis=(0, 2))
    left, right = np.split(dark, 2)
    columns = np.arange(side_seen // 2)
    apart = side_seen // 2 + (columns @ right) / right.sum() - (columns @ left) / left.sum()
    assert 0.5 * (side // 2) / apart == pytest.approx(mpp_seen, rel=0.002)


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_edge_of_a_patch_is_cut_off(name: str) -> None:
    """Its tile of the map is coloured by the features, so all of the tile must have a say in them."""
    images = [white(PUBLISHED[name][0]) for _ in range(4)]
    for image, edge in zip(images, (np.s_[:4], np.s_[-4:], np.s_[:, :4], np.s_[:, -4:]), strict=True):
        image[edge] = 0
    seen = seen_by(name, images)
    assert (seen.min(axis=(1, 2, 3)) < 64).all()


def test_a_slide_is_cut_into_patches_of_the_encoders_own_size(slide_file: Path, tmp_path: Path) -> None:
    encoder, network = recording("h-optimus-0")
    with open_slide(slide_file) as slide:
        steps = encode_slide(slide, encoder)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                bag = stop.value
                break
        pixels = [slide.read_region((int(x), int(y)), 0, (224, 224)).mean(axis=(0, 1)) for x, y in bag.coords]
    assert (bag.patch_size_px, bag.patch_size_level0) == (224, (224, 224))
    assert bag.mpp == pytest.approx(0.5)
    assert (bag.coords % 224 == 0).all()
    mean, std = (np.array(values) for values in (encoder._preprocess.mean, encoder._preprocess.std))
    np.testing.assert_allclose(bag.features[:, :3], (np.array(pixels) / 255 - mean) / std, atol=1e-4)
    assert {batch.shape[1:] for batch in network.batches} == {(3, 224, 224)}
    write_bag(tmp_path / "bag.h5", bag)
    kept = read_bag(tmp_path / "bag.h5")
    assert (kept.patch_size_px, kept.patch_size_level0, kept.encoder) == (224, (224, 224), encoder.identity)
    random_bundle(encoder=encoder.identity, teacher=False, patch_size_px=224).check_bag(kept)
    of_256 = random_bundle(encoder=encoder.identity, teacher=False)
    with pytest.raises(BundleMismatchError, match=r"patches of 224 px, but model .* needs 256 px"):
        of_256.check_bag(kept)


def test_features_of_earlier_patches_are_another_version() -> None:
    versions = {name: card.version for name, card in ENCODERS.items()}
    assert {name for name, version in versions.items() if version == "2"} == CHANGED
    assert {recording(name)[0].identity.version for name in CHANGED} == {"2"}


def test_the_page_on_bags_says_what_each_network_sees() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "file-formats.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (\d+) px at 0\.5 um/px \| (\d+) px \| ([\d.]+) \|$", page, re.M)
    stated = {name: (int(side), int(side_seen), float(mpp)) for name, side, side_seen, mpp in rows}
    assert stated == {"texture": (256, 256, 0.5), **PUBLISHED}
    assert {name: (card.patch_size_px, card.mpp) for name, card in ENCODERS.items()} == {
        name: (side, 0.5) for name, (side, _, _) in stated.items()
    }
