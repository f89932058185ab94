"""A model bundle: everything that a prediction needs, and what its user must know.

`amkd_core.bundle_file` reads and writes it as one ``.amkd`` file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import SCALE_TOLERANCE, EncoderIdentity, FeatureBag
from amkd_core.bundle_card import BundleCard
from amkd_core.encoder_identity import NOT_RECORDED
from amkd_core.errors import BundleMismatchError
from amkd_core.golden_features import GoldenFeatures

if TYPE_CHECKING:  # a bundle's type costs no import of torch
    from amkd_core.cohort.genes import GeneScaling
    from amkd_core.feature_range import FeatureRange
    from amkd_core.models import SurvivalModel
    from amkd_core.pathway_effects import PathwayEffects
    from amkd_core.survival.baseline import BaselineHazard
    from amkd_core.survival.metrics import KaplanMeier
    from amkd_core.survival.outcome import TimeBins


@dataclass(frozen=True, eq=False)
class BundleMember:
    """Networks and fitted numbers of one training fold.

    Attributes
    ----------
    student : SurvivalModel
        Predicts from slides alone; in eval mode.
    teacher : SurvivalModel, optional
        Predicts from slides and genes; in eval mode.
    time_bins : TimeBins
        Cut on the fold's training patients; of a Cox model at their times of death.
    training_risks : array, shape (n_training_patients,)
        The student's risks of the training patients; a higher risk is worse. In an ensemble over folds, of the
        fold's test patients instead, whom this member had not seen.
    risk_cut : float
        Median risk of the training patients: the border of the low and the high group.
    scaling : GeneScaling, optional
        With a teacher.
    baseline : BaselineHazard, optional
        Of a student with a Cox head, in its time bins; None where the student's outputs are logits of hazards.
    """

    student: SurvivalModel
    time_bins: TimeBins
    training_risks: NDArray[np.float64]
    risk_cut: float
    teacher: SurvivalModel | None = None
    scaling: GeneScaling | None = None
    baseline: BaselineHazard | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Bundle:
    """A model with all that its predictions need and all that its user must know.

    Attributes
    ----------
    card : BundleCard
    members : tuple of BundleMember
        One per fold; predictions are averaged over them.
    feature_range : FeatureRange
        Range of the training cohort's slides.
    kaplan_meier : mapping of KaplanMeier
        Of the training cohort: "all", and the "low" and "high" risk groups; of an ensemble grouped out of fold.
    membership : bool array, shape (n_pathways, n_genes), optional
        With a teacher.
    sha256 : str
        Of the file it was read from; empty before it is written.
    pathway_attention : array, shape (n_pathways,), optional
        Mean attention of the training cohort's patches to each pathway, averaged over patients; sums to 1 (figure 4).
        Of an ensemble out of fold. None in bundles that were made before it was kept.
    pathway_effects : PathwayEffects, optional
        Linear reading of the teacher's risk over the same patients; None where it was not kept, or the cohort is too
        small for one.
    golden : GoldenFeatures, optional
        What the encoder made of the golden patches when it made the training cohort's bags; None where those did not
        record it.
    """

    card: BundleCard
    members: tuple[BundleMember, ...]
    feature_range: FeatureRange
    kaplan_meier: Mapping[str, KaplanMeier]
    membership: NDArray[np.bool_] | None = None
    sha256: str = ""
    pathway_attention: NDArray[np.float64] | None = None
    pathway_effects: PathwayEffects | None = None
    golden: GoldenFeatures | None = None

    def __repr__(self) -> str:
        return (
            f"Bundle({self.card.name}: {len(self.members)} member(s), {self.card.encoder.name} features, "
            f"{self.card.cohort_size} patients{', synthetic' if self.card.synthetic else ''})"
        )

    @property
    def has_teacher(self) -> bool:
        """Whether every member brings its teacher along."""
        return all(member.teacher is not None for member in self.members)

    def check_bag(self, bag: FeatureBag) -> None:
        """Refuse a bag that the model was not made for.

        Raises
        ------
        BundleMismatchError
            When encoder, patch size or scale differ, or the encoder was run differently; the sentence names both.
        """
        self.check_encoder(bag.encoder, bag.slide_id, verified=bag.verified)
        self.check_golden(bag.golden, bag.slide_id)
        _check_geometry(self.card, bag)

    def check_encoder(self, found: EncoderIdentity, subject: str, *, verified: bool = True) -> None:
        """Refuse another encoder than the model's.

        Parameters
        ----------
        verified
            False for foreign bags, which record no version or weights; those are compared only where given.
        """
        expected = self.card.encoder.identity
        fields = ("name", "dimension", "version", "weights_sha256", "transform", "token_policy")
        for field in fields:
            left, right = getattr(expected, field), getattr(found, field)
            recorded = verified or field in ("name", "dimension") or right not in ("", NOT_RECORDED)
            if recorded and left != right:
                raise BundleMismatchError(
                    f"{subject}: made with encoder {field} {_short(right)}, but model {self.card.name} needs "
                    f"{_short(left)} ({expected.name}); extract the slide with the model's encoder"
                )

    def check_golden(self, found: GoldenFeatures | None, subject: str, *, cause: str = "") -> None:
        """Refuse features of an encoder that was run in another way than for the training cohort.

        Parameters
        ----------
        found
            What the features' encoder made of the golden patches; nothing is compared where either side has none.
        subject
            Whose features, for the sentence.
        cause
            What is most likely wrong, in words.

        Raises
        ------
        BundleMismatchError
            Naming the encoder, the worst cosine and the cause.
        """
        if found is None or self.golden is None or self.golden.agrees(found):
            return
        least = self.golden.least_cosine(found)
        cause = cause or "its preprocessing, precision or weights are others"
        raise BundleMismatchError(
            f"{subject}: encoder {self.card.encoder.name} answers the golden patches otherwise than when model "
            f"{self.card.name} was trained, worst cosine {self.golden.cosine(found):.3f}, expected at least {least}; "
            f"most likely {cause}; mend the encoder and extract the slide again"
        )


def _check_geometry(card: BundleCard, bag: FeatureBag) -> None:
    if bag.patch_size_px != card.patch_size_px:
        raise BundleMismatchError(
            f"{bag.slide_id}: patches of {bag.patch_size_px} px, but model {card.name} needs {card.patch_size_px} px; "
            "extract the slide again"
        )
    if abs(bag.mpp / card.mpp - 1) > SCALE_TOLERANCE:
        raise BundleMismatchError(
            f"{bag.slide_id}: patches at {bag.mpp:g} um per px, but model {card.name} needs {card.mpp:g} um per px; "
            "extract the slide again at that scale"
        )


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 24 else f"{text[:12]}...")
