"""Bags are checked together; what is fitted has seen training patients alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_fixtures import encoder_identity, random_bag
from training_fixtures import D

from amkd_core.bag import concatenate_bags
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bag_kind import BagKind
from amkd_core.cohort.cohort import read_cohort
from amkd_core.cohort.splits import Split
from amkd_core.errors import BagError, CohortError
from amkd_core.survival.hazard import nll_loss
from amkd_core.training.inputs import base_logits_of, make_inputs, read_bags, scale_of_model
from amkd_core.training.stages import fresh_model
from amkd_core.training.time_bins import require_time_bins


def test_nothing_fitted_has_seen_validation_or_test_patients(inputs) -> None:
    cohort, bags, split, config, data = inputs
    assert set(data.fitted.fitted_on) == set(split.train)
    held_out = set(split.validation) | set(split.test)
    values = cohort.expression.values.copy()
    rows = [cohort.expression.patients.index(name) for name in held_out]
    values[rows] *= 100
    patients = tuple(
        replace(patient, time=patient.time * 50, event=not patient.event)
        if patient.patient_id in held_out
        else patient
        for patient in cohort.patients
    )
    changed_bags = {
        name: replace(bag, features=bag.features * 100) if name in held_out else bag
        for name, bag in bags.items()
    }
    changed = replace(cohort, patients=patients, expression=replace(cohort.expression, values=values))
    other = make_inputs(changed, changed_bags, split, config).fitted
    assert other.time_bins == data.fitted.time_bins
    assert torch.equal(other.feature_mean, data.fitted.feature_mean)
    assert torch.equal(other.feature_scale, data.fitted.feature_scale)
    assert torch.equal(other.base_logits, data.fitted.base_logits)
    np.testing.assert_array_equal(other.scaling.mean, data.fitted.scaling.mean)
    np.testing.assert_array_equal(other.scaling.std, data.fitted.scaling.std)


def test_the_folds_whose_time_bins_cannot_be_cut_are_named(inputs) -> None:
    cohort, _, split, config, _ = inputs
    tied = tuple(
        replace(patient, time=12.0) if patient.patient_id in split.train else patient
        for patient in cohort.patients
    )
    whole_years = replace(cohort, patients=tied)
    other = Split((*split.validation, *split.test), split.train, ())
    require_time_bins(whole_years, config, (other,))
    with pytest.raises(
        CohortError, match=r"^fold 2: equal times of events leave 3 of 4 .* \(the setting n_bins\)$"
    ):
        require_time_bins(whole_years, config, (other, split))
    require_time_bins(whole_years, config.model_copy(update={"survival_loss": "cox"}), (other, split))


def test_a_feature_of_one_number_has_a_scale_of_one_whatever_its_rounding(inputs) -> None:
    cohort, bags, split, config, _ = inputs
    constants = np.array([1234.5678, 0.1, 7.7, 3.3], dtype=np.float32)
    flat, rng = {}, np.random.default_rng(0)
    for name, bag in bags.items():
        # Of so many rows a mean square and a squared mean differ by rounding; of the fixture's few they do not.
        large = bag.subset(rng.integers(len(bag), size=int(rng.integers(2_000, 5_000))))
        features = large.features.copy()
        features[:, :4] = constants
        flat[name] = replace(large, features=features)
    data = make_inputs(cohort, flat, split, config)
    assert (data.fitted.feature_scale[:4] == 0).all()  # which the model takes as 1
    model = fresh_model("amkd_student", data, config, seed=0)
    assert (model.patch_projection.feature_scale[:4] == 1.0).all()


def test_missing_and_mixed_bags_are_named(cohort_toml: Path, tmp_path: Path) -> None:
    cohort = read_cohort(cohort_toml)
    with pytest.raises(CohortError, match=r"48 bags are missing in .* \(P00s, P01s"):
        read_bags(cohort, tmp_path)
    for path in (cohort_toml.parent / "bags").glob("*.h5"):
        bag = read_bag(path)
        other = replace(bag, encoder=encoder_identity(D, "other")) if path.stem == "P07s" else bag
        write_bag(tmp_path / path.name, other)
    with pytest.raises(CohortError, match=r"made in different ways \(other 1 256 px 0.5 um/px and texture 1"):
        read_bags(cohort, tmp_path)
    uni = replace(cohort, file=cohort.file.model_copy(update={"encoder": "uni"}))
    with pytest.raises(CohortError, match="made by encoder texture, but the cohort file says uni"):
        read_bags(uni, cohort.file.bags)


def test_damaged_and_doubled_slides_are_named_together(cohort_toml: Path, tmp_path: Path) -> None:
    cohort = read_cohort(cohort_toml)
    for path in (cohort_toml.parent / "bags").glob("*.h5"):
        bag = read_bag(path)
        twin = path.stem in ("P03s", "P31s")
        write_bag(tmp_path / path.name, replace(bag, slide_fingerprint="f" * 16) if twin else bag)
    damaged = tmp_path / "P20s.h5"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    expected = r"P20s.h5: .*; P03s of patient P03 and P31s of patient P31 are the same image"
    with pytest.raises(CohortError, match=expected):
        read_bags(cohort, tmp_path)


def test_base_logits_are_the_best_constant_prediction() -> None:
    by_hand = base_logits_of(np.array([0, 0, 1, 1]), np.array([True, False, True, False]), 2)
    np.testing.assert_allclose(by_hand, [np.log(1.5 / 3.5), np.log(1.5 / 1.5)], rtol=1e-6)
    rng = np.random.default_rng(0)
    bins, event = rng.integers(0, 4, 20_000), rng.random(20_000) < 0.4
    logits = base_logits_of(bins, event, 4).double().requires_grad_()
    loss = nll_loss(logits.expand(len(bins), 4), torch.from_numpy(bins), torch.from_numpy(event))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() < 1e-4
    assert torch.isfinite(base_logits_of(np.array([0, 1]), np.array([True, True]), 2)).all()


@pytest.mark.parametrize(("mpp", "alike"), [(0.504, True), (0.475, False), (0.53, False)])
def test_scales_may_differ_as_scanners_do(cohort_toml: Path, tmp_path: Path, mpp: float, alike: bool) -> None:
    """0.4990, 0.5015 and 0.5040 um per px are one nominal 20x, between patients and within one."""
    cohort = read_cohort(cohort_toml)
    for path in (cohort_toml.parent / "bags").glob("*.h5"):
        bag = read_bag(path)
        write_bag(tmp_path / path.name, replace(bag, mpp=mpp) if path.stem == "P07s" else bag)
    if alike:
        assert read_bags(cohort, tmp_path)["P07"].mpp == mpp
    else:
        with pytest.raises(
            CohortError, match=r"made in different ways \(texture 1 256 px 0\.\d+ to 0\.\d+ um/px\)"
        ):
            read_bags(cohort, tmp_path)


def test_slides_of_a_patient_may_differ_in_scale_as_scanners_do() -> None:
    first, second = random_bag(20, seed=1), random_bag(30, seed=2)
    joined = concatenate_bags([first, replace(second, mpp=first.mpp * 1.01)], patient_id="P")
    assert (joined.mpp, len(joined)) == (first.mpp, 50)
    with pytest.raises(BagError, match=r"P: the bags of .* differ in scale"):
        concatenate_bags([first, replace(second, mpp=first.mpp * 1.2)], patient_id="P")
    # The first lies between the others, which are 9.9 % apart.
    three = [replace(first, mpp=mpp) for mpp in (0.5, 0.477, 0.524)]
    with pytest.raises(BagError, match=r"P: the bags of .* differ in scale \(0\.477 and 0\.524\)"):
        concatenate_bags(three, patient_id="P")


def test_scales_of_all_slides_of_patients_are_compared(cohort_toml: Path, tmp_path: Path) -> None:
    """Each patient's slides agree, and so do the patients' first slides; the second ones are 8 % apart."""
    cohort = read_cohort(cohort_toml)
    for path in (cohort_toml.parent / "bags").glob("*.h5"):
        write_bag(tmp_path / path.name, read_bag(path))
    patients = list(cohort.patients)
    for index, mpp in ((0, 0.481), (1, 0.52)):
        name = f"{patients[index].patient_id}second"
        bag = read_bag(tmp_path / f"{patients[index].slide_ids[0]}.h5")
        write_bag(tmp_path / f"{name}.h5", replace(bag, mpp=mpp, slide_id=name, slide_fingerprint=name))
        patients[index] = replace(patients[index], slide_ids=(*patients[index].slide_ids, name))
    with pytest.raises(CohortError, match=r"different ways \(texture 1 256 px 0\.481 to 0\.52 um/px\)"):
        read_bags(replace(cohort, patients=tuple(patients)), tmp_path)


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ((0.475, 0.4985), 0.49),
        ((0.245, 0.2572), 0.25),
        ((0.2449, 0.2449), 0.2449),
        ((0.499, 0.504), 0.5),
        ((0.49999999, 0.5), 0.5),
        ((0.4999999, 0.4999999), 0.5),
        ((0.1041, 0.1049), 0.1045),
        ((1.0, 1.05), 1.02),
    ],
)
def test_a_model_takes_the_bags_that_it_was_trained_on(scales: tuple[float, float], expected: float) -> None:
    bags = [replace(random_bag(3), mpp=mpp) for mpp in scales]
    for given in (bags, bags[::-1]):
        mpp = scale_of_model(given)
        assert mpp == pytest.approx(expected, rel=1e-9)
        kind = BagKind("m", bags[0].encoder, bags[0].patch_size_px, mpp)
        for bag in bags:
            kind.check_bag(bag)
