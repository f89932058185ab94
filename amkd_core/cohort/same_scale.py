"""Whether a patient's expression stands on the scale of the patients that a model was trained on.

Logarithms of another base, or of values with something else added, are logarithms as well, and a teacher answers for
them all the same. Means and spreads of the training patients' genes tell three things of a new patient:

- the floor: genes that were not measured in a tissue share one value, the logarithm of what was added. No gene's
  training mean lies below it, and such genes do not lie far below their training means.
- whether the values would fit far better as logarithms of another base or with something else added.
- whether they lie farther from the training means than those of any tumour.

Of three TCGA cohorts (bladder, stomach, colorectum; 1,577 genes as log2(TPM + 0.001) or log2(TPM + 1)) at most 0.3 % of
the patients left out are called so and at most 0.3 % of those of the other two cancers, but 98 to 100 % of those with
another floor or base, and all z-scores, ranks and counts. Twice the library is told in none of those with the former
floor and in a third of those with the latter, as a factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from amkd_core.cohort.expression import FoundScale
from amkd_core.cohort.genes import Array, GeneScaling

# Fewer genes tell a scale badly; a floor is a value that some of them share.
LEAST_GENES = 100
_AT_FLOOR = 3
_SAME = 1e-6
# A floor above a gene's training mean cannot be; rounded tables come near it.
_ABOVE = 0.5
# Median z-score of the genes at the floor: -1.7 and up in tumours of any of the three cancers, below -7.8 otherwise.
_BELOW = -5.0
# Mean distance from the training means in standard deviations, of which no gene counts more than so many: 0.5 to 2.4 in
# patients left out, 3.0 in one of another cancer, 2.7 and more of counts, z-scores, ranks and log10 for log2.
_MOST = 5.0
_FAR = 2.5
# Another base brings a patient to 0.3 to 0.7 of that distance where it is the right one, to 0.7 and more where not.
_DOUBTFUL = 1.2
_NEARER = 0.7
# Genes' training means differ by more than so many of their spreads, unless each was brought to the same mean.
_CENTRED = 0.5
# What a patient who fits does not exceed, so that a conversion is named.
_FITS, _ABOUT = 1.3, 1.1

_BASES = {"log2": 2.0, "ln": math.e, "log10": 10.0}
_ADDED = (0.001, 0.01, 0.1, 1.0)
_LIBRARIES = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0)
_ROUNDING = 0.02
_LARGEST_LINEAR = 1e7
UNRELIABLE = "do not rely on the teacher's risk, its pathways, their maps and what they add to it"


@dataclass(frozen=True)
class _Log:
    """A kind of logarithm, such as log2(x + 0.001)."""

    base: str
    added: float

    def __str__(self) -> str:
        return f"{self.base}(x + {self.added:g})"

    @property
    def floor(self) -> float:
        return float(self.of(np.zeros(())))

    def of(self, linear: Array) -> Array:
        logs: Array = np.log(linear + self.added) / math.log(_BASES[self.base])
        return logs

    def undone(self, logs: Array) -> Array:
        linear: Array = np.maximum(np.exp(logs * math.log(_BASES[self.base])) - self.added, 0.0)
        return linear

    def can_hold(self, values: Array) -> bool:
        return bool(
            values.min() >= self.floor - _ROUNDING and values.max() <= self.of(np.array(_LARGEST_LINEAR))
        )


_LOGS = tuple(_Log(base, added) for base, added in product(_BASES, _ADDED))


def scale_fault(values: Array, scaling: GeneScaling, scale: FoundScale = "log") -> str:
    """Why a patient's expression cannot stand on the training patients' scale, without a full stop; empty if it may.

    Parameters
    ----------
    values : array, shape (n_genes,)
        As the teacher reads them (`brought_to_logs`), in the scaling's order; NaN where a gene was not measured. Fewer
        than `LEAST_GENES` tell nothing.
    scaling
        Of the training patients.
    scale
        Of the training patients' file: what is added, and to which base, is of logarithms alone.
    """
    known = np.isfinite(values)
    if np.count_nonzero(known) < LEAST_GENES:
        return ""
    found, mean, std = values[known], scaling.mean[known], scaling.std[known]
    distance, said = _distance(found, mean, std), _floor_fault(found, mean, std)
    if not said and distance <= _DOUBTFUL:
        return ""
    nearest, conversion = _best_conversion(found, mean, std) if scale == "log" else (math.inf, "")
    if not said and distance <= _FAR and nearest >= _NEARER * distance:
        return ""
    if not said:
        said = (
            f"its genes lie {distance:.1f} standard deviations from the training patients' means, expected about 0.8 "
            f"(values from {found.min():.3g} to {found.max():.3g}, means from {mean.min():.3g} to {mean.max():.3g})"
        )
    fits = nearest <= min(_FITS, _ABOUT * distance)
    return f"{said}; it would fit as {conversion}" if fits else said


def cohort_fault(rows: Mapping[str, Array], scaling: GeneScaling, scale: FoundScale, *, trained: str) -> str:
    """A warning on the patients whose expression cannot stand on the training patients' scale; empty without any.

    Parameters
    ----------
    rows
        Values by patient, as for `scale_fault`.
    trained
        Whose scale it is, such as "the model's".
    """
    faults = {name: fault for name, row in rows.items() if (fault := scale_fault(row, scaling, scale))}
    if not faults:
        return ""
    name, fault = next(iter(faults.items()))
    return (
        f"Warning: the expression of {len(faults)} of {len(rows)} patients does not stand on {trained} scale ({name}: "
        f"{fault}); {UNRELIABLE}, and bring the table to that scale first."
    )


def mean_scaling(scalings: Sequence[GeneScaling]) -> GeneScaling:
    """One scaling for the members of an ensemble."""
    return GeneScaling(
        np.mean([item.mean for item in scalings], axis=0), np.mean([item.std for item in scalings], axis=0)
    )


def _distance(values: Array, mean: Array, std: Array) -> float:
    return float(np.minimum(np.abs((values - mean) / std), _MOST).mean())


def _floor_fault(values: Array, mean: Array, std: Array) -> str:
    floor = float(values.min())
    at_floor = values <= floor + _SAME
    if np.count_nonzero(at_floor) < _AT_FLOOR:
        return ""
    said = f"its least value, of {np.count_nonzero(at_floor)} genes, is {floor:.3g}"
    if floor > mean.min() + _ABOVE:
        return f"{said}, but genes' training means go down to {mean.min():.3g}"
    if np.median(((values - mean) / std)[at_floor]) < _BELOW:
        return f"{said}, but the training means of these genes are about {np.median(mean[at_floor]):.3g}"
    return ""


def _best_conversion(values: Array, mean: Array, std: Array) -> tuple[float, str]:
    """Smallest distance after a conversion from one kind of logarithm to another, and both in words."""
    if mean.std() < _CENTRED * np.median(std):  # z-scores, or logarithms minus their mean
        return math.inf, ""
    floor = float(values.min())
    given = _kinds(values)
    if np.count_nonzero(values <= floor + _SAME) >= _AT_FLOOR:
        given = [kind for kind in _LOGS if abs(kind.floor - floor) <= _ROUNDING and kind.can_hold(values)]
    found = []
    for one, other in product(given, _kinds(mean)):
        if one != other:
            distance = _distance(other.of(one.undone(values)), mean, std)
            # Another base has to be much nearer than the same one: libraries of other sizes look a little like it.
            rank = distance if one.base == other.base else distance / _NEARER
            found.append((rank, distance, f"{one} if the model was trained on {other}"))
    if not found:
        return math.inf, ""
    _, distance, words = min(found)
    fitting, factor = min(_factors(values, mean, std, given), default=(math.inf, 1.0))
    if fitting * _NEARER <= distance:
        # A larger library and another base look alike then: both are named, or the former alone.
        scaled = f"{factor:g} times the values"
        words = scaled if fitting * _ABOUT < distance else f"{words}, or as {scaled}"
    return distance, words


def _factors(values: Array, mean: Array, std: Array, given: Sequence[_Log]) -> list[tuple[float, float]]:
    """Distances after each factor on the linear values, for logarithms of the kind that was trained on."""
    return [
        (_distance(kind.of(factor * kind.undone(values)), mean, std), factor)
        for kind in _kinds(mean)
        if kind in given
        for factor in _LIBRARIES
    ]


def _kinds(values: Array) -> list[_Log]:
    """Of each base the kind whose floor lies nearest below all values."""
    possible = [kind for kind in _LOGS if kind.can_hold(values)]
    nearest = {kind.base: kind for kind in sorted(possible, key=lambda kind: kind.floor)}
    return list(nearest.values())
