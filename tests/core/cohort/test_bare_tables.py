"""Of tables that nothing vouches for a cohort says so, and their hashes are written on request."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest
from cohort_fixtures import write_tiny_cohort
from typer.testing import CliRunner

from amkd_core.cli.main import app
from amkd_core.cohort.bare_tables import write_hashes
from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import CohortError
from amkd_core.hash_beside import bare
from amkd_core.training.external_cohort import read_external_cohort


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    write_tiny_cohort(
        tmp_path, name="tiny", n_patients=20, width=4, patches=(2, 4), pathways=((0, 1, 2), (3, 4, 5))
    )
    return tmp_path / "cohort.toml"


def told(notes: tuple[str, ...]) -> list[str]:
    return [note for note in notes if "SHA-256" in note]


def test_each_bare_table_is_named_until_its_hash_lies_beside_it(cohort: Path) -> None:
    for read in (read_cohort, read_external_cohort):
        (note,) = told(read(cohort).notes)
        assert "No SHA-256 lies beside clinical.csv, expression.csv, pathways.gmt: a damaged digit" in note
    folder = cohort.parent
    write_hashes((folder / "clinical.csv", folder / "pathways.gmt"))
    (note,) = told(read_cohort(cohort).notes)
    assert "beside expression.csv: " in note
    write_hashes((folder / "expression.csv",))
    assert told(read_cohort(cohort).notes) == []


@pytest.mark.parametrize(
    ("name", "is_bare"),
    [
        ("a.csv", True),
        ("a.TSV", True),
        ("a.parquet", True),
        ("a.gmt", True),
        ("a.csv.gz", False),
        ("a.xlsx", False),
    ],
)
def test_formats_with_a_checksum_are_not_bare(tmp_path: Path, name: str, is_bare: bool) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"a"))
    assert bare(tmp_path / name) is is_bare
    assert not bare(tmp_path / f"no {name}")


def test_hashes_are_written_on_request_and_a_changed_digit_is_refused(cohort: Path) -> None:
    def amkd(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["cohort", str(cohort), *words])
        return done.exit_code, done.output

    folder = cohort.parent
    assert "No SHA-256 lies beside clinical.csv" in " ".join(amkd()[1].split())
    code, said = amkd("--write-hashes")
    assert code == 0, said
    assert "Written: clinical.csv.sha256, expression.csv.sha256, pathways.gmt.sha256" in said
    assert "No SHA-256" not in said
    # As other tools understand them.
    checked = subprocess.run(
        ["sha256sum", "--check", "clinical.csv.sha256"], cwd=folder, check=True, capture_output=True
    )
    assert checked.stdout == b"clinical.csv: OK\n"
    assert json.loads(amkd("--write-hashes", "--json")[1])["hashes_written"] == []
    assert "Each table has a checksum, its own or beside it, already." in amkd("--write-hashes")[1]
    table = folder / "expression.csv"
    text = table.read_text()
    place = text.rindex(".") + 1
    table.write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")
    code, said = amkd("--write-hashes")
    assert code == 2
    assert "is not the file of expression.csv.sha256" in " ".join(said.split())


def test_a_folder_that_takes_no_file_is_a_sentence(cohort: Path) -> None:
    (cohort.parent / "clinical.csv.sha256").mkdir()
    with pytest.raises(
        CohortError, match=r"clinical\.csv\.sha256: cannot be written \(.+\); copy the tables"
    ):
        write_hashes((cohort.parent / "clinical.csv",))
