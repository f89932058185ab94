"""Survival models by name; `build_model` is the door for training and for bundles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from amkd_core.errors import ConfigError
from amkd_core.models.base import Coattention, ModelInput, ModelOutput, SurvivalModel
from amkd_core.models.settings import settings_from
from amkd_core.models.student import AmkdStudent, StudentConfig
from amkd_core.models.teacher import AmkdTeacher, TeacherConfig

__all__ = [
    "MODELS",
    "AmkdStudent",
    "AmkdTeacher",
    "Coattention",
    "ModelInput",
    "ModelOutput",
    "StudentConfig",
    "SurvivalModel",
    "TeacherConfig",
    "build_model",
]


def _teacher(config: Mapping[str, Any], membership: Tensor | None) -> SurvivalModel:
    if membership is None:
        raise ConfigError("amkd_teacher needs the pathway membership, a boolean matrix (n_pathways, n_genes)")
    return AmkdTeacher(settings_from(TeacherConfig, config), membership)


def _student(config: Mapping[str, Any], membership: Tensor | None) -> SurvivalModel:
    return AmkdStudent(settings_from(StudentConfig, config))


MODELS: Mapping[str, Callable[[Mapping[str, Any], Tensor | None], SurvivalModel]] = MappingProxyType(
    {AmkdTeacher.name: _teacher, AmkdStudent.name: _student}
)


def build_model(
    name: str, config: Mapping[str, Any], *, membership: Any | None = None, seed: int = 0
) -> SurvivalModel:
    """Model with fresh weights on the CPU; the same seed gives the same weights.

    Parameters
    ----------
    name : str
        Key of `MODELS`.
    config : mapping
        Settings as `SurvivalModel.config` gives them.
    membership : bool array or Tensor, shape (n_pathways, n_genes), optional
        Needed by models that read genes; the others pay it no attention.
    seed : int
        Of the initial weights; the caller's random state is left as it was.

    Raises
    ------
    ConfigError
        When the name or a setting is unknown or unusable, or the membership is missing.
    """
    if name not in MODELS:
        raise ConfigError(f"there is no model {name!r}; known are {', '.join(MODELS)}")
    matrix = None if membership is None else torch.as_tensor(membership)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name](config, matrix)
