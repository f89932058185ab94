"""Reading and writing bundles: a zip of JSON and safetensors, stored, verified, never unpacked to disk.

The manifest holds a SHA-256 of every other part; a part that differs, is missing or was not announced
is refused. Equal bundles give equal bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from amkd_core.atomic import atomic_path
from amkd_core.bundle import Bundle, BundleMember
from amkd_core.bundle_card import BundleCard, MemberCard, ModelCard, fill_card, parse_card
from amkd_core.bundle_check import check_bundle
from amkd_core.bundle_listing import MAX_MANIFEST_BYTES, MAX_PARTS, check_header, check_listing
from amkd_core.bundle_models import load_model, weights_of
from amkd_core.cohort.genes import GeneScaling
from amkd_core.errors import BundleError, OutcomeError
from amkd_core.feature_range import FeatureRange
from amkd_core.file_hash import file_sha256
from amkd_core.golden_features import GoldenFeatures
from amkd_core.models import SurvivalModel
from amkd_core.pathway_effects import PathwayEffects
from amkd_core.survival.baseline import BaselineHazard
from amkd_core.survival.metrics import KaplanMeier
from amkd_core.survival.outcome import TimeBins

COHORT_GROUPS = ("all", "low", "high")
_CURVE = ("time", "survival", "lower", "upper", "at_risk")
_RANGE = "feature_range."
_GOLDEN = "golden."
_ATTENTION = "pathway_attention"
_EFFECTS = "pathway_effects."
_EPOCH = (1980, 1, 1, 0, 0, 0)


def open_bundle(path: Path | str) -> Bundle:
    """Read and verify a bundle.

    Raises
    ------
    BundleError
        When the file is no bundle, was changed, contradicts itself or needs a newer release.
    """
    path = Path(path)
    return _read(path, path.name)


def _read(path: Path, file_name: str) -> Bundle:
    sha256 = _file_hash(path, file_name)
    parts = _read_parts(path, file_name)
    card = parse_card(parts.pop("manifest.json").decode("utf-8", "replace"), file_name=file_name)
    _check_parts(parts, card, file_name)
    bundle = _assemble(card, parts, file_name)
    check_bundle(bundle, file_name=file_name)
    return replace(bundle, sha256=sha256)


def write_bundle(path: Path | str, bundle: Bundle) -> Bundle:
    """Write a bundle atomically and return it with the card's hashes and its own filled in.

    It is read back and checked before it gets its name, so that no bundle is written that cannot be opened.

    Raises
    ------
    BundleError
        When the parts contradict each other, or a figure of the card is not finite.
    OSError
        When the folder is not writable or the disk is full; nothing is left under `path`.
    """
    path = Path(path)
    parts = {"arrays.safetensors": save_arrays(_arrays(bundle))}
    for index, member in enumerate(bundle.members):
        parts[f"member{index}.student.safetensors"] = weights_of(member.student)
        if member.teacher is not None:
            parts[f"member{index}.teacher.safetensors"] = weights_of(member.teacher)
    hashes = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    members = [_member_card(member) for member in bundle.members]
    card = fill_card(bundle.card, members=members, parts=hashes, file_name=path.name)
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            _add(archive, "manifest.json", card.model_dump_json(indent=1).encode())
            for name in sorted(parts):
                _add(archive, name, parts[name])
        return _read(temporary, path.name)


def _add(archive: zipfile.ZipFile, name: str, payload: bytes) -> None:
    # A fixed time, so that equal bundles are equal files.
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), payload)


def _member_card(member: BundleMember) -> dict[str, Any]:
    def model_card(model: SurvivalModel) -> dict[str, Any]:
        return {"name": model.name, "config": dict(model.config)}

    return {
        "student": model_card(member.student),
        "teacher": None if member.teacher is None else model_card(member.teacher),
        "risk_cut": float(member.risk_cut),
        # JSON has no infinity; the open last edge is left out.
        "time_bins": [float(edge) for edge in member.time_bins.edges[:-1]],
    }


def _arrays(bundle: Bundle) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        _RANGE + name: array for name, array in bundle.feature_range.to_arrays().items()
    }
    if bundle.golden is not None:
        arrays |= {_GOLDEN + name: array for name, array in bundle.golden.to_arrays().items()}
    for group, curve in bundle.kaplan_meier.items():
        for name in _CURVE:
            arrays[f"kaplan_meier.{group}.{name}"] = getattr(curve, name)
    if bundle.membership is not None:
        arrays["membership"] = bundle.membership.astype(np.uint8)
    if bundle.pathway_attention is not None:
        arrays[_ATTENTION] = np.asarray(bundle.pathway_attention, dtype=np.float64)
    if bundle.pathway_effects is not None:
        arrays |= {_EFFECTS + name: array for name, array in bundle.pathway_effects.to_arrays().items()}
    for index, member in enumerate(bundle.members):
        arrays[f"member{index}.training_risks"] = np.asarray(member.training_risks, dtype=np.float64)
        if member.scaling is not None:
            arrays[f"member{index}.gene_mean"] = member.scaling.mean
            arrays[f"member{index}.gene_std"] = member.scaling.std
        if member.baseline is not None:
            arrays[f"member{index}.baseline_hazard"] = member.baseline.increments
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _file_hash(path: Path, file_name: str) -> str:
    check_listing(path, file_name)
    return file_sha256(path)


def _read_parts(path: Path, file_name: str) -> dict[str, bytes]:
    """Parts by name, read into memory; names and sizes are checked before anything is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if "manifest.json" not in names or len(set(names)) != len(names):
                raise BundleError(
                    f"{file_name}: a zip without exactly one manifest.json, expected a model bundle"
                )
            if len(members) > MAX_PARTS:
                raise BundleError(f"{file_name}: lists {len(members)} parts, expected at most {MAX_PARTS}")
            for member in members:
                _check_zip_member(member, file_name)
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise BundleError(
                    f"{file_name}: its parts overlap; the bundle was made wrongly, it was not read"
                )
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{file_name}: is not a model bundle, or is damaged ({error})") from error


def _check_zip_member(member: zipfile.ZipInfo, file_name: str) -> None:
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise BundleError(
            f"{file_name}: {member.filename!r} is compressed, bundles are stored; it was not read"
        )
    if member.filename == "manifest.json" and member.file_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"{file_name}: manifest.json has {member.file_size} bytes, expected at most 1 MiB")


def _check_parts(parts: Mapping[str, bytes], card: BundleCard, file_name: str) -> None:
    expected = {"arrays.safetensors"}
    for index, member in enumerate(card.members):
        expected.add(f"member{index}.student.safetensors")
        if member.teacher is not None:
            expected.add(f"member{index}.teacher.safetensors")
    for name in sorted(expected | set(parts) | set(card.parts)):
        if not (name in expected and name in parts and name in card.parts):
            raise BundleError(
                f"{file_name}: part {name!r} is missing or was not announced; the bundle was changed"
            )
        if hashlib.sha256(parts[name]).hexdigest() != card.parts[name]:
            raise BundleError(f"{file_name}: the checksum of {name} does not match; the bundle is damaged")
        check_header(parts[name], name, file_name)


def _assemble(card: BundleCard, parts: Mapping[str, bytes], file_name: str) -> Bundle:
    try:
        arrays = load_arrays(parts["arrays.safetensors"])
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(f"{file_name}: arrays.safetensors is no safetensors ({error})") from error
    _check_arrays(arrays, card, file_name)
    membership = arrays["membership"].astype(bool) if "membership" in arrays else None

    def network(model: ModelCard, part: str) -> SurvivalModel:
        return load_model(model, parts[part], membership=membership, part=f"{file_name}: {part}")

    members = []
    for index, member in enumerate(card.members):
        student = network(member.student, f"member{index}.student.safetensors")
        teacher = None
        if member.teacher is not None:
            teacher = network(member.teacher, f"member{index}.teacher.safetensors")
        members.append(_member(member, arrays, index, student, teacher))
    ranges, golden, effects = (_part(arrays, prefix) for prefix in (_RANGE, _GOLDEN, _EFFECTS))
    curves = {group: _curve(arrays, group) for group in COHORT_GROUPS}
    try:
        feature_range = FeatureRange.from_arrays(ranges)
        reference = GoldenFeatures.from_arrays(golden) if golden else None
        reading = PathwayEffects.from_arrays(effects) if effects else None
    except ValueError as error:
        raise BundleError(f"{file_name}: {error}; the bundle was made wrongly") from error
    return Bundle(
        card,
        tuple(members),
        feature_range,
        curves,
        membership,
        pathway_attention=arrays.get(_ATTENTION),
        pathway_effects=reading,
        golden=reference,
    )


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check_arrays(arrays: Mapping[str, NDArray[Any]], card: BundleCard, file_name: str) -> None:
    """Exactly the arrays that the card implies; the optional ones and the feature range's are checked by themselves."""
    expected = {f"kaplan_meier.{group}.{name}" for group in COHORT_GROUPS for name in _CURVE}
    for index, member in enumerate(card.members):
        expected.add(f"member{index}.training_risks")
        if member.teacher is not None:
            expected |= {"membership", f"member{index}.gene_mean", f"member{index}.gene_std"}
        if _is_cox(member):
            expected.add(f"member{index}.baseline_hazard")
    optional = (_RANGE, _GOLDEN, _EFFECTS)
    found = {name for name in arrays if not name.startswith(optional) and name != _ATTENTION}
    for name in sorted(found ^ expected):
        state = "missing" if name in expected else "unknown"
        raise BundleError(
            f"{file_name}: array {name!r} is {state} in arrays.safetensors; the bundle was made wrongly"
        )


def _is_cox(member: MemberCard) -> bool:
    """Whether the student has a Cox head, whose one output is a log risk."""
    return member.student.config.get("n_bins") == 1


def _member(
    card: MemberCard,
    arrays: Mapping[str, NDArray[Any]],
    index: int,
    student: SurvivalModel,
    teacher: SurvivalModel | None,
) -> BundleMember:
    scaling = None
    if teacher is not None:
        scaling = GeneScaling(arrays[f"member{index}.gene_mean"], arrays[f"member{index}.gene_std"])
    try:
        time_bins = TimeBins.from_list([*card.time_bins, float("inf")])
        baseline = None
        if _is_cox(card):
            baseline = BaselineHazard(time_bins, arrays[f"member{index}.baseline_hazard"])
    except OutcomeError as error:
        raise BundleError(f"member {index}: {error}") from error
    return BundleMember(
        student=student,
        teacher=teacher,
        time_bins=time_bins,
        training_risks=np.sort(arrays[f"member{index}.training_risks"]),
        risk_cut=card.risk_cut,
        scaling=scaling,
        baseline=baseline,
    )


def _curve(arrays: Mapping[str, NDArray[Any]], group: str) -> KaplanMeier:
    return KaplanMeier(*(arrays[f"kaplan_meier.{group}.{name}"] for name in _CURVE))
