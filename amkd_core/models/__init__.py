"""Survival models by name; `build_model` is the door for training and for bundles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from amkd_core.errors import ConfigError
from amkd_core.models.abmil import Abmil
from amkd_core.models.base import Coattention, ModelInput, ModelOutput, SurvivalModel
from amkd_core.models.concat import AbmilCat, DsmilCat, TransmilCat
from amkd_core.models.dsmil import Dsmil, DsmilSettings
from amkd_core.models.ghanet import Ghanet, GhanetSettings
from amkd_core.models.mcat import Mcat, McatSettings
from amkd_core.models.omics import Mlp, MlpSettings, Smlp, Snn
from amkd_core.models.pomp import PompSettings, PompStyle
from amkd_core.models.settings import GeneSettings, SlideSettings, settings_from
from amkd_core.models.student import AmkdStudent, StudentConfig
from amkd_core.models.survpath import Survpath
from amkd_core.models.teacher import AmkdTeacher, TeacherConfig
from amkd_core.models.transmil import Transmil, TransmilSettings

__all__ = [
    "MODELS",
    "READS_GROUPS",
    "READS_SLIDES",
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


Maker = Callable[[Mapping[str, Any], Tensor | None], SurvivalModel]


def _with_slides(kind: Callable[[Any], SurvivalModel], settings: type[Any]) -> Maker:
    return lambda config, membership: kind(settings_from(settings, config))


def _with_genes(
    kind: Callable[[Any, Any], SurvivalModel], settings: type[Any], *, name: str, count: bool = False
) -> Maker:
    """Maker of a model that reads genes; `count` hands it their number instead of the membership."""

    def make(config: Mapping[str, Any], membership: Tensor | None) -> SurvivalModel:
        if membership is None:
            raise ConfigError(f"{name} needs the pathway membership, a boolean matrix (n_pathways, n_genes)")
        return kind(settings_from(settings, config), membership.shape[1] if count else membership)

    return make


MODELS: Mapping[str, Maker] = MappingProxyType(
    {
        AmkdTeacher.name: _with_genes(AmkdTeacher, TeacherConfig, name=AmkdTeacher.name),
        AmkdStudent.name: _with_slides(AmkdStudent, StudentConfig),
        Abmil.name: _with_slides(Abmil, SlideSettings),
        Transmil.name: _with_slides(Transmil, TransmilSettings),
        Dsmil.name: _with_slides(Dsmil, DsmilSettings),
        Snn.name: _with_genes(Snn, GeneSettings, name=Snn.name, count=True),
        Mlp.name: _with_genes(Mlp, MlpSettings, name=Mlp.name, count=True),
        Smlp.name: _with_genes(Smlp, GeneSettings, name=Smlp.name),
        AbmilCat.name: _with_genes(AbmilCat, SlideSettings, name=AbmilCat.name),
        TransmilCat.name: _with_genes(TransmilCat, TransmilSettings, name=TransmilCat.name),
        DsmilCat.name: _with_genes(DsmilCat, DsmilSettings, name=DsmilCat.name),
        Mcat.name: _with_genes(Mcat, McatSettings, name=Mcat.name),
        Survpath.name: _with_genes(Survpath, SlideSettings, name=Survpath.name),
        PompStyle.name: _with_genes(PompStyle, PompSettings, name=PompStyle.name),
        Ghanet.name: _with_genes(Ghanet, GhanetSettings, name=Ghanet.name),
    }
)
"""Makers by name, from settings and the pathway membership (None where there is none)."""

READS_SLIDES: Mapping[str, bool] = MappingProxyType(
    {name: name not in ("snn", "mlp", "smlp") for name in MODELS}
)
"""Whether a model's settings name the width of patch features."""

READS_GROUPS: frozenset[str] = frozenset({Mcat.name, Ghanet.name})
"""Models whose genes are sorted into a few groups, not into pathways."""


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
