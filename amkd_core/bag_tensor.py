"""Bare tensors (CLAM's ``.pt``), read without running any code that such a file may carry."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag_rows import has_batch_axis
from amkd_core.errors import BagError
from amkd_core.torch_file import check_archive, check_strides, is_plain, load_plain

# A pickle of torch's magic number, with which its files began before they became zips.
_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_EXPECTED = "expected a feature bag (HDF5, or a .pt file holding one tensor)"


def read_tensor(path: Path) -> NDArray[np.floating]:
    """Read the one tensor of a ``.pt`` file.

    Returns
    -------
    array, shape (n, d), float32 or float64

    Raises
    ------
    BagError
        When the file is no such file, is damaged, or holds anything but one two-dimensional floating-point tensor.
    """

    def refuse(reason: str) -> BagError:
        return BagError(f"{path.name}: {reason}, {_EXPECTED}")

    with path.open("rb") as raw:
        if raw.read(len(_OLD)) == _OLD:
            raise BagError(
                f"{path.name}: was written by a torch before 1.6, or in its way, without checksums; expected a file "
                "that a newer torch has saved again, with one tensor in it and nothing else"
            )
    if not zipfile.is_zipfile(path):
        raise refuse("is empty" if path.stat().st_size == 0 else "is neither HDF5 nor a .pt file")
    check_archive(path, refuse)
    return _as_array(load_plain(path, refuse), path)


def _as_array(loaded: Any, path: Path) -> NDArray[np.floating]:
    import torch

    if not isinstance(loaded, torch.Tensor):
        raise BagError(
            f"{path.name}: holds {type(loaded).__name__}, expected one floating-point tensor of shape (n, d)"
        )
    tensor = loaded.detach()
    if has_batch_axis(tensor.shape):
        tensor = tensor[0]
    plain = is_plain(tensor)
    if not plain or not tensor.is_floating_point() or tensor.ndim != 2:
        kind = f"{tensor.dtype} {tuple(tensor.shape)}" + ("" if plain else " without plain numbers")
        raise BagError(f"{path.name}: holds {kind}, expected one floating-point tensor of shape (n, d)")
    check_strides(tensor, lambda reason: BagError(f"{path.name}: {reason}"))
    values: NDArray[np.floating] = (
        tensor.double().numpy() if tensor.dtype == torch.float64 else tensor.float().numpy()
    )
    return np.ascontiguousarray(values)
