"""A table is held against the hash that lies beside it, as sha256sum writes it; without one it is read as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from cohort_fixtures import write_tiny_cohort

from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import CohortError
from amkd_core.file_hash import file_sha256
from amkd_core.hash_beside import check_hash_beside

OTHER = "ab" * 32


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "follow up.csv"
    path.write_text("patient_id,months,event\nA,12.5,1\n")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "{hash}  follow up.csv\n",
        "{hash} *data/follow up.csv\n",
        "{hash}",
        "{HASH}\r\n",
        "SHA256 (follow up.csv) = {hash}\n",
        "{other}  expression.csv\n{hash}  follow up.csv\n",
    ],
)
def test_all_ways_of_writing_a_hash_are_understood(table: Path, text: str) -> None:
    own = file_sha256(table)
    beside = table.with_name("follow up.csv.sha256")
    beside.write_text(text.format(hash=own, HASH=own.upper(), other=OTHER), newline="")
    check_hash_beside(table, CohortError)
    table.write_text(table.read_text().replace("12.5", "12.6"))
    with pytest.raises(
        CohortError, match=rf"is not the file of .*expected {own[:12]}….*copy it again, or delete"
    ):
        check_hash_beside(table, CohortError)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", "no"),
        ("not a hash\n", "no"),
        (f"{OTHER}  expression.csv\n", "no"),
        (f"{OTHER}0  follow up.csv\n", "no"),
        (f"{OTHER}  follow up.csv\n{'cd' * 32}  follow up.csv\n", "2"),
    ],
)
def test_a_file_of_hashes_that_does_not_tell_is_no_hash(table: Path, text: str, number: str) -> None:
    table.with_name("follow up.csv.sha256").write_text(text)
    with pytest.raises(CohortError, match=rf"tells {number} SHA-256 of follow up\.csv, expected one"):
        check_hash_beside(table, CohortError)


@pytest.mark.parametrize("name", ["clinical.csv", "expression.csv", "pathways.gmt", "cohort.toml"])
def test_every_table_of_a_cohort_is_held_against_its_hash(tmp_path: Path, name: str) -> None:
    write_tiny_cohort(
        tmp_path, name="tiny", n_patients=20, width=4, patches=(2, 4), pathways=((0, 1, 2), (3, 4, 5))
    )
    beside = tmp_path / f"{name}.sha256"
    beside.write_text(f"{file_sha256(tmp_path / name)}  {name}\n")
    assert len(read_cohort(tmp_path / "cohort.toml").patients) == 20
    beside.write_text(f"{OTHER}  {name}\n")
    with pytest.raises(CohortError, match=rf"{name}: is not the file of {name}\.sha256"):
        read_cohort(tmp_path / "cohort.toml")
