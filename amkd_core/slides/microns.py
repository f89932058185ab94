"""Micrometres per pixel: found, checked, and never guessed in silence.

The order is: the user's value, vendor metadata, TIFF resolution tags, objective power. A value outside
0.02 to 50 um per pixel (a 72 dpi resolution tag gives 352.8) tells nothing and counts as missing. One whose x and y
differ by more than 5 %, or that the objective power contradicts, is in doubt: it is not taken unless the user gives it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from amkd_core.errors import ConfigError, MissingMicronsError
from amkd_core.slides.info import Microns, SlideInfo

SMALLEST_MPP = 0.02
LARGEST_MPP = 50.0
MICRONS_TIMES_POWER = 10.0
"""A 20x objective is taken as 0.5 um per pixel, a 40x one as 0.25."""

MOST_OBLONG = 1.05
"""Most that x and y may differ, as a ratio: the tolerance that the physical size of a bundle's patches has."""

LENS_POWER = frozenset({"dicom", "mirax", "ome-tiff", "sakura", "zeiss"})
"""Formats that record the power of the lens: with its camera a 20x lens of 3DHISTECH gives 0.23 um per pixel.

There a power that is far from the scale contradicts nothing; it is told. Others record the scan's own magnification.
"""

_CONTRADICTION = 1.6


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


def read_mpp(text: str) -> float | tuple[float, float]:
    """Read micrometres per pixel as users write them: ``0.25``, or ``0.25,0.5`` for x and y.

    Two numbers without a point, as ``0,25``, may be one with a decimal comma, and are refused.

    Raises
    ------
    ConfigError
        If it is neither, or a value is not between 0.02 and 50.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or ("," in text and "." not in text):
        how = "a point for the decimal comma" if "," in text else "0.25, or 0.25,0.5 for x and y"
        raise ConfigError(f"mpp is {text.strip()!r}, which is no number; write {how}")
    mpp = values[0] if len(values) == 1 else (values[0], values[1])
    user_microns(mpp)
    return mpp


def choose_microns(
    found: Microns | None, resolution: Microns | None, objective_power: float | None
) -> Microns | None:
    """Take the first plausible of vendor metadata, resolution tags and objective power.

    Parameters
    ----------
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
            return replace(candidate, contradicted_by=power.mean)
    return None


def _contradict(chosen: Microns, power: Microns) -> bool:
    return not 1 / _CONTRADICTION < chosen.mean / power.mean < _CONTRADICTION


def is_oblong(microns: Microns) -> bool:
    """Tell whether x and y differ by more than 5 %."""
    return max(microns.x, microns.y) > min(microns.x, microns.y) * MOST_OBLONG


def is_in_doubt(found: Microns, vendor: str) -> bool:
    """Tell whether what a file of this format says of its scale contradicts itself, so that the user must decide."""
    return is_oblong(found) or (found.contradicted_by is not None and vendor not in LENS_POWER)


def doubt_of(recorded: Microns) -> str:
    """What speaks against a recorded scale, to be read after the slide's name."""
    shape = ", which are not square" if is_oblong(recorded) else ""
    power = recorded.contradicted_by
    against = "" if power is None else f", but its objective power means about {power:.4g}"
    return f"records {recorded.text} micrometres per pixel{shape}{against}"


def microns_of(info: SlideInfo) -> Microns:
    """A slide's micrometres per pixel.

    Raises
    ------
    MissingMicronsError
        If nothing tells it, or the file contradicts itself, and the user gave none.
    """
    if info.microns is None:
        raise missing_microns(info.path, info.recorded)
    return info.microns


def missing_microns(path: Path, recorded: Microns | None = None) -> MissingMicronsError:
    """Build the error for a slide whose scale nothing tells, or is in doubt, naming the three ways to give it.

    Parameters
    ----------
    path
        The slide.
    recorded
        What the file tells and is in doubt, or None.
    """
    how = (
        "in a column 'mpp' of a slide table (amkd extract --mpp-table, whose bags amkd-train reads as well), or in the "
        "dialog of the viewer."
    )
    if recorded is None:
        return MissingMicronsError(
            f"{path} does not tell its micrometres per pixel (vendor metadata, resolution tags and objective power "
            f"are missing or absurd); give it with --mpp (0.25 for most 40x scans, 0.5 for 20x), {how}"
        )
    two = f"{recorded.x:.4g},{recorded.y:.4g}" if is_oblong(recorded) else f"{recorded.mean:.4g}"
    return MissingMicronsError(
        f"{path} {doubt_of(recorded)}; give the right one with --mpp ({two} confirms what is recorded), {how}"
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
