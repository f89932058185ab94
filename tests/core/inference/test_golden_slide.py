"""A small slide that OpenSlide reads, to its texture features: the same numbers on every supported version."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from slide_files import write_tiff
from test_golden_predictions import versions_here

from amkd_core.slides import open_slide
from amkd_core.slides.encoders.texture import FEATURE_NAMES, TextureEncoder

GOLDEN = Path(__file__).with_name("golden_slide.json")
SIDE_PX, N_PATCHES = 256, 3
TOLERANCE = 1e-5
# Both are lossless; plain tiles are taken from the file once they were found equal to OpenSlide's.
READ_BY = {"deflate": "openslide", None: "direct"}
GLASS, STROMA, NUCLEUS = (242, 240, 243), (214, 150, 196), (98, 62, 140)


def fixed_pixels() -> np.ndarray:
    """RGB uint8 (256, 768, 3) by whole numbers alone: glass, stroma with scattered nuclei, and dense nuclei."""
    generator = np.random.Generator(np.random.PCG64(7))
    rows, columns = np.mgrid[:SIDE_PX, : SIDE_PX * N_PATCHES]
    pixels = np.empty((*rows.shape, 3), dtype=np.int64)
    pixels[:] = np.where(columns[..., None] < 60, GLASS, STROMA)
    for draw in generator.random((420, 4)):
        # Four in five of the nuclei lie in the last patch.
        left, width = (80, 430) if draw[3] < 0.2 else (520, 240)
        x, y, radius = int(left + draw[0] * width), int(draw[1] * SIDE_PX), int(4 + draw[2] * 4)
        pixels[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = NUCLEUS
    grain = (generator.random(pixels.shape) * 13).astype(np.int64) - 6
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def read_patches(folder: Path, compression: str | None) -> np.ndarray:
    """The slide's patches as a slide is read, RGB uint8 (3, 256, 256, 3)."""
    whole = fixed_pixels()
    # Of two levels, for tifffile reads what has one.
    path = write_tiff(folder / "golden.tiff", [whole, whole[::2, ::2]], mpp=0.5, compression=compression)
    with open_slide(path) as slide:
        assert slide.info.backend == READ_BY[compression]
        corners = [(index * SIDE_PX, 0) for index in range(N_PATCHES)]
        return np.stack([slide.read_region(xy, 0, (SIDE_PX, SIDE_PX)) for xy in corners])


@pytest.mark.parametrize("compression", READ_BY)
def test_pixels_and_features_are_those_on_record(tmp_path: Path, compression: str | None) -> None:
    """Run as a script, this file writes them anew after the texture encoder's features were changed."""
    patches = read_patches(tmp_path, compression)
    whole = fixed_pixels()
    expected = whole.reshape(SIDE_PX, N_PATCHES, SIDE_PX, 3).swapaxes(0, 1)
    np.testing.assert_array_equal(patches, expected)
    compare(TextureEncoder().encode(patches))


def compare(features: np.ndarray) -> None:
    """Equal within the tolerance; else the feature is named, with the libraries of both runs."""
    record = json.loads(GOLDEN.read_text())
    assert record["version"] == TextureEncoder().identity.version, (
        "the encoder is another: write the record anew"
    )
    assert features.shape == (N_PATCHES, len(FEATURE_NAMES))
    drift = f"recorded with {record['versions']}, found with {versions_here()}"
    for name, found in zip(FEATURE_NAMES, features.T, strict=True):
        np.testing.assert_allclose(
            found, record["features"][name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"{name}: {drift}"
        )


def test_the_record_tells_patches_apart_and_notices_drift() -> None:
    record = json.loads(GOLDEN.read_text())["features"]
    features = np.array([record[name] for name in FEATURE_NAMES], dtype=np.float64).T
    assert sum(len(set(values)) == N_PATCHES for values in record.values()) > len(FEATURE_NAMES) * 2 / 3
    compare(features)
    for column, name in enumerate(FEATURE_NAMES):
        drifted = features.copy()
        drifted[1, column] += 3 * TOLERANCE * max(1, abs(drifted[1, column]))
        with pytest.raises(AssertionError, match=rf"{name}: recorded with .*numpy.*, found with .*numpy"):
            compare(drifted)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        encoded = TextureEncoder().encode(read_patches(Path(scratch), "deflate"))
    golden = {
        "version": TextureEncoder().identity.version,
        "versions": versions_here(),
        "features": {name: values.tolist() for name, values in zip(FEATURE_NAMES, encoded.T, strict=True)},
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
