"""What a prediction holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.notices import DOUBTS, Notice
from amkd_core.pathway_effects import PathwayEffects
from amkd_core.survival.endpoints import Endpoint, EndpointWords, words_of
from amkd_core.survival.metrics import KaplanMeier

RiskGroup = Literal["low", "high"]


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """Probability of being alive over time.

    Attributes
    ----------
    time_months : array, shape (t,)
        Increasing, from 0.
    survival : array, shape (t,)
        From 1, never rising.
    """

    time_months: NDArray[np.float64]
    survival: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CohortReference:
    """The training cohort that a prediction is compared with.

    Attributes
    ----------
    risks : array
        The student's risks of the training cohort, increasing; of all members, one after another. An ensemble's are
        out of fold: each patient's by the member that had not seen it.
    risk_cut : float
        Border of the low and the high group: the training median.
    size, events : int
        Patients, and events of the endpoint.
    kaplan_meier : mapping of KaplanMeier
        "all", "low" and "high".
    pathway_attention : array, shape (n_pathways,), optional
        Mean attention of its patches to each of the teacher's pathways; sums to 1. None where the bundle keeps none.
    pathway_effects : PathwayEffects, optional
        Linear reading of the teacher's risk over it; None where the bundle keeps none.
    endpoint : {"os", "dss", "pfi"}
        What the model was trained for, and what its curves and risks are of.
    measured : str
        The student's C-index with its interval on patients whom it had not seen, in words.
    subgroups : str
        The same by age, sex and stage, where the bundle tells any; else empty.
    """

    risks: NDArray[np.float64]
    risk_cut: float
    size: int
    events: int
    kaplan_meier: Mapping[str, KaplanMeier]
    pathway_attention: NDArray[np.float64] | None = None
    pathway_effects: PathwayEffects | None = None
    endpoint: Endpoint = "os"
    measured: str = ""
    subgroups: str = ""

    @property
    def words(self) -> EndpointWords:
        """What its endpoint is called."""
        return words_of(self.endpoint)


@dataclass(frozen=True, eq=False)
class TeacherPrediction:
    """What the teacher says of a patient whose expression is known.

    Attributes
    ----------
    risk : float
        Higher is worse; on the teacher's own scale.
    patch_scores : array, shape (n,)
        Gene-guided map: pathways' maps weighted by their importance; sums to 1 (METHOD section 8).
    pathways : tuple of str, length n_pathways
    pathway_importance : array, shape (n_pathways,)
        Mean attention of the patches to each pathway; sums to 1.
    coattention : array, shape (n_pathways, n), float16
        ``A_g2p``: each pathway's map, times n so that 1 is the mean.
    pathway_additions : array, shape (n_pathways,), optional
        What each pathway's activity adds to the risk against the training cohort's mean patient, by the bundle's
        `PathwayEffects`; None where it keeps none.
    """

    risk: float
    patch_scores: NDArray[np.float64]
    pathways: tuple[str, ...]
    pathway_importance: NDArray[np.float64]
    coattention: NDArray[np.float16]
    pathway_additions: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class MemberPrediction:
    """What one member of an ensemble says; members may have cut their time bins elsewhere.

    Attributes
    ----------
    risk : float
        Higher is worse.
    hazards : array, shape (n_bins,)
        Chance of dying in each of the member's time bins.
    bin_edges_months : tuple of float
        Finite edges of the member's bins, of a Cox model its training patients' times of death; the last bin is open.
    """

    risk: float
    hazards: NDArray[np.float64]
    bin_edges_months: tuple[float, ...]


@dataclass(frozen=True)
class PatientSlides:
    """The slides of a patient that were predicted together.

    Attributes
    ----------
    patient_id
        As the user calls him; exports show it only where slides are named.
    slide_ids
        In the order in which they were joined.
    n_patches
        On all of them.
    notices
        Per slide what its own bag says.
    """

    patient_id: str = field(repr=False)
    slide_ids: tuple[str, ...] = field(repr=False)
    n_patches: int
    notices: tuple[tuple[Notice, ...], ...] = field(repr=False, default=())


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """A patient's predicted survival, and where on the slide the model looked.

    Attributes
    ----------
    slide_id : str
    bag : FeatureBag
        What it was predicted from.
    risk : float
        ``-sum(survival)`` in [-n_bins, 0]; of a Cox model the log risk, which is 0 for an average training patient.
        Higher is worse (METHOD section 2).
    risk_percentile : float
        Share of the training cohort with a lower risk, in [0, 100]; ties count half.
    risk_group : {"low", "high"}
        Cut at the training cohort's median risk.
    member_risks : array, shape (n_members,)
        Risk by each member of an ensemble; their spread says how sure the model is.
    hazards, survival : array, shape (n_bins,)
        Per time bin, averaged over members.
    bin_edges_months : tuple of float
        Finite edges of the first member's bins; the last bin is open. Other members' may differ: see `members`.
    members : tuple of MemberPrediction
        One per member of the ensemble.
    curve : SurvivalCurve
        Mean of the members' curves, each drawn between its own bin edges.
    patch_scores : array, shape (n,)
        The student's gene-guided patch weights, mean over members; they sum to 1.
    cohort : CohortReference
    notices : tuple of Notice
        Limits of this result; a user must see them.
    provenance : mapping
        What made it, JSON-able, without paths.
    teacher : TeacherPrediction, optional
        When expression was given and the bundle has a teacher.
    patient : PatientSlides, optional
        When several slides of a patient were predicted together.
    """

    slide_id: str
    bag: FeatureBag
    risk: float
    risk_percentile: float
    risk_group: RiskGroup
    member_risks: NDArray[np.float64]
    hazards: NDArray[np.float64]
    survival: NDArray[np.float64]
    bin_edges_months: tuple[float, ...]
    curve: SurvivalCurve
    patch_scores: NDArray[np.float64]
    cohort: CohortReference
    notices: tuple[Notice, ...]
    provenance: Mapping[str, Any]
    teacher: TeacherPrediction | None = None
    members: tuple[MemberPrediction, ...] = ()
    patient: PatientSlides | None = None

    @property
    def subject(self) -> str:
        """What risk and curve are of, in words: a slide, or the patient where several slides were joined."""
        several = self.patient is not None or self.bag.n_slides > 1
        return "this patient" if several else "this slide"

    @property
    def has_map(self) -> bool:
        """Whether the patches' scores can be drawn: their places are known, and lie on one slide."""
        return self.bag.has_map and self.bag.n_slides == 1

    @property
    def is_doubtful(self) -> bool:
        """Whether a notice takes the result's meaning away."""
        return any(notice.code in DOUBTS for notice in self.notices)

    @property
    def group_text(self) -> str:
        """The risk group as it is read: "low" or "high", and never without a doubt that takes its meaning away."""
        return f"doubtful: {self.risk_group}" if self.is_doubtful else self.risk_group

    @property
    def on_processor(self) -> bool:
        """Whether the processor computed this because the memory of the device that was asked for did not hold it."""
        return any(notice.code == "on_processor" for notice in self.notices)

    def __repr__(self) -> str:
        return (
            f"Prediction({self.slide_id}: risk {self.risk:.3f}, {self.risk_group} group, percentile "
            f"{self.risk_percentile:.0f} of {self.cohort.size} patients, {len(self.patch_scores)} patches)"
        )
