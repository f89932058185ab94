"""The parts of torchsurv that are used, loaded without the rest of it.

torchsurv's package door imports torchmetrics, which imports torchvision wherever one is installed; beside a torch
of another build that import fails and takes every metric with it. The metrics themselves need neither: only
torchsurv's own tests of two metrics against each other use torchmetrics, and those are not used here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from amkd_core.errors import MissingExtraError


@dataclass(frozen=True)
class TorchsurvParts:
    """Classes and functions of torchsurv.

    Attributes
    ----------
    concordance_index, auc, brier_score
        The classes ``ConcordanceIndex``, ``Auc`` and ``BrierScore``.
    get_ipcw
        Inverse probabilities of censoring.
    """

    concordance_index: Any
    auc: Any
    brier_score: Any
    get_ipcw: Any


@lru_cache(maxsize=1)
def torchsurv_parts() -> TorchsurvParts:
    """Load them once per process; whatever stood in ``sys.modules`` stands there unchanged afterwards.

    Raises
    ------
    MissingExtraError
        When torchsurv is not installed.
    """
    found = importlib.util.find_spec("torchsurv")
    if found is None or found.submodule_search_locations is None:
        raise MissingExtraError("torchsurv is not installed; install amkd-viewer again with its requirements")
    kept = {name: module for name, module in sys.modules.items() if _is_replaced(name)}
    for name in kept:
        del sys.modules[name]
    door = types.ModuleType("torchsurv")
    door.__path__ = list(found.submodule_search_locations)
    unused = types.ModuleType("torchmetrics")
    vars(unused)["regression"] = None
    sys.modules.update({"torchsurv": door, "torchmetrics": unused})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it compiles a validator by torch.jit.script
            return TorchsurvParts(
                importlib.import_module("torchsurv.metrics.cindex").ConcordanceIndex,
                importlib.import_module("torchsurv.metrics.auc").Auc,
                importlib.import_module("torchsurv.metrics.brier_score").BrierScore,
                importlib.import_module("torchsurv.stats.ipcw").get_ipcw,
            )
    finally:
        for name in [name for name in sys.modules if _is_replaced(name)]:
            del sys.modules[name]
        sys.modules.update(kept)


def _is_replaced(name: str) -> bool:
    return name.split(".")[0] == "torchsurv" or name == "torchmetrics"
