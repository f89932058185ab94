"""Rows of the paper's tables 5 and 6, and of any other switch of the settings in the same form."""

from __future__ import annotations

from collections.abc import Sequence

from amkd_core.errors import ConfigError
from amkd_core.training.config import TrainingConfig
from amkd_core.training.recipes import AMKD, UNDISTILLED, Recipe, changed

# A teacher without gene-informed patch features has nothing for the guidance of features to follow.
_NO_GUIDANCE = ("distill.guidance_weight=0.0",)

ABLATION: tuple[Recipe, ...] = (
    Recipe("without ARR", AMKD, ("distill.alpha=1.0",)),
    Recipe("without ARR and GE", AMKD, ("distill.alpha=1.0", *_NO_GUIDANCE)),
    Recipe("ABMIL (Cat) as teacher", AMKD, _NO_GUIDANCE, teacher="abmil_cat"),
    Recipe("TransMIL (Cat) as teacher", AMKD, _NO_GUIDANCE, teacher="transmil_cat"),
    Recipe("without pathways", AMKD, ("distill.pathway_weight=0.0",)),
    Recipe(UNDISTILLED, UNDISTILLED),
    Recipe(AMKD, AMKD),
)
"""Table 5. Two rows are ours: the student that is told no pathways, which is the paper's, and the undistilled one,
without which no row says what distillation adds."""

ALPHA: tuple[Recipe, ...] = (
    Recipe("alpha 0.25", AMKD, ("distill.alpha=0.25",)),
    Recipe("alpha 0.5", AMKD, ("distill.alpha=0.5",)),
    Recipe("alpha 1", AMKD, ("distill.alpha=1.0",)),
    Recipe(AMKD, AMKD),
)
"""Table 6; the run's own alpha, 0.75 unless the settings say otherwise, is the row "amkd"."""


def switch_rows(switches: Sequence[str], config: TrainingConfig) -> tuple[Recipe, ...]:
    """One row for each value of each switch, such as ``distill.tau_logits=1,2,4``, and AMKD as the settings have it.

    Raises
    ------
    ConfigError
        When a switch has no such form, is unknown, or a value is out of its range.
    """
    rows = []
    for switch in switches:
        key, separator, values = switch.partition("=")
        if not separator or not values.strip():
            raise ConfigError(f"switch {switch!r} must look like section.key=value,value")
        for value in values.split(","):
            override = f"{key.strip()}={value.strip()}"
            changed(config, [override])  # refuses now what would fail in the middle of the run
            rows.append(Recipe(override, AMKD, (override,)))
    return (*rows, Recipe(AMKD, AMKD))
