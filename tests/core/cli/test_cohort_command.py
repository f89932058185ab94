"""`amkd cohort`: table 1 and findings without training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import Result

from amkd_core.cohort.cohort import read_cohort_file
from amkd_core.cohort.example import EXAMPLE_COHORT

Run = Callable[..., Result]


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = "patient_id,slide_ids,os_months,os_event,age_years,gender,stage\n"
    rows += "".join(
        f"P{i},S{i},{rng.exponential(20) + 1:.2f},{int(i % 3 == 0)},{50 + i},{'MF'[i % 2]},Stage {'I' * (i % 3 + 1)}A\n"
        for i in range(40)
    )
    (tmp_path / "clinical.csv").write_text(rows)
    genes = "".join(f"P{i},{rng.normal():.3f},{rng.normal():.3f}\n" for i in range(1, 40))
    (tmp_path / "rna.csv").write_text("patient_id,G1,G2\n" + genes)
    (tmp_path / "sets.gmt").write_text("A\tx\tG1\tG2\nB\tx\tG1\tG7\n")
    (tmp_path / "c.toml").write_text(
        '[cohort]\nname = "tiny"\nclinical = "clinical.csv"\nexpression = "rna.csv"\npathways = "sets.gmt"\n'
    )
    return tmp_path / "c.toml"


def test_it_prints_table_one_how_it_was_understood_and_who_is_out(amkd: Run, cohort: Path) -> None:
    cohort.write_text(cohort.read_text() + "min_genes = 0.66\n")
    done = amkd("cohort", cohort)
    assert done.exit_code == 0, done.output
    for part in (
        "tiny: 13 deaths among 39 patients (33%)",
        "median 70 years (51 to 89)",
        "f 20, m 19",
        "I 13, II 13, III 13",
        "1 of 2 have 90% of their genes measured (2 genes)",
        "Event is column os_event: 1 means death.",
        "1 patient kept out: no expression (P0)",
        "A fold is tested on only 2 deaths",
    ):
        assert part in done.stdout, part
    assert "expected at least 90%" not in done.stdout
    assert "1 of 2 pathways are left out" in " ".join(done.stdout.split())
    record = json.loads(amkd("cohort", cohort, "--json", "--folds", "3").stdout)
    assert record["kept_out"] == {"no expression": ["P0"]}
    assert sum(record["deaths_tested_by_fold"]) == 13


def test_a_table_of_few_genes_is_something_to_look_at(amkd: Run, cohort: Path) -> None:
    (cohort.parent / "sets.gmt").write_text("A\tx\tG1\tG2\nB\tx\tG1\tG7\nC\tx\tG8\n")
    done = amkd("cohort", cohort)
    assert done.exit_code == 2
    sentence = "The table has 2 of the 4 genes of the pathways (50%), expected at least 90%; 1 of 3 pathways have less"
    assert sentence in " ".join(done.stdout.split())
    assert done.stderr.startswith(f"Error: {sentence}")
    done = amkd("cohort", cohort, "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["coverage"] == {"A": 1.0, "B": 0.5, "C": 0.0}
    cohort.write_text(cohort.read_text() + "min_genes = 0.5\nmin_pathway_genes = 0\n")
    done = amkd("cohort", cohort)
    assert done.exit_code == 0
    assert "2 of 3 pathways are left out" in " ".join(done.stdout.split())
    (cohort.parent / "sets.gmt").write_text("C\tx\tG8\n")
    shown = " ".join(amkd("cohort", cohort).stdout.split())
    assert "no pathway has 90% of its genes in the expression table" in shown


def test_patients_without_slides_and_bags_are_named(amkd: Run, cohort: Path) -> None:
    folder, toml = cohort.parent, cohort.read_text()
    assert "nobody's slides were looked for" in " ".join(amkd("cohort", cohort).stdout.split())
    (folder / "slides").mkdir()
    (folder / "slides" / "sub").mkdir()
    for number in range(1, 38):
        path = folder / "slides" / ("sub" if number == 9 else "") / f"S{number}.tif"
        path.write_bytes(b"II*\0" + bytes(20))
    cohort.write_text(toml + 'slides = "slides"\n')
    shown = " ".join(amkd("cohort", cohort).stdout.split())
    assert "3 patients lack a slide or bag in " in shown
    assert "(P9, P38, P39) and will be kept out of a run, unless the run's own folder of bags" in shown
    assert json.loads(amkd("cohort", cohort, "--json").stdout)["no_slide_or_bag"] == ["P9", "P38", "P39"]
    cohort.write_text(toml + 'slides = "nowhere"\n')
    assert "nowhere: no such folder of slides" in " ".join(amkd("cohort", cohort).stdout.split())


def test_an_unknown_encoder_is_refused_where_it_would_encode(
    amkd: Run, refusal: Callable[..., str], cohort: Path
) -> None:
    folder, toml = cohort.parent, cohort.read_text()
    cohort.write_text(toml + 'encoder = "uni9"\n')
    assert "There is no encoder 'uni9'" in refusal("cohort", cohort)
    (folder / "bags").mkdir()
    for number in range(1, 39):
        with h5py.File(folder / "bags" / f"S{number}.h5", "w") as file:
            file["features"] = np.zeros((3, 4), np.float32)
    cohort.write_text(toml + 'encoder = "uni9"\nbags = "bags"\n')  # P39 alone has none, and no slide either
    shown = " ".join(amkd("cohort", cohort).stdout.split())
    assert "1 patient lacks a slide or bag in " in shown
    assert "(P39) and will be kept out of a run." in shown


def test_the_way_past_a_split_that_it_names_is_its_own(amkd: Run, cohort: Path) -> None:
    lines = (cohort.parent / "clinical.csv").read_text().splitlines()
    parts = ("train", "train", "train", "val", "test")
    marked = [f"{line},{parts[row % 5]}" for row, line in enumerate(lines[1:])]
    (cohort.parent / "clinical.csv").write_text("\n".join([lines[0] + ",split", *marked]) + "\n")
    cohort.write_text(cohort.read_text() + "min_genes = 0.66\n")
    shown = " ".join(amkd("cohort", cohort, "--folds", "4").stdout.split())
    assert "the setting folds = 4 is not used; --ignore-split makes folds instead" in shown
    done = amkd("cohort", cohort, "--folds", "4", "--ignore-split")
    assert done.exit_code == 0, done.output
    assert "4 folds, deaths shared out alike; tested on " in " ".join(done.stdout.split())


def test_a_wrong_cohort_is_one_sentence_and_exit_code_2(amkd: Run, cohort: Path) -> None:
    text = (cohort.parent / "clinical.csv").read_text().replace("os_months", "OS.time")
    (cohort.parent / "clinical.csv").write_text(text)
    done = amkd("cohort", cohort)
    assert done.exit_code == 2
    assert "the unit of column OS.time cannot be told" in " ".join(done.stderr.split())


def test_the_example_is_a_valid_file_with_every_key_in_the_docs(tmp_path: Path) -> None:
    (tmp_path / "cohort.toml").write_text(EXAMPLE_COHORT)
    file = read_cohort_file(tmp_path / "cohort.toml")
    docs = (Path(__file__).resolve().parents[3] / "docs" / "cohort.md").read_text()
    assert [name for name in type(file).model_fields if f"`{name}`" not in docs] == []
    lines = EXAMPLE_COHORT.splitlines()
    keys = {line[2:].split(" =")[0] for line in lines if line.startswith("# ") and ' = "' in line}
    assert keys <= set(type(file).model_fields)


def test_patches_are_counted_in_bags_that_keep_their_own_data(amkd: Run, cohort: Path) -> None:
    folder = cohort.parent / "bags"
    folder.mkdir()
    with h5py.File(cohort.parent / "elsewhere.h5", "w") as file:
        file["features"] = np.ones((700, 4), dtype=np.float32)
    with h5py.File(folder / "S1.h5", "w") as file:
        file["features"] = np.ones((7, 4), dtype=np.float32)
    with h5py.File(folder / "S2.h5", "w") as file:
        file["features"] = h5py.ExternalLink(str(cohort.parent / "elsewhere.h5"), "features")
    (folder / "S3.h5").write_bytes(b"no HDF5")
    cohort.write_text(cohort.read_text() + 'bags = "bags"\n')
    rows = json.loads(amkd("cohort", cohort, "--json").stdout)["table"]
    assert rows["patches"] == "7; median 7 a slide (7 to 7)"
