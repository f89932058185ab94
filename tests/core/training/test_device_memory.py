"""A GPU whose memory is full in training: smaller parts of a step, the same result, and the user is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import D

from amkd_core.errors import DeviceMemoryError
from amkd_core.models import SurvivalModel, build_model
from amkd_core.progress import Progress
from amkd_core.training.config import OptimConfig
from amkd_core.training.evaluate import risks_of
from amkd_core.training.fit import Stage, fit
from amkd_core.training.objectives import survival_objective


class Full:
    """Out of memory at the k-th pass of training, or at every one over more than `most` patients."""

    def __init__(self, *, at: int | None = None, most: int | None = None) -> None:
        self.at, self.most, self.sizes = at, most, []

    def __call__(self, model: torch.nn.Module, arguments: tuple) -> None:
        if not model.training:
            return
        self.sizes.append(len(arguments[0].lengths))
        if len(self.sizes) == self.at or (self.most is not None and self.sizes[-1] > self.most):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def train(
    inputs, folder: Path, full: Full | None = None, *, dropout: float = 0
) -> tuple[SurvivalModel, list[Progress]]:
    *_, data = inputs
    config = OptimConfig(learning_rate=1e-3, epochs=6, batch_patients=8)
    model = build_model("amkd_student", {"d_encoder": D, "dim": 8, "dropout": dropout}, seed=1)
    if full is not None:
        model.register_forward_pre_hook(full)
    stage = Stage("student", folder, 7)
    return model, list(
        fit(model, data.train, data.validation, survival_objective, config=config, stage=stage)
    )


@pytest.fixture(scope="module")
def expected(inputs, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    model, steps = train(inputs, tmp_path_factory.mktemp("plain"))
    assert not any("memory" in step.message for step in steps)
    return risks_of(model, inputs[-1].test)


@pytest.mark.parametrize("at", range(1, 21))
def test_running_out_at_the_kth_pass_changes_no_risk(
    inputs, expected: np.ndarray, tmp_path: Path, at: int
) -> None:
    full = Full(at=at)
    model, steps = train(inputs, tmp_path, full)
    assert len(full.sizes) > at
    np.testing.assert_allclose(risks_of(model, inputs[-1].test), expected, rtol=0, atol=1e-5)
    assert "the memory of cpu was full: gradients of 4 patients at a time" in steps[-1].message
    assert max(full.sizes[at:]) == 4


def test_parts_are_halved_until_they_fit_and_stay_so(inputs, expected: np.ndarray, tmp_path: Path) -> None:
    full = Full(most=3)
    model, _ = train(inputs, tmp_path, full)
    assert full.sizes[:3] == [8, 4, 2]
    assert set(full.sizes[3:]) <= {1, 2}
    np.testing.assert_allclose(risks_of(model, inputs[-1].test), expected, rtol=0, atol=1e-5)


def test_a_step_that_is_repeated_draws_the_same_dropout(inputs, tmp_path: Path) -> None:
    """With other numbers the result would depend on what else the GPU does."""
    *_, data = inputs
    drawn: list[list[float]] = []

    def after(model: torch.nn.Module, arguments: tuple, output: object) -> None:
        if model.training:
            drawn.append(torch.get_rng_state().tolist())
            if len(drawn) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model = build_model("amkd_student", {"d_encoder": D, "dim": 8, "dropout": 0.5}, seed=1)
    model.register_forward_hook(after)
    same = [data.train[0]] * 2  # both parts of one patient are as large
    config = OptimConfig(epochs=1, batch_patients=2, bags_at_once=2)
    list(
        fit(
            model,
            same,
            data.validation,
            survival_objective,
            config=config,
            stage=Stage("student", tmp_path, 7),
        )
    )
    assert drawn[0] == drawn[2]  # the whole step, and its second half


def test_one_patient_that_does_not_fit_is_a_sentence(inputs, tmp_path: Path) -> None:
    sentence = (
        r"does not hold the gradients of \w+ with \d+ patches.*lower patches_per_bag.* or choose device cpu"
    )
    with pytest.raises(DeviceMemoryError, match=sentence):
        train(inputs, tmp_path, Full(most=0))


def test_all_patches_of_a_patient_that_do_not_fit_are_a_sentence(inputs) -> None:
    *_, data = inputs
    model = build_model("amkd_student", {"d_encoder": D, "dim": 8}, seed=1)

    def full(model: torch.nn.Module, arguments: tuple) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model.register_forward_pre_hook(full)
    patient = data.test[0]
    sentence = rf"memory of cpu does not hold {patient.patient_id} with {len(patient.patches)} patches; .* device cpu"
    with pytest.raises(DeviceMemoryError, match=sentence):
        risks_of(model, [patient])
