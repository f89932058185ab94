"""The chance line of the networks: asked for after the run, continued, and the same in other processes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_fixtures import assert_same_results, fold_overrides, run_train

from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import CohortError, RunFolderError
from amkd_core.training.chance_networks import Shuffle, split_and_cohort, with_outcomes
from amkd_core.training.config import load_config
from amkd_core.training.run import train_run

pytestmark = pytest.mark.usefixtures("no_pictures")
CONFIG = load_config(None, [*fold_overrides()[1::2], "folds=2"])


def asked(n_shuffles: int):
    return CONFIG.model_copy(
        update={"report": CONFIG.report.model_copy(update={"network_shuffles": n_shuffles})}
    )


def kept(out: Path) -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in (out / "chance").glob("shuffle-*.json")}


def test_a_shuffle_is_drawn_by_seed_and_number_and_folded_like_the_run(unsplit_toml: Path) -> None:
    cohort = read_cohort(unsplit_toml)
    first, again, second = (Shuffle.draw(cohort, number, CONFIG) for number in (1, 1, 2))
    assert first.order == again.order != second.order
    assert first.splits == again.splits != second.splits
    assert sorted(first.order) == list(range(len(cohort.patients)))
    shuffled = with_outcomes(cohort, first.order)
    pairs = [(item.time, item.event) for item in cohort.patients]
    assert sorted(pairs) == sorted((item.time, item.event) for item in shuffled.patients)
    moved = sum(a.time != b.time for a, b in zip(cohort.patients, shuffled.patients, strict=True))
    assert moved > 40
    assert [a.slide_ids for a in cohort.patients] == [b.slide_ids for b in shuffled.patients]
    deaths = {item.patient_id: item.event for item in shuffled.patients}
    tested = [sum(deaths[name] for name in split.test) for split in first.splits]
    assert max(tested) - min(tested) <= 1
    few = cohort.keep_only(lambda patient: patient.patient_id < "P06" or not patient.event, "few deaths")
    with pytest.raises(CohortError, match=r"100 shuffles of the outcomes left a fold unusable"):
        Shuffle.draw(few, 1, CONFIG.model_copy(update={"folds": 5}))
    tied = replace(cohort, patients=tuple(replace(patient, time=12.0) for patient in cohort.patients))
    with pytest.raises(CohortError, match=r"left a fold unusable \(fold 1: equal times of events"):
        Shuffle.draw(tied, 1, CONFIG)


def test_a_worker_finds_the_outcomes_of_its_fold(unsplit_toml: Path, tmp_path: Path) -> None:
    cohort = read_cohort(unsplit_toml)
    shuffles = [Shuffle.draw(cohort, number, CONFIG) for number in (1, 2)]
    parts = [vars(split) for shuffle in shuffles for split in shuffle.splits]
    record = {"folds": parts, "outcomes": [shuffle.order for shuffle in shuffles]}
    for fold in range(1, 5):
        own = shuffles[(fold - 1) // 2]
        split, found = split_and_cohort(tmp_path, record, fold, cohort)
        assert split == own.splits[(fold - 1) % 2]
        assert found.patients == with_outcomes(cohort, own.order).patients
    assert split_and_cohort(tmp_path, {"folds": parts}, 1, cohort)[1] is cohort
    with pytest.raises(RunFolderError, match=r"folds.json: does not tell of fold 5"):
        split_and_cohort(tmp_path, record, 5, cohort)


def test_it_is_asked_for_after_the_run_and_goes_on_where_it_stopped(
    folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(folds_run, out)
    steps = train_run(read_cohort(unsplit_toml), out, asked(1))
    stages = [next(step for step in steps if "chance line" in step.stage.lower() and "student" in step.stage)]
    steps.close()  # in the midst of the student of its first fold
    assert kept(out) == {}
    assert (out / "chance" / "fold-1" / "student").is_dir()
    assert stages[0].stage.startswith("Chance line, 0 of 1 shuffles done: fold 1, ")
    exit_code, output = run_train(
        "--cohort", unsplit_toml, "--out", out, "--folds", 2, *fold_overrides(), "--set", "report.network_shuffles=1"
    )  # fmt: skip
    assert exit_code == 0, output
    assert "the 95th percentile of 1 shuffles of the outcomes (the student itself) (only 1 shuffles" in output
    rows = (out / "chance" / "progress.csv").read_text().splitlines()[1:]
    epochs = [tuple(row.split(",")[1:4]) for row in rows]
    assert len(epochs) == len(set(epochs))  # none was trained twice
    # The run's own results are those of the run, and the networks of the shuffle are gone.
    assert_same_results(out, folds_run)
    assert not list((out / "chance").glob("fold-*"))
    (record,) = kept(out).values()
    metrics = json.loads((out / "metrics.json").read_text())["network_chance"]
    for name in ("student", "teacher"):
        assert metrics[name]["percentile_95"] == pytest.approx(np.mean(record["c_index"][name]))
        assert metrics[name]["n_shuffles"] == 1
    assert "the student itself reached" in (out / "report.html").read_text()


@pytest.mark.slow
def test_other_processes_find_what_this_one_finds(
    folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    found = {}
    for jobs in (1, 4):  # four jobs take both shuffles at a time
        out = tmp_path / f"jobs{jobs}"
        shutil.copytree(folds_run, out)
        drain(train_run(read_cohort(unsplit_toml), out, asked(2), jobs=jobs))
        found[jobs] = kept(out)
    assert found[1] == found[4]
    assert len(found[1]) == 2
    # More are added to those that are there.
    before = (tmp_path / "jobs4" / "chance" / "shuffle-001.json").stat().st_mtime_ns
    drain(train_run(read_cohort(unsplit_toml), tmp_path / "jobs4", asked(3), jobs=4))
    assert (tmp_path / "jobs4" / "chance" / "shuffle-001.json").stat().st_mtime_ns == before
    assert len(kept(tmp_path / "jobs4")) == 3
