"""Files that torch wrote, read without running any code that they may carry; the one place that unpickles anything.

Most are zips whose parts have checksums, which torch does not look at: they are compared here first, since a damaged
tensor is otherwise accepted as other numbers. It is called in a process of its own (`amkd_core.bag_child`).
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amkd_core.errors import AmkdError

if TYPE_CHECKING:
    from torch import Tensor

Refuse = Callable[[str], AmkdError]
"""Makes the error of what is wrong with a file."""


def check_archive(path: Path, refuse: Refuse) -> None:
    """Refuse compressed parts (torch never writes them, bombs are made of them) and damaged ones."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [
                item.filename for item in archive.infolist() if item.compress_type != zipfile.ZIP_STORED
            ]
            damaged = None if packed else archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as cause:
        raise refuse(f"is a damaged .pt file ({cause})") from cause
    if packed:
        raise refuse(f"part {packed[0]!r} is compressed, as in no .pt file; it was not read")
    if damaged is not None:
        raise refuse(f"the checksum of its part {damaged!r} does not match, the file is damaged")


def load_plain(path: Path, refuse: Refuse, *, mapped: bool = False) -> Any:
    """What a file holds, where that is tensors and plain containers.

    Parameters
    ----------
    mapped
        Leave the numbers in the file until they are used; for zips only.

    Raises
    ------
    AmkdError
        As `refuse` makes it, of fixed words: torch's own propose to run the code.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
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
        raise refuse("is damaged or holds more than a tensor; it was not run") from cause


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is numbers in memory, one behind the other."""
    import torch

    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def check_strides(tensor: Tensor, refuse: Refuse, *, name: str = "") -> None:
    """A stride of zero makes a few bytes look like terabytes; nothing may be copied before this is known."""
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        which = f"{name!r} " if name else ""
        raise refuse(
            f"{which}declares shape {tuple(tensor.shape)} over fewer bytes than that; it was not read"
        )
