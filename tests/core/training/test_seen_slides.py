"""A bundle knows its training slides again: by content, by features, and by no name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from bundle_fixtures import random_bag
from training_fixtures import run_amkd

from amkd_core.bag import FeatureBag, concatenate_bags
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bundle_file import open_bundle
from amkd_core.cohort.cohort import read_cohort
from amkd_core.inference.predict import predict_bag
from amkd_core.seen_slides import slide_digests
from amkd_core.training.inputs import read_bags
from amkd_core.training.packed_cache import digests_of, share_bags


def codes(bag: FeatureBag, bundle) -> set[str]:
    return {notice.code for notice in predict_bag(bag, bundle).notices}


def known_to(run: Path) -> set[str]:
    """Patients on whom some fold was trained, and those who chose its epoch."""
    folds = json.loads((run / "folds.json").read_text())["folds"]
    return {name for fold in folds for name in (*fold["train"], *fold["validation"])}


def test_a_fold_knows_its_training_and_validation_patients_and_no_others(
    run: Path, cohort_toml: Path
) -> None:
    bundle = open_bundle(run / "model.amkd")
    known = known_to(run)
    fitted_on = json.loads((run / "fold-1" / "fitted.json").read_text())["fitted_on"]
    assert known > set(fitted_on)
    for path in sorted((cohort_toml.parent / "bags").glob("*.h5")):
        seen = "trained_on" in codes(read_bag(path), bundle)
        assert seen == (path.stem.removesuffix("s") in known), path.stem


def test_the_ensemble_knows_everyone_whom_a_member_was_trained_on(
    folds_run: Path, unsplit_toml: Path
) -> None:
    bundle = open_bundle(folds_run / "model.amkd")
    known = known_to(folds_run)
    for path in sorted((unsplit_toml.parent / "bags").glob("*.h5")):
        seen = "trained_on" in codes(read_bag(path), bundle)
        assert seen == (path.stem.removesuffix("s") in known), path.stem


def test_folds_in_processes_of_their_own_keep_the_same_digests(
    folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    cohort = read_cohort(unsplit_toml)
    bags = read_bags(cohort, cohort.file.bags)
    shared = share_bags(tmp_path, cohort, bags, key={}, dtype="auto")
    found = {digest for bag in shared.values() for digest in digests_of(bag)}
    assert found == {digest for bag in bags.values() for digest in slide_digests(bag)}
    assert set(open_bundle(folds_run / "model.amkd").card.training_slides) <= found


def test_no_name_of_a_patient_or_slide_is_among_the_digests(run: Path) -> None:
    digests = open_bundle(run / "model.amkd").card.training_slides
    assert len(digests) > 20
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in digests)


def test_evaluating_on_training_slides_is_refused_with_their_patients(
    run: Path, cohort_toml: Path, tmp_path: Path
) -> None:
    code, text = run_amkd(
        "evaluate", "--bundle", run / "model.amkd", "--cohort", cohort_toml, "--out", tmp_path
    )
    assert code == 2
    said = " ".join(text.split())
    assert "was trained on slides of" in said
    assert "of the 48 patients (P00, P01, P02, P03, P05, ...), so this is no external cohort" in said
    assert not (tmp_path / "predictions.csv").exists()


def test_the_same_slide_is_known_whatever_its_name_precision_and_company(tmp_path: Path) -> None:
    bag = replace(random_bag(9, slide_id="one"), slide_fingerprint="a" * 64)
    first = set(slide_digests(bag))
    assert len(first) == 2
    halved = replace(bag, features=bag.features.astype(np.float16).astype(np.float32), slide_id="two")
    assert set(slide_digests(halved)) == first
    joined = concatenate_bags([random_bag(5, seed=4, slide_id="x"), bag], patient_id="p")
    assert first & set(slide_digests(joined))
    again = replace(random_bag(9, seed=7, slide_id="three"), slide_fingerprint="a" * 64)
    assert len(first & set(slide_digests(again))) == 1
    assert not first & set(slide_digests(random_bag(9, seed=8, slide_id="four")))
    write_bag(tmp_path / "bag.h5", bag)
    assert set(slide_digests(read_bag(tmp_path / "bag.h5"))) == first


def test_slides_of_a_patient_are_known_by_content_each() -> None:
    """The same slides, encoded on another machine or looked at in part, are still the training's slides."""
    slides = [
        replace(random_bag(20, seed=seed), slide_id=f"s{seed}", slide_fingerprint=f"{seed}" * 16)
        for seed in (1, 2, 3)
    ]
    joined = concatenate_bags([concatenate_bags(slides[:2], patient_id="P"), slides[2]], patient_id="P")
    assert joined.joined_fingerprints == tuple(f"{seed}" * 16 for seed in (1, 2, 3))
    known = set(slide_digests(joined))
    assert len(known) == 6
    for bag in slides:
        again = replace(bag, features=bag.features * np.float32(1.01))
        assert known & set(slide_digests(again))
    part = joined.subset(np.arange(5, 45))
    assert known & set(slide_digests(part))
    assert not known & set(slide_digests(random_bag(20, seed=9)))
