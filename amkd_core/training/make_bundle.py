"""A fold's models as a bundle, and the folds' bundles as one ensemble."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core import __version__
from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle, BundleMember
from amkd_core.bundle_card import (
    OUT_OF_FOLD,
    BundleCard,
    EncoderCard,
    Measured,
    MeasuredSubgroups,
    MemberCard,
    ModelCard,
)
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.bundle_words import known_limits
from amkd_core.cohort.cohort import Cohort
from amkd_core.errors import BundleError
from amkd_core.feature_range import FeatureRange
from amkd_core.models import SurvivalModel
from amkd_core.survival.baseline import BaselineHazard
from amkd_core.survival.metrics import KaplanMeier, kaplan_meier
from amkd_core.survival.outcome import Outcome
from amkd_core.training.card_figures import measured_in_fold, sites_of
from amkd_core.training.cohort_golden import cohort_golden
from amkd_core.training.cohort_pathways import with_cohort_pathways
from amkd_core.training.config import TrainingConfig
from amkd_core.training.evaluate import Score
from amkd_core.training.fold_record import FoldResult
from amkd_core.training.inputs import Inputs
from amkd_core.training.packed_cache import digests_of
from amkd_core.training.run_folder import checkout, environment
from amkd_core.training.watched import Watched

if TYPE_CHECKING:
    import pandas as pd


_ENSEMBLE = (
    "Ensemble: the figures are of its members, each on patients whom it had not seen; nobody was held out from all of "
    "them together."
)


def bundle_of_fold(
    cohort: Cohort,
    bags: Mapping[str, FeatureBag],
    inputs: Inputs,
    networks: tuple[SurvivalModel, SurvivalModel],
    *,
    config: TrainingConfig,
    scores: Sequence[Score],
    risks: Mapping[str, float],
    path: Path,
    baseline: BaselineHazard | None = None,
    fold: int = 1,
    subgroups: Sequence[MeasuredSubgroups] = (),
) -> Bundle:
    """Write the bundle of one split.

    Parameters
    ----------
    networks
        (student, teacher), trained.
    scores
        C-indices, for the card.
    risks
        The student's, by training patient.
    path
        Of the ``.amkd`` file.
    baseline
        Of a student with a Cox head.
    fold
        Counted from 1, for the card.
    subgroups
        Of its test patients, for the card.

    Returns
    -------
    Bundle
        As read back.

    Raises
    ------
    LeakError
        When anything in it has seen a patient of the validation or the test part.
    """
    student, teacher = networks
    training, values = list(risks), np.array(list(risks.values()))
    held_out = [example.patient_id for example in (*inputs.validation, *inputs.test)]
    watched = Watched(cohort, bags, held_out=held_out)
    outcome = watched.outcome("risk groups", training)
    member = BundleMember(
        student=student.cpu(),
        teacher=teacher.cpu(),
        time_bins=inputs.fitted.time_bins,
        training_risks=np.sort(values),
        risk_cut=float(np.median(values)),
        scaling=inputs.fitted.scaling,
        baseline=baseline,
    )
    card = _card(cohort, inputs, member, config=config, scores=scores)
    # Validation patients chose the epoch: to them as well the model is no stranger.
    known = [example.patient_id for example in (*inputs.train, *inputs.validation)]
    card = card.model_copy(
        update={
            "training_slides": _seen(bags, known),
            "measured": measured_in_fold(scores, fold),
            "subgroups": list(subgroups),
            "limits": known_limits(card.cohort_size, card.cohort_events, subgroups=bool(subgroups)),
        }
    )
    feature_range = _range(watched.bags("range of features", training))
    curves = _curves(outcome, values > member.risk_cut)
    golden = cohort_golden({patient.patient_id: bags[patient.patient_id] for patient in cohort.patients})
    bundle = Bundle(card, (member,), feature_range, curves, inputs.fitted.membership.matrix, golden=golden)
    return write_bundle(path, with_cohort_pathways(bundle, cohort, bags, [training], device=config.device))


def bundle_of_ensemble(
    folds: Sequence[FoldResult],
    out_of_fold: pd.DataFrame,
    bags: Mapping[str, FeatureBag],
    *,
    cohort: Cohort,
    metrics: Mapping[str, float],
    measured: Sequence[Measured] = (),
    subgroups: Sequence[MeasuredSubgroups] = (),
    remarks: Sequence[str] = (),
    path: Path,
    device: str = "cpu",
) -> Bundle:
    """Write one bundle with a member per fold, compared with patients that its members had not seen.

    A member's risks of its own training patients are flattered: a new patient would stand out against them. The
    reference is therefore out of fold: each member's risks of its test patients, and Kaplan-Meier curves of all test
    patients, grouped by the member that had not seen them at that member's training median. So is the mean attention
    to pathways, each patient's by the teacher that had not seen him.

    Parameters
    ----------
    out_of_fold : DataFrame
        Columns as ``predictions.csv``; the student's rows are used.
    bags
        Of all patients of the folds, for the range of features.
    cohort
        With their expression.
    metrics, measured, subgroups
        For the card.
    remarks
        Sentences beside its known limits.
    device
        That the teachers run on.

    Raises
    ------
    BundleError
        When the folds read different pathways or genes.
    """
    bundles = [open_bundle(fold.bundle_path) for fold in folds]
    first = bundles[0]
    for fold, other in zip(folds, bundles, strict=True):
        if (other.card.pathways, other.card.genes) != (first.card.pathways, first.card.genes):
            raise BundleError(f"fold {fold.fold} reads other pathways or genes than fold {folds[0].fold}")
    students = out_of_fold[out_of_fold["model"] == "student"]
    members = []
    for fold, bundle in zip(folds, bundles, strict=True):
        risks = students[students["fold"] == fold.fold]["risk"].to_numpy(np.float64)
        members.append(replace(bundle.members[0], training_risks=np.sort(risks)))
    outcome = Outcome(students["months"].to_numpy(np.float64), students["event"].to_numpy(np.int64) == 1)
    card = first.card.model_copy(
        update={
            "cohort_size": len(outcome),
            "cohort_events": outcome.n_events,
            "metrics": dict(metrics),
            "measured": list(measured),
            "subgroups": list(subgroups),
            "sites": sites_of(cohort, students["patient_id"].tolist()),
            "limits": known_limits(
                len(outcome), outcome.n_events, _ENSEMBLE, *remarks, subgroups=bool(subgroups)
            ),
            "training_slides": sorted({name for bundle in bundles for name in bundle.card.training_slides}),
            "members": [bundle.card.members[0] for bundle in bundles],
            "provenance": {**first.card.provenance, "folds": len(folds), "reference": OUT_OF_FOLD},
        }
    )
    names = sorted({name for fold in folds for name in fold.predictions["patient_id"]})
    feature_range = _range([bags[name] for name in names])
    curves = _curves(outcome, students["high_risk"].to_numpy(np.int64) == 1)
    bundle = Bundle(card, tuple(members), feature_range, curves, first.membership, golden=first.golden)
    unseen = [students[students["fold"] == fold.fold]["patient_id"].tolist() for fold in folds]
    return write_bundle(path, with_cohort_pathways(bundle, cohort, bags, unseen, device=device))


def _range(bags: Sequence[FeatureBag]) -> FeatureRange:
    return FeatureRange.fit([bag.features for bag in bags], [places_of(bag) for bag in bags])


def places_of(bag: FeatureBag) -> NDArray[np.int64] | None:
    """Where patches lie, with the slides of a patient far apart, shape (n, 3)."""
    if bag.coords is None:
        return None
    return np.column_stack([bag.coords, bag.slide_index.astype(np.int64) * 2**40])


def _seen(bags: Mapping[str, FeatureBag], patients: Sequence[str]) -> list[str]:
    return sorted({digest for name in patients for digest in digests_of(bags[name])})


def _curves(outcome: Outcome, high: NDArray[np.bool_]) -> dict[str, KaplanMeier]:
    """Kaplan-Meier curves of a cohort and its two risk groups."""
    groups = {"all": np.ones(len(outcome), dtype=bool), "low": ~high, "high": high}
    return {name: _curve(outcome.take(rows)) for name, rows in groups.items()}


def _curve(outcome: Outcome) -> KaplanMeier:
    if len(outcome):
        return kaplan_meier(outcome.time, outcome.event)
    # A group without patients: alive at the start, and nothing known after it.
    return KaplanMeier(np.zeros(1), np.ones(1), np.ones(1), np.ones(1), np.zeros(1, dtype=np.int64))


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
    training = [example.patient_id for example in inputs.train]
    n_events = sum(example.event for example in inputs.train)
    provenance: dict[str, Any] = {
        "cohort": cohort.file.name,
        "config": config.model_dump(mode="json"),
        "environment": {**environment(), **checkout()},
        "pathways_dropped": len(inputs.fitted.membership.dropped),
    }
    return BundleCard(
        name=cohort.file.name,
        synthetic=cohort.file.synthetic,
        encoder=EncoderCard(**inputs.encoder.to_dict()),
        patch_size_px=inputs.patch_size_px,
        mpp=inputs.mpp,
        endpoint=cohort.file.endpoint,
        expression_scale=cohort.expression_scale,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        software_version=__version__,
        cohort_size=len(training),
        cohort_events=n_events,
        metrics=metrics,
        sites=sites_of(cohort, training),
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
