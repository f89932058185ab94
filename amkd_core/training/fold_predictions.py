"""What models say of the patients of a fold, and the scale of their risks, fitted on its training patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from amkd_core.cohort.cohort import Cohort, Patient
from amkd_core.cohort.patients import outcome_of
from amkd_core.models import SurvivalModel
from amkd_core.survival.baseline import BaselineHazard, hazards_in_bins
from amkd_core.survival.hazard import risk
from amkd_core.survival.outcome import TimeBins
from amkd_core.training.fold_record import prediction_columns
from amkd_core.training.inputs import Example
from amkd_core.training.passes import whole_output
from amkd_core.training.watched import refuse_leak

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class RiskScale:
    """What one model's risks are read with; fitted on training patients.

    Attributes
    ----------
    cut : float
        Their median risk: the border of the low and the high group.
    seen : tuple of str
        The patients that both were fitted on.
    baseline : BaselineHazard, optional
        Of a Cox head.
    """

    cut: float
    seen: tuple[str, ...]
    baseline: BaselineHazard | None = None

    @classmethod
    def fit(cls, logits: Tensor, patients: Sequence[Patient], bins: TimeBins) -> RiskScale:
        """Scale of a model, from its logits of the training patients, shape (n, n_outputs)."""
        risks = risk(logits).double().numpy()
        baseline = BaselineHazard.fit(risks, outcome_of(patients), bins) if logits.shape[1] == 1 else None
        return cls(float(np.median(risks)), tuple(patient.patient_id for patient in patients), baseline)


def predict_models(
    cohort: Cohort,
    parts: Mapping[str, Sequence[Example]],
    networks: Mapping[str, SurvivalModel],
    *,
    device: str,
    fold: int,
    bins: TimeBins,
    scales: Mapping[str, RiskScale] | None = None,
) -> tuple[pd.DataFrame, dict[str, RiskScale]]:
    """Risk and hazards of every patient by any models from all patches, and the scales of their risks.

    Parameters
    ----------
    parts
        Patients by part; "train" comes first, unless the scales are given.
    bins
        Of the fold; a model with a Cox head gets a baseline hazard in them.
    scales
        By model, where training patients are not among the parts.

    Returns
    -------
    table : DataFrame
        Columns as `prediction_columns`.
    scales : dict
        By model.

    Raises
    ------
    LeakError
        When a scale has seen a patient of another part.
    """
    import pandas as pd

    patients = {patient.patient_id: patient for patient in cohort.patients}
    held_out = [example.patient_id for part, own in parts.items() if part != "train" for example in own]
    rows: list[list[object]] = []
    scales = dict(scales or {})
    n_hazards = 0
    for name, model in networks.items():
        for part, examples in parts.items():
            logits = _logits(model, examples, device)
            if part == "train":
                own = [patients[example.patient_id] for example in examples]
                scales[name] = RiskScale.fit(logits, own, bins)
                refuse_leak({f"risk scale of {name}": scales[name].seen}, held_out)
            risks = risk(logits).double().numpy()
            probabilities = hazards_in_bins(logits, scales[name].baseline)
            n_hazards = max(n_hazards, probabilities.shape[1])
            for example, value, hazard in zip(examples, risks.tolist(), probabilities.tolist(), strict=True):
                patient = patients[example.patient_id]
                head = [patient.patient_id, fold, part, name, patient.time, int(patient.event)]
                rows.append([*head, value, int(value > scales[name].cut), *hazard])
    return pd.DataFrame(rows, columns=prediction_columns(n_hazards)), scales


def _logits(model: SurvivalModel, examples: Sequence[Example], device: str) -> Tensor:
    """Shape (n, n_outputs), on the CPU."""
    model.to(device).eval()
    with torch.inference_mode():
        found = [whole_output(model, [example], device).logits.cpu() for example in examples]
    return torch.cat(found) if found else torch.zeros(0, 1)
