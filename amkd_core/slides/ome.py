"""Scale and magnification from OME-XML, and whether an image that it names lies in this file."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass

from amkd_core.slides.info import Microns

_UM_PER_UNIT = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6}


@dataclass(frozen=True)
class OmeImage:
    """What OME-XML says of one image; None where it says nothing usable.

    Attributes
    ----------
    size_px
        (width, height).
    elsewhere
        Whether its pixels lie in another file: the files of a set all hold the text of the whole set.
    """

    name: str
    microns: Microns | None
    objective_power: float | None
    n_planes: int = 1
    size_px: tuple[int, int] | None = None
    elsewhere: bool = False


def read_ome(xml: str, file_name: str = "") -> tuple[OmeImage, ...]:
    """Read the images of an OME-XML text, in their order; none where the text is damaged.

    Parameters
    ----------
    file_name
        Of the file that holds the text.
    """
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return ()
    powers = {
        objective.get("ID"): _number(objective.get("NominalMagnification"))
        for objective in root.iter()
        if _tag(objective) == "Objective"
    }
    own = (root.get("UUID"), file_name)
    return tuple(_image(element, powers, own) for element in root if _tag(element) == "Image")


def image_of_page(images: Sequence[OmeImage], place: int, size_px: tuple[int, int]) -> OmeImage:
    """What the text says of a picture of this file; nothing where it cannot be told which of its images that is.

    Parameters
    ----------
    place
        Among the file's pictures, which are in the order of the images unless some of these lie elsewhere.
    size_px
        (width, height) of the picture.
    """
    nothing = OmeImage("", None, None)
    if not any(image.elsewhere for image in images):
        image = images[place] if place < len(images) else nothing
        return image if image.size_px in (None, size_px) else nothing
    here = [image for image in images if not image.elsewhere] or images
    alike = [image for image in here if image.size_px == size_px]
    return alike[0] if len(alike) == 1 else nothing


def _image(
    image: ElementTree.Element, powers: dict[str | None, float | None], own: tuple[str | None, str]
) -> OmeImage:
    microns = power = size = None
    n_planes, elsewhere = 1, False
    for child in image:
        if _tag(child) == "ObjectiveSettings":
            power = powers.get(child.get("ID"))
        if _tag(child) == "Pixels":
            x, y = (_length_um(child, axis) for axis in "XY")
            microns = Microns(x, y, "vendor") if x is not None and y is not None else None
            n_planes, size, elsewhere = _n_planes(child), _size_px(child), _is_elsewhere(child, own)
    return OmeImage(image.get("Name", ""), microns, power, n_planes, size, elsewhere)


def _is_elsewhere(pixels: ElementTree.Element, own: tuple[str | None, str]) -> bool:
    """Whether all its planes are said to lie in files of another identifier and another name."""
    files = [element for element in pixels.iter() if _tag(element) == "UUID"]
    uuid, name = own
    return bool(files) and not any(
        (element.text or "").strip() == uuid or element.get("FileName") == name for element in files
    )


def _size_px(pixels: ElementTree.Element) -> tuple[int, int] | None:
    width, height = (_number(pixels.get(f"Size{axis}")) for axis in "XY")
    if width is None or height is None or not (1 <= width < 1e9 and 1 <= height < 1e9):
        return None
    return int(width), int(height)


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
