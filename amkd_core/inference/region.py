"""A prediction from a part of the tissue, which the user drew; features are not computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.errors import RegionError
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.notices import Notice

Polygon = NDArray[np.float64]


def rows_inside(bag: FeatureBag, polygons: Sequence[Polygon]) -> NDArray[np.bool_]:
    """Which patches of a bag have their centre inside any of the polygons, shape (n,).

    Parameters
    ----------
    polygons : sequence of arrays, shape (k, 2)
        Corners as level-0 (x, y); closed or open.

    Raises
    ------
    RegionError
        When the bag records no places, or a polygon has fewer than three corners.
    """
    from skimage.measure import points_in_poly

    if bag.coords is None or bag.patch_size_level0 is None:
        raise RegionError(
            f"{bag.slide_id}: the bag records no places of its patches, so no region can be chosen"
        )
    centres = bag.coords + np.array(bag.patch_size_level0) / 2
    inside = np.zeros(len(bag), dtype=np.bool_)
    for polygon in polygons:
        corners = np.asarray(polygon, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise RegionError(
                f"{bag.slide_id}: a region needs at least three corners (x, y), found shape {corners.shape}"
            )
        inside |= points_in_poly(centres, corners)
    return inside


def predict_region(
    prediction: Prediction,
    bundle: Bundle,
    polygons: Sequence[Polygon],
    *,
    exclude: bool = False,
    slide: int = 0,
    slide_bag: FeatureBag | None = None,
    genes: Mapping[str, float] | None = None,
    device: str = "cpu",
) -> Prediction:
    """Predict again from the patches inside, or outside, the polygons.

    Parameters
    ----------
    prediction : Prediction
        Of the whole tissue.
    polygons
        As for `rows_inside`.
    exclude : bool
        Leave the patches inside out, instead of all others.
    slide : int
        Which of a patient's slides was drawn on; the patches of the others stay.
    slide_bag : FeatureBag, optional
        That slide's own bag, where the patient has several.
    genes, device
        As for `predict_bag`.

    Returns
    -------
    Prediction
        With a notice that says how much of the tissue it rests on.

    Raises
    ------
    RegionError
        When there is no polygon, or no patch is left.
    """
    if not polygons:
        raise RegionError(f"{prediction.slide_id}: no region is drawn; draw one on the slide first")
    bag = prediction.bag
    kept = np.ones(len(bag), dtype=np.bool_)
    kept[bag.slide_index == slide] = rows_inside(slide_bag or bag, polygons) != exclude
    if not kept.any():
        place = "outside" if exclude else "inside"
        raise RegionError(
            f"{bag.slide_id}: no tissue patch has its centre {place} the region; draw it elsewhere"
        )
    part = predict_bag(_part(bag, kept), bundle, genes=genes, device=device)
    sentence = (
        f"Predicted from {int(kept.sum()):,} of {len(bag):,} tissue patches: a region that the user "
        f"{'left out' if exclude else 'chose'}; the model was trained on all tissue."
    )
    region = {
        "exclude": exclude,
        "polygons_level0": [np.asarray(polygon).tolist() for polygon in polygons],
        "patches": [int(kept.sum()), len(bag)],
    }
    return replace(
        part,
        notices=(part.notices[0], Notice("region", sentence), *part.notices[1:]),
        provenance={**part.provenance, "region": region},
    )


def _part(bag: FeatureBag, kept: NDArray[np.bool_]) -> FeatureBag:
    return bag if kept.all() else bag.subset(kept)
