"""What a teacher makes of pathways over its training cohort: attention (METHOD section 8; figure 4), and effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle, BundleMember
from amkd_core.cohort.cohort import Cohort
from amkd_core.errors import ModalityError
from amkd_core.inference.forward import normalised, or_on_processor, run_model
from amkd_core.models import ModelInput
from amkd_core.pathway_effects import PathwayEffects, pathway_activities
from amkd_core.survival.hazard import risk

Array = NDArray[np.float64]

ON_PROCESSOR = "pathways_on_processor"
"""``provenance[...]``: for how many patients the processor stood in when the teacher's pathways were read."""


@dataclass(frozen=True, eq=False)
class TaughtPatients:
    """What one member's teacher says of patients.

    Attributes
    ----------
    attention : array, shape (n_patients, n_pathways)
        Mean over each patient's patches of ``A_p2g``; rows sum to 1.
    risks : array, shape (n_patients,)
    z_scores : array, shape (n_patients, n_genes)
        As the teacher read them.
    n_on_processor : int
        Patients whose patches the device's memory did not hold.
    """

    attention: Array
    risks: Array
    z_scores: Array
    n_on_processor: int = 0


def with_cohort_pathways(
    bundle: Bundle,
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    names: Sequence[Sequence[str]],
    *,
    device: str = "cpu",
) -> Bundle:
    """The bundle with its training cohort's attention to pathways, and their effects on the teacher's risk.

    Patients whose patches the device's memory does not hold are computed by the processor; the card's provenance
    counts them under `ON_PROCESSOR`, and the run's report says so.

    Parameters
    ----------
    cohort, bags
        That the bundle was trained on; genes are scaled as each member learnt it.
    names : per member its patients
        Those it was trained on, or of an ensemble over folds those it had not seen.

    Raises
    ------
    ModalityError
        When the bundle has no teacher.
    CohortError
        When a patient's expression, or a gene that the pathways need, is missing.
    """
    if not bundle.has_teacher or bundle.membership is None:
        raise ModalityError(
            f"model {bundle.card.name} has no teacher, so no patch of a cohort attends to pathways"
        )
    taught = [
        taught_patients(member, cohort, bags, patients, genes=bundle.card.genes, device=device)
        for member, patients in zip(bundle.members, names, strict=True)
    ]
    activities = pathway_activities(np.concatenate([part.z_scores for part in taught]), bundle.membership)
    # The members' risks differ in level; what their patients differ by within each is what there is to explain.
    risks = np.concatenate([part.risks - part.risks.mean() for part in taught])
    provenance = {key: value for key, value in bundle.card.provenance.items() if key != ON_PROCESSOR}
    moved = sum(part.n_on_processor for part in taught)
    if moved:
        provenance[ON_PROCESSOR] = moved
    return replace(
        bundle,
        card=bundle.card.model_copy(update={"provenance": provenance}),
        pathway_attention=normalised(np.concatenate([part.attention for part in taught]).mean(axis=0)),
        pathway_effects=PathwayEffects.of_cohort(activities, risks),
    )


def taught_patients(
    member: BundleMember,
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    names: Sequence[str],
    *,
    genes: Sequence[str],
    device: str = "cpu",
) -> TaughtPatients:
    """Run a member's teacher on patients.

    Parameters
    ----------
    names
        Patients.
    genes
        That the teacher reads, in its order.
    """
    if member.teacher is None or member.scaling is None:
        raise ModalityError("a member of this model has no teacher")
    teacher = member.teacher.eval()
    scaled = member.scaling.apply(cohort.expression.rows(names, genes))
    attention, risks, moved = [], [], 0
    for name, row in zip(names, scaled, strict=True):
        patches = torch.from_numpy(np.ascontiguousarray(bags[name].features)).float()
        inputs = ModelInput(patches, (len(patches),), torch.from_numpy(row).float()[None])
        output, on_processor = or_on_processor(partial(run_model, teacher, inputs, want_maps=True), device)
        moved += on_processor
        if output.coattention is None:
            raise ModalityError("this teacher gives no co-attention, so pathways cannot be ranked")
        attention.append(output.coattention.pathway_importance[0].cpu().double().numpy())
        risks.append(float(risk(output.logits)[0]))
    return TaughtPatients(np.array(attention), np.array(risks), scaled, moved)
