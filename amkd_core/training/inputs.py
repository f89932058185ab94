"""Patients to tensors: the one place where cohort and models meet.

Everything fitted here is fitted on training patients alone, and records whom it saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amkd_core.bag import (
    SCALE_ROUNDING,
    EncoderIdentity,
    FeatureBag,
    alike_in_scale,
    concatenate_bags,
    fingerprints_of,
)
from amkd_core.bag_file import read_bag
from amkd_core.cohort.cohort import Cohort, CohortFile, Patient
from amkd_core.cohort.genes import GeneScaling
from amkd_core.cohort.pathways import Membership, cover, groups_over
from amkd_core.cohort.splits import Split
from amkd_core.errors import AmkdError, CohortError, IncompleteBagError
from amkd_core.file_names import bag_of_slide
from amkd_core.seen_slides import slide_digests
from amkd_core.survival.outcome import TimeBins
from amkd_core.training.cohort_golden import cohort_golden
from amkd_core.training.config import TrainingConfig
from amkd_core.training.distillation import TeacherTargets
from amkd_core.training.foreign_bags import another_encoder, bag_assumptions, how_to_state
from amkd_core.training.time_bins import time_bins_of
from amkd_core.training.watched import Watched

# Encoder, side in pixels and micrometres per pixel of a slide's patches.
_Made = tuple[EncoderIdentity, int, float]


@dataclass(frozen=True, eq=False)
class Example:
    """One patient, ready for a model.

    Attributes
    ----------
    patches : Tensor, shape (n_patches, d_encoder)
    genes : Tensor, shape (n_genes,)
        z-scored.
    bin_index, event, months
        Time bin, whether the death was seen, and the follow-up itself.
    targets : TeacherTargets, optional
        Of the frozen teacher, for a batch of this one patient.
    """

    patient_id: str
    patches: Tensor
    genes: Tensor
    bin_index: int
    event: bool
    months: float
    targets: TeacherTargets | None = None

    def drawn(self, rows: Tensor) -> Example:
        """The same patient with some patches only; what the teacher says of each patch goes along.

        A teacher's guided feature of a patch depends on that patch and the genes alone, so it stays valid.
        """
        targets = self.targets
        if targets is not None:
            targets = replace(targets, guided=targets.guided[rows])
        return replace(self, patches=self.patches[rows], targets=targets)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Numbers fitted on the training patients of a split.

    Attributes
    ----------
    time_bins, membership, scaling
        Bins of survival time (under the Cox loss those of the baseline hazard), kept pathways, z-scores of genes.
    feature_mean, feature_scale : Tensor, shape (d_encoder,)
        Of the encoder's features over the training patients' patches, each patient counting alike.
    base_logits : Tensor, shape (n_bins,)
        Logits of the training patients' hazards as a group, where both networks start; under the Cox loss one 0.
    seen : mapping of str to tuple of str
        The patients that each of these numbers has seen, by what it is.
    gene_groups : bool array, shape (n_groups, n_genes), optional
        Of the models that read groups of genes; None where the cohort names none.
    """

    time_bins: TimeBins
    membership: Membership
    scaling: GeneScaling
    feature_mean: Tensor
    feature_scale: Tensor
    base_logits: Tensor
    seen: Mapping[str, tuple[str, ...]]
    gene_groups: NDArray[np.bool_] | None = None

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """Everyone whom any of these numbers has seen."""
        return tuple(dict.fromkeys(name for names in self.seen.values() for name in names))


@dataclass(frozen=True, eq=False)
class Inputs:
    """Examples of the three parts, what was fitted, and the encoder that made the bags."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    fitted: Fitted
    encoder: EncoderIdentity
    patch_size_px: int
    mpp: float


def without_slides(cohort: Cohort) -> dict[str, FeatureBag]:
    """One patch a patient that says nothing, for runs of models that read genes alone; no model may look at it."""
    nothing = EncoderIdentity("none", "1", 1, "", "none", "none", "none")
    blank = np.ones((1, 1), dtype=np.float32)
    names = [patient.patient_id for patient in cohort.patients]
    return {name: FeatureBag(blank, nothing, 256, 0.5, name) for name in names}


def read_bags(cohort: Cohort, folder: Path) -> dict[str, FeatureBag]:
    """One bag a patient, read once and kept; a patient's slides are joined.

    Raises
    ------
    CohortError
        When bags are missing, damaged, or of another tool and incomplete (`how_to_state`), were made by another encoder
        than the cohort's, by one that was run differently or at different scales, or when two of them hold the same
        slide, by its file or by its features: on two sides of a split it would leak.
    EncoderError
        When the encoder that the cohort states for bags of another tool is unknown.
    """
    missing = [
        name
        for patient in cohort.patients
        for name in patient.slide_ids
        if not bag_of_slide(folder, name).is_file()
    ]
    if missing:
        raise CohortError(
            f"{len(missing)} bags are missing in {folder.name} ({', '.join(missing[:5])}); give the slides' folder "
            "so that they can be extracted, or leave those patients out"
        )
    bags: dict[str, FeatureBag] = {}
    unread: dict[str, list[str]] = {}
    problems: list[str] = []
    owners: dict[str, str] = {}
    made: list[_Made] = []
    assume = bag_assumptions(cohort.file)
    for patient in cohort.patients:
        try:
            slides = [read_bag(bag_of_slide(folder, name), assume=assume) for name in patient.slide_ids]
            bags[patient.patient_id] = concatenate_bags(slides, patient_id=patient.patient_id)
        except AmkdError as error:
            name, _, text = str(error).partition(": ")
            asked = (
                how_to_state(error.missing, cohort.file) if isinstance(error, IncompleteBagError) else text
            )
            unread.setdefault(asked, []).append(name)
            continue
        problems += _same_slides(patient, slides, owners)
        made += [(bag.encoder, bag.patch_size_px, bag.mpp) for bag in slides]
    problems = [*(_said_once(names, text) for text, names in unread.items()), *problems]
    problems += _mixed(made, cohort.file)
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise CohortError("; ".join(problems[:10]) + more)
    cohort_golden(bags)
    return bags


def _said_once(names: Sequence[str], text: str) -> str:
    """One complaint about the bags of one or more patients, which is mostly one about all of them."""
    more = f" and bags of {len(names) - 1} more patients" if len(names) > 1 else ""
    return f"{names[0]}{more}: {text}" if text else f"{names[0]}{more}"


def _same_slides(patient: Patient, slides: Sequence[FeatureBag], owners: dict[str, str]) -> list[str]:
    """Slides whose content, or features where bags do not tell the content, stand under another name already."""
    problems = []
    for name, bag in zip(patient.slide_ids, slides, strict=True):
        place = f"{name} of patient {patient.patient_id}"
        n_files = len(fingerprints_of(bag))
        for number, digest in enumerate(slide_digests(bag)):
            if (owner := owners.setdefault(digest, place)) != place:
                how = "image" if number < n_files else "image, by their features"
                problems.append(f"{owner} and {place} are the same {how}")
                break
    return problems


def _mixed(made: Sequence[_Made], file: CohortFile) -> list[str]:
    """What speaks against training on these slides together; a patient's joined bag tells the scale of one only."""
    kinds: dict[tuple[EncoderIdentity, int], list[float]] = {}
    for identity, patch_size_px, mpp in made:
        kinds.setdefault((identity, patch_size_px), []).append(mpp)
    if len(kinds) > 1 or not all(map(alike_in_scale, kinds.values())):
        found = " and ".join(
            sorted(
                {f"{e.name} {e.version} {px} px {_range(scales)} um/px" for (e, px), scales in kinds.items()}
            )
        )
        return [f"the bags were made in different ways ({found}); extract all of them alike"]
    names = {identity.name for identity, _ in kinds} - {file.encoder}
    return [another_encoder("the bags were", name, file) for name in names]


def _range(scales: Sequence[float]) -> str:
    ends = dict.fromkeys(f"{end:.3g}" for end in (min(scales), max(scales)))
    return " to ".join(ends)


def digest_of(bags: Mapping[str, FeatureBag]) -> str:
    """Hash of all features, so that a run is not continued on other bags."""
    digest = hashlib.sha256()
    for name, bag in sorted(bags.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(bag.features).data)
    return digest.hexdigest()


def make_inputs(
    cohort: Cohort, bags: Mapping[str, FeatureBag], split: Split, config: TrainingConfig
) -> Inputs:
    """Fit on the training part, and turn every patient into tensors with what was fitted.

    Raises
    ------
    LeakError
        When anything fitted has seen a patient of the validation or the test part.
    """
    watched, names = Watched(cohort, bags, held_out=(*split.validation, *split.test)), split.train
    membership = cover(cohort.pathways, cohort.expression.genes, min_coverage=config.min_coverage)
    scaling = GeneScaling.fit(watched.expression("scaling of genes", names, membership.genes))
    mean, scale = _feature_scaling(watched.bags("scaling of features", names))
    outcome = watched.outcome("time bins", names)
    time_bins, base_logits = time_bins_of(outcome, config), torch.zeros(1)
    if not config.is_cox:
        base_logits = base_logits_of(time_bins.assign(outcome.time), outcome.event, config.n_bins)
    groups = groups_over(cohort.gene_groups, membership.genes) if cohort.gene_groups else None
    fitted = Fitted(time_bins, membership, scaling, mean, scale, base_logits, watched.seen, groups)
    first = bags[split.train[0]]
    train, validation, test = (
        make_examples(cohort, bags, names, fitted) for names in (split.train, split.validation, split.test)
    )
    mpp = scale_of_model(bags.values())
    return Inputs(train, validation, test, fitted, first.encoder, first.patch_size_px, mpp)


def make_examples(
    cohort: Cohort, bags: Mapping[str, FeatureBag], names: Sequence[str], fitted: Fitted
) -> tuple[Example, ...]:
    """Patients as tensors, with what was fitted on others; the cohort may be another one than the fitted.

    Raises
    ------
    CohortError
        When a patient's expression, or a gene that the pathways need, is missing.
    """
    patients = {patient.patient_id: patient for patient in cohort.patients}
    genes = fitted.scaling.apply(cohort.expression.rows(names, fitted.membership.genes))
    bins = fitted.time_bins.assign([patients[name].time for name in names])
    return tuple(
        Example(
            name,
            torch.from_numpy(np.ascontiguousarray(bags[name].features)),
            torch.from_numpy(row).float(),
            int(index),
            patients[name].event,
            patients[name].time,
        )
        for name, row, index in zip(names, genes, bins, strict=True)
    )


def base_logits_of(bins: NDArray[np.int64], event: NDArray[np.bool_], n_bins: int) -> Tensor:
    """Logits of the constant prediction with the least likelihood loss, shape (n_bins,).

    The hazard of a bin is the deaths in it over the patients that reached it; half a death and half a
    survivor are added, so that a bin in which everyone died stays finite.

    Parameters
    ----------
    bins : array, shape (n,)
        Time bin of each patient.
    event : array, shape (n,)
        True = death seen.
    n_bins : int
        Time bins.
    """
    every_bin = np.arange(n_bins)
    deaths = ((bins[:, None] == every_bin) & event[:, None]).sum(axis=0)
    reached = (bins[:, None] >= every_bin).sum(axis=0)
    return torch.from_numpy(np.log(deaths + 0.5) - np.log(reached - deaths + 0.5)).float()


def scale_of_model(bags: Collection[FeatureBag]) -> float:
    """Micrometres per pixel of models of these bags, by which any bag is taken or refused later.

    The middle of the bags' scales, which `read_bags` holds within `SCALE_TOLERANCE` of each other, and all of the
    cohort's, so that every fold's model has the same and takes every slide of the cohort. It is rounded to two digits
    only where that leads to no scale beyond the bags' own: the model would refuse bags that it was trained on.
    """
    scales = [bag.mpp for bag in bags]
    middle = (min(scales) + max(scales)) / 2
    rounded = round(middle, 2)
    inside = min(scales) * (1 - SCALE_ROUNDING) <= rounded <= max(scales) * (1 + SCALE_ROUNDING)
    return rounded if inside else middle


def with_targets(examples: Sequence[Example], targets: Mapping[str, TeacherTargets]) -> tuple[Example, ...]:
    """The same patients with what the teacher says of each."""
    return tuple(replace(example, targets=targets[example.patient_id]) for example in examples)


def _feature_scaling(bags: Sequence[FeatureBag]) -> tuple[Tensor, Tensor]:
    mean = np.mean([bag.features.mean(axis=0, dtype=np.float64) for bag in bags], axis=0)
    # About the mean, which is exact for a constant feature: a difference of squares leaves rounding errors of it.
    variance = np.mean([_mean_square(bag.features, mean) for bag in bags], axis=0)
    return torch.from_numpy(mean).float(), torch.from_numpy(np.sqrt(variance)).float()


def _mean_square(
    features: NDArray[np.float32], mean: NDArray[np.float64], block: int = 4_096
) -> NDArray[np.float64]:
    """Mean squared distance from ``mean``, in blocks: a float64 copy of the largest bags would take gigabytes."""
    blocks = (features[start : start + block] for start in range(0, len(features), block))
    total: NDArray[np.float64] = sum(np.square(rows - mean).sum(axis=0) for rows in blocks)
    return total / len(features)
