"""Pathways of a patient, their genes, and whose expression a file holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_fixtures import random_bag, random_bundle, some_effects

from amkd_core.bundle_file import open_bundle
from amkd_core.errors import ModalityError
from amkd_core.inference import teacher as teacher_module
from amkd_core.inference.demo import demo_bundle_path
from amkd_core.inference.expression import read_genes
from amkd_core.inference.pathway_table import (
    both_ends,
    cohort_effects,
    cohort_pathways,
    pathway_genes,
    patient_effects,
    patient_of_slide,
    patients_in,
    raising_and_lowering,
    ranked_pathways,
)
from amkd_core.inference.predict import cohort_reference, predict_bag
from amkd_core.pathway_effects import PathwayEffects
from amkd_core.simulate.biology import LOG_HAZARD

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(12)}


def test_pathways_are_ranked_and_normalised_within_the_patient() -> None:
    teacher = predict_bag(random_bag(57), random_bundle(), genes=GENES).teacher
    assert teacher is not None
    teacher = dataclasses.replace(teacher, pathway_importance=np.array([0.1, 0.4, 0.3, 0.2]))
    rows = ranked_pathways(teacher)
    assert [row.name for row in rows] == [teacher.pathways[index] for index in (1, 2, 3, 0)]
    assert [row.rank for row in rows] == [1, 2, 3, 4]
    np.testing.assert_allclose([row.normalised for row in rows], [1, 2 / 3, 1 / 3, 0])
    most, least = both_ends(rows, 3)
    assert ([row.rank for row in most], [row.rank for row in least]) == ([1, 2, 3], [4])
    flat = dataclasses.replace(teacher, pathway_importance=np.full(4, 0.25))
    assert {row.normalised for row in ranked_pathways(flat)} == {0.0}


def test_pathways_of_the_training_cohort_are_ranked_alike() -> None:
    bundle = random_bundle()
    prediction = predict_bag(random_bag(57), bundle, genes=GENES)
    names = bundle.card.pathways
    rows = cohort_pathways(prediction.cohort, names)
    # The fixture's cohort attends to each pathway more than to the one before.
    assert [row.name for row in rows] == names[::-1]
    np.testing.assert_allclose([row.normalised for row in rows], [1, 2 / 3, 1 / 3, 0], atol=1e-12)
    assert sum(row.attention for row in rows) == pytest.approx(1)
    older = predict_bag(random_bag(57), dataclasses.replace(bundle, pathway_attention=None), genes=GENES)
    assert cohort_pathways(older.cohort, names) == ()


def test_a_patients_effects_are_what_the_bundles_reading_adds_for_his_activity() -> None:
    bundle = random_bundle()
    assert bundle.pathway_effects is not None
    prediction = predict_bag(random_bag(57), bundle, genes=GENES)
    teacher = prediction.teacher
    assert teacher is not None
    added = {row.name: row.effect for row in patient_effects(teacher, prediction.cohort)}
    for index, name in enumerate(bundle.card.pathways):
        # By hand: the mean z-score of the pathway's genes, in the fixture's spread of 0.5 about 0.
        activity = np.mean([gene.z_score for gene in pathway_genes(bundle, GENES, name)])
        assert added[name] == pytest.approx(bundle.pathway_effects.effect[index] * activity / 0.5)
    rows = cohort_effects(prediction.cohort, bundle.card.pathways)
    np.testing.assert_allclose([row.effect for row in rows], [0.3, -0.2, 0.4 / 3, -0.1 / 3])
    assert [row.rank for row in rows] == [1, 2, 3, 4]
    raising, lowering = raising_and_lowering(rows, 1)
    assert [row.name for row in (*raising, *lowering)] == ["SIM_PATHWAY_3", "SIM_PATHWAY_0"]


def test_the_demo_models_effects_name_the_pathways_that_carry_the_simulated_risk() -> None:
    bundle = open_bundle(demo_bundle_path())
    rows = cohort_effects(cohort_reference(bundle), bundle.card.pathways)
    first = rows[: len(LOG_HAZARD)]
    assert {row.name: np.sign(row.effect) for row in first} == {
        name: np.sign(coefficient) for name, coefficient in LOG_HAZARD.items()
    }


def test_a_missing_gene_adds_nothing_of_its_own() -> None:
    bundle = random_bundle()
    assert bundle.membership is not None
    scaling = bundle.members[0].scaling
    assert scaling is not None
    name = bundle.card.genes[0]
    genes = {gene: value for gene, value in GENES.items() if gene != name}
    found = predict_bag(random_bag(57), bundle, genes=genes).teacher
    mean = predict_bag(random_bag(57), bundle, genes={**genes, name: float(scaling.mean[0])}).teacher
    assert found is not None
    assert mean is not None
    np.testing.assert_allclose(found.pathway_additions, mean.pathway_additions, atol=1e-12)


@pytest.mark.parametrize("effects", [None, some_effects(4, explained=0.2)])
def test_no_effect_is_told_where_no_reading_stands_for_the_teacher(effects: PathwayEffects | None) -> None:
    bundle = dataclasses.replace(random_bundle(), pathway_effects=effects)
    prediction = predict_bag(random_bag(57), bundle, genes=GENES)
    assert prediction.teacher is not None
    assert patient_effects(prediction.teacher, prediction.cohort) == ()
    assert cohort_effects(prediction.cohort, bundle.card.pathways) == ()


def test_genes_of_a_pathway_are_those_of_the_membership_with_z_scores_of_its_scaling() -> None:
    bundle = random_bundle()
    assert bundle.membership is not None
    pathway = bundle.card.pathways[1]
    missing = bundle.card.genes[int(np.flatnonzero(bundle.membership[1])[0])]
    found = pathway_genes(bundle, {**GENES, missing: float("nan")}, pathway)
    assert {gene.gene for gene in found} == {
        bundle.card.genes[column] for column in np.flatnonzero(bundle.membership[1])
    }
    assert found[-1].gene == missing
    assert np.isnan(found[-1].z_score)
    scaling = bundle.members[0].scaling
    assert scaling is not None
    column = bundle.card.genes.index(found[0].gene)
    if len(bundle.members) == 1:
        expected = (GENES[found[0].gene] - scaling.mean[column]) / scaling.std[column]
        assert found[0].z_score == pytest.approx(expected)
    distances = [abs(gene.z_score) for gene in found[:-1]]
    assert distances == sorted(distances, reverse=True)


def test_a_bundle_without_that_pathway_says_so() -> None:
    with pytest.raises(ModalityError, match="NO_SUCH"):
        pathway_genes(random_bundle(), GENES, "NO_SUCH")
    with pytest.raises(ModalityError, match="holds no pathway"):
        pathway_genes(random_bundle(teacher=False), GENES, "ANY")


def test_patients_of_both_layouts(tmp_path: Path) -> None:
    rows, columns = tmp_path / "rows.csv", tmp_path / "columns.csv"
    rows.write_text("patient_id,A,B\np1,1,2\np2,3,4\n")
    columns.write_text("gene,p1,p2\nA,1,3\nB,2,4\n")
    assert patients_in(rows) == patients_in(columns) == ("p1", "p2")
    blanks = tmp_path / "blanks.csv"
    blanks.write_text("patient_id,G1\n p1,1\np2 ,2\n")
    assert patients_in(blanks) == ("p1", "p2")
    assert read_genes(blanks, "p1")["G1"] == 1.0


@pytest.mark.parametrize(
    ("slide", "expected"),
    [
        ("TCGA-AB-1234-01Z-00-DX1", "TCGA-AB-1234"),
        ("tcga-ab-1234", "TCGA-AB-1234"),
        ("TCGA-AB-12345", None),
        ("p1.2_x", "p1.2"),
        ("p132", None),
        ("p1_x", "p1"),
    ],
)
def test_the_patient_is_found_by_the_slides_name(slide: str, expected: str | None) -> None:
    assert patient_of_slide(["TCGA-AB-1234", "p1.2", "p1"], slide) == expected


def test_one_patch_with_all_attention_of_a_large_bag_stays_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps are kept times the number of patches in half precision, which ends at 65,504."""
    n_patches, bundle = 70_000, random_bundle()
    maps = np.zeros((len(bundle.card.pathways), n_patches))
    maps[:, 3] = 1.0
    importance = np.full(len(maps), 1 / len(maps))
    monkeypatch.setattr(teacher_module, "_run_teacher", lambda *_: (0.5, maps, importance))
    found = teacher_module.predict_teacher(torch.zeros(n_patches, 1), bundle, GENES, "cpu")
    assert np.isfinite(found.coattention).all()
    assert found.coattention[0, 3] == 65_504
    assert found.patch_scores[3] == 1.0
