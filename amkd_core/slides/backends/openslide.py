"""Slides by the OpenSlide library: most scanner formats, MIRAX and DICOM among them."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import openslide
from PIL import Image

from amkd_core.errors import SlideError, SlideReadError
from amkd_core.slides.backends.base import BackendFacts, Pixels
from amkd_core.slides.info import Bounds
from amkd_core.slides.microns import choose_microns, microns_of_properties
from amkd_core.slides.scaling import halved

_SIDES = ("width", "height")
_LARGEST_ASSOCIATED_PX = 1 << 26


def detect_format(path: Path) -> str | None:
    """Name of the format as OpenSlide sees it, or None; reads only the beginning of the file."""
    name: str | None = openslide.OpenSlide.detect_format(path)
    return name


class OpenSlideBackend:
    """A slide read by OpenSlide.

    One native handle serves all threads without a lock. A failed read breaks a handle for good, so the
    same read is tried once more on a handle of its own: a good region read at the same moment as a
    damaged one is not lost, and the slide stays readable after any number of failures.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        self._handle: Any = self._open()
        try:
            self._facts = self._gather(self._handle)
            self._downsamples: tuple[float, ...] = tuple(self._handle.level_downsamples)
        except openslide.OpenSlideError as error:
            raise SlideError(f"{path} cannot be opened: {_words(error)}.") from error

    @property
    def facts(self) -> BackendFacts:
        """See `Backend.facts`."""
        return self._facts

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def downsamples(self) -> tuple[float, ...]:
        """OpenSlide's own downsample per level, by which it places regions."""
        return self._downsamples

    def read(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """See `Backend.read`."""
        factor = self._downsamples[level]
        return self.read_at((round(xy_px[0] * factor), round(xy_px[1] * factor)), level, size_px)

    def read_at(self, xy_level0: tuple[int, int], level: int, size_px: tuple[int, int]) -> Pixels:
        """Read as OpenSlide does, the corner given at level 0."""
        handle = self._shared()
        try:
            return over_white(handle.read_region(xy_level0, level, size_px))
        except openslide.OpenSlideError:
            self._drop(handle)
        return self._read_alone(xy_level0, level, size_px)

    def read_halved(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """See `Backend.read_halved`."""
        return halved(self.read(level, xy_px, size_px))

    def associated_image(self, name: str) -> Pixels:
        """See `Backend.associated_image`."""
        handle = self._shared()
        width, height = (handle.properties.get(f"openslide.associated.{name}.{side}") for side in _SIDES)
        if (_int(width) or 0) * (_int(height) or 0) > _LARGEST_ASSOCIATED_PX:
            raise SlideReadError(
                f"Image {name!r} of {self._path} claims {width} x {height} px; it is not read."
            )
        try:
            return over_white(handle.associated_images[name])
        except openslide.OpenSlideError as error:
            self._drop(handle)
            raise SlideReadError(
                f"Image {name!r} of {self._path} cannot be read: {_words(error)}."
            ) from error

    def close(self) -> None:
        """See `Backend.close`."""
        # The native handle closes when its last user lets go: closing it under a reading thread would crash.
        with self._lock:
            self._closed = True
            self._handle = None

    def _open(self) -> Any:
        try:
            return openslide.OpenSlide(self._path)
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise SlideError(f"{self._path} is in no format that OpenSlide knows.") from error
        except (openslide.OpenSlideError, OSError) as error:
            raise SlideError(f"{self._path} cannot be opened: {_words(error)}.") from error

    def _shared(self) -> Any:
        with self._lock:
            if self._closed:
                raise SlideReadError(f"{self._path} was closed; open it again to read from it.")
            if self._handle is None:
                self._handle = self._open()
            return self._handle

    def _drop(self, broken: Any) -> None:
        with self._lock:
            if self._handle is broken:
                self._handle = None

    def _read_alone(self, xy_level0: tuple[int, int], level: int, size_px: tuple[int, int]) -> Pixels:
        handle = self._open()
        try:
            pixels = over_white(handle.read_region(xy_level0, level, size_px))
        except openslide.OpenSlideError as error:
            raise SlideReadError(
                f"{self._path}: the {size_px[0]} x {size_px[1]} px region at x={xy_level0[0]}, y={xy_level0[1]} "
                f"(level {level}) cannot be read: {_words(error)}."
            ) from error
        with self._lock:
            if self._handle is None and not self._closed:
                self._handle = handle
        return pixels

    def _gather(self, handle: Any) -> BackendFacts:
        properties = _readable(handle.properties)
        vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
        power = _float(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER))
        found, resolution = microns_of_properties(properties, vendor)
        width = _int(properties.get("openslide.level[0].tile-width"))
        height = _int(properties.get("openslide.level[0].tile-height"))
        return BackendFacts(
            backend="openslide",
            vendor=vendor,
            sizes_px=tuple((int(w), int(h)) for w, h in handle.level_dimensions),
            microns=choose_microns(found, resolution, power),
            objective_power=power,
            bounds=_bounds(properties, handle.dimensions),
            tile_size_px=(width, height) if width and height else None,
            associated=tuple(sorted(handle.associated_images)),
        )


def over_white(image: Image.Image) -> Pixels:
    """Lay an RGBA image over white; (height, width, 3) uint8."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        ground.alpha_composite(image)
        image = ground
    return np.array(image.convert("RGB"))


def _bounds(properties: dict[str, str], size_px: tuple[int, int]) -> Bounds:
    names = (
        openslide.PROPERTY_NAME_BOUNDS_X,
        openslide.PROPERTY_NAME_BOUNDS_Y,
        openslide.PROPERTY_NAME_BOUNDS_WIDTH,
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
    )
    x, y, width, height = (_int(properties.get(name)) for name in names)
    if x is None or y is None or not width or not height:
        return Bounds(0, 0, int(size_px[0]), int(size_px[1]))
    left, top = min(max(x, 0), size_px[0]), min(max(y, 0), size_px[1])
    return Bounds(left, top, min(width, size_px[0] - left), min(height, size_px[1] - top))


def _float(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _int(text: str | None) -> int | None:
    value = _float(text)
    return None if value is None else int(value)


def _words(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


def _readable(properties: Mapping[str, str]) -> dict[str, str]:
    """Properties that can be read; a damaged file lists names that are no text, and that nothing is found under."""
    found = {}
    for name in properties:
        with suppress(KeyError):
            found[name] = properties[name]
    return found
