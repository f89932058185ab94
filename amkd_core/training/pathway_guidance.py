"""Activities of pathways as targets of the student, which learns to tell them from the slide (`pathway_loss`).

A patient's outcome is one number, and so is a teacher's risk: in a small cohort they say little of what in a slide
matters. Expression says more. Ridge regression of the teacher's risk on pathway activities
(`amkd_core.pathway_effects`) tells how much of the risk goes along with each pathway; in training a linear head on the
student's pooled features tells the activities, weighted by that, so that attention has to find where on the slide those
pathways show. The head is not kept. Ours, not the paper's; what it is worth is measured in benchmarks/RESULTS.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from amkd_core.pathway_effects import pathway_activities, ridge_effects, standardised
from amkd_core.survival.hazard import risk
from amkd_core.training.distillation import PathwayTargets, TeacherTargets
from amkd_core.training.inputs import Example, Inputs


def pathway_targets(inputs: Inputs, told: Mapping[str, TeacherTargets]) -> dict[str, PathwayTargets]:
    """Targets of each training and validation patient, by patient; all is fitted on the training patients.

    Where no pathway goes along with the risk all shares are 0, and the student learns nothing from them.

    Parameters
    ----------
    inputs
        With expression as the teacher reads it.
    told
        What the frozen teacher says of each patient.
    """
    risks = risk(torch.cat([told[example.patient_id].logits for example in inputs.train])).double().numpy()
    examples = (*inputs.train, *inputs.validation)
    activities = activities_of(inputs, examples)
    standard, mean, scale = standardised(activities[: len(inputs.train)])
    shares = np.square(ridge_effects(standard, risks))
    shares /= shares.sum() or 1.0
    scores = (activities - mean) / scale
    weights = torch.from_numpy(shares[None].astype(np.float32))
    return {
        example.patient_id: PathwayTargets(torch.from_numpy(scores[i : i + 1].astype(np.float32)), weights)
        for i, example in enumerate(examples)
    }


def activities_of(inputs: Inputs, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Activity of each pathway that the teacher reads in each patient, shape (n_patients, n_pathways)."""
    genes = np.stack([example.genes.double().numpy() for example in examples])
    return pathway_activities(genes, inputs.fitted.membership.matrix)
