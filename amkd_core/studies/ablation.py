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

PAPER_ALPHA = Recipe("alpha 0.75", AMKD, ("distill.alpha=0.75",))
"""The paper's own alpha, where the settings have another one."""

SWITCHED = ("model", "teacher", "student", "distill")
"""Sections of the settings that a row may change; `precision` beside them. All else (folds, time bins, coverage, seed,
device) is settled before a row is trained, and is the same for all rows."""


def rows_of_table(number: int, config: TrainingConfig) -> tuple[Recipe, ...]:
    """Rows of the paper's table 5 or 6; table 6 has all of the paper's alphas, whichever the settings have."""
    if number == 5:
        return ABLATION
    own_is_paper = changed(config, PAPER_ALPHA.overrides) == config
    return ALPHA if own_is_paper else (*ALPHA[:2], PAPER_ALPHA, *ALPHA[2:])


def repeated_rows(recipes: Sequence[Recipe], config: TrainingConfig) -> dict[str, str]:
    """Rows that have the settings of another one, by name: of AMKD's own where it is among them, else of the first.

    Trained again such a row would be the same figures, and one comparison more to correct for.
    """
    first: dict[tuple[str, str, TrainingConfig], str] = {}
    found = {}
    for recipe in sorted(recipes, key=lambda recipe: recipe.name != AMKD):
        same = first.setdefault(
            (recipe.model, recipe.teacher, changed(config, recipe.overrides)), recipe.name
        )
        if same != recipe.name:
            found[recipe.name] = same
    return found


def switch_rows(switches: Sequence[str], config: TrainingConfig) -> tuple[Recipe, ...]:
    """One row for each value of each switch, such as ``distill.tau_logits=1,2,4``, and AMKD as the settings have it.

    Raises
    ------
    ConfigError
        When a switch has no such form, is unknown, stands outside `SWITCHED`, a value is out of its range, or two rows
        would be the same.
    """
    rows: dict[tuple[str, TrainingConfig], Recipe] = {}
    for switch in switches:
        key, separator, values = switch.partition("=")
        if not separator or not values.strip():
            raise ConfigError(f"switch {switch!r} must look like section.key=value,value")
        key = key.strip()
        for value in values.split(","):
            override = f"{key}={value.strip()}"
            own = changed(config, [override])  # refuses now what would fail in the middle of the run
            _refuse_shared(key, override)
            if (key, own) in rows:
                raise ConfigError(
                    f"switch {override} makes the row {rows[key, own].name} again; name it once"
                )
            rows[key, own] = Recipe(override, AMKD, (override,))
    return (*rows.values(), Recipe(AMKD, AMKD))


def _refuse_shared(key: str, override: str) -> None:
    """Refuse a setting that no row can have for itself: its row would be AMKD's again."""
    section, separator, _ = key.partition(".")
    if key != "precision" and not (separator and section in SWITCHED):
        raise ConfigError(
            f"switch {override}: {key} is settled before a row is trained and is the same for all of them, expected "
            f"precision or a setting of {', '.join(SWITCHED)}; compare runs of amkd-train --set {override} instead"
        )
