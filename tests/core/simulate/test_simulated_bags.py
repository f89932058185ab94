"""Bags on given expression: the same for a seed, planted where the truth says, and usable by every command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amkd_core.bag_file import read_bag
from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.genes import ExpressionTable
from amkd_core.cohort.pathways import GeneSet
from amkd_core.errors import CohortError, RunFolderError
from amkd_core.simulate.bag_cohort import simulate_bag_cohort
from amkd_core.simulate.bags import (
    BagSimulationConfig,
    hazard_from_shares,
    simulate_bag,
    simulate_patients,
)
from amkd_core.survival.metrics import concordance_index

SMALL = BagSimulationConfig(n_patches=64, d_encoder=64)


def tables(n: int = 400, n_sets: int = 12) -> tuple[ExpressionTable, list[GeneSet]]:
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(n, n_sets))
    genes = [f"G{k}_{i}" for k in range(n_sets) for i in range(12)]
    values = np.repeat(latent, 12, axis=1) + 0.5 * rng.normal(size=(n, 12 * n_sets))
    sets = [GeneSet(f"SET{k}", frozenset(genes[12 * k : 12 * k + 12])) for k in range(n_sets)]
    return ExpressionTable(tuple(f"P{i}" for i in range(n)), tuple(genes), values), sets


def test_slide_and_genes_each_tell_a_part_of_the_truth() -> None:
    truth = simulate_patients(*tables(), SMALL)
    scores = [
        concordance_index(truth.time, truth.event, risk)
        for risk in (truth.log_hazard, truth.gene_hazard, truth.slide_hazard)
    ]
    assert scores[0] > scores[1] > scores[2] > 0.62
    assert 0.35 < truth.event.mean() < 0.65
    assert len(set(truth.drivers)) == 5


def test_planted_patches_carry_their_pattern_in_the_share_that_the_truth_says() -> None:
    config = SMALL.model_copy(update={"n_patches": 3000})
    truth = simulate_patients(*tables(60), config)
    most = int(np.argmax(truth.shown[:, 0]))
    least = int(np.argmin(truth.shown[:, 0]))
    bags = {index: simulate_bag(truth, index, config) for index in (most, least)}
    shares = {index: float((planted == 0).mean()) for index, (_, planted) in bags.items()}
    expected = {index: min(0.06 * np.exp(0.8 * truth.shown[index, 0]), 0.2) for index in bags}
    assert shares == pytest.approx(expected, abs=0.02)
    bag, planted = bags[most]
    direction = bag.features[planted == 0].mean(axis=0) - bag.features[planted < 0].mean(axis=0)
    scores = bag.features @ direction
    assert (scores[planted == 0][:, None] > scores[planted < 0][None, :]).mean() > 0.9


def test_counting_planted_patches_tells_the_slides_hazard_the_better_the_more_there_are() -> None:
    truth = simulate_patients(*tables(60), SMALL)
    agreement = []
    for n_patches in (64, 3000):
        config = SMALL.model_copy(update={"n_patches": n_patches})
        counted = [hazard_from_shares(simulate_bag(truth, index, config)[1], config) for index in range(60)]
        agreement.append(np.corrcoef(counted, truth.slide_hazard)[0, 1])
    assert 0.6 < agreement[0] < 0.95 < agreement[1]
    assert counted == pytest.approx(truth.slide_hazard, abs=0.8)


def test_the_same_seed_gives_the_same_bag_and_another_patient_another() -> None:
    truth = simulate_patients(*tables(), SMALL)
    first, again, other = (simulate_bag(truth, index, SMALL)[0].features for index in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert simulate_bag(truth, 3, SMALL)[0].encoder.name == "simulated"


def test_too_few_pathways_are_refused() -> None:
    with pytest.raises(CohortError, match="fewer than 5 pathways of 10 or more genes"):
        simulate_patients(*tables(50, n_sets=4), SMALL)


def cohort_of_tables(folder: Path, n: int = 30) -> Cohort:
    """Patients with two slides each, as read from files."""
    expression, sets = tables(n)
    clinical = "".join(f"P{i},P{i}a;P{i}b,{i + 1},{i % 2}\n" for i in range(n))
    (folder / "c.csv").write_text("patient_id,slide_ids,os_months,os_event\n" + clinical)
    lines = [",".join(["patient_id", *expression.genes])]
    lines += [
        ",".join([name, *map(str, row)])
        for name, row in zip(expression.patients, expression.values, strict=True)
    ]
    (folder / "e.csv").write_text("\n".join(lines))
    (folder / "s.gmt").write_text("".join(f"{s.name}\tx\t" + "\t".join(sorted(s.genes)) + "\n" for s in sets))
    given = {
        name: folder / file
        for name, file in (("clinical", "c.csv"), ("expression", "e.csv"), ("pathways", "s.gmt"))
    }
    return read_cohort(None, {**given, "event_means": "death"})


def test_a_cohort_of_bags_is_written_and_read_back(tmp_path: Path) -> None:
    cohort = cohort_of_tables(tmp_path)
    found = read_cohort(drain(simulate_bag_cohort(cohort, tmp_path / "real", SMALL)))
    assert (found.outcome.time == cohort.outcome.time).all()
    assert found.file.synthetic
    bags = [read_bag(found.file.bags / f"P3{part}.h5") for part in "ab"]  # type: ignore[operator]
    assert [len(bag) for bag in bags] == [32, 32]
    own = read_cohort(drain(simulate_bag_cohort(cohort, tmp_path / "own", SMALL, own_follow_up=True)))
    assert (own.outcome.time != cohort.outcome.time).any()
    assert [patient.slide_ids for patient in own.patients] == [
        patient.slide_ids for patient in cohort.patients
    ]


@pytest.mark.parametrize(
    ("changed", "own", "n_patients", "words"),
    [
        ({"n_patches": 32}, True, 30, r"n_patches = 64, expected 32; choose another folder"),
        ({"seed": 1}, True, 30, r"seed = 0, expected 1"),
        ({}, False, 30, r"own_follow_up = True, expected False"),
        ({}, True, 29, r"other patients, slides, expression or pathways, expected those of this cohort"),
    ],
)
def test_a_folder_of_other_bags_is_refused_and_left_as_it_is(
    tmp_path: Path, changed: dict[str, int], own: bool, n_patients: int, words: str
) -> None:
    cohort = cohort_of_tables(tmp_path)
    out = tmp_path / "out"
    drain(simulate_bag_cohort(cohort, out, SMALL, own_follow_up=True))
    truth = (out / "truth.csv").read_bytes()
    (out / "bags" / "P3a.h5").unlink()
    other = replace(cohort, patients=cohort.patients[:n_patients])
    with pytest.raises(RunFolderError, match=words):
        next(simulate_bag_cohort(other, out, SMALL.model_copy(update=changed), own_follow_up=own))
    assert (out / "truth.csv").read_bytes() == truth
    drain(simulate_bag_cohort(cohort, out, SMALL, own_follow_up=True))
    assert (out / "bags" / "P3a.h5").exists()
    assert (out / "truth.csv").read_bytes() == truth


def test_a_folder_of_which_nobody_knows_what_drew_it_is_refused(tmp_path: Path) -> None:
    cohort = cohort_of_tables(tmp_path)
    (tmp_path / "bags").mkdir()
    (tmp_path / "bags" / "P0a.h5").touch()
    with pytest.raises(RunFolderError, match=r"holds bags and no simulation\.json that tells which settings"):
        next(simulate_bag_cohort(cohort, tmp_path, SMALL))
    (tmp_path / "simulation.json").write_text('{"seed": 0, "digest": "of amkd simulate"}')
    with pytest.raises(RunFolderError, match=r"its simulation\.json is damaged or of another command"):
        next(simulate_bag_cohort(cohort, tmp_path, SMALL))
    assert not (tmp_path / "truth.csv").exists()


def test_an_own_follow_up_of_a_cohort_that_names_its_columns_is_read_back(tmp_path: Path) -> None:
    cohort_of_tables(tmp_path)
    rows = "".join(
        f"P{i},P{i}a,{i + 1},{i % 2},{'' if i == 7 else 40 + i / 4},{'fm'[i % 2]},{'Stage IIB' if i % 3 else '--'},X\n"
        for i in range(30)
    )
    (tmp_path / "c.csv").write_text("who,file,weeks,gone,years old,is,level,left out\n" + rows)
    (tmp_path / "cohort.toml").write_text(
        '[cohort]\nclinical = "c.csv"\nexpression = "e.csv"\npathways = "s.gmt"\ntime_unit = "days"\n'
        'patient_column = "who"\nslide_column = "file"\ntime_column = "weeks"\nevent_column = "gone"\n'
        'age_column = "years old"\nsex_column = "is"\nstage_column = "level"\ngroup = "left out"\n'
        'event_means = "death"\n'
    )
    cohort = read_cohort(tmp_path / "cohort.toml")
    own = read_cohort(drain(simulate_bag_cohort(cohort, tmp_path / "own", SMALL, own_follow_up=True)))
    for name in ("patient_id", "slide_ids", "age_years", "sex", "stage"):
        assert [getattr(item, name) for item in own.patients] == [
            getattr(item, name) for item in cohort.patients
        ]
    assert {(item.sex, item.stage) for item in own.patients} == {("f", None), ("m", None), ("f", 2), ("m", 2)}
    assert own.patients[7].age_years is None


def test_a_column_that_nobody_has_is_not_written(tmp_path: Path) -> None:
    drain(simulate_bag_cohort(cohort_of_tables(tmp_path), tmp_path / "own", SMALL, own_follow_up=True))
    head = (tmp_path / "own" / "clinical.csv").read_text(encoding="utf-8").splitlines()[0]
    assert head == "patient_id,slide_ids,os_months,os_event"
