"""Reading and writing bundles: a zip of JSON and safetensors, stored, verified, never unpacked to disk.

The manifest holds a SHA-256 of every other part; a part that differs, is missing or was not announced
is refused. Equal bundles give equal bytes.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from amkd_core.atomic import atomic_path
from amkd_core.bundle import Bundle, BundleMember
from amkd_core.bundle_card import BundleCard, MemberCard, ModelCard, parse_card
from amkd_core.cohort.genes import GeneScaling
from amkd_core.errors import BundleError, ConfigError
from amkd_core.feature_range import FeatureRange
from amkd_core.models import SurvivalModel, build_model
from amkd_core.survival.metrics import KaplanMeier
from amkd_core.survival.outcome import TimeBins

MAX_FILE_BYTES = 2 * 2**30
MAX_MANIFEST_BYTES = 2**20
COHORT_GROUPS = ("all", "low", "high")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def open_bundle(path: Path | str) -> Bundle:
    """Read and verify a bundle.

    Raises
    ------
    BundleError
        When the file is no bundle, was changed, or needs a newer release.
    """
    path = Path(path)
    payload = _read_file(path)
    parts = _read_parts(path)
    card = parse_card(parts.pop("manifest.json").decode("utf-8", "replace"), file_name=path.name)
    _check_parts(parts, card, path)
    try:
        return _assemble(card, parts, hashlib.sha256(payload).hexdigest())
    except (KeyError, ValueError, RuntimeError, SafetensorError, ConfigError) as error:
        raise BundleError(f"{path.name}: weights and card do not fit together ({error})") from error


def write_bundle(path: Path | str, bundle: Bundle) -> Bundle:
    """Write a bundle atomically and return it with the card's hashes and its own filled in."""
    parts = {"arrays.safetensors": save_arrays(_arrays(bundle))}
    for index, member in enumerate(bundle.members):
        parts[f"member{index}.student.safetensors"] = _weights(member.student)
        if member.teacher is not None:
            parts[f"member{index}.teacher.safetensors"] = _weights(member.teacher)
    hashes = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    members = [_member_card(member) for member in bundle.members]
    card = BundleCard.model_validate({**bundle.card.model_dump(), "members": members, "parts": hashes})
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "manifest.json", card.model_dump_json(indent=1).encode())
        for name in sorted(parts):
            _add(archive, name, parts[name])
    return open_bundle(path)


def _add(archive: zipfile.ZipFile, name: str, payload: bytes) -> None:
    # A fixed time, so that equal bundles are equal files.
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), payload)


def _weights(model: SurvivalModel) -> bytes:
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return bytes(save_tensors(state))


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
        f"feature_range.{name}": array for name, array in bundle.feature_range.to_arrays().items()
    }
    for group, curve in bundle.kaplan_meier.items():
        for name in ("time", "survival", "lower", "upper", "at_risk"):
            arrays[f"kaplan_meier.{group}.{name}"] = getattr(curve, name)
    if bundle.membership is not None:
        arrays["membership"] = bundle.membership.astype(np.uint8)
    for index, member in enumerate(bundle.members):
        arrays[f"member{index}.training_risks"] = np.asarray(member.training_risks, dtype=np.float64)
        if member.scaling is not None:
            arrays[f"member{index}.gene_mean"] = member.scaling.mean
            arrays[f"member{index}.gene_std"] = member.scaling.std
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise BundleError(f"{path.name}: no such file, expected a model bundle (.amkd)")
    size = path.stat().st_size
    if size == 0 or size > MAX_FILE_BYTES:
        raise BundleError(f"{path.name}: {size} bytes, expected a model bundle of at most 2 GiB")
    return path.read_bytes()


def _read_parts(path: Path) -> dict[str, bytes]:
    """Parts by name, read into memory; names and sizes are checked before anything is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if "manifest.json" not in names or len(set(names)) != len(names):
                raise BundleError(
                    f"{path.name}: a zip without exactly one manifest.json, expected a model bundle"
                )
            for member in members:
                _check_zip_member(member, path)
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path.name}: is not a model bundle, or is damaged ({error})") from error


def _check_zip_member(member: zipfile.ZipInfo, path: Path) -> None:
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise BundleError(
            f"{path.name}: {member.filename!r} is compressed, bundles are stored; it was not read"
        )
    if member.filename == "manifest.json" and member.file_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"{path.name}: manifest.json has {member.file_size} bytes, expected at most 1 MiB")


def _check_parts(parts: Mapping[str, bytes], card: BundleCard, path: Path) -> None:
    expected = {"arrays.safetensors"}
    for index, member in enumerate(card.members):
        expected.add(f"member{index}.student.safetensors")
        if member.teacher is not None:
            expected.add(f"member{index}.teacher.safetensors")
    for name in sorted(expected | set(parts) | set(card.parts)):
        if not (name in expected and name in parts and name in card.parts):
            raise BundleError(
                f"{path.name}: part {name!r} is missing or was not announced; the bundle was changed"
            )
        if hashlib.sha256(parts[name]).hexdigest() != card.parts[name]:
            raise BundleError(f"{path.name}: the checksum of {name} does not match; the bundle is damaged")


def _assemble(card: BundleCard, parts: Mapping[str, bytes], sha256: str) -> Bundle:
    arrays = load_arrays(parts["arrays.safetensors"])
    membership = arrays["membership"].astype(bool) if "membership" in arrays else None
    members = []
    for index, member in enumerate(card.members):
        state = parts[f"member{index}.student.safetensors"]
        teacher = None
        if member.teacher is not None:
            teacher = _load_model(member.teacher, parts[f"member{index}.teacher.safetensors"], membership)
        members.append(
            _member(member, arrays, index, _load_model(member.student, state, membership), teacher)
        )
    prefix = "feature_range."
    ranges = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    curves = {group: _curve(arrays, group) for group in COHORT_GROUPS}
    return Bundle(card, tuple(members), FeatureRange.from_arrays(ranges), curves, membership, sha256)


def _member(
    card: MemberCard, arrays: Mapping[str, NDArray[Any]], index: int, student: SurvivalModel, teacher: Any
) -> BundleMember:
    scaling = None
    if teacher is not None:
        scaling = GeneScaling(arrays[f"member{index}.gene_mean"], arrays[f"member{index}.gene_std"])
    return BundleMember(
        student=student,
        teacher=teacher,
        time_bins=TimeBins.from_list([*card.time_bins, float("inf")]),
        training_risks=np.sort(arrays[f"member{index}.training_risks"]),
        risk_cut=card.risk_cut,
        scaling=scaling,
    )


def _curve(arrays: Mapping[str, NDArray[Any]], group: str) -> KaplanMeier:
    prefix = f"kaplan_meier.{group}."
    return KaplanMeier(*(arrays[prefix + name] for name in ("time", "survival", "lower", "upper", "at_risk")))


def _load_model(card: ModelCard, payload: bytes, membership: NDArray[np.bool_] | None) -> SurvivalModel:
    model = build_model(card.name, card.config, membership=membership)
    state: dict[str, torch.Tensor] = load_tensors(payload)
    model.load_state_dict(state, strict=True)
    return model.eval()
