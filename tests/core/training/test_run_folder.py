"""A folder belongs to one run, of one configuration, on one set of data."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from training_fixtures import overrides, run_train

import amkd_core
from amkd_core.atomic import atomic_path
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import FolderInUseError, RunFolderError
from amkd_core.training.config import TrainingConfig, load_config
from amkd_core.training.data_record import data_record
from amkd_core.training.fold_record import fold_lock
from amkd_core.training.packed_cache import pack_cohort
from amkd_core.training.run_folder import checkout, run_folder

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_two_runs_on_one_folder_exclude_each_other(cohort_toml: Path, tmp_path: Path) -> None:
    cohort = read_cohort(cohort_toml)
    with run_folder(tmp_path / "run", TrainingConfig(), cohort):
        with pytest.raises(FolderInUseError, match="another run is working in this folder"):
            enter(tmp_path / "run", TrainingConfig(), cohort)
        exit_code, output = run_train("--cohort", cohort_toml, "--out", tmp_path / "run")
    assert exit_code == 3
    assert "another run is working" in output


def test_a_folder_of_another_run_is_refused_with_the_first_difference(
    cohort_toml: Path, tmp_path: Path
) -> None:
    cohort = read_cohort(cohort_toml)
    enter(tmp_path / "run", TrainingConfig(), cohort)
    other = load_config(None, ["student.epochs=7"])
    with pytest.raises(RunFolderError, match=r"config.student.epochs = 100 where this one has 7"):
        enter(tmp_path / "run", other, cohort)
    dss = replace(cohort, file=cohort.file.model_copy(update={"endpoint": "dss"}))
    with pytest.raises(RunFolderError, match=r"cohort.endpoint = 'os' where this one has 'dss'"):
        enter(tmp_path / "run", TrainingConfig(), dss)


def test_a_comment_in_the_cohort_file_and_moved_bags_are_the_same_run(
    cohort_toml: Path, tmp_path: Path
) -> None:
    cohort = read_cohort(cohort_toml)
    enter(tmp_path / "run", TrainingConfig(), cohort)
    (tmp_path / "other.toml").write_text("# moved\n" + cohort_toml.read_text())
    moved = cohort.file.model_copy(update={"bags": tmp_path / "elsewhere"})
    enter(tmp_path / "run", TrainingConfig(), replace(cohort, path=tmp_path / "other.toml", file=moved))


def test_what_is_stated_of_foreign_bags_belongs_to_the_run(cohort_toml: Path, tmp_path: Path) -> None:
    cohort = read_cohort(cohort_toml)
    stated = replace(cohort, file=cohort.file.model_copy(update={"bag_mpp": 0.5}))
    enter(tmp_path / "plain", TrainingConfig(), cohort)
    # As releases before wrote it, whose runs are continued.
    assert "bag_mpp" not in json.loads((tmp_path / "plain" / "run.json").read_text())["cohort"]
    with pytest.raises(RunFolderError, match=r"cohort.bag_mpp = None where this one has 0.5"):
        enter(tmp_path / "plain", TrainingConfig(), stated)
    enter(tmp_path / "stated", TrainingConfig(), stated)
    with pytest.raises(RunFolderError, match=r"cohort.bag_mpp = 0.5 where this one has None"):
        enter(tmp_path / "stated", TrainingConfig(), cohort)


def enter(*arguments: object) -> None:
    with run_folder(*arguments):
        pass


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("clinical", "another content of clinical"),
        ("bags", "another content of bags"),
        ("patient", "other (train|validation|test) patients in fold 1"),
    ],
)
def test_a_run_is_not_continued_on_other_data(
    run: Path, cohort_toml: Path, tmp_path: Path, change: str, difference: str
) -> None:
    shutil.copytree(cohort_toml.parent, tmp_path / "cohort")
    toml, out = tmp_path / "cohort" / "cohort.toml", tmp_path / "out"
    shutil.copytree(run, out)
    if change == "bags":
        path = toml.parent / "bags" / "P09s.h5"
        bag = read_bag(path)
        write_bag(path, replace(bag, features=bag.features + 1))
    elif change == "patient":
        (toml.parent / "bags" / "P09s.h5").unlink()
    else:
        table = toml.parent / "clinical.csv"
        table.write_text(table.read_text().replace("P09,P09s,", "P09,P09s,1"))
    exit_code, output = run_train("--cohort", toml, "--out", out, *overrides())
    assert exit_code == 2
    assert re.search(f"holds a run with ({difference}); choose another folder", output)


def test_where_tables_lie_is_no_part_of_a_run(cohort_toml: Path, tmp_path: Path) -> None:
    """Folders that are named later continue it; so do runs whose record names paths not given, as it once did."""
    cohort = read_cohort(cohort_toml)
    enter(tmp_path, TrainingConfig(), cohort)
    record = json.loads((tmp_path / "run.json").read_text())
    named = replace(cohort, file=cohort.file.model_copy(update={"slides": tmp_path / "slides"}))
    enter(tmp_path, TrainingConfig(), named)
    earlier = {**record, "cohort": {**record["cohort"], "slides": None, "gene_groups": None}}
    (tmp_path / "run.json").write_text(json.dumps(earlier))
    enter(tmp_path, TrainingConfig(), cohort)
    enter(tmp_path, TrainingConfig(), named)


def test_a_key_that_one_side_does_not_know_is_named(cohort_toml: Path, tmp_path: Path) -> None:
    cohort = read_cohort(cohort_toml)
    enter(tmp_path, TrainingConfig(), cohort)
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**record, "cohort": {**record["cohort"], "new": None}}))
    with pytest.raises(
        RunFolderError, match=r"with cohort\.new = None where this one does not tell it; choose"
    ):
        enter(tmp_path, TrainingConfig(), cohort)
    missing = next(name for name, value in record["cohort"].items() if value is None)
    del record["cohort"][missing]
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunFolderError, match=rf"with no cohort\.{missing} where this one has None; choose"):
        enter(tmp_path, TrainingConfig(), cohort)


def test_what_a_fold_is_writing_is_left_to_it(cohort_toml: Path, tmp_path: Path) -> None:
    """A cluster may still train a fold of a run that was stopped."""
    with fold_lock(tmp_path / "fold-1"), atomic_path(tmp_path / "fold-1" / "inner" / "weights") as temporary:
        temporary.write_text("half")
        enter(tmp_path, TrainingConfig(), read_cohort(cohort_toml))
        temporary.write_text("whole")
    assert (tmp_path / "fold-1" / "inner" / "weights").read_text() == "whole"
    (tmp_path / "fold-1" / "inner" / ".tmp-1").touch()
    with fold_lock(tmp_path / "fold-1"):
        assert not (tmp_path / "fold-1" / "inner" / ".tmp-1").exists()


def test_half_written_files_of_killed_runs_are_cleared(inputs, cohort_toml: Path, tmp_path: Path) -> None:
    cohort, bags, *_ = inputs
    left_overs = [tmp_path / name for name in (".tmp-1.csv", "cache/.tmp-2.npy", "figures/.tmp-3.png")]
    for path in left_overs:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    enter(tmp_path, TrainingConfig(), cohort)
    pack_cohort(tmp_path / "cache", cohort, bags, key={}, dtype="auto")
    assert not any(path.exists() for path in left_overs)


@pytest.mark.parametrize("key", ["probe_map", "slide_table"])
def test_further_tables_are_part_of_what_a_run_was_made_from(
    cohort_toml: Path, tmp_path: Path, key: str
) -> None:
    cohort = read_cohort(cohort_toml)
    assert f"{key}_sha256" not in data_record(cohort, None)
    table = tmp_path / "table.tsv"
    table.write_text("id\tgene\nENSG1\tTP53\n")
    mapped = replace(cohort, file=cohort.file.model_copy(update={key: table}))
    before = data_record(mapped, None)
    table.write_text("id\tgene\nENSG1\tKRAS\n")
    assert [name for name, value in data_record(mapped, None).items() if value != before[name]] == [
        f"{key}_sha256"
    ]


def test_the_commit_of_the_code_is_recorded_where_there_is_one(cohort_toml: Path, tmp_path: Path) -> None:
    """The rules of the computer that runs the test, about signing or hooks, have no say in it."""
    home = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
    code = tmp_path / "code" / "amkd_core" / "a.py"
    code.parent.mkdir(parents=True)
    code.write_text("1")
    assert checkout(tmp_path / "code") == {}
    named = ("-c", "user.name=n", "-c", "user.email=e")
    for words in (("init", "-q"), ("add", "."), (*named, "commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=tmp_path / "code", env=home, check=True)
    checkout.cache_clear()
    commit = checkout(tmp_path / "code")["commit"]
    assert re.fullmatch("[0-9a-f]{40}", commit)
    code.write_text("2")
    checkout.cache_clear()
    assert checkout(tmp_path / "code") == {"commit": f"{commit} with changes"}
    checkout.cache_clear()
    enter(tmp_path / "run", TrainingConfig(), read_cohort(cohort_toml))
    record = json.loads((tmp_path / "run" / "run.json").read_text())["environment"]
    assert record.get("commit") == checkout().get("commit")
    assert ("commit" in record) == (Path(amkd_core.__file__).parents[1] / ".git").exists()
