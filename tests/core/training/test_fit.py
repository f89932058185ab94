"""The training loop: it continues bit by bit, or says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_fixtures import D

from amkd_core.cli.terminal import drain
from amkd_core.errors import ConfigError, RunFolderError
from amkd_core.models import build_model
from amkd_core.training.config import OptimConfig
from amkd_core.training.fit import Stage, fit
from amkd_core.training.objectives import survival_objective
from amkd_core.training.stages import train_teacher


def test_a_stage_stopped_after_any_epoch_ends_with_the_same_weights(inputs, tmp_path: Path) -> None:
    _, _, _, _, data = inputs
    config = OptimConfig(learning_rate=0.01, epochs=4, batch_patients=5, patches_per_bag=6)

    def model():
        return build_model("amkd_student", {"d_encoder": D, "dim": 8}, seed=1)

    def train(network, folder: Path, stop_after: int | None = None) -> None:
        stage = Stage("student", folder, 7)
        steps = fit(network, data.train, data.validation, survival_objective, config=config, stage=stage)
        for number, _ in enumerate(steps, start=1):
            if number == stop_after:
                steps.close()
                return

    whole = model()
    train(whole, tmp_path / "whole")
    for stop_after in (1, 2, 3):
        folder = tmp_path / f"stopped{stop_after}"
        train(model(), folder, stop_after)
        continued = model()
        train(continued, folder)
        for name, value in whole.state_dict().items():
            assert torch.equal(value, continued.state_dict()[name]), name


def test_a_slow_stage_loses_no_more_than_its_seconds(inputs, tmp_path: Path, monkeypatch) -> None:
    *_, data = inputs
    clock = [0.0]
    monkeypatch.setattr("amkd_core.training.fit.time.monotonic", lambda: clock[0])
    config = OptimConfig(learning_rate=0.01, epochs=6, batch_patients=5, patches_per_bag=6, patience=6)
    stage = Stage("student", tmp_path, 7, checkpoint_after_s=30.0)
    network = build_model("amkd_student", {"d_encoder": D, "dim": 8}, seed=1)
    kept = []
    for _ in fit(network, data.train, data.validation, survival_objective, config=config, stage=stage):
        history = tmp_path / "history.csv"
        kept.append(len(history.read_text().splitlines()) - 1 if history.exists() else 0)
        clock[0] += 16.0
    # The third and the fifth epoch ended more than 30 s after the last checkpoint; the last one leaves its own.
    assert kept == [0, 0, 3, 3, 5, 6]


def test_a_damaged_checkpoint_is_one_sentence(inputs, tmp_path: Path) -> None:
    *_, config, data = inputs
    drain(train_teacher(data, config, tmp_path))
    checkpoint = tmp_path / "teacher" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(
        RunFolderError, match=r"the checkpoint is damaged .*; remove teacher to train this stage"
    ):
        drain(train_teacher(data, config, tmp_path))


def test_a_stage_without_a_finite_validation_loss_is_no_trained_stage(inputs, tmp_path: Path) -> None:
    *_, config, data = inputs
    absurd = config.teacher.model_copy(update={"learning_rate": 1e30, "epochs": 2})
    absurd = config.model_copy(update={"teacher": absurd})
    sentence = (
        r"fold-2/teacher: none of the 2 epochs of stage teacher had a finite validation loss \(the first was nan\), "
        r".* lower its learning_rate, which is 1e\+30 \(teacher.learning_rate or student.learning_rate\)$"
    )
    for _ in range(2):  # the repeated command, which finds the stage's checkpoint, is told the same
        with pytest.raises(ConfigError, match=sentence):
            drain(train_teacher(data, absurd, tmp_path / "fold-2"))


def test_an_epoch_that_was_finite_is_kept_when_later_ones_are_not(inputs, tmp_path: Path) -> None:
    *_, data = inputs
    config = OptimConfig(learning_rate=0.01, epochs=3)
    network = build_model("amkd_student", {"d_encoder": D, "dim": 8}, seed=1)
    kept = []

    def spoilt(output, examples):
        terms = survival_objective(output, examples)
        # Validation runs without gradients.
        bad = len(kept) and not torch.is_grad_enabled()
        return {**terms, "monitored": terms["survival"] * (torch.nan if bad else 1)}

    stage = Stage("student", tmp_path, 7)
    for _ in fit(network, data.train, data.validation, spoilt, config=config, stage=stage):
        kept = kept or [{name: value.clone() for name, value in network.state_dict().items()}]
    for name, value in kept[0].items():
        assert torch.equal(value, network.state_dict()[name]), name


@pytest.mark.parametrize("kept_as", [torch.float32, torch.float16])
def test_mixed_precision_trains_float32_weights_close_to_the_plain_ones(
    inputs, tmp_path: Path, kept_as: torch.dtype
) -> None:
    """Also of bags that are kept as halves of another kind, several patients at a time."""
    *_, data = inputs
    halves = [replace(example, patches=example.patches.to(kept_as)) for example in data.train]
    config = OptimConfig(learning_rate=0.01, epochs=2, batch_patients=5)
    seen: list[torch.dtype] = []

    def train(precision):
        network = build_model("amkd_student", {"d_encoder": D, "dim": 8, "dropout": 0.0}, seed=1)
        network.patch_attention.out.register_forward_hook(lambda *hook: seen.append(hook[2].dtype))
        stage = Stage("student", tmp_path / precision, 7, precision=precision)
        history = drain(fit(network, halves, data.validation, survival_objective, config=config, stage=stage))
        return network, [row["total"] for row in history]

    _, first = train("auto")
    assert set(seen) == {torch.float32}
    mixed, second = train("bfloat16")
    assert torch.bfloat16 in seen
    assert {value.dtype for value in mixed.state_dict().values()} == {torch.float32}
    assert first != second
    assert second == pytest.approx(first, rel=0.02)


def test_kernels_that_give_the_same_bits_are_used_where_they_are_asked_for(inputs, tmp_path: Path) -> None:
    *_, data = inputs
    config = OptimConfig(learning_rate=0.01, epochs=2, batch_patients=5)
    used: list[bool] = []

    def watched(output, examples):
        used.append(torch.are_deterministic_algorithms_enabled())
        return survival_objective(output, examples)

    def without_such_a_kernel(output, examples):
        torch.zeros(2).put_(torch.tensor([0]), torch.ones(1))
        return survival_objective(output, examples)

    def train(objective, *, wanted):
        stage = Stage("student", tmp_path / f"{objective.__name__} {wanted}", 7, deterministic=wanted)
        network = build_model("amkd_student", {"d_encoder": D, "dim": 8}, seed=1)
        return drain(fit(network, data.train, data.validation, objective, config=config, stage=stage))

    plain, asked = train(watched, wanted=False), train(watched, wanted=True)
    assert plain == asked  # on a CPU all kernels are such
    assert set(used) == {True, False}
    with pytest.raises(
        ConfigError, match=r"deterministic = true cannot be kept on cpu: put_ .*; choose device cpu"
    ):
        train(without_such_a_kernel, wanted=True)
    train(without_such_a_kernel, wanted=False)
    assert not torch.are_deterministic_algorithms_enabled()


SCRIPTED = (5.0, 3.0, 4.0, 2.0, 2.5, 2.6, 2.7, 9.0, 9.0)


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 5, 6])
def test_early_stopping_goes_on_where_it_was(
    inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    """Losses of validation by a script: the fourth epoch is kept and the seventh the last, stopped before or not."""
    *_, data = inputs
    config = OptimConfig(learning_rate=0.01, epochs=9, patience=3, batch_patients=5, patches_per_bag=6)

    def train(folder: Path, first: int, stop: int | None = None):
        script = iter(SCRIPTED[first:])
        monkeypatch.setattr("amkd_core.training.fit._validate", lambda *_: next(script))
        network = build_model("amkd_student", {"d_encoder": D, "dim": 8}, seed=1)
        stage = Stage("student", folder, 7)
        steps = fit(network, data.train, data.validation, survival_objective, config=config, stage=stage)
        if stop is not None:
            for _ in range(stop):
                next(steps)
            steps.close()
            return network, []
        return network, drain(steps)

    whole, history = train(tmp_path / "whole", 0)
    train(tmp_path / "stopped", 0, stop_after)
    continued, again = train(tmp_path / "stopped", stop_after)
    assert [row["validation"] for row in history] == list(SCRIPTED[:7])
    assert again == history
    for name, value in whole.state_dict().items():
        assert torch.equal(value, continued.state_dict()[name]), name
