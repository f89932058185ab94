"""The teacher's prediction, for a patient whose expression is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from amkd_core.bundle import Bundle, BundleMember
from amkd_core.cohort.genes import GeneScaling
from amkd_core.cohort.pathways import LEAST_OF_ONE, shares_in_words
from amkd_core.cohort.same_scale import UNRELIABLE, mean_scaling, scale_fault
from amkd_core.errors import AmkdError, ModalityError
from amkd_core.inference.forward import normalised, run_model
from amkd_core.inference.prediction import TeacherPrediction
from amkd_core.models import ModelInput
from amkd_core.notices import Notice
from amkd_core.pathway_effects import pathway_activities
from amkd_core.survival.hazard import risk

Array = NDArray[np.float64]

# Fewer of the teacher's genes than this, and its answer would rest on filled-in means.
MIN_GENE_COVERAGE = 0.9
_LARGEST_HALF = float(np.finfo(np.float16).max)


def predict_teacher(
    patches: torch.Tensor, bundle: Bundle, genes: Mapping[str, float], device: str
) -> TeacherPrediction:
    """Run every member's teacher and average.

    Parameters
    ----------
    patches : tensor, shape (n, d)
    genes
        Log-scale expression by gene symbol; joined by name, never by position.

    Raises
    ------
    ModalityError
        When the bundle has no teacher, or the expression covers too few of its genes.
    """
    if not bundle.has_teacher:
        raise ModalityError(
            f"model {bundle.card.name} has no teacher, so expression cannot be used; leave it out"
        )
    expression = _expression(bundle, genes)
    results = [_run_teacher(member, patches, expression, device) for member in bundle.members]
    coattention = np.mean([result[1] for result in results], axis=0)  # (n_pathways, n_patches)
    importance = normalised(np.mean([result[2] for result in results], axis=0))
    # Each teacher weighs its own maps (METHOD section 8); weights of one and maps of another say nothing.
    guided = np.mean([normalised(result[2]) @ result[1] for result in results], axis=0)
    return TeacherPrediction(
        risk=float(np.mean([result[0] for result in results])),
        patch_scores=normalised(guided),
        pathways=tuple(bundle.card.pathways),
        pathway_importance=importance,
        # One patch may hold more of a large bag's attention than half precision has room for.
        coattention=np.minimum(coattention * coattention.shape[1], _LARGEST_HALF).astype(np.float16),
        pathway_additions=_additions(bundle, expression),
    )


def check_genes(bundle: Bundle, measured: Collection[str]) -> None:
    """Refuse expression that covers too few of the teacher's genes.

    Raises
    ------
    ModalityError
        When it covers less than `MIN_GENE_COVERAGE`.
    """
    names = set(measured)
    covered = sum(name in names for name in bundle.card.genes) / len(bundle.card.genes)
    if covered < MIN_GENE_COVERAGE:
        raise ModalityError(
            f"the expression covers {covered:.0%} of the {len(bundle.card.genes)} genes that model {bundle.card.name} "
            f"reads, expected at least {MIN_GENE_COVERAGE:.0%}; check that genes are named as in the training table"
        )


def _expression(bundle: Bundle, genes: Mapping[str, float]) -> Array:
    """Expression in the bundle's gene order; NaN where the patient's table lacks a gene."""
    values = np.array([float(genes.get(name, np.nan)) for name in bundle.card.genes])
    values[np.isinf(values)] = np.nan
    check_genes(bundle, _told(bundle, values))
    return values


def _told(bundle: Bundle, expression: Array) -> list[str]:
    return [name for name, value in zip(bundle.card.genes, expression, strict=True) if np.isfinite(value)]


def thin_pathways(bundle: Bundle, measured: Collection[str]) -> str:
    """Which of the teacher's pathways a table has less than half of the genes of, in words; empty without any."""
    if bundle.membership is None:
        return ""
    known = set(measured)
    has = np.array([name in known for name in bundle.card.genes])
    shares = (bundle.membership & has).sum(axis=1) / bundle.membership.sum(axis=1)
    names = bundle.card.pathways
    few = {name: float(share) for name, share in zip(names, shares, strict=True) if share < LEAST_OF_ONE}
    if not few:
        return ""
    return (
        f"{len(few)} of the {len(names)} pathways have less than {LEAST_OF_ONE:.0%} of their genes in it "
        f"({shares_in_words(few)})"
    )


def expression_notices(bundle: Bundle, genes: Mapping[str, float]) -> tuple[Notice, ...]:
    """Notices where a patient's expression lacks much of a pathway, or is on another scale than the teacher's.

    Raises
    ------
    ModalityError
        As `predict_teacher`.
    """
    expression, told = _expression(bundle, genes), []
    fault = scale_fault(expression, scaling_of(bundle), bundle.card.expression_scale)
    if fault:
        told.append(
            Notice(
                "expression_scale",
                "The patient's expression does not stand on the scale of the table that the model was trained on: "
                f"{fault}; {UNRELIABLE}, and bring the table to that scale first.",
            )
        )
    thin = thin_pathways(bundle, _told(bundle, expression))
    if thin:
        told.append(
            Notice(
                "pathway_genes",
                f"The patient's expression lacks genes: {thin}. Missing genes count as in the mean training patient, "
                "so do not rely on these pathways and their maps.",
            )
        )
    return tuple(told)


def scaling_of(bundle: Bundle) -> GeneScaling:
    """Mean and spread of the training patients' genes, over the members.

    Raises
    ------
    ModalityError
        When the bundle has no teacher.
    """
    scalings = [member.scaling for member in bundle.members if member.scaling is not None]
    if not scalings:
        raise ModalityError(f"model {bundle.card.name} has no teacher and knows no genes")
    return mean_scaling(scalings)


def activities_of(bundle: Bundle, genes: Mapping[str, float]) -> Array:
    """Activity of each of the teacher's pathways in a patient, by the mean of the members' scalings.

    Parameters
    ----------
    genes
        As for `predict_teacher`.

    Returns
    -------
    array, shape (n_pathways,)

    Raises
    ------
    ModalityError
        As `predict_teacher`.
    """
    return _activities(bundle, _expression(bundle, genes))


def _activities(bundle: Bundle, expression: Array) -> Array:
    if bundle.membership is None:
        raise ModalityError(f"model {bundle.card.name} has no teacher and knows no pathways")
    z_scores = np.mean([_scaled(member, expression) for member in bundle.members], axis=0)
    return pathway_activities(z_scores, bundle.membership)


def _additions(bundle: Bundle, expression: Array) -> Array | None:
    effects = bundle.pathway_effects
    return None if effects is None else effects.of_patient(_activities(bundle, expression))


def _scaled(member: BundleMember, expression: Array) -> Array:
    """z-scores as a member's teacher reads them; a missing gene counts as the training mean."""
    if member.scaling is None:
        raise ModalityError("a member of this model has no teacher")
    return np.nan_to_num(member.scaling.apply(expression), nan=0.0)


def _run_teacher(
    member: BundleMember, patches: torch.Tensor, expression: Array, device: str
) -> tuple[float, Array, Array]:
    if member.teacher is None:
        raise ModalityError("a member of this model has no teacher")
    row = torch.from_numpy(_scaled(member, expression)).float()[None]
    output = run_model(member.teacher, ModelInput(patches, (len(patches),), row), device, want_maps=True)
    if output.coattention is None:
        raise AmkdError("this teacher gives no co-attention, so pathways cannot be mapped")
    maps = output.coattention.genes_to_patches[0].cpu().double().numpy()
    importance = output.coattention.pathway_importance[0].cpu().double().numpy()
    return float(risk(output.logits)[0]), maps, importance
