"""A model bundle: everything that a prediction needs, and what its user must know.

`amkd_core.bundle_file` reads and writes it as one ``.amkd`` file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.bag_kind import BagKind
from amkd_core.bundle_card import BundleCard
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

    @property
    def bag_kind(self) -> BagKind:
        """The kind of bags that it reads."""
        card = self.card
        return BagKind(
            f"model {card.name}", card.encoder.identity, card.patch_size_px, card.mpp, golden=self.golden
        )

    def check_bag(self, bag: FeatureBag) -> None:
        """Refuse a bag that the model was not made for.

        Raises
        ------
        BundleMismatchError
            When encoder, patch size or scale differ, or the encoder was run differently; the sentence names both.
        """
        self.bag_kind.check_bag(bag)
