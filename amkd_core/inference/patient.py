"""Several slides of one patient as one bag, and each slide's part of the result (METHOD section 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from amkd_core.bag import FeatureBag, concatenate_bags
from amkd_core.bundle import Bundle
from amkd_core.errors import BagError
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import PatientSlides, Prediction
from amkd_core.inference.record import slide_record
from amkd_core.joint_notices import notices_on
from amkd_core.notices import Notice


def predict_patient(
    bags: Sequence[FeatureBag],
    bundle: Bundle,
    *,
    patient_id: str,
    genes: Mapping[str, float] | None = None,
    device: str = "cpu",
) -> Prediction:
    """Predict survival from all slides of a patient, as the model was trained: their patches in one bag.

    Parameters
    ----------
    bags : sequence of FeatureBag
        One per slide, each of one slide.
    patient_id : str
        Kept in the prediction's `patient`, where there are several slides.
    genes, device
        As for `predict_bag`.

    Raises
    ------
    BagError
        When the bags differ in encoder, patch size or scale, or two are of the same slide.
    BundleMismatchError, ModalityError, ConfigError
        As `predict_bag`.
    """
    seen: dict[str, str] = {}
    for bag in bags:
        if bag.slide_fingerprint is None:
            continue
        if bag.slide_fingerprint in seen:
            raise BagError(
                f"{patient_id}: {seen[bag.slide_fingerprint]} and {bag.slide_id} are the same slide (same content); "
                "leave one of them out"
            )
        seen[bag.slide_fingerprint] = bag.slide_id
    joined = concatenate_bags(bags, patient_id=patient_id)
    prediction = predict_bag(joined, bundle, genes=genes, device=device)
    if len(bags) == 1:
        return prediction
    slides = PatientSlides(
        patient_id, tuple(bag.slide_id for bag in bags), len(joined), tuple(bag.notices for bag in bags)
    )
    return replace(prediction, patient=slides)


def on_slide(prediction: Prediction, bag: FeatureBag, index: int) -> Prediction:
    """The part of a patient's prediction that lies on one slide, to be drawn there.

    Risk and curve stay the patient's. Scores are scaled so that a raw score of 1 is the mean over all of the
    patient's patches; percentile ranks are within the slide.

    Parameters
    ----------
    prediction : Prediction
        From `predict_patient`.
    bag : FeatureBag
        The slide's own, as it was given to `predict_patient`.
    index : int
        Its place in that sequence.

    Raises
    ------
    BagError
        When the prediction was not made from this bag at this place.
    """
    rows = np.flatnonzero(prediction.bag.slide_index == index)
    if len(rows) != len(bag) or not np.array_equal(prediction.bag.features[rows], bag.features):
        raise BagError(f"{prediction.slide_id}: slide {index} of this prediction is not {bag.slide_id}")
    scale = len(prediction.patch_scores) / len(rows)
    teacher = prediction.teacher
    if teacher is not None:
        teacher = replace(
            teacher, patch_scores=teacher.patch_scores[rows] * scale, coattention=teacher.coattention[:, rows]
        )
    notices = [
        notice for notice in _notices_on(prediction, index) if notice.code != "no_map" or not bag.has_map
    ]
    if prediction.bag.n_slides > 1:
        place = next((i for i, notice in enumerate(notices) if notice.code == "region"), 0) + 1
        notices.insert(place, _together(prediction, len(rows)))
    return replace(
        prediction,
        slide_id=bag.slide_id,
        bag=bag,
        patch_scores=prediction.patch_scores[rows] * scale,
        teacher=teacher,
        notices=tuple(notices),
        provenance={
            **prediction.provenance,
            "slide": slide_record(bag),
            "patient": {"slides": prediction.bag.n_slides, "patches": len(prediction.bag)},
        },
    )


def _notices_on(prediction: Prediction, index: int) -> list[Notice]:
    """The prediction's notices, with those of its slides as they are told on one of them."""
    patient, joint = prediction.patient, set(prediction.bag.notices)
    if patient is None or not joint:
        return list(prediction.notices)
    first = next((place for place, notice in enumerate(prediction.notices) if notice in joint), 0)
    others = [notice for notice in prediction.notices if notice not in joint]
    return [*others[:first], *notices_on(patient.notices, index), *others[first:]]


def _together(prediction: Prediction, n_here: int) -> Notice:
    bag = prediction.bag
    return Notice(
        "several_slides",
        f"Predicted from {bag.n_slides} slides and {len(bag):,} patches of the patient together; {n_here:,} of them "
        f"{'is' if n_here == 1 else 'are'} on this slide. Risk and curve are the patient's.",
    )
