"""The one real slide bag whose patient has expression and follow-up goes the whole way, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bundle_fixtures import encoder_identity, random_bundle

from amkd_core.bag_file import read_bag
from amkd_core.bag_formats import BagAssumptions
from amkd_core.cohort.cohort import read_cohort
from amkd_core.cohort.pathways import cover
from amkd_core.inference.maps import agreement, heatmap, map_scores, top_patches
from amkd_core.inference.predict import predict_bag

PATIENT = "TCGA-AD-6964"


def test_bag_teacher_student_and_every_pathways_map(shared: Path) -> None:
    data = shared / "data"
    tables = {"clinical": data / "clinical_coadread.csv", "expression": data / "rna_coadread_xena.parquet"}
    cohort = read_cohort(None, {**tables, "pathways": data / "pathways.gmt", "days_per_month": 30})
    (patient,) = (patient for patient in cohort.patients if patient.patient_id == PATIENT)
    stated = BagAssumptions(encoder_identity(512, "mopadi"), 0.5, 512, 512)
    bag = read_bag(data / "bags" / "TCGA-AD-6964-01Z-00-DX1.h5", assume=stated)
    assert (len(bag), patient.slide_ids[0].split(".")[0]) == (777, "TCGA-AD-6964-01Z-00-DX1")

    covered = cover(cohort.pathways, cohort.expression.genes, min_coverage=0.9)
    bundle = random_bundle(encoder=bag.encoder, covered=covered, patch_size_px=512, n_members=2)
    row = cohort.expression.rows([PATIENT], cohort.expression.genes)[0]
    prediction = predict_bag(bag, bundle, genes=dict(zip(cohort.expression.genes, row, strict=True)))
    teacher = prediction.teacher
    assert teacher is not None
    assert (len(teacher.pathways), teacher.coattention.shape) == (281, (281, 777))
    assert np.isfinite([prediction.risk, teacher.risk]).all()
    for source in ("student", "teacher", *teacher.pathways):
        scores = map_scores(prediction, source)
        assert np.isclose(scores.sum(), 1, atol=0.02), source
    for source in ("student", teacher.pathways[7]):
        drawn = heatmap(prediction, source=source).image
        assert int(np.isfinite(drawn).sum()) == 777
    assert len(top_patches(prediction)) == 5
    assert -1 <= agreement(prediction.patch_scores, teacher.patch_scores).spearman <= 1
