"""Features of the right width from the wrong encoder, and patches of another size: refused, whatever the width says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle

from amkd_core.bag import EncoderIdentity
from amkd_core.bag_formats import NOT_RECORDED
from amkd_core.bundle import Bundle
from amkd_core.errors import BundleMismatchError
from amkd_core.inference.predict import predict_bag

# All of them give 1,024 numbers a patch.
SAME_WIDTH = ("phikon-v2", "musk", "gpfm", "kaiko-vitl14", "hibou-l", "resnet50", "chief")
UNI = EncoderIdentity("uni", "1", 1024, "a" * 64, "224 px, bicubic", "cls", "CC-BY-NC-ND-4.0")
PATCHES_PX, SCALES = (224, 256, 512), (0.25, 0.5, 1.0)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(encoder=UNI, teacher=False)


def test_the_right_one_passes(bundle: Bundle) -> None:
    assert np.isfinite(predict_bag(random_bag(5, encoder=UNI), bundle).risk)


@pytest.mark.parametrize("name", SAME_WIDTH)
@pytest.mark.parametrize("verified", [True, False])
def test_another_encoder_of_the_same_width_is_refused_by_name(
    bundle: Bundle, name: str, *, verified: bool
) -> None:
    bag = random_bag(5, encoder=replace(UNI, name=name, weights_sha256="b" * 64))
    with pytest.raises(BundleMismatchError, match=rf"encoder name '{name}', but model .* needs 'uni'"):
        predict_bag(replace(bag, verified=verified), bundle)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weights_sha256", "b" * 64),
        ("transform", "256 px, bilinear"),
        ("token_policy", "mean"),
        ("version", "2"),
    ],
)
def test_the_same_name_with_other_weights_or_transform_is_refused(
    bundle: Bundle, field: str, value: str
) -> None:
    with pytest.raises(BundleMismatchError, match=f"encoder {field}"):
        predict_bag(random_bag(5, encoder=replace(UNI, **{field: value})), bundle)


def test_what_a_foreign_bag_does_not_record_is_not_held_against_it_but_said(bundle: Bundle) -> None:
    bare = replace(UNI, version="", weights_sha256="", transform=NOT_RECORDED, token_policy=NOT_RECORDED)
    bag = replace(random_bag(5, encoder=bare), verified=False)
    assert predict_bag(bag, bundle).provenance["verified"] is False
    with pytest.raises(BundleMismatchError):
        predict_bag(replace(bag, verified=True), bundle)


@pytest.mark.parametrize("patch_size_px", PATCHES_PX)
@pytest.mark.parametrize("mpp", SCALES)
def test_of_nine_sizes_and_scales_exactly_one_passes(bundle: Bundle, patch_size_px: int, mpp: float) -> None:
    """512 px at 0.25 um cover as much tissue as 256 px at 0.5 um, and are not what the encoder saw."""
    bag = replace(random_bag(5, encoder=UNI), patch_size_px=patch_size_px, mpp=mpp)
    if (patch_size_px, mpp) == (256, 0.5):
        assert np.isfinite(predict_bag(bag, bundle).risk)
        return
    with pytest.raises(BundleMismatchError, match="patches"):
        predict_bag(bag, bundle)


def test_long_texts_are_shown_where_they_differ(bundle: Bundle) -> None:
    needs, has = (f"256 px at 0.5 um, bilinear, then {name} scaling to one" for name in ("mean", "median"))
    kind = replace(bundle.bag_kind, encoder=replace(UNI, transform=needs))
    with pytest.raises(BundleMismatchError) as found:
        kind.check_encoder(replace(UNI, transform=has), "bag")
    assert "transform '...hen median scaling...', but" in str(found.value)
    assert "needs '...hen mean scaling t...'" in str(found.value)
