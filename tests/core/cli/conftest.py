"""Slides and a bundle on disk, and the command line run in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

# The writers of small slides stand with the tests of slides.
sys.path.append(str(Path(__file__).resolve().parents[1] / "slides"))


@pytest.fixture(scope="session")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramidal TIFF at 0.5 um per pixel, pink blobs on glass."""
    from slide_files import halved, tissue_like, write_tiff

    image = tissue_like(1536, 1280, seed=3)
    return write_tiff(tmp_path_factory.mktemp("slides") / "first.tif", [image, halved(image)])


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bundle for the built-in encoder; its weights are random."""
    from bundle_fixtures import random_bundle

    from amkd_core.bundle_file import write_bundle
    from amkd_core.slides.encoders import load_encoder

    path = tmp_path_factory.mktemp("bundles") / "random.amkd"
    write_bundle(path, random_bundle(encoder=load_encoder("texture").identity, n_members=2))
    return path


@pytest.fixture
def amkd() -> Callable[..., Result]:
    """Run `amkd` with arguments in this process."""
    from amkd_core.cli.main import app

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def refusal(amkd: Callable[..., Result]) -> Callable[..., str]:
    """Run `amkd` with arguments that it refuses, and return its one sentence without "Error: "."""

    def run(*arguments: object) -> str:
        result = amkd(*arguments)
        assert result.exit_code == 2, result.output
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        return lines[0].removeprefix("Error: ")

    return run
