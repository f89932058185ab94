"""Bags of other tools: CLAM, TRIDENT, STAMP and bare tensors (FIELD notes: layouts read in their sources).

A layout is recognised by what is in the file, not by its name. What a file does not record is asked of
the user once, all of it in one sentence; it is never guessed, and a bag made so is marked unverified.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.errors import BagError
from amkd_core.hdf5_guard import MAX_DATASET_BYTES, MAX_EXPANSION, SMALL_BYTES, open_hdf5, read_dataset
from amkd_core.notices import Notice

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class BagAssumptions:
    """What the user states about a foreign bag; None leaves it to the file.

    Parameters
    ----------
    encoder
        What made the features.
    mpp
        Micrometres per pixel of a patch as the encoder saw it.
    patch_size_px
        Side of that patch in pixels.
    patch_size_level0
        Side of a patch in level-0 pixels of the slide.
    slide_mpp
        Micrometres per level-0 pixel; turns coordinates in micrometres (STAMP) into pixels.
    """

    encoder: EncoderIdentity | None = None
    mpp: float | None = None
    patch_size_px: int | None = None
    patch_size_level0: int | None = None
    slide_mpp: float | None = None


HOW_TO_GIVE = {
    "encoder": "--encoder NAME",
    "mpp": "--bag-mpp UM_PER_PX",
    "patch_size_px": "--patch-size PX",
    "patch_size_level0": "--patch-size-level0 PX",
    "slide_mpp": "--mpp UM_PER_PX",
}


@dataclass(frozen=True)
class _Recorded:
    """What a foreign file itself tells."""

    layout: str
    features: NDArray[Any]
    coords: NDArray[Any] | None = None
    coords_in_um: bool = False
    encoder_name: str | None = None
    mpp: float | None = None
    patch_size_px: int | None = None
    patch_size_level0: int | None = None
    slide_size_level0: tuple[int, int] | None = None


def read_foreign_bag(path: Path, assume: BagAssumptions) -> FeatureBag:
    """Read a bag that another tool wrote.

    Raises
    ------
    BagError
        When the file is no bag, or records too little and `assume` does not say the rest.
    """
    if h5py.is_hdf5(path):
        with open_hdf5(path, BagError) as file:
            recorded = _read_hdf5(file, path)
    else:
        recorded = _read_tensor(path)
    if recorded.features.ndim != 2 or recorded.features.shape[0] == 0:
        raise BagError(f"{path.name}: holds no patches, features have shape {recorded.features.shape}")
    return _complete(recorded, assume, path)


def _read_hdf5(file: h5py.File, path: Path) -> _Recorded:
    if "amkd_format" in file.attrs:
        raise BagError(
            f"{path.name}: a bag of ours whose checksum is missing; it was changed, extract the slide again"
        )
    name = next((name for name in ("features", "feats") if name in file), None)
    if name is None:
        found = ", ".join(sorted(file)) or "nothing"
        raise BagError(
            f"{path.name}: holds {found}, expected a dataset named features (CLAM, TRIDENT) or feats (STAMP)"
        )
    features = read_dataset(file, name, path=path, error=BagError)
    if features.ndim == 3 and features.shape[0] == 1:  # some writers keep a batch axis
        features = features[0]
    coords = (
        read_dataset(file, "coords", path=path, error=BagError, kinds="iuf") if "coords" in file else None
    )
    attributes = dict(file["coords"].attrs) if coords is not None else {}
    if name == "feats" and file.attrs.get("unit") == "um":
        return _stamp(features, coords, file.attrs)
    if "patch_size_level0" in attributes:
        encoder_name = file[name].attrs.get("encoder")
        return _trident(features, coords, attributes, None if encoder_name is None else str(encoder_name))
    return _Recorded("CLAM" if name == "features" else "plain feats", features, coords)


def _stamp(features: NDArray[Any], coords: NDArray[Any] | None, attributes: Mapping[str, Any]) -> _Recorded:
    size_um, size_px = attributes.get("tile_size_um"), attributes.get("tile_size_px")
    return _Recorded(
        layout="STAMP",
        features=features,
        coords=coords,
        coords_in_um=True,
        encoder_name=str(attributes["extractor"]) if "extractor" in attributes else None,
        mpp=float(size_um) / float(size_px) if size_um and size_px else None,
        patch_size_px=int(size_px) if size_px else None,
    )


def _trident(
    features: NDArray[Any],
    coords: NDArray[Any] | None,
    attributes: Mapping[str, Any],
    encoder_name: str | None,
) -> _Recorded:
    magnification = float(attributes.get("target_magnification", 0))
    width, height = attributes.get("level0_width"), attributes.get("level0_height")
    return _Recorded(
        layout="TRIDENT",
        features=features,
        coords=coords,
        encoder_name=encoder_name,
        mpp=10 / magnification if magnification > 0 else None,
        patch_size_px=int(attributes["patch_size"]) if "patch_size" in attributes else None,
        patch_size_level0=int(attributes["patch_size_level0"]),
        slide_size_level0=(int(width), int(height)) if width and height else None,
    )


def _read_tensor(path: Path) -> _Recorded:
    """Read a bare tensor (CLAM's ``.pt``) without running any code that the file may carry."""
    expected = "expected a feature bag (HDF5, or a .pt file holding one tensor)"
    if not zipfile.is_zipfile(path):
        size = path.stat().st_size
        raise BagError(
            f"{path.name}: {'is empty' if size == 0 else 'is neither HDF5 nor a .pt file'}, {expected}"
        )
    with zipfile.ZipFile(path) as archive:
        declared = sum(member.file_size for member in archive.infolist())
    limit = min(MAX_DATASET_BYTES, max(SMALL_BYTES, MAX_EXPANSION * path.stat().st_size))
    if declared > limit:
        raise BagError(
            f"{path.name}: declares {declared / 2**30:.1f} GiB, more than such a file can hold; it was not read"
        )
    import pickle

    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as cause:
        raise BagError(
            f"{path.name}: is damaged or holds more than a tensor, {expected}; it was not run"
        ) from cause
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point() or tensor.ndim != 2:
        found = (
            f"{tensor.dtype} {tuple(tensor.shape)}"
            if isinstance(tensor, torch.Tensor)
            else type(tensor).__name__
        )
        raise BagError(f"{path.name}: holds {found}, expected one floating-point tensor of shape (n, d)")
    # A stride of zero makes a few bytes look like terabytes; nothing may be copied before this is known.
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise BagError(
            f"{path.name}: declares shape {tuple(tensor.shape)} over fewer bytes than that; it was not read"
        )
    return _Recorded("tensor", tensor.float().contiguous().numpy())


def _complete(recorded: _Recorded, assume: BagAssumptions, path: Path) -> FeatureBag:
    """Join what the file records with what the user states; a recorded value wins, a contradiction stops."""
    mpp = _settle("mpp", recorded.mpp, assume.mpp, path)
    patch_size_px = _settle("patch_size_px", recorded.patch_size_px, assume.patch_size_px, path)
    encoder = assume.encoder or _named_encoder(recorded)
    needed: dict[str, Any] = {"encoder": encoder, "mpp": mpp, "patch_size_px": patch_size_px}
    patch_size_level0 = _settle(
        "patch_size_level0", recorded.patch_size_level0, assume.patch_size_level0, path
    )
    coords = recorded.coords
    if coords is not None:
        if recorded.coords_in_um:
            needed["slide_mpp"] = assume.slide_mpp
        else:
            needed["patch_size_level0"] = patch_size_level0
    missing = [name for name, value in needed.items() if value is None]
    if missing or encoder is None:
        asked = ", ".join(f"{name} ({HOW_TO_GIVE[name]})" for name in missing)
        raise BagError(f"{path.name}: this {recorded.layout} bag does not record {asked}; please give it")
    if coords is not None and recorded.coords_in_um:
        coords, patch_size_level0 = _to_level0(coords, assume.slide_mpp, float(mpp) * int(patch_size_px))
    return FeatureBag(
        features=recorded.features.astype(np.float32, copy=False),
        encoder=replace(encoder, dimension=encoder.dimension or recorded.features.shape[1]),
        patch_size_px=int(patch_size_px),
        mpp=float(mpp),
        slide_id=path.stem,
        coords=None if coords is None else np.asarray(coords, dtype=np.int64),
        patch_size_level0=None if patch_size_level0 is None else (int(patch_size_level0),) * 2,
        slide_size_level0=recorded.slide_size_level0,
        slide_mpp=None if assume.slide_mpp is None else (assume.slide_mpp,) * 2,
        slide_mpp_source=None if assume.slide_mpp is None else "user",
        notices=tuple(_notices(recorded)),
        verified=False,
    )


def _settle(name: str, recorded: Any, assumed: Any, path: Path) -> Any:
    if recorded is not None and assumed is not None and not np.isclose(recorded, assumed, rtol=0.01):
        raise BagError(
            f"{path.name}: records {name} {recorded:g}, but {HOW_TO_GIVE[name].split()[0]} says {assumed:g}; "
            "leave the option out, or check which file this is"
        )
    return recorded if recorded is not None else assumed


def _named_encoder(recorded: _Recorded) -> EncoderIdentity | None:
    if not recorded.encoder_name:
        return None
    return EncoderIdentity(
        recorded.encoder_name, "", recorded.features.shape[1], "", NOT_RECORDED, NOT_RECORDED, NOT_RECORDED
    )


def _to_level0(
    coords: NDArray[Any], slide_mpp: float | None, size_um: float
) -> tuple[NDArray[np.int64], int]:
    scale = 1.0 if slide_mpp is None else 1 / slide_mpp
    return np.rint(coords * scale).astype(np.int64), round(size_um * scale)


def _notices(recorded: _Recorded) -> list[Notice]:
    notices = [
        Notice(
            "unverified_bag",
            f"The features come from a {recorded.layout} file whose encoder weights and source slide are not recorded; "
            "whether they fit the model could not be verified.",
        )
    ]
    if recorded.coords is None:
        notices.append(
            Notice(
                "no_map",
                "The feature file records no coordinates, so the attention cannot be drawn as a map.",
            )
        )
    return notices
