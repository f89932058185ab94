"""A run's models as a bundle."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core import __version__
from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle, BundleMember
from amkd_core.bundle_card import BundleCard, EncoderCard, MemberCard, ModelCard
from amkd_core.bundle_file import write_bundle
from amkd_core.cohort.cohort import Cohort, outcome_of
from amkd_core.feature_range import FeatureRange
from amkd_core.models import SurvivalModel
from amkd_core.survival.metrics import kaplan_meier
from amkd_core.training.config import TrainingConfig
from amkd_core.training.evaluate import Score, risks_of
from amkd_core.training.inputs import Inputs
from amkd_core.training.run_folder import environment


def bundle_of_run(
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    inputs: Inputs,
    networks: tuple[SurvivalModel, SurvivalModel],
    *,
    config: TrainingConfig,
    scores: Sequence[Score],
    path: Path,
) -> Bundle:
    """Write the bundle of one split.

    Parameters
    ----------
    networks
        (student, teacher), trained.
    scores
        C-indices, for the card.
    path
        Of the ``.amkd`` file.

    Returns
    -------
    Bundle
        As read back.
    """
    student, teacher = networks
    patients = {patient.patient_id: patient for patient in cohort.patients}
    training = [patients[example.patient_id] for example in inputs.train]
    outcome = outcome_of(training)
    risks = risks_of(student, inputs.train, config.device)
    cut = float(np.median(risks))
    high = risks > cut
    member = BundleMember(
        student=student.cpu(),
        teacher=teacher.cpu(),
        time_bins=inputs.fitted.time_bins,
        training_risks=np.sort(risks),
        risk_cut=cut,
        scaling=inputs.fitted.scaling,
    )
    curves = {
        "all": kaplan_meier(outcome.time, outcome.event),
        "low": kaplan_meier(outcome.time[~high], outcome.event[~high]),
        "high": kaplan_meier(outcome.time[high], outcome.event[high]),
    }
    card = _card(cohort, inputs, member, config=config, scores=scores)
    feature_range = FeatureRange.fit([bags[name].features for name in inputs.fitted.fitted_on])
    return write_bundle(path, Bundle(card, (member,), feature_range, curves, inputs.fitted.membership.matrix))


def _card(
    cohort: Cohort, inputs: Inputs, member: BundleMember, *, config: TrainingConfig, scores: Sequence[Score]
) -> BundleCard:
    def model_card(model: SurvivalModel | None) -> ModelCard | None:
        return None if model is None else ModelCard(name=model.name, config=dict(model.config))

    student = model_card(member.student)
    if student is None:
        raise ValueError("a bundle needs a student")
    metrics = {
        f"c_index_{item.model}_{item.part}": round(item.interval.estimate, 4)
        for item in scores
        if item.interval is not None
    }
    provenance: dict[str, Any] = {
        "cohort": cohort.file.name,
        "config": config.model_dump(mode="json"),
        "environment": environment(),
        "pathways_dropped": len(inputs.fitted.membership.dropped),
    }
    return BundleCard(
        name=cohort.file.name,
        synthetic=cohort.file.synthetic,
        encoder=EncoderCard(**inputs.encoder.to_dict()),
        patch_size_px=inputs.patch_size_px,
        mpp=inputs.mpp,
        endpoint=cohort.file.endpoint,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        software_version=__version__,
        cohort_size=len(inputs.train),
        cohort_events=sum(example.event for example in inputs.train),
        metrics=metrics,
        provenance=provenance,
        licences=[f"features of {inputs.encoder.name}: {inputs.encoder.licence}"],
        pathways=list(inputs.fitted.membership.pathways),
        genes=list(inputs.fitted.membership.genes),
        members=[
            MemberCard(
                student=student,
                teacher=model_card(member.teacher),
                risk_cut=member.risk_cut,
                time_bins=member.time_bins.to_list(),
            )
        ],
    )
