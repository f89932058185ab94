"""Versions that are refused at the start: older ones crash on hostile files, or run what is in them."""

from __future__ import annotations

import importlib.metadata
from functools import cache

from amkd_core.errors import ConfigError

FLOORS = {
    "torch": "2.10",  # weights_only=True could be got round before (CVE-2025-32434, CVE-2026-24747)
    "openslide-bin": "4.0.1",  # memory written by damaged slides before (CVE-2026-48977, CVE-2026-54604)
    "h5py": "3.12",
    "pillow": "10.3",
    "tifffile": "2024.8.10",
    "safetensors": "0.5",
}
"""Lowest version of each library that parses what a user hands in."""


def installed(package: str) -> str | None:
    """Installed version of a package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


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
    old = {
        package: version
        for package, version in found.items()
        if version is not None and is_older(version, FLOORS[package])
    }
    if old:
        named = ", ".join(
            f"{package} {version} (expected {FLOORS[package]} or newer)" for package, version in old.items()
        )
        wanted = " ".join(f"'{package}>={FLOORS[package]}'" for package in old)
        raise ConfigError(f"too old to be safe with files from others: {named}; run pip install {wanted}")
