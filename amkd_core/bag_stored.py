"""Where the numbers of a bag of ours lie in its file, so that HDF5 is asked for nothing more than that.

A damaged or forged file can keep the HDF5 library busy for ever, so it is asked in a process of its own; the numbers
are then read where they lie, at the speed of the disk and without that library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import MAX_PATCHES
from amkd_core.errors import BagError
from amkd_core.golden_features import N_PATCHES
from amkd_core.hdf5_guard import check_dataset, open_hdf5, read_attributes

FORMAT_VERSION = 1
MAX_RECORD_BYTES = 2**20
GOLDEN = "golden_"
# Numbers that a bag may hold: of which kind, and how long at most.
_MEMBERS = {
    "features": ("f", MAX_PATCHES),
    "coords": ("i", MAX_PATCHES),
    "slide_index": ("i", MAX_PATCHES),
    f"{GOLDEN}features": ("f", N_PATCHES),
    f"{GOLDEN}settings": ("i", N_PATCHES),
}


@dataclass(frozen=True)
class Stored:
    """The text of a bag's record, and of each of its arrays type, shape and first byte."""

    record: str
    places: dict[str, tuple[str, list[int], int]]


def find_stored(path: Path) -> Stored:
    """Ask HDF5 what a bag of ours holds.

    Raises
    ------
    BagError
        When the file is damaged, of a later release, or stored otherwise than `write_bag` does.
    """
    with open_hdf5(path, BagError) as file:
        attributes = read_attributes(file, path=path, error=BagError)
        version = attributes.get("amkd_format", 0)
        if version != FORMAT_VERSION:
            raise BagError(
                f"{path.name}: bag format {version}, this release reads {FORMAT_VERSION}; upgrade or extract again"
            )
        text = attributes.get("amkd_record")
        if not isinstance(text, str) or len(text) > MAX_RECORD_BYTES or "features" not in file:
            raise BagError(f"{path.name}: the bag's record or features are missing; extract the slide again")
        return Stored(text, {name: _place(file, name, path) for name in _MEMBERS if name in file})


def _place(file: h5py.File, name: str, path: Path) -> tuple[str, list[int], int]:
    kinds, max_rows = _MEMBERS[name]
    dataset = check_dataset(file, name, path=path, error=BagError, kinds=kinds, max_rows=max_rows)
    whole = dataset.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
    # Where the type is numpy's own, the bytes are read as they are.
    if not whole or dataset.id.get_type() != h5py.h5t.py_create(dataset.dtype):
        raise BagError(f"{path.name}: {name} is not stored as in any bag of ours; extract the slide again")
    return dataset.dtype.str, list(dataset.shape), dataset.id.get_offset() or 0


def read_stored(path: Path, stored: Stored) -> dict[str, NDArray[Any]]:
    """The arrays of a bag of ours, by the names of their members.

    Raises
    ------
    BagError
        When they do not lie within the file.
    """
    size = path.stat().st_size
    arrays = {}
    for name, (dtype, shape, offset) in stored.places.items():
        kind, count = np.dtype(dtype), math.prod(shape)
        if kind.kind not in "if" or min(offset, *shape) < 0 or offset + count * kind.itemsize > size:
            raise BagError(f"{path.name}: {name} reaches beyond the end of the file; extract the slide again")
        arrays[name] = np.fromfile(path, kind, count, offset=offset).reshape(shape)
    return arrays
