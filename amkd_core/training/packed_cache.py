"""What parallel folds share: the cohort's tables and all bags, written once and mapped into each process.

``features.npy`` holds the patches of all patients one after another, so that the folds of one machine share its pages
in memory; ``expression.npy`` the genes that pathways name; ``cache.json``, written last, who is who.

Each carries a SHA-256, for one changed bit of it would give other features, follow-up or genes. Whatever process opens
a cache checks it once: at 0.3 to 2 GB a second, 300 bags of 4,096 patches (2.5 GB as halves) take 1 to 8 s, and are
then in the system's memory. Later openings by the same process look at sizes and times of the files only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from amkd_core.atomic import atomic_path, require_space
from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.cohort.cohort import Cohort, CohortFile, Patient
from amkd_core.cohort.genes import ExpressionTable
from amkd_core.cohort.pathways import GeneSet
from amkd_core.errors import RunFolderError
from amkd_core.file_hash import file_sha256
from amkd_core.golden_features import GoldenFeatures
from amkd_core.private_names import private_logger
from amkd_core.seen_slides import slide_digests
from amkd_core.training.cohort_golden import cohort_golden
from amkd_core.training.fold_record import write_json
from amkd_core.training.run_folder import clear_leftovers

CacheType = Literal["auto", "float32", "float16"]
CACHE = "cache"
LAYOUT = 6
"""Of the folder; a cache of another one is written again."""
FEATURES, EXPRESSION, INDEX = "features.npy", "expression.npy", "cache.json"
_PATIENTS = TypeAdapter(list[Patient])
_checked: dict[Path, tuple[tuple[int, int, int], str]] = {}
"""Files that this process has hashed: their state then, and the hash."""

_log = private_logger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class PackedBag(FeatureBag):
    """A bag whose features lie in the cache, as halves or floats; its rows were checked before they were written.

    Halves are widened batch by batch, so that the processes of one machine hold them once between them.

    Attributes
    ----------
    digests
        Of its slides, as `slide_digests` gave them before they were packed.
    """

    digests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Nothing is read before it is needed."""


def digests_of(bag: FeatureBag) -> tuple[str, ...]:
    """`slide_digests` of a bag, packed or not."""
    return bag.digests if isinstance(bag, PackedBag) else slide_digests(bag)


def pack_cohort(
    folder: Path, cohort: Cohort, bags: Mapping[str, FeatureBag], *, key: Mapping[str, Any], dtype: CacheType
) -> Path:
    """Write the cache, unless it is there for the same data and undamaged.

    Parameters
    ----------
    folder
        Made when missing.
    bags
        One per patient of the cohort.
    key
        What the data are, JSON-able: hashes of tables and bags.
    dtype
        Of the features; "auto" takes float16 where it holds every one of them exactly.

    Raises
    ------
    OSError
        When the disk is too small; the sentence says what is needed.
    """
    names = [patient.patient_id for patient in cohort.patients]
    golden = cohort_golden({name: bags[name] for name in names})
    chosen = _chosen(dtype, [bags[name].features for name in names])
    key = {**key, "dtype": chosen, "layout": LAYOUT}
    if _key_of(folder) == key:
        try:
            _check_arrays(folder, _index_of(folder))
        except (OSError, ValueError) as error:
            _log.warning("%s is damaged (%s); it is made again from the bags.", folder, error)
        else:
            return folder
    folder.mkdir(parents=True, exist_ok=True)
    clear_leftovers(folder)
    (folder / INDEX).unlink(missing_ok=True)
    hashes = {FEATURES: _write_features(folder / FEATURES, [bags[name] for name in names], chosen)}
    used = set().union(*(item.genes for item in cohort.pathways))
    genes = [gene for gene in cohort.expression.genes if gene in used]
    with atomic_path(folder / EXPRESSION) as temporary:
        np.save(temporary, cohort.expression.rows(names, genes), allow_pickle=False)
        hashes[EXPRESSION] = file_sha256(temporary)
    write_json(
        folder / INDEX,
        _sealed(
            {
                "key": key,
                "sha256": hashes,
                "file": cohort.file.model_dump(mode="json"),
                "patients": _PATIENTS.dump_python(list(cohort.patients), mode="json"),
                "genes": genes,
                "expression_scale": cohort.expression_scale,
                "pathways": _named(cohort.pathways),
                "gene_groups": _named(cohort.gene_groups),
                "encoder": bags[names[0]].encoder.to_dict(),
                "golden": None if golden is None else [golden.features.tolist(), golden.half, golden.version],
                "slides": [digests_of(bags[name]) for name in names],
                "bags": [[len(bags[name]), bags[name].patch_size_px, bags[name].mpp] for name in names],
            }
        ),
    )
    for name, sha256 in hashes.items():
        _checked[(folder / name).resolve()] = _state_of(folder / name), sha256
    return folder


def share_bags(
    run: Path, cohort: Cohort, bags: Mapping[str, FeatureBag], *, key: Mapping[str, Any], dtype: CacheType
) -> dict[str, FeatureBag]:
    """Write the cache of a run, and give the bags back as it holds them: mapped, and in memory once for all folds."""
    return read_packed(pack_cohort(run / CACHE, cohort, bags, key=key, dtype=dtype))[1]


def rounded(bags: Mapping[str, FeatureBag], dtype: CacheType) -> dict[str, FeatureBag]:
    """The bags as a cache of that type gives them back, so that a run's numbers do not depend on its `--jobs`."""
    if dtype != "float16":
        return dict(bags)
    return {name: replace(bag, features=bag.features.astype(np.float16)) for name, bag in bags.items()}


def read_packed(folder: Path) -> tuple[Cohort, dict[str, FeatureBag]]:
    """The cohort, with the genes that pathways name, and its bags, mapped; hashed once by each process.

    Raises
    ------
    RunFolderError
        When the cache is missing or damaged.
    """
    try:
        index = _index_of(folder)
        patients = tuple(_PATIENTS.validate_python(index["patients"]))
        # Copy on write: nothing is written, but torch wants arrays that could be.
        features = np.load(folder / FEATURES, mmap_mode="c", allow_pickle=False)
        values = np.load(folder / EXPRESSION, allow_pickle=False)
        ends = np.cumsum([0, *(n_patches for n_patches, _, _ in index["bags"])])
        lengths = {len(part) for part in (index["bags"], index["slides"], patients, values)}
        golden = None if index["golden"] is None else GoldenFeatures(*index["golden"])
        if ends[-1] != len(features) or len(lengths) > 1:
            raise ValueError("its parts do not fit together")
        _check_arrays(folder, index)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{folder}: the cache is damaged ({error}); remove it and repeat the command"
        ) from error
    names = tuple(patient.patient_id for patient in patients)
    expression = ExpressionTable(names, tuple(index["genes"]), values)
    pathways, groups = (
        tuple(GeneSet(name, frozenset(genes)) for name, genes in index[key])
        for key in ("pathways", "gene_groups")
    )
    cohort = Cohort(
        path=folder / INDEX,
        file=CohortFile.model_validate(index["file"]),
        patients=patients,
        expression=expression,
        pathways=pathways,
        gene_groups=groups,
        expression_scale=index["expression_scale"],
    )
    encoder = EncoderIdentity(**index["encoder"])
    bags: dict[str, FeatureBag] = {}
    for name, start, (n_patches, patch_size_px, mpp), digests in zip(
        names, ends, index["bags"], index["slides"], strict=False
    ):
        rows = np.asarray(features[start : start + n_patches])
        bags[name] = PackedBag(rows, encoder, patch_size_px, mpp, name, golden=golden, digests=tuple(digests))
    return cohort, bags


def _index_of(folder: Path) -> dict[str, Any]:
    """The index, held against its own hash; OSError or ValueError when it is missing or not as it was written."""
    index: Any = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    said = {name: value for name, value in index.items() if name != "seal"} if isinstance(index, dict) else {}
    if index != _sealed(said):
        raise ValueError(f"{INDEX} is not as it was written, or of an earlier release")
    return said


def _check_arrays(folder: Path, index: Mapping[str, Any]) -> None:
    """Hold the arrays against the hashes of the index; OSError or ValueError as `_index_of`."""
    for name in (FEATURES, EXPRESSION):
        if _hash_of((folder / name).resolve()) != index["sha256"][name]:
            raise ValueError(f"{name} is not as it was written")


def _sealed(index: Mapping[str, Any]) -> dict[str, Any]:
    """The index with a hash of all that it says."""
    text = json.dumps(index, sort_keys=True)
    return {**index, "seal": hashlib.sha256(text.encode()).hexdigest()}


def _hash_of(path: Path) -> str:
    state = _state_of(path)
    known = _checked.get(path)
    if known is None or known[0] != state:
        known = _checked[path] = state, file_sha256(path)
    return known[1]


def _state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def write(self, part: Any) -> int:
        self._digest.update(part)
        return self._file.write(part)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _named(sets: Sequence[GeneSet]) -> list[list[str | list[str]]]:
    return [[item.name, sorted(item.genes)] for item in sets]


def _chosen(dtype: CacheType, features: Sequence[NDArray[np.float32]]) -> str:
    if dtype != "auto":
        return dtype
    with np.errstate(over="ignore"):
        exact = all(np.array_equal(rows.astype(np.float16).astype(np.float32), rows) for rows in features)
    return "float16" if exact else "float32"


def _key_of(folder: Path) -> Any:
    try:
        return json.loads((folder / INDEX).read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError):
        return None


def _write_features(path: Path, bags: Sequence[FeatureBag], dtype: str) -> str:
    """Write the array, and return the file's SHA-256."""
    shape = (sum(len(bag) for bag in bags), bags[0].features.shape[1])
    needed = shape[0] * shape[1] * np.dtype(dtype).itemsize
    require_space(
        path.parent, needed, what="the cache by which folds share their bags (not needed with --jobs 1)"
    )
    # Written, not mapped: a process that writes to a mapped file on a disk that fills up is killed.
    with atomic_path(path) as temporary, temporary.open("wb") as plain:
        file = _Hashing(plain)
        np.lib.format.write_array_header_1_0(
            file,
            {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape},
        )
        for bag in bags:
            file.write(np.ascontiguousarray(bag.features, dtype=dtype).data)
    return file.hexdigest()
