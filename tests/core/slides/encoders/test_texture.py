"""The texture encoder: same numbers every time, finite for every patch, and telling tissues apart."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from amkd_core.errors import EncoderError
from amkd_core.slides.encoders import texture_features
from amkd_core.slides.encoders.texture import (
    FEATURE_NAMES,
    LARGEST_VALUE,
    TextureEncoder,
    definition_sha256,
    raw_features,
)
from amkd_core.slides.encoders.texture_fields import EOSIN, HAEMATOXYLIN, fields_of

WHITE, BLACK, STROMA, SPARSE, DENSE, NOISE = range(6)


@pytest.fixture(scope="module")
def encoder() -> TextureEncoder:
    return TextureEncoder()


def stained(h: float, e: float) -> np.ndarray:
    """A patch of one stain mixture, in optical density, by the vectors of Ruifrok and Johnston."""
    vectors = np.array([HAEMATOXYLIN, EOSIN])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rgb = 256 * 10 ** -(np.array([h, e]) @ vectors) - 1
    return np.broadcast_to(np.round(rgb), (1, 256, 256, 3)).astype(np.uint8)


def test_every_patch_gives_finite_features_in_range(encoder: TextureEncoder, patches: np.ndarray) -> None:
    features = encoder.encode(patches)
    assert features.shape == (6, 89) == (6, encoder.identity.dimension)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= LARGEST_VALUE


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 64), st.sampled_from([1, 255]))
def test_any_patch_gives_finite_features(seed: int, cell: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, spread + 1, (1, 256 // cell + 1, 256 // cell + 1, 3), dtype=np.uint8)
    image = coarse.repeat(cell, axis=1).repeat(cell, axis=2)[:, :256, :256]
    assert np.isfinite(TextureEncoder().encode(image)).all()


def test_a_patch_does_not_depend_on_its_batch(encoder: TextureEncoder, patches: np.ndarray) -> None:
    batch = encoder.encode(np.concatenate([patches] * 4))  # longer than what is measured at once
    for index, image in enumerate(patches):
        alone = encoder.encode(image[None])[0]
        for copy in range(4):
            np.testing.assert_allclose(batch[index + 6 * copy], alone, atol=2e-4)


def test_features_follow_turned_patches_where_they_should(
    encoder: TextureEncoder, patches: np.ndarray
) -> None:
    turned = np.ascontiguousarray(np.rot90(patches, axes=(1, 2)))
    features, same = raw_features(patches), raw_features(turned)
    for name in ("h_mean", "blob_density", "nuclei_area_mean", "coherence_fine_near", "share_white"):
        np.testing.assert_allclose(same[name], features[name], atol=1e-3, err_msg=name)
    assert encoder.encode(turned).shape == (6, 89)


@pytest.mark.parametrize(("h", "e"), [(0.5, 0.0), (0.0, 0.4), (0.4, 0.3)])
def test_the_stains_are_separated(h: float, e: float) -> None:
    features = raw_features(stained(h, e))
    assert features["h_mean"][0] == pytest.approx(h, abs=0.02)
    assert features["e_mean"][0] == pytest.approx(e, abs=0.02)
    assert features["rest_mean"][0] == pytest.approx(0, abs=0.02)
    assert features["h_std"][0] == pytest.approx(0, abs=1e-3)


def test_nuclei_are_counted_and_sized() -> None:
    rows, columns = np.mgrid[:256, :256]
    small = stained(0.05, 0.2)[0].copy()
    large = small.copy()
    for row in range(32, 256, 64):
        for column in range(32, 256, 64):
            distance = (rows - row) ** 2 + (columns - column) ** 2
            small[distance < 7**2] = stained(0.8, 0.1)[0, 0, 0]  # radius 3.5 um: 38 um2
            large[distance < 14**2] = stained(0.8, 0.1)[0, 0, 0]  # radius 7 um: 154 um2
    features = raw_features(np.stack([small, large]))
    area_01mm2 = 128 * 128 / 10_000
    np.testing.assert_allclose(np.expm1(features["nuclei_density"]) * area_01mm2, [16, 16], atol=1e-6)
    np.testing.assert_allclose(np.exp(features["nuclei_area_mean"]), [38.5, 154], rtol=0.12)
    assert (features["nuclei_elongation_mean"] < 0.1).all()
    assert features["blob_share_large"][1] > features["blob_share_large"][0]
    assert np.expm1(features["blob_density"][0]) * area_01mm2 == pytest.approx(16, abs=0.01)


def test_fibres_are_aligned_and_noise_is_not(patches: np.ndarray) -> None:
    features = raw_features(patches)
    assert features["coherence_coarse_whole"][STROMA] > 0.8
    assert features["coherence_coarse_whole"][NOISE] < 0.1
    assert features["coherence_fine_far"][STROMA] > 2 * features["coherence_fine_far"][DENSE]


def test_tissues_that_matter_lie_apart(encoder: TextureEncoder, patches: np.ndarray) -> None:
    """Turned copies of a tissue lie nearer to it than any other tissue does."""
    kinds = patches[[STROMA, SPARSE, DENSE]]
    features = encoder.encode(kinds)
    turned = encoder.encode(np.ascontiguousarray(np.rot90(kinds, 2, axes=(1, 2))))
    distances = np.linalg.norm(features[:, None] - turned[None], axis=2)
    assert (distances.argmin(axis=1) == np.arange(3)).all()
    assert (np.diag(distances) < 0.3 * (distances + 1e9 * np.eye(3)).min(axis=1)).all()


def test_lymphocytes_stroma_and_tumour_of_real_slides_vary_more_than_one_region(
    encoder: TextureEncoder, shared: Path
) -> None:
    tiles = sorted((shared / "slides/tiles").glob("nucls_*.png"))
    features = encoder.encode(np.stack([np.asarray(Image.open(path).convert("RGB")) for path in tiles]))
    assert np.abs(features).max() < LARGEST_VALUE
    # Of about unit spread over real tissue, no feature constant and none out of range.
    assert 0.2 < np.median(features.std(axis=0)) < 1.5


def test_the_definition_is_pinned(patches: np.ndarray) -> None:
    """Bags made by version 1 must stay comparable: a change here needs a new version in texture.py."""
    identity = TextureEncoder().identity
    assert (identity.name, identity.version) == ("texture", "1")
    assert identity.weights_sha256 == definition_sha256()
    measured = {name: raw_features(patches)[name][DENSE] for name in GOLDEN}
    for name, value in GOLDEN.items():
        assert measured[name] == pytest.approx(value, rel=2e-3, abs=2e-4), name


# Of the patch with dense nuclei, in the measures' own units, as version 1 first gave them.
GOLDEN = {
    "h_mean": 0.37801,
    "e_q75": 0.15428,
    "share_blood": 0,
    "blob_density": 4.2567,
    "blob_contrast_mean": 0.11327,
    "blob_clustering": 0.50613,
    "nuclei_area_mean": 4.7444,
    "nuclei_elongation_mean": 0.31468,
    "h_band0": -1.0707,
    "e_band7": -2.5175,
    "coherence_fine_near": 0.42151,
    "roughness_mean": 0.2261,
    "h_unevenness32": 0.050763,
    "saturation_mean": 0.41684,
}


def test_the_hash_follows_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = definition_sha256()
    assert len(bytes.fromhex(before)) == hashlib.sha256().digest_size
    monkeypatch.setattr(texture_features, "BLOB_CONTRAST", 0.04)
    assert definition_sha256() != before


def test_names_are_those_measured_and_unique(patches: np.ndarray) -> None:
    assert set(raw_features(patches[:1])) == set(FEATURE_NAMES)
    assert len(FEATURE_NAMES) == 89


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 224, 224, 3), dtype=np.uint8),
        np.zeros((1, 256, 256, 3), dtype=np.float32),
        np.zeros((256, 256, 3), dtype=np.uint8),
        np.zeros((1, 256, 256, 4), dtype=np.uint8),
    ],
)
def test_other_images_are_refused(encoder: TextureEncoder, images: np.ndarray) -> None:
    with pytest.raises(EncoderError, match=r"takes uint8 patches of \(b, 256, 256, 3\), got"):
        encoder.encode(images)


def test_an_empty_batch_gives_an_empty_table(encoder: TextureEncoder) -> None:
    assert encoder.encode(np.zeros((0, 256, 256, 3), dtype=np.uint8)).shape == (0, 89)


def test_fields_have_the_stated_shapes(patches: np.ndarray) -> None:
    fields = fields_of(patches)
    assert fields.h.shape == fields.e.shape == fields.rest.shape == (6, 128, 128)
    assert fields.density.shape == fields.colour.shape == (6, 3, 128, 128)
    assert fields.h_quarter.shape == fields.h_coarse[0].shape == (6, 64, 64)
    assert fields.fine_h.shape == (6,)


def test_encoding_by_texture_needs_no_torch() -> None:
    code = (
        "import sys, numpy as np\n"
        "from amkd_core.slides.encoders import load_encoder\n"
        "load_encoder('texture').encode(np.zeros((1, 256, 256, 3), dtype=np.uint8))\n"
        "assert not {'torch', 'timm', 'torchvision', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
