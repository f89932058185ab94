"""How much a teacher's patches attend to each pathway over a cohort (METHOD section 8; figure 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle, BundleMember
from amkd_core.cohort.cohort import Cohort
from amkd_core.errors import ModalityError
from amkd_core.inference.forward import normalised, run_model
from amkd_core.models import ModelInput

Array = NDArray[np.float64]


def with_cohort_pathways(
    bundle: Bundle,
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    names: Sequence[Sequence[str]],
    *,
    device: str = "cpu",
) -> Bundle:
    """The bundle with the mean attention of its training cohort's patches to each pathway.

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
    if not bundle.has_teacher:
        raise ModalityError(
            f"model {bundle.card.name} has no teacher, so no patch of a cohort attends to pathways"
        )
    rows = [
        member_attention(member, cohort, bags, patients, genes=bundle.card.genes, device=device)
        for member, patients in zip(bundle.members, names, strict=True)
    ]
    return replace(bundle, pathway_attention=normalised(np.concatenate(rows).mean(axis=0)))


def member_attention(
    member: BundleMember,
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    names: Sequence[str],
    *,
    genes: Sequence[str],
    device: str = "cpu",
) -> Array:
    """Mean over each patient's patches of ``A_p2g``, shape (n_patients, n_pathways); rows sum to 1.

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
    found = []
    for name, row in zip(names, scaled, strict=True):
        patches = torch.from_numpy(np.ascontiguousarray(bags[name].features)).float()
        inputs = ModelInput(patches, (len(patches),), torch.from_numpy(row).float()[None])
        output = run_model(teacher, inputs, device, want_maps=True)
        if output.coattention is None:
            raise ModalityError("this teacher gives no co-attention, so pathways cannot be ranked")
        found.append(output.coattention.pathway_importance[0].double().cpu().numpy())
    return np.array(found)
