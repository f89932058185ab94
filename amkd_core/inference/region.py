"""A prediction from parts of the tissue, which the user drew; features are not computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.errors import RegionError
from amkd_core.inference.patient import on_slide, predict_patient
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.notices import Notice

Polygon = NDArray[np.float64]
_SAME_PX = 0.01
"""Level-0 pixels by which a corner may be off: a slide that is turned and turned back costs less."""


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
    genes: Mapping[str, float] | None = None,
    device: str = "cpu",
) -> Prediction:
    """Predict again from the patches of one slide inside, or outside, the polygons.

    Parameters
    ----------
    prediction : Prediction
        Of the whole tissue.
    polygons
        As for `rows_inside`.
    exclude : bool
        Leave the patches inside out, instead of all others.
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
        raise _nothing_drawn(prediction.slide_id)
    bag = prediction.bag
    part = _part(bag, polygons, exclude=exclude)
    found = predict_bag(part, bundle, genes=genes, device=device)
    drawn = {"exclude": exclude, "polygons_level0": _plain(polygons), "patches": [len(part), len(bag)]}
    return _noted(found, drawn)


def predict_patient_regions(
    bags: Sequence[FeatureBag],
    bundle: Bundle,
    polygons: Sequence[Sequence[Polygon]],
    *,
    patient_id: str,
    exclude: bool = False,
    genes: Mapping[str, float] | None = None,
    device: str = "cpu",
) -> tuple[Prediction, ...]:
    """Predict a patient again from what was drawn on his slides; a region counts on its own slide alone.

    Parameters
    ----------
    bags : sequence of FeatureBag
        All tissue of each slide.
    polygons : per slide a sequence of arrays, shape (k, 2)
        As for `rows_inside`; of a slide without any all tissue counts.
    patient_id
        For the result's name.
    exclude, genes, device
        As for `predict_region`.

    Returns
    -------
    tuple of Prediction
        Each slide's part as from `on_slide`, with a notice that says how much of the patient's tissue it rests on.

    Raises
    ------
    RegionError
        When nothing is drawn on any slide, or no patch of one is left.
    """
    if not any(polygons):
        raise _nothing_drawn(" and ".join(bag.slide_id for bag in bags))
    parts = [
        _part(bag, drawn, exclude=exclude) if drawn else bag
        for bag, drawn in zip(bags, polygons, strict=True)
    ]
    whole = predict_patient(parts, bundle, patient_id=patient_id, genes=genes, device=device)
    record = {
        "exclude": exclude,
        # Slide by slide in their order, without names: those stay out of exports.
        "polygons_level0": [_plain(drawn) for drawn in polygons],
        "patches": [sum(map(len, parts)), sum(map(len, bags))],
    }
    noted = _noted(whole, record, n_slides=len(bags))
    return tuple(on_slide(noted, part, place) for place, part in enumerate(parts))


def rests_on(prediction: Prediction, polygons: Sequence[Sequence[Polygon]]) -> bool:
    """Whether a prediction from regions was made from these and no others.

    Parameters
    ----------
    prediction : Prediction
        Of a slide or a patient, from regions.
    polygons : per slide a sequence of arrays, shape (k, 2)
        What is drawn now; slides in the order of the prediction.
    """
    recorded = prediction.provenance["region"]["polygons_level0"]
    before = [recorded] if prediction.patient is None else recorded
    return len(before) == len(polygons) and all(map(_alike, before, polygons))


def _alike(before: Sequence[Any], now: Sequence[Polygon]) -> bool:
    return len(before) == len(now) and all(
        np.shape(old) == np.shape(new) and np.allclose(old, new, rtol=0, atol=_SAME_PX)
        for old, new in zip(before, now, strict=True)
    )


def _part(bag: FeatureBag, polygons: Sequence[Polygon], *, exclude: bool) -> FeatureBag:
    """What of a slide's tissue is left."""
    kept = rows_inside(bag, polygons) != exclude
    if not kept.any():
        place = "outside" if exclude else "inside"
        raise RegionError(
            f"{bag.slide_id}: no tissue patch has its centre {place} the region; draw it elsewhere"
        )
    return bag if kept.all() else bag.subset(kept)


def _noted(part: Prediction, drawn: Mapping[str, Any], *, n_slides: int = 1) -> Prediction:
    """The prediction with a notice of its region, and the region in its provenance."""
    left, whole = drawn["patches"]
    where = f" on {n_slides} slides" if n_slides > 1 else ""
    verb = "left out" if drawn["exclude"] else "chose"
    sentence = (
        f"Predicted from {left:,} of {whole:,} tissue patches{where}: a region that the user {verb}; the model was "
        "trained on all tissue."
    )
    return replace(
        part,
        notices=(part.notices[0], Notice("region", sentence), *part.notices[1:]),
        provenance={**part.provenance, "region": dict(drawn)},
    )


def _nothing_drawn(name: str) -> RegionError:
    return RegionError(f"{name}: no region is drawn; draw one on the slide first")


def _plain(polygons: Sequence[Polygon]) -> list[list[list[float]]]:
    return [np.asarray(polygon).tolist() for polygon in polygons]
