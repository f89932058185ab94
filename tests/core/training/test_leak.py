"""Held-out patients: whatever becomes of them, nothing that a fold learns moves by a bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cohort_fixtures import disturbed
from safetensors.torch import load_file

from amkd_core.bundle_file import open_bundle
from amkd_core.cli.terminal import drain
from amkd_core.errors import LeakError
from amkd_core.training.config import TrainingConfig
from amkd_core.training.crossval import MODELS, train_fold
from amkd_core.training.fold_predictions import RiskScale
from amkd_core.training.fold_record import FoldResult, finished_fold
from amkd_core.training.watched import Watched

CHECKPOINTS = ("teacher", "student", "inner/inner teacher 1 of 2", "inner/inner teacher 2 of 2")


def with_epochs(config: TrainingConfig, epochs: int) -> TrainingConfig:
    stages = {
        name: getattr(config, name).model_copy(update={"epochs": epochs, "patience": epochs})
        for name in ("teacher", "student")
    }
    return config.model_copy(update=stages)


def assert_equal_tensors(left: Path, right: Path, prefix: str = "") -> None:
    first, second = load_file(left), load_file(right)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if name.startswith(prefix):
            assert torch.equal(value, second[name]), (left.parent.name, name)


def fitted(result: FoldResult) -> dict:
    return json.loads((result.folder / "fitted.json").read_text())


@pytest.mark.parametrize("survival_loss", ["nll", "cox"])
def test_test_patients_move_nothing(survival_loss: str, inputs, tmp_path: Path) -> None:
    cohort, bags, split, config, _ = inputs
    config = with_epochs(config, 2).model_copy(update={"survival_loss": survival_loss})
    plain = drain(train_fold(cohort, bags, split, config, run=tmp_path / "plain", fold=1))
    other, other_bags = disturbed(cohort, bags, split.test)
    moved = drain(train_fold(other, other_bags, split, config, run=tmp_path / "moved", fold=1))
    assert fitted(moved) == fitted(plain)
    for stage in CHECKPOINTS:
        checkpoint = Path(stage) / "checkpoint.safetensors"
        assert_equal_tensors(plain.folder / checkpoint, moved.folder / checkpoint)
        history = Path(stage) / "history.csv"
        assert (plain.folder / history).read_bytes() == (moved.folder / history).read_bytes()
    # Everything in the bundle: weights, risks, curves, scaling, range of features.
    assert open_bundle(moved.bundle_path).card.parts == open_bundle(plain.bundle_path).card.parts
    seen, unseen = (
        [frame[frame["part"] != "test"].reset_index(drop=True) for frame in (plain.predictions, moved.predictions)],
        [frame[frame["part"] == "test"] for frame in (plain.predictions, moved.predictions)],
    )  # fmt: skip
    assert seen[0].equals(seen[1])
    assert not unseen[0].equals(unseen[1])


def test_validation_patients_move_no_fitted_number_and_no_weight_of_any_epoch(inputs, tmp_path: Path) -> None:
    cohort, bags, split, config, _ = inputs
    cohort = replace(cohort, expression_scale="zscore")
    other, other_bags = disturbed(cohort, bags, (*split.validation, *split.test))
    # With one epoch there is nothing to choose, so that nothing at all may move.
    once = with_epochs(config, 1)
    plain = drain(train_fold(cohort, bags, split, once, run=tmp_path / "plain", fold=1))
    moved = drain(train_fold(other, other_bags, split, once, run=tmp_path / "moved", fold=1))
    assert fitted(moved) == fitted(plain)
    assert open_bundle(moved.bundle_path).card.parts == open_bundle(plain.bundle_path).card.parts
    assert open_bundle(plain.bundle_path).card.expression_scale == "zscore"
    # With several, they choose which epoch of the same ones is kept.
    several = with_epochs(config, 3)
    plain = drain(train_fold(cohort, bags, split, several, run=tmp_path / "plain3", fold=1))
    moved = drain(train_fold(other, other_bags, split, several, run=tmp_path / "moved3", fold=1))
    left, right = fitted(plain), fitted(moved)
    assert left.pop("risk_cut").keys() == right.pop("risk_cut").keys()
    assert left == right
    for stage in ("teacher", "inner/inner teacher 1 of 2"):
        checkpoint = Path(stage) / "checkpoint.safetensors"
        assert_equal_tensors(plain.folder / checkpoint, moved.folder / checkpoint, "model.")


@pytest.mark.parametrize("part", ["train"])
def test_the_disturbance_is_felt_where_it_may_be(inputs, tmp_path: Path, part: str) -> None:
    cohort, bags, split, config, _ = inputs
    once = with_epochs(config, 1)
    other, other_bags = disturbed(cohort, bags, getattr(split, part)[:1])
    plain = drain(train_fold(cohort, bags, split, once, run=tmp_path / "plain", fold=1))
    moved = drain(train_fold(other, other_bags, split, once, run=tmp_path / "moved", fold=1))
    left, right = fitted(plain), fitted(moved)
    for name in (
        "time_bins_months",
        "risk_cut",
        "base_logits",
        "gene_mean",
        "gene_std",
        "feature_mean",
        "feature_scale",
    ):
        assert left[name] != right[name], name


@pytest.mark.parametrize(
    ("what", "part"),
    [
        ("scaling of genes", "test"),
        ("scaling of features", "validation"),
        ("time bins", "test"),
        ("risk groups", "test"),
        ("range of features", "validation"),
    ],
)
def test_a_planted_leak_ends_the_fold(what: str, part: str, inputs, tmp_path: Path, monkeypatch) -> None:
    cohort, bags, split, config, _ = inputs
    held_out = getattr(split, part)[0]
    for way in ("expression", "outcome", "bags"):
        asked = getattr(Watched, way)

        def leaking(self, of, names, *more, asked=asked):
            return asked(self, of, [*names, held_out] if of == what else names, *more)

        monkeypatch.setattr(Watched, way, leaking)
    with pytest.raises(LeakError, match=rf"^the {what} of this fold saw 1 patients .* \({held_out}\)"):
        drain(train_fold(cohort, bags, split, with_epochs(config, 1), run=tmp_path / "run", fold=1))
    assert finished_fold(tmp_path / "run", 1) is None
    assert not list(tmp_path.rglob("*.amkd"))


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_a_risk_scale_that_saw_the_test_ends_the_fold(name: str, inputs, tmp_path: Path, monkeypatch) -> None:
    cohort, bags, split, config, _ = inputs
    fit = RiskScale.fit
    calls = []

    def leaking(logits, patients, bins):
        calls.append(len(calls))
        own = fit(logits, patients, bins)
        leaks = calls[-1] == MODELS.index(name)
        return replace(own, seen=(*own.seen, *split.test[:1])) if leaks else own

    monkeypatch.setattr(RiskScale, "fit", leaking)
    with pytest.raises(LeakError, match=rf"^the risk scale of {name} of this fold saw 1 patients"):
        drain(train_fold(cohort, bags, split, with_epochs(config, 1), run=tmp_path / "run", fold=1))


def test_everything_fitted_tells_whom_it_saw(inputs, tmp_path: Path) -> None:
    cohort, bags, split, config, _ = inputs
    result = drain(train_fold(cohort, bags, split, with_epochs(config, 1), run=tmp_path / "run", fold=1))
    seen = fitted(result)["seen"]
    assert set(seen) == {
        "scaling of genes", "scaling of features", "time bins", "risk scale of student", "risk scale of teacher",
    }  # fmt: skip
    assert {tuple(names) for names in seen.values()} == {tuple(split.train)}
