"""FeatureBag: the patch features of one slide, or of all slides of one patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag_rows import check_rows, repeated_rows, whole_coords
from amkd_core.encoder_identity import EncoderIdentity
from amkd_core.errors import BagError
from amkd_core.golden_features import GoldenFeatures
from amkd_core.joint_notices import joint_notices
from amkd_core.notices import Notice

__all__ = [
    "MAX_PATCHES",
    "SCALE_ROUNDING",
    "SCALE_TOLERANCE",
    "EncoderIdentity",
    "FeatureBag",
    "alike_in_scale",
    "concatenate_bags",
    "fingerprints_of",
    "repeated_rows",
    "whole_coords",
]

# More patches than any slide holds; a file that claims more is damaged or hostile.
MAX_PATCHES = 2_000_000
# More slides than any patient has; whoever goes through a bag slide by slide relies on it.
MAX_SLIDES = 10_000
# No slide has so many pixels a side.
_FARTHEST = 2**31

# Physical sizes of patches that differ by this share at most count as alike.
SCALE_TOLERANCE = 0.05
# By so much a scale may be off for no other cause than that it was computed.
SCALE_ROUNDING = 1e-6


def alike_in_scale(scales: Sequence[float]) -> bool:
    """Whether micrometres per pixel differ by `SCALE_TOLERANCE` at most."""
    return max(scales) / min(scales) - 1 <= SCALE_TOLERANCE


@dataclass(frozen=True, eq=False, repr=False)
class FeatureBag:
    """Features of all tissue patches of a slide or patient, and where the patches lie.

    Parameters
    ----------
    features : array, shape (n, d), float32
        Encoder output per patch.
    encoder : EncoderIdentity
        What made the features.
    patch_size_px : int
        Side of a patch as it was given to the encoder, in pixels.
    mpp : float
        Micrometres per pixel of that patch, before any scaling of the encoder's own (`encoder.transform` states it).
    slide_id : str
        File name of the slide without its extension, or the patient's identifier for several slides.
    coords : array, shape (n, 2), int64, optional
        Level-0 (x, y) of each patch's upper-left corner; None where the source recorded none.
    patch_size_level0 : (int, int), optional
        Width and height of a patch in level-0 pixels; None as for `coords`.
    slide_fingerprint : str, optional
        Content hash of the slide.
    slide_size_level0 : (int, int), optional
        Width and height of the slide in level-0 pixels.
    slide_mpp : (float, float), optional
        Micrometres per level-0 pixel in x and y.
    slide_mpp_source : str, optional
        Where that scale came from ("vendor", "tiff_resolution", "objective_power", "user").
    slide_bounds_xy : (int, int), optional
        Level-0 (x, y) of the scanned area's corner, from which QuPath counts; None in foreign and older bags.
    slide_scene : int, optional
        Which image of the slide's file, from 0; None in foreign and older bags.
    slide_index : array, shape (n,), int32, optional
        Which of a patient's slides each patch belongs to; zeros when not given.
    notices : tuple of Notice
        What a user of any result from this bag must know.
    verified : bool
        False where provenance was stated by the user instead of recorded by the writer.
    golden : GoldenFeatures, optional
        What the encoder made of the golden patches when it made this bag; None in foreign and older bags.
    joined_fingerprints : tuple of str
        Content hashes of the slides of a patient's bag, as far as they are known; empty for a single slide.

    Raises
    ------
    BagError
        When shapes disagree, the bag is empty, sizes or coordinates make no sense, or rows are not finite, all
        zero or the same patch twice (row numbers named).
    """

    features: NDArray[np.float32]
    encoder: EncoderIdentity
    patch_size_px: int
    mpp: float
    slide_id: str
    coords: NDArray[np.int64] | None = None
    patch_size_level0: tuple[int, int] | None = None
    slide_fingerprint: str | None = None
    slide_size_level0: tuple[int, int] | None = None
    slide_mpp: tuple[float, float] | None = None
    slide_mpp_source: str | None = None
    slide_bounds_xy: tuple[int, int] | None = None
    slide_scene: int | None = None
    slide_index: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    notices: tuple[Notice, ...] = ()
    verified: bool = True
    golden: GoldenFeatures | None = None
    joined_fingerprints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # what does not fit becomes infinite and is refused by row
            self._set("features", np.asarray(self.features, dtype=np.float32))
        if self.features.ndim == 2 and self.slide_index.size == 0:
            self._set("slide_index", np.zeros(self.features.shape[0], dtype=np.int32))
        if self.coords is not None:
            self._set("coords", whole_coords(self.coords, self.slide_id))
        self._check_shapes()
        self._check_sizes()
        check_rows(self.features, self.coords, self.slide_index, self.slide_id)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return int(self.features.shape[0])

    def __repr__(self) -> str:
        place = "with coordinates" if self.coords is not None else "without coordinates"
        return (
            f"FeatureBag({self.slide_id}: {len(self)} patches x {self.encoder.dimension} {self.encoder.name} "
            f"features, {self.patch_size_px} px at {self.mpp:g} um/px, {place})"
        )

    @property
    def n_slides(self) -> int:
        """Number of slides whose patches are in the bag."""
        return int(self.slide_index.max()) + 1

    @property
    def has_map(self) -> bool:
        """Whether scores of the patches can be drawn on the slide."""
        return self.coords is not None and self.patch_size_level0 is not None

    def subset(self, rows: NDArray[Any]) -> FeatureBag:
        """Bag of some patches only, chosen by a boolean mask or by row numbers."""
        return replace(
            self,
            features=self.features[rows],
            coords=None if self.coords is None else self.coords[rows],
            slide_index=self.slide_index[rows],
        )

    def _check_shapes(self) -> None:
        if self.features.ndim != 2:
            raise BagError(f"{self.slide_id}: features must have shape (n, d), found {self.features.shape}")
        n_patches, dimension = self.features.shape
        if n_patches == 0:
            raise BagError(
                f"{self.slide_id}: the bag holds no patches; extract it again or leave the slide out"
            )
        if n_patches > MAX_PATCHES:
            raise BagError(f"{self.slide_id}: {n_patches} patches, expected at most {MAX_PATCHES}")
        if dimension != self.encoder.dimension:
            raise BagError(
                f"{self.slide_id}: features have width {dimension}, but encoder {self.encoder.name} gives "
                f"{self.encoder.dimension}"
            )
        for name, array, shape in (
            ("coords", self.coords, (n_patches, 2)),
            ("slide_index", self.slide_index, (n_patches,)),
        ):
            if array is not None and array.shape != shape:
                raise BagError(f"{self.slide_id}: {name} must have shape {shape}, found {array.shape}")
        if self.golden is not None and self.golden.dimension != dimension:
            raise BagError(
                f"{self.slide_id}: golden features have width {self.golden.dimension}, but the patches' {dimension}"
            )
        if self.slide_index.min() < 0:
            raise BagError(
                f"{self.slide_id}: slide_index must not be negative, found {self.slide_index.min()}"
            )
        if self.slide_index.max() >= MAX_SLIDES:
            raise BagError(
                f"{self.slide_id}: slide_index {self.slide_index.max()}, but no patient has {MAX_SLIDES} slides"
            )
        self._set("slide_index", self.slide_index.astype(np.int32, copy=False))

    def _check_sizes(self) -> None:
        """Plain Python numbers above zero, whatever kind of number the caller had."""
        if not (self.patch_size_px > 0 and 0 < self.mpp < np.inf):
            raise BagError(
                f"{self.slide_id}: patch size {self.patch_size_px} px at {self.mpp} um/px, expected positive numbers"
            )
        self._set("patch_size_px", int(self.patch_size_px))
        self._set("mpp", float(self.mpp))
        kinds: tuple[tuple[str, type], ...] = (
            ("patch_size_level0", int),
            ("slide_size_level0", int),
            ("slide_mpp", float),
        )
        for name, kind in kinds:
            pair = getattr(self, name)
            if pair is None:
                continue
            if len(pair) != 2 or not all(0 < value < _FARTHEST for value in pair):
                raise BagError(f"{self.slide_id}: {name} must be two positive numbers (x, y), found {pair}")
            self._set(name, (kind(pair[0]), kind(pair[1])))
        corner = self.slide_bounds_xy
        if corner is None:
            return
        if len(corner) != 2 or not all(0 <= value < _FARTHEST for value in corner):
            raise BagError(
                f"{self.slide_id}: slide_bounds_xy must be two pixels (x, y) of the slide, found {corner}"
            )
        self._set("slide_bounds_xy", (int(corner[0]), int(corner[1])))


def bag_of_file(path: Path, **fields: Any) -> FeatureBag:
    """A bag of these fields, whose faults are told by the name of its file; raises as `FeatureBag`."""
    try:
        return FeatureBag(**fields)
    except BagError as error:
        raise BagError(f"{path.name}: {str(error).removeprefix(fields['slide_id'] + ': ')}") from None


def concatenate_bags(bags: Sequence[FeatureBag], *, patient_id: str) -> FeatureBag:
    """Patches of all slides of a patient one after another, `slide_index` telling them apart.

    A single slide keeps its size, scale and fingerprint; of several slides only the fingerprints are kept, together,
    and notices that say of how many slides they are. Scales may differ by `SCALE_TOLERANCE`, as those of scanners do.
    Coordinates stay, each in its own slide's system, so that `slide_index` must be asked before any is drawn (METHOD
    section 1: one bag a patient).

    Raises
    ------
    BagError
        When there is no bag, or the bags differ in encoder, patch size or scale (both values named).
    """
    if not bags:
        raise BagError(f"{patient_id}: no bags to join")
    first = bags[0]
    for other in bags[1:]:
        _check_alike(first, other, patient_id)
    finest, coarsest = min(bags, key=lambda bag: bag.mpp), max(bags, key=lambda bag: bag.mpp)
    if not alike_in_scale((finest.mpp, coarsest.mpp)):
        raise _unlike(finest, coarsest, patient_id, f"scale ({finest.mpp} and {coarsest.mpp})")
    if len(bags) == 1:
        return replace(first, slide_id=patient_id)
    sizes = {bag.patch_size_level0 for bag in bags}
    starts = np.cumsum([0, *(bag.n_slides for bag in bags[:-1])])
    has_coords = all(bag.coords is not None for bag in bags)
    return replace(
        first,
        slide_id=patient_id,
        features=np.concatenate([bag.features for bag in bags]),
        coords=np.concatenate([bag.coords for bag in bags if bag.coords is not None]) if has_coords else None,
        slide_index=np.concatenate(
            [bag.slide_index + np.int32(start) for bag, start in zip(bags, starts, strict=True)]
        ),
        patch_size_level0=sizes.pop() if len(sizes) == 1 else None,
        slide_fingerprint=None,
        slide_size_level0=None,
        slide_mpp=None,
        slide_mpp_source=None,
        slide_bounds_xy=None,
        slide_scene=None,
        notices=joint_notices([bag.notices for bag in bags]),
        verified=all(bag.verified for bag in bags),
        golden=first.golden if all(bag.golden is not None for bag in bags) else None,
        joined_fingerprints=tuple(name for bag in bags for name in fingerprints_of(bag)),
    )


def fingerprints_of(bag: FeatureBag) -> tuple[str, ...]:
    """Content hashes of a bag's slides, of one or of several, as far as they are known."""
    return tuple(filter(None, (bag.slide_fingerprint, *bag.joined_fingerprints)))


def _check_alike(first: FeatureBag, other: FeatureBag, patient_id: str) -> None:
    for name, left, right in (
        ("encoder", first.encoder, other.encoder),
        ("patch size", first.patch_size_px, other.patch_size_px),
    ):
        if left != right:
            raise _unlike(first, other, patient_id, f"{name} ({left} and {right})")
    if first.golden is not None and other.golden is not None and not first.golden.agrees(other.golden):
        raise BagError(
            f"{patient_id}: the encoder {first.encoder.name} was run differently for the bags of {first.slide_id} and "
            f"{other.slide_id} (worst cosine of the golden patches {first.golden.cosine(other.golden):.3f}, expected "
            f"at least {first.golden.least_cosine(other.golden)}); extract both the same way"
        )


def _unlike(first: FeatureBag, other: FeatureBag, patient_id: str, difference: str) -> BagError:
    return BagError(
        f"{patient_id}: the bags of {first.slide_id} and {other.slide_id} differ in {difference}; "
        "extract both the same way"
    )
