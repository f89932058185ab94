"""Which pathways a teacher's risk goes along with: a linear reading of the network over a cohort.

Attention says where a network looks, not what moves its answer (Jain and Wallace 2019, "Attention is not
Explanation"). A global surrogate does (Molnar, "Interpretable Machine Learning", global surrogate models): ridge
regression of the teacher's risk on the activities of the pathways, whose fit on patients left out says how much of the
teacher it stands for. On simulated patients whose truth is known it finds pathways that carry the risk where attention
does not (benchmarks/RESULTS.md). It explains the model, and says nothing of causes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Fewer patients than this say nothing about hundreds of pathways.
MIN_PATIENTS = 30
# A reading that misses more than this of the teacher's risk does not stand for it.
LEAST_EXPLAINED = 0.3
_PENALTIES = np.logspace(-1, 5, 25)
_FOLDS = 5
_ARRAYS = ("effect", "activity_mean", "activity_scale", "fit")


@dataclass(frozen=True, eq=False)
class PathwayEffects:
    """Linear reading of a teacher's risk.

    Attributes
    ----------
    effect : array, shape (n_pathways,)
        By how much the teacher's risk differs, in its own units, for one standard deviation more of a pathway's
        activity, among patients alike in all others.
    activity_mean, activity_scale : array, shape (n_pathways,)
        Of the activities over the cohort; a pathway that does not vary has a scale of 1 and no effect.
    fit : array, shape (2,)
        Share of the teacher's variance that the reading explains in patients it was not fitted on (R squared, at most
        1, below 0 where it is worse than the mean), and the number of patients.

    Raises
    ------
    ValueError
        When the arrays do not fit together.
    """

    effect: Array
    activity_mean: Array
    activity_scale: Array
    fit: Array

    def __post_init__(self) -> None:
        found = tuple(getattr(self, name).shape for name in _ARRAYS)
        width = self.effect.size
        if width == 0 or found != ((width,), (width,), (width,), (2,)):
            raise ValueError(f"the pathway effects' arrays do not fit together, found shapes {found}")
        if not all(np.isfinite(getattr(self, name)).all() for name in _ARRAYS):
            raise ValueError("the pathway effects must be finite")
        if not ((self.activity_scale > 0).all() and self.fit[0] <= 1 and self.fit[1] >= 1):
            raise ValueError(
                "the pathway effects need positive scales, a share explained of at most 1 and patients"
            )

    @property
    def explained(self) -> float:
        """Share of the teacher's variance that the reading explains in patients left out."""
        return float(self.fit[0])

    @property
    def n_patients(self) -> int:
        """Patients that it was fitted on."""
        return int(self.fit[1])

    @property
    def stands_for_teacher(self) -> bool:
        """Whether it explains enough of the teacher's risk to be shown as its explanation."""
        return self.explained >= LEAST_EXPLAINED

    @classmethod
    def of_cohort(cls, activities: Array, risks: Array) -> PathwayEffects | None:
        """Read a teacher's risks.

        Parameters
        ----------
        activities : array, shape (n_patients, n_pathways)
            As `pathway_activities` gives them.
        risks : array, shape (n_patients,)
            The teacher's. Where several teachers gave them, centred for each.

        Returns
        -------
        PathwayEffects or None
            None where there are fewer than `MIN_PATIENTS`, or all risks are equal.
        """
        if len(risks) < MIN_PATIENTS or not np.ptp(risks) > 0:
            return None
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import KFold, cross_val_predict

        standard, mean, scale = standardised(activities)
        # Each fold chooses its penalty by itself, so that the share explained is that of patients left out.
        folds = KFold(_FOLDS, shuffle=True, random_state=0)
        foretold = cross_val_predict(RidgeCV(_PENALTIES), standard, risks, cv=folds)
        explained = 1 - np.square(risks - foretold).sum() / np.square(risks - risks.mean()).sum()
        return cls(ridge_effects(standard, risks), mean, scale, np.array([explained, len(risks)]))

    def of_patient(self, activities: Array) -> Array:
        """What each pathway adds to a patient's risk against the cohort's mean patient, shape (n_pathways,)."""
        added: Array = self.effect * (activities - self.activity_mean) / self.activity_scale
        return added

    def to_arrays(self) -> dict[str, Array]:
        """Return the fitted numbers, for a bundle."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> PathwayEffects:
        """Read the fitted numbers back.

        Raises
        ------
        ValueError
            When an array is missing, unknown, or does not fit the others.
        """
        if set(arrays) != set(_ARRAYS):
            raise ValueError(
                f"the pathway effects need the arrays {', '.join(_ARRAYS)}, found {sorted(arrays)}"
            )
        return cls(*(np.asarray(arrays[name], dtype=np.float64) for name in _ARRAYS))


def standardised(activities: Array) -> tuple[Array, Array, Array]:
    """Activities of a cohort as standard scores, and each pathway's mean and scale.

    A pathway that does not vary has scores of 0 and a scale of 1.
    """
    mean, spread = activities.mean(axis=0), activities.std(axis=0)
    varies = spread > 1e-12 * (1 + np.abs(mean))
    scale = np.where(varies, spread, 1.0)
    return np.where(varies, (activities - mean) / scale, 0.0), mean, scale


def ridge_effects(standard: Array, risks: Array) -> Array:
    """Ridge regression of risks on standard scores of activities, shape (n_pathways,).

    The penalty is the best of 25 by leaving one patient out; pathways that do not vary have no effect.
    """
    from sklearn.linear_model import RidgeCV

    effect: Array = RidgeCV(_PENALTIES).fit(standard, risks).coef_
    return np.where(standard.any(axis=0), effect, 0.0)


def pathway_activities(z_scores: Array, membership: NDArray[np.bool_]) -> Array:
    """Activity of each pathway: the mean z-score of its genes.

    Parameters
    ----------
    z_scores : array, shape (..., n_genes)
        Scaled as the teacher reads them.
    membership : bool array, shape (n_pathways, n_genes)
        Each pathway with at least one gene.

    Returns
    -------
    array, shape (..., n_pathways)
    """
    means: Array = z_scores @ membership.T / membership.sum(axis=1)
    return means
