"""Opening HDF5 files that somebody else made, without following them anywhere.

HDF5 may point at other local files (external storage, external links, virtual datasets) and may
declare sizes that no file holds (FAULTS rows 4 and 5); each is looked at before any data are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import AmkdError

# Features of real slides compress to a half at best, and very sparse ones to a thirtieth. gzip would reach 1,030 to 1,
# which makes a gigabyte of nothing out of a megabyte.
MAX_EXPANSION = 100
MAX_DATASET_BYTES = 32 * 2**30
SMALL_BYTES = 64 * 2**20


@contextmanager
def open_hdf5(path: Path, error: type[AmkdError]) -> Iterator[h5py.File]:
    """Open `path` read-only, refusing files whose members lead outside it.

    Raises
    ------
    AmkdError
        Of the given kind: not HDF5, damaged, or with links or storage outside the file.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            _check_members(file, path, error)
            yield file
    except (OSError, RuntimeError, KeyError, ValueError) as cause:
        if isinstance(cause, AmkdError):
            raise
        raise error(
            f"{path.name}: cannot be read as HDF5, the file is damaged or cut short ({cause})"
        ) from cause


def read_dataset(
    file: h5py.File,
    name: str,
    *,
    path: Path,
    error: type[AmkdError],
    kinds: str = "f",
    max_rows: int | None = None,
) -> NDArray[Any]:
    """Read one whole dataset after `check_dataset`."""
    dataset = check_dataset(file, name, path=path, error=error, kinds=kinds, max_rows=max_rows)
    values: NDArray[Any] = np.asarray(dataset[()])
    return values


def check_dataset(
    file: h5py.File,
    name: str,
    *,
    path: Path,
    error: type[AmkdError],
    kinds: str = "f",
    max_rows: int | None = None,
) -> h5py.Dataset:
    """One dataset whose type and declared size are as they should be; none of its numbers are read.

    Parameters
    ----------
    kinds
        Allowed numpy type kinds: "f" floating, "iu" integers.
    max_rows
        Largest length of any axis but the last.

    Raises
    ------
    AmkdError
        Of the given kind, naming dataset, what was found and what was expected.
    """
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in kinds:
        found = dataset.dtype if isinstance(dataset, h5py.Dataset) else "a group"
        expected = "floating-point numbers" if kinds == "f" else "numbers"
        raise error(f"{path.name}: {name} must hold {expected}, found {found}")
    shape = dataset.shape or ()
    if max_rows is not None and max(shape[:-1], default=0) > max_rows:
        raise error(f"{path.name}: {name} declares shape {shape}, expected at most {max_rows} rows")
    declared = int(np.prod(shape, dtype=np.float64)) * dataset.dtype.itemsize
    stored = min(dataset.id.get_storage_size(), path.stat().st_size)
    if declared > min(MAX_DATASET_BYTES, max(SMALL_BYTES, MAX_EXPANSION * stored)):
        raise error(
            f"{path.name}: {name} declares shape {shape}, {declared / 2**30:.1f} GiB, "
            f"but the file holds {stored} bytes of it; it was not read"
        )
    return dataset


def read_attributes(
    holder: h5py.File | h5py.Dataset, *, path: Path, error: type[AmkdError]
) -> dict[str, Any]:
    """Attributes of a file or dataset as plain values.

    Raises
    ------
    AmkdError
        Of the given kind, when one of them cannot be decoded.
    """
    try:
        values = dict(holder.attrs.items())
    except (TypeError, ValueError, OSError, RuntimeError, KeyError) as cause:
        raise error(f"{path.name}: attributes of {holder.name} are damaged ({cause})") from cause
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _check_members(file: h5py.File, path: Path, error: type[AmkdError]) -> None:
    for name in file:
        link = file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise error(
                f"{path.name}: {name} is a link to other data, expected the data themselves; not followed"
            )
        member = file[name]
        if isinstance(member, h5py.Dataset) and (member.external or member.is_virtual):
            raise error(
                f"{path.name}: {name} keeps its data in another file, expected them inside; not followed"
            )
