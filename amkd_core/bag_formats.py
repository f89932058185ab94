"""Bags of other tools, completed by what the user states.

What a file does not record is asked of the user once, all of it in one sentence; it is never guessed, a recorded value
is never contradicted, and a bag made so is marked unverified.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import (
    EncoderIdentity,
    FeatureBag,
    alike_in_scale,
    bag_of_file,
    repeated_rows,
    whole_coords,
)
from amkd_core.bag_apart import read_layout_apart
from amkd_core.bag_layouts import Recorded
from amkd_core.bag_rows import alike_rows
from amkd_core.encoder_identity import NOT_RECORDED
from amkd_core.encoder_names import our_encoder_name
from amkd_core.errors import BagError, IncompleteBagError
from amkd_core.file_names import fault_of_encoding
from amkd_core.hash_beside import bare, check_hash_beside
from amkd_core.notices import Notice

__all__ = ["NOT_RECORDED", "BagAssumptions", "read_foreign_bag"]

# Slides of one nominal magnification differ in scale by as much.
NOMINAL_TOLERANCE = 0.25


@dataclass(frozen=True)
class BagAssumptions:
    """What the user states about a foreign bag; None leaves it to the file.

    Parameters
    ----------
    encoder
        What made the features.
    mpp
        Micrometres per pixel of a patch as it was given to the encoder.
    patch_size_px
        Side of that patch in pixels.
    patch_size_level0
        Side of a patch in level-0 pixels of the slide.
    slide_mpp
        Micrometres per level-0 pixel; turns coordinates in micrometres (STAMP) into pixels, and nominal
        magnifications (TRIDENT) into a measured scale.
    slide_id
        Name of the slide; by default the file's.
    """

    encoder: EncoderIdentity | None = None
    mpp: float | None = None
    patch_size_px: int | None = None
    patch_size_level0: int | None = None
    slide_mpp: float | None = None
    slide_id: str | None = None


HOW_TO_GIVE = {
    "encoder": "--encoder NAME",
    "mpp": "--bag-mpp UM_PER_PX",
    "patch_size_px": "--patch-size PX",
    "patch_size_level0": "--patch-size-level0 PX",
    "slide_mpp": "--mpp UM_PER_PX",
}


def read_foreign_bag(path: Path, assume: BagAssumptions) -> FeatureBag:
    """Read a bag that another tool wrote.

    Raises
    ------
    BagError
        When the file is no bag, is not that of the hash beside it, or (`IncompleteBagError`) records too little and
        `assume` does not say the rest.
    """
    if fault := fault_of_encoding(path):
        raise BagError(fault)
    check_hash_beside(path, BagError)
    recorded = read_layout_apart(path)
    return _complete(recorded, assume, path)


def _complete(recorded: Recorded, assume: BagAssumptions, path: Path) -> FeatureBag:
    """Join what the file records with what the user states; a recorded value wins, a contradiction stops."""
    recorded = _measured_scale(recorded, assume, path)
    mpp = _settle("mpp", recorded.mpp, assume.mpp, path)
    patch_size_px = _settle("patch_size_px", recorded.patch_size_px, assume.patch_size_px, path)
    encoder = _settle_encoder(recorded, assume.encoder, path)
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
        raise IncompleteBagError(
            f"{path.name}: this {recorded.layout} bag does not record {asked}; please give it", missing
        )
    if coords is not None and recorded.coords_in_um:
        coords, patch_size_level0 = _to_level0(coords, assume.slide_mpp, float(mpp) * int(patch_size_px))
    _check_length(path, assume.slide_mpp, patch_size_level0, float(mpp) * int(patch_size_px))
    _check_places(path, coords, recorded.slide_size_level0, patch_size_level0)
    features, coords, repeated = _once(recorded.features, coords, path)
    return bag_of_file(
        path,
        features=features,
        encoder=replace(encoder, dimension=encoder.dimension or recorded.features.shape[1]),
        patch_size_px=int(patch_size_px),
        mpp=float(mpp),
        slide_id=assume.slide_id or path.stem,
        coords=coords,
        patch_size_level0=None if patch_size_level0 is None else (int(patch_size_level0),) * 2,
        slide_size_level0=recorded.slide_size_level0,
        slide_mpp=None if assume.slide_mpp is None else (assume.slide_mpp,) * 2,
        slide_mpp_source=None if assume.slide_mpp is None else "user",
        notices=tuple(_notices(recorded, repeated, path)),
        verified=False,
    )


def _check_length(path: Path, slide_mpp: float | None, side_level0: float | None, side_um: float) -> None:
    """A patch is as long by the slide's own pixels as by the encoder's."""
    if slide_mpp is None or side_level0 is None or alike_in_scale((slide_mpp * side_level0, side_um)):
        return
    raise BagError(
        f"{path.name}: a patch of {side_level0:g} level-0 px at {slide_mpp:g} um per px is "
        f"{slide_mpp * side_level0:.4g} um long, but as the encoder saw it {side_um:.4g} um; one of the slide's scale, "
        "the bag's scale and the patch sizes is not this bag's"
    )


def _check_places(
    path: Path, coords: NDArray[Any] | None, size: tuple[int, int] | None, side_level0: float | None
) -> None:
    """A patch touches the slide that it was cut from, as far as the file tells how large that is."""
    if coords is None or size is None or side_level0 is None or coords.ndim != 2 or coords.shape[1] != 2:
        return
    away = np.flatnonzero(((coords >= np.array(size)) | (coords + side_level0 <= 0)).any(axis=1))
    if len(away):
        x, y = (float(value) for value in coords[away[0]])
        raise BagError(
            f"{path.name}: {len(away)} patches lie beside the slide (row {away[0]} at {x:g}, {y:g}), which has "
            f"{size[0]} x {size[1]} level-0 pixels; the coordinates are of another slide or level"
        )


def _settle(name: str, recorded: Any, assumed: Any, path: Path) -> Any:
    if recorded is not None and assumed is not None and not np.isclose(recorded, assumed, rtol=0.01):
        raise BagError(
            f"{path.name}: records {name} {recorded:g}, but {HOW_TO_GIVE[name].split()[0]} says {assumed:g}; "
            "leave the option out, or check which file this is"
        )
    return recorded if recorded is not None else assumed


def _once(
    features: NDArray[Any], coords: NDArray[Any] | None, path: Path
) -> tuple[NDArray[Any], NDArray[np.int64] | None, int]:
    """Every patch once: CLAM lists a patch again where two of its contours overlap.

    Without places a row that repeats another one bit by bit is taken for the same patch.
    """
    places = None if coords is None else whole_coords(coords, path.name)
    if places is None:
        repeated = alike_rows(features)
    elif len(places) == len(features):
        repeated = repeated_rows(features, places, np.zeros(len(places), dtype=np.int32))
    else:
        return features, places, 0
    if not len(repeated):
        return features, places, 0
    kept = np.setdiff1d(np.arange(len(features)), repeated)
    return features[kept], None if places is None else places[kept], len(repeated)


def _measured_scale(recorded: Recorded, assume: BagAssumptions, path: Path) -> Recorded:
    """TRIDENT cuts by nominal magnification; the slide's own scale, or a stated one near it, is the true one."""
    if recorded.magnification is None or recorded.mpp is None:
        return recorded
    if assume.mpp is not None and abs(assume.mpp / recorded.mpp - 1) <= NOMINAL_TOLERANCE:
        return replace(recorded, mpp=assume.mpp, magnification=None)
    if assume.slide_mpp is None or recorded.patch_size_px is None or recorded.patch_size_level0 is None:
        return recorded
    mpp = assume.slide_mpp * recorded.patch_size_level0 / recorded.patch_size_px
    if abs(mpp / recorded.mpp - 1) > NOMINAL_TOLERANCE:
        raise BagError(
            f"{path.name}: records {recorded.magnification:g}x, about {recorded.mpp:g} um per px, but a slide of "
            f"{assume.slide_mpp:g} um per px makes its patches {mpp:.4g}; correct --mpp "
            "(slide_mpp of a cohort), or leave it out"
        )
    return replace(recorded, mpp=mpp, magnification=None)


def _settle_encoder(recorded: Recorded, stated: EncoderIdentity | None, path: Path) -> EncoderIdentity | None:
    if not recorded.encoder_name:
        return stated
    name = our_encoder_name(recorded.encoder_name)
    if stated is None:
        width = recorded.features.shape[1]
        return EncoderIdentity(name, "", width, "", NOT_RECORDED, NOT_RECORDED, NOT_RECORDED)
    if stated.name != name:
        raise BagError(
            f"{path.name}: records encoder {recorded.encoder_name}, but --encoder says {stated.name}; "
            "leave the option out, or check which file this is"
        )
    return stated


def _to_level0(
    coords: NDArray[Any], slide_mpp: float | None, size_um: float
) -> tuple[NDArray[np.float64], int]:
    scale = 1.0 if slide_mpp is None else 1 / slide_mpp
    return coords * scale, round(size_um * scale)


def _notices(recorded: Recorded, n_repeated: int, path: Path) -> list[Notice]:
    damage = " No SHA-256 lies beside it, so that damaged numbers would not be noticed either."
    notices = [
        Notice(
            "unverified_bag",
            f"The features come from a {recorded.layout} file whose encoder weights and source slide are not recorded; "
            f"whether they fit the model could not be verified.{damage if bare(path) else ''}",
        )
    ]
    if recorded.coords is None:
        notices.append(
            Notice(
                "no_map",
                "The feature file records no coordinates, so the attention cannot be drawn as a map.",
            )
        )
    if n_repeated:
        notices.append(
            Notice("invalid_patches", f"{n_repeated} patches stand in the feature file twice and count once.")
        )
    if recorded.magnification is not None:
        notices.append(
            Notice(
                "scale_source",
                f"The patches' scale of {recorded.mpp:g} um per px follows from the nominal magnification "
                f"{recorded.magnification:g}x in the feature file and may be some percent off.",
            )
        )
    return notices
