"""Folds: what they leave, that they equal each other however they are run, and the ensemble over them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import N_PATIENTS, assert_same_results, fold_overrides, run_train

from amkd_core import atomic
from amkd_core.bag_file import read_bag
from amkd_core.bundle_file import open_bundle
from amkd_core.bundle_words import known_limits, measured_text
from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import read_cohort
from amkd_core.cohort.pathways import GeneSet
from amkd_core.errors import DiskFullError, RunFolderError
from amkd_core.folder_lock import LOCK
from amkd_core.inference.predict import predict_bag
from amkd_core.pathway_effects import PathwayEffects, pathway_activities
from amkd_core.training import packed_cache
from amkd_core.training.config import load_config
from amkd_core.training.crossval import config_of_fold, train_fold
from amkd_core.training.fold_record import finished_fold, read_predictions
from amkd_core.training.packed_cache import pack_cohort, read_packed, rounded
from amkd_core.training.stages import attach_targets, train_student, train_teacher

FOLDS = 2


def test_every_patient_is_predicted_once_by_a_fold_that_had_not_seen_it(folds_run: Path) -> None:
    table = read_predictions(folds_run / "predictions.csv")
    splits = json.loads((folds_run / "folds.json").read_text())["folds"]
    for model in ("student", "teacher"):
        rows = table[table["model"] == model]
        assert sorted(rows["patient_id"]) == [f"P{index:02d}" for index in range(N_PATIENTS)]
        for row in rows.to_dict("records"):
            assert row["patient_id"] in splits[row["fold"] - 1]["test"]
    assert list(table.columns[:8]) == [
        "patient_id", "fold", "part", "model", "months", "event", "risk", "high_risk",
    ]  # fmt: skip
    hazard = table[[f"hazard_{index}" for index in range(1, 5)]].to_numpy()
    np.testing.assert_allclose(-np.cumprod(1 - hazard, axis=1).sum(axis=1), table["risk"], rtol=1e-5)


def test_each_fold_leaves_its_fitted_numbers_and_its_own_bundle(folds_run: Path) -> None:
    splits = json.loads((folds_run / "folds.json").read_text())["folds"]
    bins = json.loads((folds_run / "bins.json").read_text())
    assert sorted(bins) == ["1", "2"]
    for fold in range(1, FOLDS + 1):
        folder = folds_run / f"fold-{fold}"
        fitted = json.loads((folder / "fitted.json").read_text())
        assert fitted["fitted_on"] == splits[fold - 1]["train"]
        assert fitted["time_bins_months"] == bins[str(fold)]
        assert bins[str(fold)][-1] is None
        table = read_predictions(folder / "predictions.csv")
        for model in ("student", "teacher"):
            rows = table[(table["model"] == model) & (table["part"] == "train")]
            assert fitted["risk_cut"][model] == pytest.approx(rows["risk"].median(), abs=1e-12)
            assert (rows["high_risk"] == (rows["risk"] > fitted["risk_cut"][model])).all()
        card = open_bundle(folder / "model.amkd").card
        assert card.cohort_size == len(splits[fold - 1]["train"])
        assert len(card.members) == 1
        assert open_bundle(folder / "model.amkd").golden.features.shape == (8, card.encoder.dimension)
    assert len({tuple(edges[:-1]) for edges in bins.values()}) > 1


def test_the_ensemble_holds_every_fold_and_is_compared_with_unseen_patients(
    folds_run: Path, unsplit_toml: Path
) -> None:
    bundle = open_bundle(folds_run / "model.amkd")
    table = read_predictions(folds_run / "predictions.csv")
    students = table[table["model"] == "student"]
    assert len(bundle.members) == FOLDS
    np.testing.assert_array_equal(
        bundle.golden.features, open_bundle(folds_run / "fold-1" / "model.amkd").golden.features
    )
    assert (bundle.card.cohort_size, bundle.card.cohort_events) == (N_PATIENTS, students["event"].sum())
    for fold, member in enumerate(bundle.members, start=1):
        own = students[students["fold"] == fold]
        np.testing.assert_array_equal(member.training_risks, np.sort(own["risk"]))
        fitted = json.loads((folds_run / f"fold-{fold}" / "fitted.json").read_text())
        assert member.risk_cut == fitted["risk_cut"]["student"]
        assert member.time_bins.to_list() == fitted["time_bins_months"][:-1]
    low, high = bundle.kaplan_meier["low"], bundle.kaplan_meier["high"]
    assert (low.at_risk[0], high.at_risk[0]) == (
        (students["high_risk"] == 0).sum(), (students["high_risk"] == 1).sum(),
    )  # fmt: skip
    cohort = read_cohort(unsplit_toml)
    expression, attention, risks, z_scores = cohort.expression, [], {1: [], 2: []}, []
    for row in students.to_dict("records"):
        # Each patient by the models of the fold that had not seen him, as anyone would predict him.
        own = open_bundle(folds_run / f"fold-{row['fold']}" / "model.amkd")
        values = expression.rows([row["patient_id"]], expression.genes)[0]
        genes = dict(zip(expression.genes, values, strict=True))
        bag = read_bag(unsplit_toml.parent / "bags" / f"{row['patient_id']}s.h5")
        teacher = predict_bag(bag, own, genes=genes).teacher
        attention.append(teacher.pathway_importance)
        risks[row["fold"]].append(teacher.risk)
        scaling = own.members[0].scaling
        read = np.array([genes[name] for name in own.card.genes])
        z_scores.append((read - scaling.mean) / scaling.std)
    np.testing.assert_allclose(bundle.pathway_attention, np.mean(attention, axis=0), rtol=1e-5)
    # Effects are read from the same patients, whose risks are centred for each fold's teacher.
    centred = np.concatenate([np.array(part) - np.mean(part) for part in risks.values()])
    expected = PathwayEffects.of_cohort(pathway_activities(np.array(z_scores), bundle.membership), centred)
    for name, array in expected.to_arrays().items():
        np.testing.assert_allclose(bundle.pathway_effects.to_arrays()[name], array, rtol=1e-3, atol=1e-6)
    page = (folds_run / "report.html").read_text()
    assert "<h2>Pathways</h2>" in page
    assert (folds_run / "figures" / "pathways.svg").is_file()
    bag = read_bag(unsplit_toml.parent / "bags" / "P03s.h5")
    alone = [predict_bag(bag, open_bundle(folds_run / f"fold-{fold}" / "model.amkd")).risk for fold in (1, 2)]
    found = predict_bag(bag, bundle)
    np.testing.assert_allclose(found.member_risks, alone, rtol=1e-6)
    assert found.risk == pytest.approx(np.mean(alone))


def test_cards_tell_every_c_index_with_its_interval_and_whom_nobody_tried(folds_run: Path) -> None:
    card = open_bundle(folds_run / "model.amkd").card
    metrics = json.loads((folds_run / "metrics.json").read_text())
    found = {(item.model, item.fold): item for item in card.measured}
    assert set(found) == {(model, fold) for model in ("student", "teacher") for fold in (None, 1, 2)}
    for model in ("student", "teacher"):
        own, pooled = metrics["models"][model], found[model, None]
        for name, value in (("value", pooled.c_index), ("lower", pooled.lower), ("upper", pooled.upper)):
            assert value == pytest.approx(own["c_index_within_folds"][name], abs=5e-5)
        assert (pooled.n_patients, pooled.n_events) == (card.cohort_size, card.cohort_events)
        for size in metrics["folds"]:
            item = found[model, size["fold"]]
            assert (item.n_patients, item.n_events) == (size["n_patients"], size["n_events"])
            assert item.c_index == pytest.approx(own["c_index"]["by_fold"][str(size["fold"])], abs=5e-5)
            # Its own bundle tells the same of it, and nothing of the others.
            alone = open_bundle(folds_run / f"fold-{size['fold']}" / "model.amkd").card
            assert [other for other in alone.measured if other.model == model] == [item]
            assert len(alone.measured) == 2
    assert card.research_use_only
    assert card.limits == known_limits(card.cohort_size, card.cohort_events, card.limits[-1])
    assert "nobody was held out from all of them together" in card.limits[-1]
    page = (folds_run / "report.html").read_text()
    assert "The model&#39;s card" in page
    assert measured_text(found["student", None]) in page
    assert card.limits[0].replace("'", "&#39;") in page


def test_the_first_fold_has_the_weights_of_the_plain_stages(inputs, tmp_path: Path) -> None:
    cohort, bags, split, config, data = inputs
    result = drain(train_fold(cohort, bags, split, config, run=tmp_path, fold=1))
    teacher = drain(train_teacher(data, config, tmp_path / "plain"))
    taught = drain(attach_targets(data, teacher, config, tmp_path / "plain"))
    student = drain(train_student(taught, config, tmp_path / "plain"))
    member = open_bundle(result.bundle_path).members[0]
    for plain, kept in ((teacher, member.teacher), (student, member.student)):
        for name, value in plain.state_dict().items():
            assert torch.equal(value, kept.state_dict()[name]), name
    assert config_of_fold(config, 1) == config
    assert config_of_fold(config, 2).seed != config.seed


@pytest.mark.usefixtures("no_pictures")
def test_parallel_folds_have_the_numbers_of_serial_ones(
    folds_run: Path, unsplit_toml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "parallel"
    exit_code, output = run_train(
        "--cohort", unsplit_toml, "--out", out, "--jobs", 2, "--folds", FOLDS, *fold_overrides()
    )
    assert exit_code == 0, output
    assert_same_results(out, folds_run)
    progress = (out / "progress.csv").read_text().splitlines()
    assert progress[0].startswith("time,fold,stage,epoch,epochs,total,survival,")
    rows = [line.split(",") for line in progress[1:]]
    assert {row[1] for row in rows} == {"1", "2"}
    assert {row[2] for row in rows} >= {"teacher", "student", "inner teacher 1 of 2"}
    assert all(float(row[5]) > 0 and row[-1].isdigit() for row in rows)


def test_a_finished_fold_is_not_trained_again_and_a_changed_one_does_not_count(
    inputs, tmp_path: Path
) -> None:
    cohort, bags, split, config, _ = inputs
    first = drain(train_fold(cohort, bags, split, config, run=tmp_path, fold=2))
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*.*") if path.name != LOCK}
    half_written = first.folder / "student" / ".tmp-1.safetensors"
    half_written.write_bytes(b"half")
    steps = list(train_fold(cohort, bags, split, config, run=tmp_path, fold=2))
    assert steps == []
    assert not half_written.exists()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    table = first.folder / "predictions.csv"
    whole = table.read_bytes()
    table.write_bytes(whole[:-20])
    assert finished_fold(tmp_path, 2) is None
    drain(train_fold(cohort, bags, split, config, run=tmp_path, fold=2))
    assert table.read_bytes() == whole


def test_halves_are_shared_only_where_they_are_exact(inputs, tmp_path: Path) -> None:
    cohort, bags, *_ = inputs
    cohort = replace(cohort, gene_groups=(GeneSet("kinases", frozenset({"G1", "G2"})),))
    for name, dtype, stored in (("exact", "auto", "float32"), ("asked", "float16", "float16")):
        folder = pack_cohort(tmp_path / name, cohort, bags, key={"bags": "1"}, dtype=dtype)
        again, packed = read_packed(folder)
        assert np.load(folder / "features.npy", mmap_mode="r").dtype == stored
        expected = rounded(bags, dtype)
        assert list(packed) == [patient.patient_id for patient in cohort.patients]
        for patient_id, bag in packed.items():
            np.testing.assert_array_equal(bag.features, expected[patient_id].features)
        assert again.patients == cohort.patients
        assert again.gene_groups == cohort.gene_groups
        genes = again.expression.genes
        np.testing.assert_array_equal(
            again.expression.rows(list(packed), genes), cohort.expression.rows(list(packed), genes)
        )


def test_a_cache_with_fewer_patches_than_it_lists_is_refused(inputs, tmp_path: Path) -> None:
    """Its last bags would be short or empty, and a fold would be trained on them."""
    cohort, bags, *_ = inputs
    folder = pack_cohort(tmp_path, cohort, bags, key={}, dtype="auto")
    features = np.load(folder / "features.npy")
    np.save(folder / "features.npy", features[:-1])
    with pytest.raises(RunFolderError, match=r"the cache is damaged \(its parts do not fit together\)"):
        read_packed(folder)


def test_a_fold_on_mapped_halves_has_the_numbers_of_one_on_floats(inputs, tmp_path: Path) -> None:
    cohort, bags, split, config, _ = inputs
    halves = rounded(bags, "float16")
    assert np.abs(halves["P00"].features - bags["P00"].features).max() > 0
    again, mapped = read_packed(pack_cohort(tmp_path / "cache", cohort, halves, key={}, dtype="auto"))
    assert mapped["P00"].features.dtype == np.float16
    one = drain(train_fold(cohort, halves, split, config, run=tmp_path / "floats", fold=1))
    other = drain(train_fold(again, mapped, split, config, run=tmp_path / "halves", fold=1))
    for name in ("predictions.csv", "fitted.json"):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()
    assert open_bundle(one.bundle_path).card.parts == open_bundle(other.bundle_path).card.parts


def test_folds_are_a_setting(unsplit_toml: Path) -> None:
    assert load_config(None).folds == 5
    assert len(read_cohort(unsplit_toml).patients) == N_PATIENTS


def test_a_cache_that_does_not_fit_is_refused_before_a_file_is_written(
    inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, bags, *_ = inputs
    needed = sum(bag.features.size for bag in bags.values()) * 4
    real, written = shutil.disk_usage(tmp_path), []
    write = atomic.atomic_path
    monkeypatch.setattr(packed_cache, "atomic_path", lambda path: written.append(path) or write(path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=needed - 1))
    with pytest.raises(
        DiskFullError, match=r"the cache by which folds share their bags .* needs .* are free"
    ):
        pack_cohort(tmp_path / "cache", cohort, bags, key={}, dtype="float32")
    assert written == []
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=needed))
    pack_cohort(tmp_path / "cache", cohort, bags, key={}, dtype="float32")
    assert [path.name for path in written] == ["features.npy", "expression.npy"]
