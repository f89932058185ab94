"""What the feature files of other tools record: CLAM, TRIDENT, STAMP and bare tensors.

A layout is recognised by what is in the file, not by its name; nothing is added to what the file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import MAX_PATCHES
from amkd_core.bag_rows import has_batch_axis
from amkd_core.bag_tensor import read_tensor
from amkd_core.errors import BagError
from amkd_core.hdf5_guard import open_hdf5, read_attributes, read_dataset


@dataclass(frozen=True)
class Recorded:
    """What a foreign file itself tells; None where it is silent."""

    layout: str
    features: NDArray[Any]
    coords: NDArray[Any] | None = None
    coords_in_um: bool = False
    encoder_name: str | None = None
    mpp: float | None = None
    magnification: float | None = None
    patch_size_px: int | None = None
    patch_size_level0: int | None = None
    slide_size_level0: tuple[int, int] | None = None


def read_layout(path: Path) -> Recorded:
    """Read a feature file that another tool wrote.

    Raises
    ------
    BagError
        When the file is no feature file, is damaged, or holds no row per patch.
    """
    if h5py.is_hdf5(path):
        with open_hdf5(path, BagError) as file:
            recorded = _read_hdf5(file, path)
    else:
        recorded = Recorded("tensor", read_tensor(path))
    shape = recorded.features.shape
    if 0 in shape:
        raise BagError(f"{path.name}: holds no patches, features have shape {shape}; leave the slide out")
    if len(shape) != 2:
        raise BagError(
            f"{path.name}: features have shape {shape}, expected one row per patch (n, d), not one vector per slide"
        )
    return recorded


def _read_hdf5(file: h5py.File, path: Path) -> Recorded:
    root = read_attributes(file, path=path, error=BagError)
    if "amkd_format" in root:
        raise BagError(
            f"{path.name}: a bag of ours whose checksum is missing; it was changed, extract the slide again"
        )
    name = next((name for name in ("features", "feats") if name in file), None)
    if name is None:
        found = ", ".join(sorted(file)) or "nothing"
        raise BagError(
            f"{path.name}: holds {found}, expected a dataset named features (CLAM, TRIDENT) or feats (STAMP)"
        )
    features = read_dataset(file, name, path=path, error=BagError, max_rows=MAX_PATCHES)
    if has_batch_axis(features.shape):
        features = features[0]
    own = read_attributes(file[name], path=path, error=BagError)
    coords, attributes = None, {}
    if "coords" in file:
        coords = read_dataset(file, "coords", path=path, error=BagError, kinds="iuf", max_rows=MAX_PATCHES)
        attributes = read_attributes(file["coords"], path=path, error=BagError)
    if name == "feats" and root.get("unit") == "um":
        return _stamp(features, coords, root, path)
    if "patch_size_level0" in attributes:
        return _trident(features, coords, {**own, **attributes}, path)
    return Recorded("CLAM" if name == "features" else "plain feats", features, coords)


def _stamp(
    features: NDArray[Any], coords: NDArray[Any] | None, attributes: Mapping[str, Any], path: Path
) -> Recorded:
    if attributes.get("feat_type", "tile") != "tile":
        raise BagError(
            f"{path.name}: holds {attributes['feat_type']} features, expected those of tiles (STAMP feat_type tile)"
        )
    size_um, size_px = _number(attributes, "tile_size_um", path), _number(attributes, "tile_size_px", path)
    return Recorded(
        layout="STAMP",
        features=features,
        coords=coords,
        coords_in_um=True,
        encoder_name=_text(attributes, "extractor"),
        mpp=size_um / size_px if size_um and size_px else None,
        patch_size_px=None if size_px is None else round(size_px),
    )


def _trident(
    features: NDArray[Any], coords: NDArray[Any] | None, attributes: Mapping[str, Any], path: Path
) -> Recorded:
    magnification = _number(attributes, "target_magnification", path)
    size_px, size_level0 = (_number(attributes, name, path) for name in ("patch_size", "patch_size_level0"))
    width, height = (_number(attributes, name, path) for name in ("level0_width", "level0_height"))
    return Recorded(
        layout="TRIDENT",
        features=features,
        coords=coords,
        encoder_name=_text(attributes, "encoder"),
        magnification=magnification,
        mpp=None if magnification is None else 10 / magnification,
        patch_size_px=None if size_px is None else round(size_px),
        patch_size_level0=None if size_level0 is None else round(size_level0),
        slide_size_level0=(round(width), round(height)) if width and height else None,
    )


def _number(attributes: Mapping[str, Any], name: str, path: Path) -> float | None:
    value = attributes.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise BagError(f"{path.name}: its attribute {name} is {value!r}, expected a positive number")
    return float(value)


def _text(attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name)
    return value.strip() or None if isinstance(value, str) else None
