"""Whether the parts of a bundle belong together; each contradiction is one sentence.

Checksums say that a file is as it was written. They do not say that whoever wrote it made sense.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.bundle_card import BundleCard
from amkd_core.errors import BundleError

if TYPE_CHECKING:
    from amkd_core.bundle import Bundle, BundleMember
    from amkd_core.survival.metrics import KaplanMeier

_ROUNDING = 1e-9
_SUM_TOLERANCE = 1e-6


def check_bundle(bundle: Bundle, *, file_name: str) -> None:
    """Hold every part of a bundle against its card.

    Raises
    ------
    BundleError
        Names the first two that contradict each other, both values.
    """

    def refuse(sentence: str) -> BundleError:
        return BundleError(f"{file_name}: {sentence}; the bundle was made wrongly")

    card = bundle.card
    if card.cohort_events > card.cohort_size:
        raise refuse(f"{card.cohort_events} events among {card.cohort_size} patients")
    if card.sites is not None and card.sites.n_patients != card.cohort_size:
        raise refuse(f"its sites have {card.sites.n_patients} patients, its cohort {card.cohort_size}")
    measured = [(item.model, item.fold) for item in card.measured]
    if len(set(measured)) != len(measured):
        raise refuse("a C-index is given twice")
    if bundle.feature_range.dimension != card.encoder.dimension:
        raise refuse(
            f"its feature range has width {bundle.feature_range.dimension}, its encoder {card.encoder.dimension}"
        )
    if bundle.golden is not None and bundle.golden.dimension != card.encoder.dimension:
        raise refuse(
            f"its golden features have width {bundle.golden.dimension}, its encoder {card.encoder.dimension}"
        )
    sentence = _subgroups_fault(card) or _names_fault(bundle)
    sentence = sentence or _pathways_fault(bundle) or _curves_fault(bundle.kaplan_meier)
    for index, member in enumerate(bundle.members):
        sentence = sentence or _member_fault(member, f"member {index}", card)
    if sentence is not None:
        raise refuse(sentence)


def _subgroups_fault(card: BundleCard) -> str | None:
    """Subgroups are parts of the patients of the C-index over all folds, or of the only fold."""
    if len({item.by for item in card.subgroups}) != len(card.subgroups):
        return "its subgroups by one property are given twice"
    tested = {item.model: item.n_patients for item in card.measured if item.fold is None} or {
        item.model: item.n_patients for item in card.measured
    }
    for item in card.subgroups:
        of_students = item.n_patients("student") + item.pooled_patients + item.unknown
        if of_students != tested.get("student", 0):
            return f"its subgroups by {item.by} have {of_students} patients, {tested.get('student', 0)} were tested"
        of_teachers, scored = item.n_patients("teacher"), tested.get("teacher", 0)
        if of_teachers > scored:
            return (
                f"its subgroups by {item.by} have {of_teachers} patients of the teacher, it scored {scored}"
            )
    return None


def _names_fault(bundle: Bundle) -> str | None:
    card, teachers = bundle.card, sum(member.teacher is not None for member in bundle.members)
    for kind, names in (("pathway", card.pathways), ("gene", card.genes)):
        if len(set(names)) != len(names):
            return f"a {kind} is named twice"
    shape = (0, 0) if bundle.membership is None else bundle.membership.shape
    if shape != (len(card.pathways), len(card.genes)):
        return (
            f"its membership is {shape[0]} x {shape[1]}, but it names {len(card.pathways)} pathways and "
            f"{len(card.genes)} genes"
        )
    if teachers and bundle.membership is None:
        return "it has a teacher but no pathways"
    return None


def _pathways_fault(bundle: Bundle) -> str | None:
    attention, n_pathways = bundle.pathway_attention, len(bundle.card.pathways)
    if bundle.pathway_effects is not None and bundle.pathway_effects.effect.size != n_pathways:
        return (
            f"its pathway effects are of {bundle.pathway_effects.effect.size} pathways, it names {n_pathways}"
        )
    if attention is None:
        return None
    if attention.dtype != np.float64 or not _finite(attention, 1) or len(attention) != n_pathways:
        return (
            f"its cohort's pathway attention must be one finite number for each of {n_pathways} pathways, found "
            f"{attention.dtype} {attention.shape}"
        )
    if (attention < 0).any() or abs(float(attention.sum()) - 1) > _SUM_TOLERANCE:
        return f"its cohort's pathway attention must be shares that sum to 1, they sum to {attention.sum():g}"
    return None


def _member_fault(member: BundleMember, name: str, card: BundleCard) -> str | None:
    for network in (member.student, member.teacher):
        if network is not None and network.d_encoder != card.encoder.dimension:
            width = card.encoder.dimension
            return f"{name}: {network.name} reads {network.d_encoder} features, its encoder gives {width}"
    n_bins = member.student.config.get("n_bins", 1)
    if n_bins != (member.time_bins.n_bins if member.baseline is None else 1):
        kind = (
            "are cut"
            if member.baseline is None
            else "are of a baseline hazard, which needs a student of one output"
        )
        return f"{name}: the student has {n_bins} bins, {member.time_bins.n_bins} {kind}"
    if not _finite(member.training_risks, 1):
        return (
            f"{name}: training risks must be one row of finite numbers, found {member.training_risks.shape}"
        )
    if (member.teacher is None) != (member.scaling is None):
        return f"{name}: a teacher and the scaling of its genes belong together, one is missing"
    if member.scaling is None:
        return None
    for kind, values in (("mean", member.scaling.mean), ("std", member.scaling.std)):
        if (
            not _finite(values, 1)
            or len(values) != len(card.genes)
            or (kind == "std" and not (values > 0).all())
        ):
            return f"{name}: gene {kind} must be one usable number for each of {len(card.genes)} genes"
    return None


def _curves_fault(curves: Mapping[str, KaplanMeier]) -> str | None:
    for group, curve in curves.items():
        columns = (curve.time, curve.survival, curve.lower, curve.upper, curve.at_risk)
        if not _finite(curve.time, 1) or any(column.shape != curve.time.shape for column in columns):
            return f"the columns of its Kaplan-Meier table {group!r} differ in length or are empty"
        falls = (np.diff(curve.time) >= 0).all() and (np.diff(curve.survival) <= _ROUNDING).all()
        if not (falls and ((curve.survival >= 0) & (curve.survival <= 1 + _ROUNDING)).all()):
            return f"its Kaplan-Meier table {group!r} is no falling curve between 1 and 0"
        if not all(_is_share(band) for band in (curve.lower, curve.upper)):
            return f"the band of its Kaplan-Meier table {group!r} must be finite and between 0 and 1"
        if not np.issubdtype(curve.at_risk.dtype, np.integer):
            return (
                f"the patients at risk in its Kaplan-Meier table {group!r} must be whole numbers, found "
                f"{curve.at_risk.dtype}"
            )
        if (curve.at_risk < 0).any() or (np.diff(curve.at_risk) > 0).any():
            return f"the patients at risk in its Kaplan-Meier table {group!r} grow in number or are below 0"
    return None


def _is_share(values: NDArray[Any]) -> bool:
    return _finite(values, 1) and bool(((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)).all())


def _finite(values: NDArray[Any], n_axes: int) -> bool:
    return values.ndim == n_axes and values.size > 0 and bool(np.isfinite(values).all())
