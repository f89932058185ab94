"""Scale and magnification from OME-XML."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from amkd_core.slides.info import Microns

_UM_PER_UNIT = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6}


@dataclass(frozen=True)
class OmeImage:
    """What OME-XML says of one image; None where it says nothing usable."""

    name: str
    microns: Microns | None
    objective_power: float | None
    n_planes: int = 1


def read_ome(xml: str) -> tuple[OmeImage, ...]:
    """Read the images of an OME-XML text, in their order; none where the text is damaged."""
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return ()
    powers = {
        objective.get("ID"): _number(objective.get("NominalMagnification"))
        for objective in root.iter()
        if _tag(objective) == "Objective"
    }
    return tuple(_image(element, powers) for element in root if _tag(element) == "Image")


def _image(image: ElementTree.Element, powers: dict[str | None, float | None]) -> OmeImage:
    microns = power = None
    n_planes = 1
    for child in image:
        if _tag(child) == "ObjectiveSettings":
            power = powers.get(child.get("ID"))
        if _tag(child) == "Pixels":
            x, y = (_length_um(child, axis) for axis in "XY")
            microns = Microns(x, y, "vendor") if x is not None and y is not None else None
            n_planes = _n_planes(child)
    return OmeImage(image.get("Name", ""), microns, power, n_planes)


def _n_planes(pixels: ElementTree.Element) -> int:
    sizes = [_number(pixels.get(f"Size{axis}", "1")) for axis in "ZCT"]
    return math.prod(int(size) if size is not None and 1 <= size < 1e9 else 1 for size in sizes)


def _length_um(pixels: ElementTree.Element, axis: str) -> float | None:
    value = _number(pixels.get(f"PhysicalSize{axis}"))
    factor = _UM_PER_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    return None if value is None or factor is None else value * factor


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
