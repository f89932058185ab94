"""`encode_slide`: from an open slide to a bag of features."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.errors import EncoderError, SlideReadError
from amkd_core.private_names import private_logger
from amkd_core.progress import Progress
from amkd_core.slides.encoders.golden_patches import golden_features
from amkd_core.slides.encoders.slide_notices import (
    damage_notices,
    image_notices,
    invalid_notice,
    scale_notices,
)
from amkd_core.slides.grid import PatchGrid, PatchSpec, grid_shape, lay_patches
from amkd_core.slides.hash_of_slide import hold_against_hashes
from amkd_core.slides.holes import StainedPlaces
from amkd_core.slides.low_power import read_low_power
from amkd_core.slides.missing_tiles import patches_on_missing_tiles
from amkd_core.slides.patches import PatchBatch, read_patches
from amkd_core.slides.stain import check_stain
from amkd_core.slides.tissue import find_tissue

if TYPE_CHECKING:
    from amkd_core.notices import Notice
    from amkd_core.slides.encoders.journal import EncodingJournal
    from amkd_core.slides.encoders.registry import PatchEncoder
    from amkd_core.slides.slide import Slide

MOST_INVALID_SHARE = 0.01

_log = private_logger(__name__)


def encode_slide(
    slide: Slide,
    encoder: PatchEncoder,
    *,
    spec: PatchSpec | None = None,
    batch_size: int = 64,
    workers: int = 2,
    journal: EncodingJournal | None = None,
) -> Generator[Progress, None, FeatureBag]:
    """Find the tissue of a slide, cut it into patches and encode them.

    Patches are read by threads while earlier ones are being encoded. Closing the generator cancels.
    Patches that cannot be read, lie on tissue whose tiles hold no data, or are white where the overview shows tissue,
    are left out of the bag and counted in a notice.

    Parameters
    ----------
    slide
        An open slide with known micrometres per pixel.
    encoder
        What turns patches into features.
    spec
        Which patches; by default of the encoder's own size and scale, half of each tissue.
    batch_size
        Patches per call of the encoder.
    workers
        Reading threads.
    journal
        Keeps each batch on disk, and what it holds of this slide from an earlier, killed run is taken over; the
        caller closes it, or discards it when the bag is safe.

    Yields
    ------
    Progress
        Stages "Comparing the slide with its SHA-256", where one lies beside it, "Finding tissue", then
        "Reading and encoding patches".

    Returns
    -------
    FeatureBag
        One row per readable patch, in the grid's order.

    Raises
    ------
    SlideError
        If the slide is another file than the SHA-256 beside it says.
    MissingMicronsError
        If nothing tells the slide's micrometres per pixel.
    TissueError
        If there is no tissue or not one patch of it.
    SlideReadError
        If more than 1 % of the patches cannot be read.
    EncoderError
        If the encoder takes patches of another size or scale than asked for, or returns what is not a number.
    DiskFullError
        If the disk has no room for the journal and the bag.
    """
    spec = _spec_for(encoder, spec)
    grid_shape(slide.info, spec)  # an unknown scale is an error at once, not after a minute
    yield from hold_against_hashes(slide)
    yield Progress("Finding tissue")
    low = read_low_power(slide)
    tissue = find_tissue(slide, low_power=low)
    grid = lay_patches(slide, tissue, spec)
    notices = [*image_notices(slide), *scale_notices(slide), *damage_notices(low), *grid.notices]
    not_he = check_stain(low.image, tissue)
    if not_he is not None:
        notices.append(not_he)
    missing = patches_on_missing_tiles(slide, tissue, grid)
    if missing.sum() > MOST_INVALID_SHARE * len(grid):
        raise _too_many_missing(slide, int(missing.sum()), len(grid))
    encoded = yield from _encode_patches(
        slide, encoder, grid, _Lost(missing, StainedPlaces.of(low, tissue)),
        batch_size=batch_size, workers=workers, journal=journal,
    )  # fmt: skip
    n_invalid = int((~encoded.valid).sum())
    if n_invalid:
        notices.append(invalid_notice(n_invalid, len(grid), int(missing.sum())))
    return _bag(slide, encoder, grid, encoded, notices=tuple(notices))


@dataclass(frozen=True)
class _Lost:
    """Patches on missing tiles of the file, (n,), and by what others are found to be holes once they are read."""

    missing: NDArray[np.bool_]
    stained: StainedPlaces

    def is_hole(self, batch: PatchBatch, grid: PatchGrid) -> NDArray[np.bool_]:
        """Which patches of a batch are white where the overview shows tissue."""
        corners = grid.xy_level0[batch.start : batch.start + len(batch.images)]
        return self.stained.patches_with_holes(batch.images, corners, grid.size_level0)


@dataclass(frozen=True)
class _Encoded:
    """Features of the whole grid, and which rows of them are real."""

    features: NDArray[np.float32]
    valid: NDArray[np.bool_]


def _encode_patches(
    slide: Slide,
    encoder: PatchEncoder,
    grid: PatchGrid,
    lost: _Lost,
    *,
    batch_size: int,
    workers: int,
    journal: EncodingJournal | None,
) -> Generator[Progress, None, _Encoded]:
    stage = "Reading and encoding patches"
    features = np.zeros((len(grid), encoder.identity.dimension), dtype=np.float32)
    valid = np.zeros(len(grid), dtype=bool)
    first = 0
    if journal is not None:
        key = _journal_key(slide, encoder, grid, n_missing=int(lost.missing.sum()))
        first = journal.restore(key, features, valid, batch_size=batch_size)
    yield Progress(stage, first, len(grid))
    n_invalid = int((~valid[:first]).sum())
    # Closed explicitly, so that the reading threads are gone before an error or a cancel goes further up.
    reading = read_patches(
        slide, grid, batch_size=batch_size, workers=workers, first=first, missing=lost.missing
    )
    with closing(reading) as batches:
        for batch in batches:
            stop = batch.start + len(batch.images)
            good = batch.valid & ~lost.is_hole(batch, grid)
            valid[batch.start : stop] = good
            n_invalid += int((~good).sum())
            if n_invalid > MOST_INVALID_SHARE * len(grid):
                raise _too_many_invalid(slide, n_invalid, stop, len(grid))
            features[batch.start : stop][good] = _features(encoder, batch.images[good])
            if journal is not None:
                journal.append(features[batch.start : stop], good)
            yield Progress(stage, stop, len(grid), getattr(encoder, "remark", ""))
    return _Encoded(features, valid)


def _journal_key(
    slide: Slide, encoder: PatchEncoder, grid: PatchGrid, *, n_missing: int
) -> dict[str, object]:
    """All that decides the features of a grid's patches."""
    return {
        "slide": slide.info.fingerprint,
        "scene": slide.info.scene,
        "encoder": encoder.identity.to_dict(),
        "patches": hashlib.sha256(np.ascontiguousarray(grid.xy_level0).tobytes()).hexdigest(),
        "spec": asdict(grid.spec),
        "read": [grid.read_level, *grid.read_size_px],
        "missing": n_missing,
        "holes": "left out",
    }


def _spec_for(encoder: PatchEncoder, spec: PatchSpec | None) -> PatchSpec:
    if spec is None:
        return PatchSpec(encoder.patch_size_px, encoder.mpp)
    if spec.size_px != encoder.patch_size_px or abs(spec.mpp / encoder.mpp - 1) > 0.05:
        raise EncoderError(
            f"Encoder {encoder.identity.name!r} takes patches of {encoder.patch_size_px} px at {encoder.mpp:g} um/px, "
            f"but {spec.size_px} px at {spec.mpp:g} um/px were asked for."
        )
    return spec


def _features(encoder: PatchEncoder, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    features = encoder.encode(images)
    if not np.isfinite(features).all():
        raise EncoderError(
            f"Encoder {encoder.identity.name!r} returned values that are not numbers; its weights may be damaged, or "
            "the device's half precision may overflow."
        )
    return features


def _too_many_invalid(slide: Slide, n_invalid: int, n_read: int, n_patches: int) -> SlideReadError:
    return SlideReadError(
        f"{slide.info.path} is damaged: {n_invalid} of the first {n_read} patches (of {n_patches}) cannot be read, "
        f"more than {MOST_INVALID_SHARE:.0%} of all; copy it again from its source."
    )


def _too_many_missing(slide: Slide, n_missing: int, n_patches: int) -> SlideReadError:
    return SlideReadError(
        f"{slide.info.path} is damaged: {n_missing} of {n_patches} patches lie on tissue whose tiles hold no data, "
        f"more than {MOST_INVALID_SHARE:.0%} of all; copy it again from its source."
    )


def _bag(
    slide: Slide,
    encoder: PatchEncoder,
    grid: PatchGrid,
    encoded: _Encoded,
    *,
    notices: tuple[Notice, ...],
) -> FeatureBag:
    features = encoded.features[encoded.valid]
    info, microns = slide.info, slide.microns
    mpp = microns.mean * (grid.size_level0[0] * grid.size_level0[1]) ** 0.5 / grid.spec.size_px
    _log.info("%s: %d patches encoded by %s", info.slide_id, len(features), encoder.identity.name)
    return FeatureBag(
        features=features,
        coords=grid.xy_level0[encoded.valid],
        patch_size_level0=grid.size_level0,
        patch_size_px=grid.spec.size_px,
        mpp=mpp,
        encoder=encoder.identity,
        slide_id=info.slide_id,
        slide_fingerprint=info.fingerprint,
        slide_size_level0=slide.size_px,
        slide_mpp=(microns.x, microns.y),
        slide_mpp_source=microns.source,
        slide_bounds_xy=(info.bounds.x, info.bounds.y),
        slide_scene=info.scene,
        slide_index=np.zeros(len(features), dtype=np.int32),
        notices=notices,
        golden=golden_features(encoder),
    )
