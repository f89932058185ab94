"""A slide file, a bundle for the built-in encoder and an expression table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The writers of small slides stand with the tests of slides.
sys.path.append(str(Path(__file__).resolve().parents[1] / "slides"))


@pytest.fixture(scope="session")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramidal TIFF at 0.5 um per pixel, pink blobs on glass."""
    from slide_files import halved, tissue_like, write_tiff

    image = tissue_like(1536, 1280, seed=3)
    return write_tiff(tmp_path_factory.mktemp("slides") / "first.tif", [image, halved(image)])
