"""Our bag file: HDF5 that CLAM and TRIDENT users can read, with provenance and a checksum.

Layout: ``features`` (n, d) contiguous, ``coords`` (n, 2) at level 0 with the attributes that TRIDENT
writes on it, and as a root attribute a JSON record of provenance. HDF5 reserves bytes in front of its own data for
others (the user block); ours holds a SHA-256 of all that follows. It is checked before the HDF5 library sees the
file, because that library accepts most damaged files as different data without a word. From some it never returns,
and a fitting checksum can be forged: a process of its own asks it where the numbers lie. It writes into memory: on a
full disk it was seen to end the process.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import write_bytes
from amkd_core.bag import FeatureBag, bag_of_file
from amkd_core.bag_apart import find_stored_apart
from amkd_core.bag_formats import BagAssumptions, read_foreign_bag
from amkd_core.bag_record import fields_of, record_of
from amkd_core.bag_stored import FORMAT_VERSION, GOLDEN, read_stored
from amkd_core.errors import BagError, DamagedBagError
from amkd_core.golden_features import GoldenFeatures

USER_BLOCK_BYTES = 512  # the smallest that HDF5 allows
MAGIC = b"AMKD feature bag, HDF5 follows; sha256 "


def write_bag(
    path: Path | str, bag: FeatureBag, *, precision: Literal["float32", "float16"] = "float32"
) -> None:
    """Write a bag atomically.

    Parameters
    ----------
    path
        Final path, usually ``<slide_id>.h5``.
    precision
        "float16" halves the file; features are rounded to it.

    Raises
    ------
    BagError
        When a feature is too large for float16.
    OSError
        When the folder is not writable or the disk is full; what was there under `path` stays.
    """
    with np.errstate(over="ignore"):
        features = np.ascontiguousarray(bag.features, dtype=precision)
    if not np.isfinite(features).all():
        raise BagError(
            f"{bag.slide_id}: features reach {np.abs(bag.features).max():g}, more than {precision} holds"
        )
    coords = None if bag.coords is None else np.ascontiguousarray(bag.coords, dtype=np.int64)
    record = json.dumps(record_of(bag), sort_keys=True)
    image = io.BytesIO()
    with h5py.File(image, "w", userblock_size=USER_BLOCK_BYTES) as file:
        file.create_dataset("features", data=features)
        if coords is not None:
            dataset = file.create_dataset("coords", data=coords)
            dataset.attrs.update(_trident_attributes(bag))
        if bag.n_slides > 1:
            file.create_dataset("slide_index", data=bag.slide_index)
        if bag.golden is not None:
            for name, array in bag.golden.to_arrays().items():
                file.create_dataset(GOLDEN + name, data=array)
        file.attrs["amkd_format"] = FORMAT_VERSION
        file.attrs["amkd_record"] = record
        file.attrs["encoder"] = bag.encoder.name
    with image.getbuffer() as content:
        checksum = hashlib.sha256(content[USER_BLOCK_BYTES:]).hexdigest()
        content[:USER_BLOCK_BYTES] = (MAGIC + checksum.encode()).ljust(USER_BLOCK_BYTES, b"\0")
        write_bytes(path, content)


def read_bag(path: Path | str, *, assume: BagAssumptions | None = None) -> FeatureBag:
    """Read a bag of ours, or one of CLAM, TRIDENT or STAMP, or a bare ``.pt`` tensor.

    Parameters
    ----------
    assume
        What a foreign file does not record, stated by the user.

    Raises
    ------
    BagError
        When the file is no bag, is damaged, or records too little and `assume` does not say the rest;
        the message then lists every missing field and how to give it.
    """
    path = Path(path)
    if path.is_dir():
        raise BagError(f"{path.name}: is a folder, expected one feature bag (.h5 or .pt)")
    if not path.is_file():
        raise BagError(f"{path.name}: no such file, expected a feature bag (.h5 or .pt)")
    if not is_own_bag(path):
        return read_foreign_bag(path, assume or BagAssumptions())
    _verify(path)
    return _read_ours(path)


def is_own_bag(path: Path) -> bool:
    """Whether a file begins as our bags do, whole or not; nothing more of it is read."""
    with path.open("rb") as raw:
        return raw.read(len(MAGIC)) == MAGIC


def _trident_attributes(bag: FeatureBag) -> dict[str, Any]:
    """Attributes that TRIDENT writes on ``coords``; magnifications are nominal (10 um / um per px)."""
    attributes: dict[str, Any] = {
        "patch_size": bag.patch_size_px,
        "target_magnification": round(10 / bag.mpp),
        "overlap": 0,
        "name": bag.slide_id,
        "savetodir": ".",
    }
    if bag.patch_size_level0 is not None:
        attributes["patch_size_level0"] = bag.patch_size_level0[0]
    if bag.slide_mpp is not None:
        attributes["level0_magnification"] = round(10 / bag.slide_mpp[0])
    if bag.slide_size_level0 is not None:
        attributes["level0_width"], attributes["level0_height"] = bag.slide_size_level0
    return attributes


def _checksum(path: Path) -> str:
    """SHA-256 of everything behind the user block."""
    with path.open("rb") as raw:
        raw.seek(USER_BLOCK_BYTES)
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _verify(path: Path) -> None:
    """Refuse a bag of ours that was changed or cut short since it was written."""
    with path.open("rb") as raw:
        block = raw.read(USER_BLOCK_BYTES)
    expected = (MAGIC + _checksum(path).encode()).ljust(USER_BLOCK_BYTES, b"\0")
    if block != expected:
        raise DamagedBagError(
            f"{path.name}: the checksum does not match, the file is damaged; extract the slide again"
        )


def _read_ours(path: Path) -> FeatureBag:
    stored = find_stored_apart(path)
    arrays = read_stored(path, stored)
    features, coords = arrays["features"], arrays.get("coords")
    index = arrays.get("slide_index", np.zeros(features.shape[:1], dtype=np.int32))
    try:
        golden = _golden(arrays) if f"{GOLDEN}features" in arrays else None
        fields = fields_of(stored.record)
    except ValueError as cause:
        raise BagError(f"{path.name}: {cause}; extract the slide again") from cause
    return bag_of_file(path, features=features, coords=coords, slide_index=index, golden=golden, **fields)


def _golden(arrays: dict[str, NDArray[Any]]) -> GoldenFeatures:
    if f"{GOLDEN}settings" not in arrays:
        raise BagError("the settings of its golden patches are missing")
    return GoldenFeatures.from_arrays({name: arrays[GOLDEN + name] for name in ("features", "settings")})
