"""What the page of a comparison says of how its models were trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from amkd_core.cohort.folds import folds_in_words
from amkd_core.models import READS_GROUPS
from amkd_core.studies.benchmark import Comparison
from amkd_core.studies.comparison_tables import ABBREVIATIONS
from amkd_core.training.config import OptimConfig, TrainingConfig
from amkd_core.training.recipes import AMKD, UNDISTILLED, Recipe

_TWO_STAGES = frozenset({AMKD, "pomp_style"})
_OF_PRINT = "balanced"


def protocol(comparison: Comparison, config: TrainingConfig) -> tuple[str, ...]:
    """Folds, fitting, budget and what some models have for themselves, in sentences."""
    folds = folds_in_words(comparison.cohort, config.folds, setting=True)
    fitted = "the baseline hazard" if config.is_cox else "bins"
    loss = "Cox's partial likelihood (Breslow)" if config.is_cox else "the likelihood of the time bins"
    return (
        f"{folds[0].upper()}{folds[1:]}, the same for all models; {fitted}, scaling of genes and features and the cut "
        "of the risk groups are fitted on each fold's training patients.",
        f"Budget: {_budget(config.student, config)}, for {loss}; the epoch with the least loss on validation patients.",
        "Test patients choose nothing.",
        "AMKD and the POMP-style model have two stages, each with its budget.",
        *_own_settings(comparison, config),
        f"Seed {config.seed}.",
        f"Abbreviations: {ABBREVIATIONS}",
    )


def unequal_budget(recipes: Sequence[Recipe], config: TrainingConfig) -> str:
    """That first stages have another budget than everything else, as a sentence; empty where none has."""
    if config.teacher == config.student or not any(recipe.model in _TWO_STAGES for recipe in recipes):
        return ""
    return (
        "First stages (AMKD's teacher, which has a row of its own, and the POMP-style model's pre-training) have "
        f"another budget than all other rows, that of teacher.*: {_budget(config.teacher, config)}."
    )


def _budget(optim: OptimConfig, config: TrainingConfig) -> str:
    patients = optim.cox_window if config.is_cox else optim.batch_patients
    return (
        f"{_epochs(optim.epochs)} of Adam at {optim.learning_rate:g}, weight decay {optim.weight_decay:g}, {patients} "
        f"patients a step, at most {optim.patches_per_bag} patches a bag and epoch, {_epochs(optim.patience)} of "
        "patience"
    )


def _own_settings(comparison: Comparison, config: TrainingConfig) -> Iterator[str]:
    """What some of the models have for themselves."""
    if unequal := unequal_budget(comparison.recipes, config):
        yield unequal
    share, models = config.distill.patch_share, {recipe.model for recipe in comparison.recipes}
    if models & {AMKD, UNDISTILLED} and share < 1:
        yield f"AMKD's student, distilled or not, sees {share:.0%} of each bag in an epoch, drawn anew."
    if AMKD in models and config.distill.pathway_weight:
        yield (
            "AMKD's student also learns to tell the pathways' activities from the slide (distill.pathway_weight), and "
            "its epoch is the one with the least of both losses; rows that tell none choose theirs by survival alone."
        )
    if AMKD in models and config.distill.arr != _OF_PRINT:
        yield (
            f"AMKD's redundancy term has the form {config.distill.arr} (distill.arr); the reading nearest to the "
            f"paper's print is {_OF_PRINT}."
        )
    if models & READS_GROUPS:
        file, groups = comparison.cohort.file.gene_groups, comparison.cohort.gene_groups
        yield "MCAT and G-HANet read " + (
            "the pathways merged into six groups in the order of their file, for the cohort names no gene groups."
            if file is None
            else f"the {len(groups)} groups of genes of {file.name}, genes in no pathway left out."
        )


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{number} epochs"
