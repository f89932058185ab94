"""The teacher's targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from amkd_core.cli.terminal import drain
from amkd_core.errors import ConfigError
from amkd_core.training.stages import attach_targets, train_student, train_teacher


def test_the_teacher_is_frozen_and_its_unseen_losses_differ_from_the_seen_ones(
    inputs, tmp_path: Path
) -> None:
    *_, config, data = inputs
    teacher = drain(train_teacher(data, config, tmp_path))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    taught = drain(attach_targets(data, teacher, config, tmp_path))
    seen_config = config.model_copy(
        update={"distill": config.distill.model_copy(update={"teacher_loss": "in_sample"})}
    )
    seen = drain(attach_targets(data, teacher, seen_config, tmp_path))
    unseen_losses = np.array([float(example.targets.survival_loss) for example in taught.train])
    seen_losses = np.array([float(example.targets.survival_loss) for example in seen.train])
    assert not np.allclose(unseen_losses, seen_losses)
    assert all(
        torch.equal(a.targets.logits, b.targets.logits) for a, b in zip(taught.train, seen.train, strict=True)
    )
    assert not any(example.targets.guided.requires_grad for example in taught.train)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_patches_drawn_for_training_keep_their_targets(inputs, tmp_path: Path) -> None:
    *_, config, data = inputs
    taught = drain(attach_targets(data, drain(train_teacher(data, config, tmp_path)), config, tmp_path))
    example = taught.train[0]
    drawn = example.drawn(torch.tensor([2, 0]))
    assert torch.equal(drawn.patches, example.patches[[2, 0]])
    assert torch.equal(drawn.targets.guided, example.targets.guided[[2, 0]])


def test_both_networks_start_at_the_hazards_of_the_training_patients(inputs, tmp_path: Path) -> None:
    *_, config, data = inputs
    still = config.teacher.model_copy(update={"epochs": 1, "learning_rate": 1e-9})
    config = config.model_copy(update={"teacher": still, "student": still})
    for model in (
        drain(train_teacher(data, config, tmp_path)),
        drain(train_student(data, config, tmp_path, distilled=False)),
    ):
        torch.testing.assert_close(model.head[-1].bias.detach(), data.fitted.base_logits, atol=1e-6, rtol=0)
        with pytest.raises(ConfigError, match=r"cannot start at base logits of shape \(3,\)"):
            model.start_at(torch.zeros(3))
