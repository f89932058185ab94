"""What a run was made from: it is continued, and its figures drawn, on the same data and folds or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from amkd_core.bag import FeatureBag
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.splits import Split
from amkd_core.errors import RunFolderError
from amkd_core.file_hash import file_sha256
from amkd_core.training.inputs import digest_of
from amkd_core.training.run_folder import keep_record

DATA, FOLDS = "data.json", "folds.json"
_HASH = "_sha256"
_FOLLOW_UP = "follow-up"
BAGS_SHA256 = f"bags{_HASH}"


def data_record(cohort: Cohort, bags: Mapping[str, FeatureBag] | None) -> dict[str, str | None]:
    """Hashes of everything that was read: the tables, the follow-up, and all features (None where none were read)."""
    return {
        **_tables(cohort),
        **_follow_up(cohort, {patient.patient_id for patient in cohort.patients}),
        BAGS_SHA256: None if bags is None else digest_of(bags),
    }


def check_folds(run: Path, splits: Sequence[Split]) -> None:
    """Compare a run's folds with those that it was begun with, before slides are encoded.

    A run is begun once its data were read (`keep_data`): whoever leaves a patient out whose slide could not be encoded,
    as the error advises, has other folds, and goes on in the same folder with the bags that it holds.

    Raises
    ------
    RunFolderError
        When they are others.
    """
    if (run / DATA).exists() or any(run.glob("fold-*")):
        keep_record(run / FOLDS, _folds(splits))
    else:  # earlier releases wrote them first
        (run / FOLDS).unlink(missing_ok=True)


def keep_data(run: Path, data: Mapping[str, str | None], splits: Sequence[Split]) -> None:
    """Write what a run rests on, or compare it with what the run was begun with.

    Raises
    ------
    RunFolderError
        Naming the first difference.
    """
    keep_record(run / DATA, data)
    keep_record(run / FOLDS, _folds(splits))


def _folds(splits: Sequence[Split]) -> dict[str, list[dict[str, list[str]]]]:
    return {"folds": [split.to_record() for split in splits]}


def require_same_tables(
    record: Mapping[str, str | None], cohort: Cohort, patients: Collection[str], run: Path
) -> None:
    """Refuse a cohort whose tables, or whose follow-up as read from them, are not those of a run.

    Parameters
    ----------
    record
        As `data_record` gave it to the run.
    cohort
        As read now; a table that the run did not read is not looked at.
    patients
        Identifiers of the run's patients: those without a slide were no part of it.
    run
        The run's folder, for the message.

    Raises
    ------
    RunFolderError
        Naming the first table that differs.
    """
    for key, value in {**_tables(cohort), **_follow_up(cohort, patients)}.items():
        name = key.removesuffix(_HASH)
        if key in record and record[key] != value:
            place = cohort.file.clinical if name == _FOLLOW_UP else getattr(cohort.file, name)
            raise RunFolderError(
                f"{run}: its models were trained on another content of {name} than {place} holds, expected the "
                "tables of the run itself; name them with --cohort, or train anew in another folder"
            )


def _tables(cohort: Cohort) -> dict[str, str]:
    # The file of an external cohort has a path for tables that were not given.
    read = {
        "clinical": True,
        "slide_table": cohort.file.slide_table is not None,
        "expression": bool(cohort.expression.patients),
        "probe_map": bool(cohort.expression.patients) and cohort.file.probe_map is not None,
        "pathways": bool(cohort.pathways),
        "gene_groups": bool(cohort.gene_groups),
    }
    paths = {name: getattr(cohort.file, name) for name, is_read in read.items() if is_read}
    return {f"{name}{_HASH}": file_sha256(path) for name, path in paths.items()}


def _follow_up(cohort: Cohort, patients: Collection[str]) -> dict[str, str]:
    followed = [patient for patient in cohort.patients if patient.patient_id in patients]
    text = "\n".join(f"{item.patient_id}\t{item.time!r}\t{item.event}" for item in followed)
    return {f"{_FOLLOW_UP}{_HASH}": hashlib.sha256(text.encode()).hexdigest()}
