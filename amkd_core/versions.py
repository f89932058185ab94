"""Versions that are refused at the start: older ones crash on hostile files, or run what is in them."""

from __future__ import annotations

import importlib.metadata
from functools import cache

from amkd_core.errors import ConfigError

FLOORS = {
    "torch": "2.10",  # weights_only=True could be got round before (CVE-2025-32434, CVE-2026-24747)
    "openslide-bin": "4.0.1",  # memory written by damaged slides before (CVE-2026-48977, CVE-2026-54604)
    "h5py": "3.12",
    "imagecodecs": "2024.6.1",
    "openpyxl": "3.1",
    "pandas": "2.2.3",
    "pillow": "10.3",
    "pyarrow": "16",  # loading of a Parquet file's types could run code below 14.0.1 (CVE-2023-47248)
    "pydantic": "2.12",
    "safetensors": "0.5",
    "simplejpeg": "1.8",
    "tifffile": "2024.8.10",
}
"""Lowest version of each library that parses what a user hands in."""

_OPENSLIDE = "openslide-bin"
_LIBRARIES = {_OPENSLIDE: "OpenSlide"}


def installed(package: str) -> str | None:
    """Installed version of a package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def loaded_openslide() -> str | None:
    """Version of the OpenSlide library that slides are read by, None where none can be loaded.

    Without the package openslide-bin that is a distribution's own, of which no package tells.
    """
    try:
        import openslide
    except (ImportError, OSError):
        return None
    return str(openslide.__library_version__)


def is_older(version: str, floor: str) -> bool:
    """Whether a version lies below a floor; local parts such as ``+cpu`` do not count."""
    from packaging.version import Version

    return Version(Version(version).public) < Version(floor)


@cache
def require_versions() -> None:
    """Refuse to start on libraries that are too old; all of them are named at once.

    Raises
    ------
    ConfigError
        With the command that installs newer ones.
    """
    found = {package: installed(package) for package in FLOORS}
    found[_OPENSLIDE] = loaded_openslide() or found[_OPENSLIDE]
    old = {
        package: version
        for package, version in found.items()
        if version is not None and is_older(version, FLOORS[package])
    }
    if old:
        named = ", ".join(
            f"{_LIBRARIES.get(package, package)} {version} (expected {FLOORS[package]} or newer)"
            for package, version in old.items()
        )
        wanted = " ".join(f"'{package}>={FLOORS[package]}'" for package in old)
        raise ConfigError(f"too old to be safe with files from others: {named}; run pip install {wanted}")
