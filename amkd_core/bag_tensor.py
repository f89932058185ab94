"""Bare tensors (CLAM's ``.pt``), read without running any code that such a file may carry.

A ``.pt`` file is a zip whose parts have checksums, which torch does not look at: they are compared here first, since a
damaged tensor is otherwise accepted as other numbers.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import BagError

if TYPE_CHECKING:
    import torch

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
    if not zipfile.is_zipfile(path):
        size = path.stat().st_size
        raise BagError(
            f"{path.name}: {'is empty' if size == 0 else 'is neither HDF5 nor a .pt file'}, {_EXPECTED}"
        )
    _check_archive(path)
    return _as_array(_load(path), path)


def _check_archive(path: Path) -> None:
    """Refuse compressed parts (torch never writes them, bombs are made of them) and damaged ones."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [
                item.filename for item in archive.infolist() if item.compress_type != zipfile.ZIP_STORED
            ]
            if packed:
                raise BagError(
                    f"{path.name}: part {packed[0]!r} is compressed, as in no .pt file, {_EXPECTED}; it was not read"
                )
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as cause:
        if isinstance(cause, BagError):
            raise
        raise BagError(f"{path.name}: is a damaged .pt file ({cause}), {_EXPECTED}") from cause
    if damaged is not None:
        raise BagError(
            f"{path.name}: the checksum of its part {damaged!r} does not match, the file is damaged"
        )


def _load(path: Path) -> Any:
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        OverflowError,
    ) as cause:  # what the restricted unpickler raises for content that is not plain tensors
        raise BagError(
            f"{path.name}: is damaged or holds more than a tensor, {_EXPECTED}; it was not run"
        ) from cause


def _as_array(loaded: Any, path: Path) -> NDArray[np.floating]:
    import torch

    if not isinstance(loaded, torch.Tensor):
        raise BagError(
            f"{path.name}: holds {type(loaded).__name__}, expected one floating-point tensor of shape (n, d)"
        )
    tensor = loaded.detach()
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or not tensor.is_floating_point() or tensor.ndim != 2:
        kind = f"{tensor.dtype} {tuple(tensor.shape)}" + ("" if plain else " without plain numbers")
        raise BagError(f"{path.name}: holds {kind}, expected one floating-point tensor of shape (n, d)")
    _check_strides(tensor, path)
    values: NDArray[np.floating] = (
        tensor.double().numpy() if tensor.dtype == torch.float64 else tensor.float().numpy()
    )
    return np.ascontiguousarray(values)


def _check_strides(tensor: torch.Tensor, path: Path) -> None:
    """A stride of zero makes a few bytes look like terabytes; nothing may be copied before this is known."""
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise BagError(
            f"{path.name}: declares shape {tuple(tensor.shape)} over fewer bytes than that; it was not read"
        )
