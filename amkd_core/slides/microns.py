"""Micrometres per pixel: found, checked, and never guessed in silence.

The order is: the user's value, vendor metadata, TIFF resolution tags, objective power. A value outside
0.02 to 50 um per pixel (a 72 dpi resolution tag gives 352.8) tells nothing and counts as missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from amkd_core.errors import ConfigError, MissingMicronsError
from amkd_core.private_names import private_logger
from amkd_core.slides.info import Microns

SMALLEST_MPP = 0.02
LARGEST_MPP = 50.0
MICRONS_TIMES_POWER = 10.0
"""A 20x objective is taken as 0.5 um per pixel, a 40x one as 0.25."""

_CONTRADICTION = 1.6
_log = private_logger(__name__)


def is_plausible(mpp: float) -> bool:
    """Tell whether `mpp` (um per pixel) is finite and between 0.02 (included) and 50 (excluded)."""
    return math.isfinite(mpp) and SMALLEST_MPP <= mpp < LARGEST_MPP


def user_microns(mpp: float | tuple[float, float]) -> Microns:
    """Check micrometres per pixel given by the user, as one number or (x, y).

    Raises
    ------
    ConfigError
        If a value is not between 0.02 and 50.
    """
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    if not (is_plausible(x) and is_plausible(y)):
        raise ConfigError(
            f"mpp is {mpp}, but micrometres per pixel must lie between {SMALLEST_MPP} and {LARGEST_MPP:g}; "
            "a 40x scan has about 0.25 and a 20x scan about 0.5."
        )
    return Microns(float(x), float(y), "user")


def microns_from_power(power: float | None) -> Microns | None:
    """Nominal micrometres per pixel of an objective: 10 um divided by its power; None for an absurd power."""
    if power is None or not math.isfinite(power) or not 1 <= power <= 150:
        return None
    return Microns(MICRONS_TIMES_POWER / power, MICRONS_TIMES_POWER / power, "objective_power")


def microns_from_resolution(x: float, y: float, unit: str) -> Microns | None:
    """Micrometres per pixel from TIFF resolution tags.

    Parameters
    ----------
    x, y
        Pixels per `unit`.
    unit
        "inch" or "centimeter"; anything else has no physical meaning and gives None.
    """
    length_um = {"inch": 25_400.0, "centimeter": 10_000.0}.get(unit.lower())
    if length_um is None or not (x > 0 and y > 0):
        return None
    return Microns(length_um / x, length_um / y, "tiff_resolution")


def choose_microns(
    path: Path,
    found: Microns | None,
    resolution: Microns | None,
    objective_power: float | None,
) -> Microns | None:
    """Take the first plausible of vendor metadata, resolution tags and objective power.

    Parameters
    ----------
    path
        Named in the log when sources contradict each other.
    found
        Vendor metadata, or None.
    resolution
        From TIFF resolution tags, or None.
    objective_power
        Nominal magnification, or None.

    Returns
    -------
    Microns or None
        With `contradicted_by` where the objective power means another scale; None when nothing tells.
    """
    power = microns_from_power(objective_power)
    for candidate in (found, resolution, power):
        if candidate is not None and is_plausible(candidate.x) and is_plausible(candidate.y):
            if power is None or not _contradict(candidate, power):
                return candidate
            _log.warning(
                "%s states %.4g um per pixel, but its objective power means about %.4g; the former is used. "
                "Give mpp if that is wrong.",
                path,
                candidate.mean,
                power.mean,
            )
            return replace(candidate, contradicted_by=power.mean)
    return None


def _contradict(chosen: Microns, power: Microns) -> bool:
    return not 1 / _CONTRADICTION < chosen.mean / power.mean < _CONTRADICTION


def missing_microns(path: Path) -> MissingMicronsError:
    """Build the error for a slide whose scale nothing tells, naming the three ways to give it."""
    return MissingMicronsError(
        f"{path} does not tell its micrometres per pixel (vendor metadata, resolution tags and objective power "
        "are missing or absurd); give it with --mpp (0.25 for most 40x scans, 0.5 for 20x), in a column 'mpp' of "
        "a slide table (amkd extract --mpp-table, whose bags amkd-train reads as well), or in the dialog of the viewer."
    )


def microns_of_properties(
    properties: Mapping[str, str], vendor: str
) -> tuple[Microns | None, Microns | None]:
    """Read vendor and resolution-tag microns from OpenSlide's properties.

    OpenSlide derives ``openslide.mpp-x`` of a generic TIFF from the resolution tags; that is told apart here.
    """
    x, y = _number(properties.get("openslide.mpp-x")), _number(properties.get("openslide.mpp-y"))
    found = None if vendor == "generic-tiff" or x is None or y is None else Microns(x, y, "vendor")
    across, down = _number(properties.get("tiff.XResolution")), _number(properties.get("tiff.YResolution"))
    if across is None or down is None:
        return found, None
    return found, microns_from_resolution(across, down, properties.get("tiff.ResolutionUnit", "none"))


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return None
