"""Notices of one of a patient's slides are not told of another, and no sentence names a slide."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle

from amkd_core.bag import FeatureBag, concatenate_bags
from amkd_core.inference.patient import on_slide, predict_patient
from amkd_core.inference.prediction import Prediction
from amkd_core.inference.region import predict_patient_regions
from amkd_core.joint_notices import joint_notices, notices_on
from amkd_core.notices import Notice, NoticeCode
from amkd_core.seen_slides import slide_digests

BROWN = Notice("not_he", "This slide does not look like H&E (42 % brown); do not use this result.")
BLUE = Notice("not_he", "This slide does not look like H&E (97 % blue); do not use this result.")
COARSE = Notice(
    "coarse_scale", "The slide has 1 um per pixel, coarser than the 0.5 um that the encoder expects."
)


def bags_with(*notices: tuple[Notice, ...]) -> list[FeatureBag]:
    return [
        replace(
            random_bag(20 + place, seed=place, slide_id=f"slide{place}"),
            slide_fingerprint=str(place) * 16,
            notices=own,
        )
        for place, own in enumerate(notices)
    ]


def parts_of(bags: list[FeatureBag]) -> list[Prediction]:
    whole = predict_patient(bags, random_bundle(), patient_id="P")
    return [on_slide(whole, bag, place) for place, bag in enumerate(bags)]


def about(prediction: Prediction, code: str) -> list[str]:
    return [notice.sentence for notice in prediction.notices if notice.code == code]


def test_a_slides_notice_stays_on_it_and_elsewhere_is_of_one_of_the_slides() -> None:
    bags = bags_with((), (BROWN, COARSE))
    he, ki67 = parts_of(bags)
    assert about(ki67, "not_he") == [BROWN.sentence]
    (told,) = about(he, "not_he")
    assert told.startswith("One of the patient's 2 slides does not look like H&E; ")
    assert about(ki67, "coarse_scale") == [COARSE.sentence]
    assert about(he, "coarse_scale")[0].startswith("One of the patient's 2 slides has a coarser scale")
    whole = predict_patient(bags, random_bundle(), patient_id="P")
    assert about(whole, "not_he") == [told]
    assert about(whole, "not_he") == [
        notice.sentence
        for notice in concatenate_bags(bags, patient_id="P").notices
        if notice.code == "not_he"
    ]
    # The order of a notice's code does not depend on the slide.
    assert [notice.code for notice in he.notices] == [notice.code for notice in ki67.notices]


def test_how_many_slides_have_it_is_counted() -> None:
    plain, brown, _ = parts_of(bags_with((), (BROWN,), (BLUE,)))
    assert about(plain, "not_he")[0].startswith("2 of the patient's 3 slides do not look like H&E")
    assert about(brown, "not_he") == [
        f"{BROWN.sentence} The same holds for one of the patient's 2 other slides."
    ]
    first, _ = parts_of(bags_with((BROWN,), (BLUE,)))
    assert about(first, "not_he") == [f"{BROWN.sentence} The same holds for the patient's other slide."]
    (told,) = joint_notices([(BROWN,), (BLUE,)])
    assert told.sentence.startswith("Both of the patient's slides do not look")
    (told,) = joint_notices([(BROWN,)] * 3)
    assert told.sentence.startswith("All 3 of the patient's slides do not look")
    assert joint_notices([(BROWN, COARSE)]) == (BROWN, COARSE)


def test_a_region_of_a_patient_keeps_the_notices_apart() -> None:
    bags = bags_with((), (BROWN,))
    everything = np.array([[0.0, 0], [1e6, 0], [1e6, 1e6], [0, 1e6]])
    he, ki67 = predict_patient_regions(bags, random_bundle(), [(everything,), ()], patient_id="P")
    assert about(ki67, "not_he") == [BROWN.sentence]
    assert about(he, "not_he")[0].startswith("One of the patient's 2 slides")
    assert [notice.code for notice in he.notices[:3]] == ["research_only", "region", "several_slides"]


def slide_codes() -> list[NoticeCode]:
    """Codes of which a bag may have notices that are of its slide."""
    of_model = {"synthetic_bundle", "research_only", "encoder_licence", "on_processor", "seen_reference"}
    of_result = {
        *(
            "region",
            "several_slides",
            "identifying_name",
            "out_of_range",
            "few_patches",
            "trained_on",
            "no_map",
        ),
        "expression_scale",
        "expression_patient",
        "pathway_genes",
    }
    return [code for code in get_args(NoticeCode) if code not in of_model | of_result]


@pytest.mark.parametrize("code", slide_codes())
def test_every_notice_of_a_slide_can_be_told_of_others(code: NoticeCode) -> None:
    own = Notice(code, "The slide of first.svs has it.")
    other = notices_on([(own,), ()], 1)
    assert [notice.code for notice in other] == [code]
    assert other[0].sentence.startswith("One of the patient's 2 slides ")
    assert "first" not in other[0].sentence
    assert "{" not in other[0].sentence
    assert notices_on([(own,), ()], 0) == (own,)
    assert notices_on([(own, own), ()], 0) == (own, own)


def test_what_is_of_the_whole_patient_does_not_speak_of_this_slide() -> None:
    bags = bags_with((), ())
    bundle = random_bundle()
    card = bundle.card.model_copy(update={"training_slides": slide_digests(bags[1])})
    found = predict_patient(bags, replace(bundle, card=card), patient_id="P")
    assert about(on_slide(found, bags[0], 0), "trained_on")[0].startswith(
        "The model was trained on slides of this very patient, outcome included"
    )
    far = [replace(bag, features=bag.features + 1000) for bag in bags]
    assert about(parts_of(far)[0], "out_of_range")[0].startswith("The patient's tissue lies outside")


def test_a_single_patch_is_one_of_them() -> None:
    bags = bags_with((), ())
    bags[1] = bags[1].subset(np.arange(1))
    sentences = [about(part, "several_slides")[0] for part in parts_of(bags)]
    assert "; 20 of them are on this slide. " in sentences[0]
    assert "; 1 of them is on this slide. " in sentences[1]
