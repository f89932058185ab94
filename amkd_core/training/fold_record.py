"""What one fold leaves behind: predictions, fitted numbers, and the record that it is finished."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amkd_core.atomic import TEMPORARY_PREFIX, write_text
from amkd_core.file_hash import file_sha256
from amkd_core.survival.outcome import TimeBins

if TYPE_CHECKING:
    import pandas as pd

    from amkd_core.training.fold_predictions import RiskScale
    from amkd_core.training.inputs import Fitted

PREDICTIONS, FITTED, BUNDLE, DONE = "predictions.csv", "fitted.json", "model.amkd", "done.json"
_RESULTS = (PREDICTIONS, FITTED, BUNDLE)


def fold_folder(run: Path, fold: int) -> Path:
    """Folder of a fold, counted from 1."""
    return run / f"fold-{fold}"


@contextmanager
def fold_lock(folder: Path) -> Generator[None, None, None]:
    """Own a fold's folder for the length of the block; whoever comes second waits.

    A scheduler that takes a slow worker for dead gives its fold to another one. The second finds the fold finished
    when its turn comes. The lock is the kernel's, so it does not outlive a killed worker; half-written files that
    such a worker left are cleared.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        for left_over in folder.rglob(f"{TEMPORARY_PREFIX}*"):
            left_over.unlink(missing_ok=True)
        yield


@dataclass(frozen=True, eq=False)
class FoldResult:
    """A finished fold, as read from its folder.

    Attributes
    ----------
    fold
        Counted from 1.
    folder
        With checkpoints, ``fitted.json``, ``predictions.csv`` and ``model.amkd``.
    predictions : DataFrame
        Of all its patients by student and teacher; columns as `prediction_columns`.
    time_bins : TimeBins
        Cut on the fold's training patients.
    """

    fold: int
    folder: Path
    predictions: pd.DataFrame
    time_bins: TimeBins

    @property
    def bundle_path(self) -> Path:
        """The fold's own models."""
        return self.folder / BUNDLE


def prediction_columns(n_hazards: int) -> list[str]:
    """Columns of every ``predictions.csv``."""
    names = ["patient_id", "fold", "part", "model", "months", "event", "risk", "high_risk"]
    return names + [f"hazard_{index}" for index in range(1, n_hazards + 1)]


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, atomically; numbers keep all their digits."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a ``predictions.csv``, bit by bit as it was written."""
    import pandas as pd

    return pd.read_csv(
        path, dtype={"patient_id": str}, float_precision="round_trip", keep_default_na=False, na_values=[""]
    )


def fitted_record(fitted: Fitted, scales: Mapping[str, RiskScale]) -> dict[str, Any]:
    """Every number that a fold learnt beside its weights, JSON-able, and the patients it has seen.

    Parameters
    ----------
    scales
        Of the models' risks.
    """
    membership = fitted.membership
    baselines = {
        name: scale.baseline.increments.tolist()
        for name, scale in scales.items()
        if scale.baseline is not None
    }
    return {
        "fitted_on": list(fitted.fitted_on),
        "seen": {
            **{what: list(names) for what, names in fitted.seen.items()},
            **{f"risk scale of {name}": list(scale.seen) for name, scale in scales.items()},
        },
        "time_bins_months": open_edges(fitted.time_bins),
        "risk_cut": {name: scale.cut for name, scale in scales.items()},
        **({"baseline_hazard": baselines} if baselines else {}),
        "base_logits": fitted.base_logits.tolist(),
        "pathways": list(membership.pathways),
        "pathways_dropped": list(membership.dropped),
        "genes": list(membership.genes),
        "gene_mean": np.asarray(fitted.scaling.mean).tolist(),
        "gene_std": np.asarray(fitted.scaling.std).tolist(),
        "feature_mean": fitted.feature_mean.tolist(),
        "feature_scale": fitted.feature_scale.tolist(),
    }


def open_edges(bins: TimeBins) -> list[float | None]:
    """Edges in months; the last, infinity, is None, which JSON can hold."""
    return [*bins.to_list(), None]


def write_json(path: Path, record: Any) -> None:
    """Write strict JSON, atomically."""
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")


def finish_fold(folder: Path, fold: int, note: Mapping[str, Any]) -> None:
    """Write the record that makes a fold count, after all that it vouches for.

    Parameters
    ----------
    note
        Written beside the hashes of the results, such as the number of threads.
    """
    hashes = {name: file_sha256(folder / name) for name in _RESULTS}
    write_json(folder / DONE, {"fold": fold, "sha256": hashes, **note})


def finished_fold(run: Path, fold: int) -> FoldResult | None:
    """The fold's result, or None when it is not finished or its files are not those of the record."""
    folder = fold_folder(run, fold)
    try:
        hashes = json.loads((folder / DONE).read_text(encoding="utf-8"))["sha256"]
        if any(hashes[name] != file_sha256(folder / name) for name in _RESULTS):
            return None
        edges = json.loads((folder / FITTED).read_text(encoding="utf-8"))["time_bins_months"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    bins = TimeBins.from_list([edge for edge in edges if edge is not None])
    return FoldResult(fold, folder, read_predictions(folder / PREDICTIONS), bins)


def out_of_fold(results: Sequence[FoldResult]) -> pd.DataFrame:
    """Predictions of each patient by the fold that had not seen it, fold after fold."""
    import pandas as pd

    parts = [result.predictions[result.predictions["part"] == "test"] for result in results]
    return pd.concat(parts, ignore_index=True)
