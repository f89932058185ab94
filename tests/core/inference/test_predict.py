from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from bundle_fixtures import encoder_identity, random_bag, random_bundle
from scipy import stats

from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.errors import BundleMismatchError, ConfigError, ModalityError
from amkd_core.export.prediction_json import prediction_record
from amkd_core.inference import predict as predict_module
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.region import predict_region
from amkd_core.models import ModelInput
from amkd_core.notices import Notice
from amkd_core.survival.outcome import TimeBins

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(12)}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(n_members=3)


@pytest.fixture
def bag() -> FeatureBag:
    return random_bag(30)


def codes(notices: tuple[Notice, ...]) -> list[str]:
    return [notice.code for notice in notices]


def test_risk_survival_and_group_by_hand(bag: FeatureBag, bundle: Bundle) -> None:
    found = predict_bag(bag, bundle)
    risks, survivals, percentiles = [], [], []
    for member in bundle.members:
        with torch.inference_mode():
            output = member.student(ModelInput(torch.from_numpy(bag.features), (30,)))
        hazard = 1 / (1 + np.exp(-output.logits[0].double().numpy()))
        survivals.append(np.cumprod(1 - hazard))
        risks.append(-survivals[-1].sum())
        percentiles.append(stats.percentileofscore(member.training_risks, risks[-1], kind="mean"))
    np.testing.assert_allclose(found.member_risks, risks, rtol=1e-6)
    assert found.risk == pytest.approx(np.mean(risks), rel=1e-6)
    np.testing.assert_allclose(found.survival, np.mean(survivals, axis=0), rtol=1e-6)
    assert found.risk_percentile == pytest.approx(np.mean(percentiles))
    # All members' cuts are at -2 and their median vote decides.
    assert found.risk_group == ("high" if sum(risk > -2 for risk in risks) >= 2 else "low")
    assert found.cohort.size == 50
    assert len(found.cohort.risks) == 150


def test_an_ensembles_survival_in_bins_lies_on_its_curve_where_members_bins_differ(
    bag: FeatureBag, bundle: Bundle
) -> None:
    edges = ([0, 6, 12, 30], [0, 9, 20, 41], [0, 5, 14, 33])
    members = tuple(
        dataclasses.replace(member, time_bins=TimeBins.from_list(own))
        for member, own in zip(bundle.members, edges, strict=True)
    )
    found = predict_bag(bag, dataclasses.replace(bundle, members=members))
    on_curve = np.interp([6, 12, 30], found.curve.time_months, found.curve.survival)
    np.testing.assert_allclose(found.survival[:3], on_curve, rtol=1e-6)
    np.testing.assert_allclose(np.cumprod(1 - found.hazards), found.survival, rtol=1e-6)
    apart = np.mean([np.cumprod(1 - member.hazards) for member in found.members], axis=0)
    assert np.abs(apart[:3] - on_curve).max() > 0.01, "bins of other months are not averaged one by one"


def test_the_group_is_cut_at_the_training_median(bag: FeatureBag, bundle: Bundle) -> None:
    risk = predict_bag(bag, bundle).member_risks
    for cut, group in ((risk.max() + 0.01, "low"), (risk.min() - 0.01, "high")):
        members = tuple(dataclasses.replace(member, risk_cut=float(cut)) for member in bundle.members)
        assert predict_bag(bag, dataclasses.replace(bundle, members=members)).risk_group == group


def test_the_curve_passes_through_the_survival_of_the_bins(bag: FeatureBag) -> None:
    found = predict_bag(bag, random_bundle())
    months, survival = found.curve.time_months, found.curve.survival
    np.testing.assert_allclose(
        np.interp([0, 6, 12, 30], months, survival), [1, *found.survival[:3]], rtol=1e-6
    )
    assert (np.diff(survival) <= 0).all()
    assert (np.diff(months) > 0).all()


def test_twice_the_same(bag: FeatureBag, bundle: Bundle) -> None:
    first, second = (predict_bag(bag, bundle, genes=GENES) for _ in range(2))
    assert first.risk == second.risk
    np.testing.assert_array_equal(first.patch_scores, second.patch_scores)
    assert first.teacher is not None
    assert second.teacher is not None
    assert first.teacher.risk == second.teacher.risk


def test_shuffled_patches_give_the_same_risk_and_shuffled_scores(bag: FeatureBag, bundle: Bundle) -> None:
    order = np.random.default_rng(5).permutation(30)
    straight, shuffled = predict_bag(bag, bundle), predict_bag(bag.subset(order), bundle)
    assert shuffled.risk == pytest.approx(straight.risk, abs=1e-5)
    np.testing.assert_allclose(shuffled.patch_scores, straight.patch_scores[order], rtol=1e-4)


def test_scores_are_the_mean_of_the_members_weights(bag: FeatureBag, bundle: Bundle) -> None:
    found = predict_bag(bag, bundle)
    weights = []
    for member in bundle.members:
        with torch.inference_mode():
            output = member.student(ModelInput(torch.from_numpy(bag.features), (30,)))
        assert output.patch_attention is not None
        weights.append(output.patch_attention.numpy())
    np.testing.assert_allclose(found.patch_scores, np.mean(weights, axis=0), rtol=1e-5)
    assert found.patch_scores.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_bag_of_one_patch_predicts(bundle: Bundle) -> None:
    found = predict_bag(random_bag(1), bundle, genes=GENES)
    assert np.isfinite(found.risk)
    np.testing.assert_allclose(found.patch_scores, [1.0])


def test_another_encoder_is_refused_with_both_names(bundle: Bundle) -> None:
    other = random_bag(5, encoder=encoder_identity(name="uni"))
    with pytest.raises(BundleMismatchError, match="name 'uni', but model random needs 'texture'"):
        predict_bag(other, bundle)


def test_an_absent_device_is_refused(bag: FeatureBag, bundle: Bundle) -> None:
    for name in ("gpu", "cuda:77"):
        with pytest.raises(ConfigError, match=f"device '{name}' cannot be used"):
            predict_bag(bag, bundle, device=name)


def test_notices_tell_the_limits(bag: FeatureBag) -> None:
    plain = random_bundle(synthetic=False)
    assert codes(predict_bag(bag, plain).notices) == ["research_only"]
    assert codes(predict_bag(bag, random_bundle()).notices) == ["research_only", "synthetic_bundle"]
    shifted = dataclasses.replace(bag, features=bag.features[:, ::-1] * 3 + 1)
    found = predict_bag(shifted, plain).notices
    assert codes(found) == ["research_only", "out_of_range"]
    assert "times the limit" in found[1].sentence
    stated = dataclasses.replace(bag, notices=(Notice("unverified_bag", "Stated."),), coords=None)
    assert codes(predict_bag(stated, plain).notices) == ["research_only", "unverified_bag", "no_map"]


@pytest.mark.parametrize(("n_patches", "words"), [(1, "Only 1 patch:"), (15, "Only 15 patches:")])
def test_few_patches_are_said_to_be_too_few_and_not_to_be_foreign(n_patches: int, words: str) -> None:
    found = predict_bag(random_bag(n_patches), random_bundle(synthetic=False)).notices
    assert codes(found) == ["research_only", "few_patches"]
    assert found[1].sentence == (
        f"{words} too few to tell whether they lie in the range of the slides that the model was trained on."
    )


def test_a_region_of_the_cohorts_own_kind_is_not_told_to_be_foreign(bag: FeatureBag) -> None:
    bundle = random_bundle(synthetic=False)
    whole = predict_bag(bag, bundle)
    two_rows = np.array([[0, 0], [6000, 0], [6000, 1124], [0, 1124]], dtype=float)
    found = predict_region(whole, bundle, [two_rows])
    assert (len(found.bag), codes(found.notices)) == (20, ["research_only", "region"])
    # Bundles of before hold limits of whole slides alone.
    older = dataclasses.replace(
        bundle, feature_range=dataclasses.replace(bundle.feature_range, widening=None)
    )
    assert older.feature_range.distance(found.bag.features) > bundle.feature_range.distance(
        found.bag.features
    )
    one_row = np.array([[0, 0], [6000, 0], [6000, 612], [0, 612]], dtype=float)
    for model in (bundle, older):
        assert codes(predict_region(whole, model, [one_row]).notices) == [
            "research_only",
            "region",
            "few_patches",
        ]


def test_the_licence_of_a_non_commercial_encoder_reaches_the_user(bag: FeatureBag) -> None:
    encoder = dataclasses.replace(encoder_identity(), licence="CC BY-NC-ND 4.0")
    found = predict_bag(random_bag(30, encoder=encoder), random_bundle(encoder=encoder, synthetic=False))
    assert codes(found.notices) == ["research_only", "encoder_licence"]
    assert "CC BY-NC-ND 4.0" in found.notices[1].sentence


def test_provenance_is_strict_json_without_paths(bag: FeatureBag, bundle: Bundle) -> None:
    record = predict_bag(bag, bundle, genes={**GENES, "GENE3": float("nan")}).provenance
    text = json.dumps(record, allow_nan=False)
    assert "/" not in text.replace("+00:00", "")
    assert record["software"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert record["slide"]["mpp_source"] == "vendor"
    assert record["genes"] == {"needed": 12, "missing": ["GENE3"]}
    assert record["patches"]["count"] == 30
    assert record["slide"]["scene"] is None
    second = dataclasses.replace(bag, slide_scene=1)
    assert predict_bag(second, bundle).provenance["slide"]["scene"] == 1


def test_the_teacher_joins_genes_by_name(bag: FeatureBag, bundle: Bundle) -> None:
    straight = predict_bag(bag, bundle, genes=GENES).teacher
    turned = predict_bag(bag, bundle, genes=dict(reversed(GENES.items()))).teacher
    swapped = predict_bag(bag, bundle, genes={**GENES, "GENE0": 9.0}).teacher
    assert straight is not None
    assert turned is not None
    assert swapped is not None
    assert straight.risk == turned.risk
    assert straight.risk != swapped.risk


def test_teacher_maps_add_up(bag: FeatureBag) -> None:
    teacher = predict_bag(bag, random_bundle(), genes=GENES).teacher
    assert teacher is not None
    assert teacher.coattention.shape == (4, 30)
    assert teacher.coattention.dtype == np.float16
    maps = teacher.coattention.astype(float) / 30
    np.testing.assert_allclose(maps.sum(axis=1), 1, atol=2e-3)
    assert teacher.pathway_importance.sum() == pytest.approx(1)
    np.testing.assert_allclose(teacher.patch_scores, teacher.pathway_importance @ maps, rtol=2e-3)
    assert teacher.patch_scores.sum() == pytest.approx(1)


def test_an_ensembles_teacher_map_is_the_mean_of_its_members_maps(bag: FeatureBag) -> None:
    members = []
    for member in random_bundle(n_members=3).members:
        weights = {name: 2 * tensor for name, tensor in member.teacher.state_dict().items()}  # sharper maps
        member.teacher.load_state_dict(weights)
        members.append(member)
    bundle = dataclasses.replace(random_bundle(n_members=3), members=tuple(members))
    teacher = predict_bag(bag, bundle, genes=GENES).teacher
    alone = [
        predict_bag(bag, dataclasses.replace(bundle, members=(member,)), genes=GENES).teacher.patch_scores
        for member in members
    ]
    np.testing.assert_allclose(teacher.patch_scores, np.mean(alone, axis=0), rtol=1e-6)
    crossed = teacher.pathway_importance @ (teacher.coattention.astype(float) / 30)
    assert np.abs(crossed / teacher.patch_scores - 1).max() > 0.02, "weights of one and maps of another"


def test_a_reference_that_the_model_had_seen_is_told(bag: FeatureBag) -> None:
    bundle = random_bundle(synthetic=False)
    card = bundle.card.model_copy(update={"provenance": {}})
    found = predict_bag(bag, dataclasses.replace(bundle, card=card)).notices
    assert codes(found) == ["research_only", "seen_reference"]
    assert "more than half may count as high risk" in found[1].sentence


def test_one_missing_gene_counts_as_the_training_mean_and_more_are_refused(
    bag: FeatureBag, bundle: Bundle
) -> None:
    single = random_bundle()
    scaling = single.members[0].scaling
    assert scaling is not None
    without = {name: value for name, value in GENES.items() if name != "GENE5"}
    filled = {**GENES, "GENE5": float(scaling.mean[5])}
    left, right = (predict_bag(bag, single, genes=genes).teacher for genes in (without, filled))
    assert left is not None
    assert right is not None
    assert left.risk == pytest.approx(right.risk, abs=1e-6)
    with pytest.raises(ModalityError, match=r"covers 17% of the 12 genes.*expected at least 90%"):
        predict_bag(bag, bundle, genes={"GENE0": 1.0, "GENE1": 2.0})


def test_genes_without_a_teacher_are_refused(bag: FeatureBag) -> None:
    with pytest.raises(ModalityError, match="model random has no teacher"):
        predict_bag(bag, random_bundle(teacher=False), genes=GENES)


def test_an_ensemble_of_different_bins_is_the_mean_of_its_members_curves(bag: FeatureBag) -> None:
    bundle = random_bundle(n_members=3)
    cuts = ([0, 6, 12, 30], [0, 5, 14, 33], [0, 7, 11, 26])
    members = tuple(
        dataclasses.replace(member, time_bins=TimeBins(np.array([*edges, np.inf], dtype=float)))
        for member, edges in zip(bundle.members, cuts, strict=True)
    )
    ensemble = dataclasses.replace(bundle, members=members)
    found = predict_bag(bag, ensemble)
    alone = [predict_bag(bag, dataclasses.replace(bundle, members=(member,))) for member in members]
    months = found.curve.time_months
    assert set(range(5, 8)) <= set(months)
    expected = [np.interp(months, one.curve.time_months, one.curve.survival) for one in alone]
    np.testing.assert_allclose(found.curve.survival, np.mean(expected, axis=0), rtol=1e-9)
    assert (np.diff(months) > 0).all()
    assert found.risk == pytest.approx(np.mean([one.risk for one in alone]))
    record = prediction_record(found)
    assert [member["bin_edges_months"] for member in record["members"]] == [list(edges) for edges in cuts]
    assert record["risk_spread"]["std"] == pytest.approx(np.std([one.risk for one in alone], ddof=1))
    assert prediction_record(alone[0])["risk_spread"] is None


def test_patches_that_a_gpu_does_not_hold_are_predicted_by_the_processor_and_it_is_said(
    bag: FeatureBag, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = predict_module.run_model

    def full(model, inputs, device, **options):
        if device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")
        return real(model, inputs, device, **options)

    monkeypatch.setattr(predict_module, "run_model", full)
    monkeypatch.setattr(predict_module, "check_device", lambda name: torch.device("cpu"))
    found, expected = predict_bag(bag, bundle, device="cuda:1"), predict_bag(bag, bundle)
    assert found.risk == pytest.approx(expected.risk, abs=1e-12)
    assert found.provenance["device"] == "cpu"
    assert [notice.code for notice in found.notices if notice not in expected.notices] == ["on_processor"]
    assert "memory of cuda:1 did not hold" in found.notices[-1].sentence


def test_the_tie_of_an_even_number_of_members_counts_as_high(bag: FeatureBag) -> None:
    bundle = random_bundle(n_members=2)
    risks = predict_bag(bag, bundle).member_risks
    members = tuple(
        dataclasses.replace(member, risk_cut=float(risk) + shift)
        for member, risk, shift in zip(bundle.members, risks, (-0.5, 0.5), strict=True)
    )
    assert predict_bag(bag, dataclasses.replace(bundle, members=members)).risk_group == "high"
