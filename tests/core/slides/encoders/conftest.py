"""Patches and small slides to encode."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

# The writers of small slides stand with the tests of slides.
sys.path.append(str(Path(__file__).resolve().parents[1]))


@pytest.fixture(scope="session")
def patches() -> np.ndarray:
    """Patches (6, 256, 256, 3): white, black, stroma, sparse nuclei, dense nuclei, noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:256, :256]
    pink, violet = np.array([222, 150, 190]), np.array([95, 65, 140])
    stroma = pink - 25 * np.sin(columns / 6 + rows / 40)[..., None]
    kinds = [np.full((256, 256, 3), 255), np.zeros((256, 256, 3)), stroma]
    for n_nuclei, radius in ((25, 7), (220, 8)):
        image = np.broadcast_to(pink, (256, 256, 3)).copy()
        for row, column in rng.integers(0, 256, (n_nuclei, 2)):
            image[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = violet
        kinds.append(image)
    kinds.append(rng.integers(0, 256, (256, 256, 3)))
    return np.clip(np.stack(kinds), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def slide_file(tmp_path_factory: pytest.TempPathFactory, patches: np.ndarray) -> Path:
    """A slide of 0.5 um per px: dense and sparse nuclei and stroma, with a margin of glass."""
    image = np.full((1536, 1536, 3), 243, dtype=np.uint8)
    image[256:512, 256:1024] = np.concatenate([patches[4], patches[3], patches[2]], axis=1)
    image[512:768, 256:1024] = np.concatenate([patches[2], patches[4], patches[3]], axis=1)
    path = tmp_path_factory.mktemp("slide") / "small.tif"
    resolution = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path, image, photometric="rgb", tile=(256, 256), compression="deflate", metadata=None, **resolution
    )
    return path
