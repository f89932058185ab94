"""External validation and explanation of a bundle on a cohort of bags."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bundle_fixtures import N_GENES, encoder_identity, random_bag, random_bundle
from research_words import says_it
from scipy.stats import spearmanr
from statistics_fixtures import QUICK, made_cohort
from training_fixtures import run_amkd

from amkd_core import pathway_effects
from amkd_core.bag import concatenate_bags
from amkd_core.bag_file import write_bag
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.cli.terminal import drain
from amkd_core.cohort.genes import ExpressionTable, GeneScaling
from amkd_core.cohort.pathways import GeneSet, Membership
from amkd_core.errors import BundleMismatchError, CohortError, ModalityError
from amkd_core.inference.predict import predict_bag
from amkd_core.pathway_effects import LEAST_EXPLAINED, MIN_PATIENTS, PathwayEffects, pathway_activities
from amkd_core.studies.external_table import external_remarks
from amkd_core.survival.metrics import concordance_index
from amkd_core.training.explain import explain_bundle, rank_pathways, slide_agreements
from amkd_core.training.external import evaluate_bundle, usable_genes, with_bags
from amkd_core.training.external_cohort import NO_TABLE, read_external_cohort
from amkd_core.training.external_genes import readable_genes
from amkd_core.training.report_run import RunStatistics
from amkd_core.training.strangers import check_external_expression, expression_unlike

N = 36


@pytest.fixture(scope="module")
def cohort():
    made, _ = made_cohort(N)
    names = tuple(patient.patient_id for patient in made.patients)
    genes = np.random.default_rng(3).normal(5, 1, (N - 4, N_GENES))
    # The last four patients have no expression; columns in another order than the bundle's.
    table = ExpressionTable(names[:-4], tuple(f"GENE{index}" for index in reversed(range(N_GENES))), genes)
    return replace(made, expression=table)


@pytest.fixture(scope="module")
def bags(cohort):
    found = {}
    for index, patient in enumerate(cohort.patients):
        parts = [random_bag(12 + index % 5, seed=50 + index, slide_id=patient.slide_ids[0])]
        found[patient.patient_id] = concatenate_bags(parts, patient_id=patient.patient_id)
    return found


@pytest.fixture(scope="module")
def bundle(bags, tmp_path_factory):
    """Two members, each with a cut of its own in the midst of its risks."""
    plain = random_bundle(n_members=2)
    risks = np.array([predict_bag(bag, plain).member_risks for bag in bags.values()])
    members = tuple(
        replace(member, risk_cut=float(np.median(own)))
        for member, own in zip(plain.members, risks.T, strict=True)
    )
    return write_bundle(tmp_path_factory.mktemp("bundle") / "model.amkd", replace(plain, members=members))


@pytest.fixture(scope="module")
def evaluated(cohort, bundle, bags, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    return out, drain(evaluate_bundle(cohort, bundle, bags, out=out, effort=QUICK))


def test_everyone_is_scored_as_predict_scores_a_single_bag(evaluated, cohort, bundle, bags):
    out, _ = evaluated
    table = pd.read_csv(out / "predictions.csv")
    student = table[table["model"] == "student"].set_index("patient_id")
    written = pd.read_csv(out / "predictions.csv", dtype=str, keep_default_na=False)
    assert set(written.loc[written["model"] == "student", "high_risk"]) == {"0", "1"}
    assert set(written.loc[written["model"] == "teacher", "high_risk"]) == {""}
    assert list(student.index) == [patient.patient_id for patient in cohort.patients]
    assert 5 < student["high_risk"].sum() < N - 5
    for patient in cohort.patients:
        alone = predict_bag(bags[patient.patient_id], bundle)
        row = student.loc[patient.patient_id]
        assert row["risk"] == pytest.approx(alone.risk, abs=1e-9)
        assert row["high_risk"] == int(alone.risk_group == "high")
        assert row["survival_12"] == pytest.approx(
            np.interp(12, alone.curve.time_months, alone.curve.survival)
        )
    assert set(table["part"]) == {"external"}


def test_subgroups_of_another_cohort_are_told_with_whom_each_network_scored(evaluated, cohort):
    out, statistics = evaluated
    record = json.loads((out / "metrics.json").read_text())["subgroups"]
    assert [item["by"] for item in record] == ["age", "sex", "stage"]
    women = [patient for patient in cohort.patients if patient.sex == "female"]
    female = record[1]["groups"][0]
    assert (female["n_patients"], female["n_events"]) == (len(women), sum(one.event for one in women))
    student, teacher = female["models"]["student"], female["models"]["teacher"]
    assert (student["n_patients"], teacher["n_patients"]) == (len(women), len(women) - 2)
    table = pd.read_csv(out / "predictions.csv")
    own = table[(table["model"] == "student") & table["patient_id"].isin([one.patient_id for one in women])]
    expected = concordance_index(own["months"], own["event"] == 1, own["risk"])
    assert student["c_index"]["value"] == pytest.approx(expected)
    assert "<h2>Subgroups</h2>" in (out / "report.html").read_text()
    assert (out / "figures" / "subgroups.png").is_file()
    assert "student by sex: female" in str(statistics)


def test_the_teacher_scores_those_with_expression_joined_by_gene_name(evaluated, cohort, bundle, bags):
    out, statistics = evaluated
    table = pd.read_csv(out / "predictions.csv")
    teacher = table[table["model"] == "teacher"].set_index("patient_id")
    assert len(teacher) == N - 4
    patient = cohort.patients[2].patient_id
    row = cohort.expression.values[cohort.expression.patients.index(patient)]
    genes = dict(zip(cohort.expression.genes, row.tolist(), strict=True))
    assert teacher.loc[patient, "risk"] == pytest.approx(
        predict_bag(bags[patient], bundle, genes=genes).teacher.risk
    )
    assert teacher["high_risk"].isna().all()
    assert statistics.models["teacher"].risk_groups is None
    assert statistics.student_minus_teacher.value is not None


def test_nothing_is_fitted_and_the_figures_are_those_of_the_scores(evaluated, cohort):
    out, statistics = evaluated
    table = pd.read_csv(out / "predictions.csv")
    student = table[table["model"] == "student"]
    expected = concordance_index(student["months"], student["event"].astype(bool), student["risk"])
    assert statistics.models["student"].c_index.mean == pytest.approx(expected)
    assert statistics.chance is None
    assert statistics.clinical.reason == "nothing is fitted on this cohort"
    assert statistics.added["student"].gain.value is None
    assert statistics.added["student"].hazard_ratio.value is not None
    assert RunStatistics.model_validate_json((out / "metrics.json").read_text()) == statistics


@pytest.mark.usefixtures("no_pictures")
def test_other_outcomes_change_no_score(cohort, bundle, bags, evaluated, tmp_path):
    patients = tuple(replace(p, time=100 - p.time, event=not p.event) for p in cohort.patients)
    drain(evaluate_bundle(replace(cohort, patients=patients), bundle, bags, out=tmp_path, effort=QUICK))
    columns = ["patient_id", "model", "risk", "high_risk", "survival_12", "survival_60"]
    first, other = (pd.read_csv(folder / "predictions.csv")[columns] for folder in (evaluated[0], tmp_path))
    pd.testing.assert_frame_equal(first, other)


def test_the_report_says_external_and_names_the_model(evaluated, bundle):
    page = re.sub(r"\s+", " ", (evaluated[0] / "report.html").read_text())
    for text in (
        "random on Made cohort: external validation", "Nothing was fitted here", "SYNTHETIC COHORT",
        "4 patients without expression were scored by the student alone", bundle.sha256,
        "the mean of its 2 networks", f"<th>teacher ({N - 4} of {N} patients)</th>", "<td>Patches</td>",
        f"on the same patients ({N - 4} of {N} patients)", "The teacher also read their genes",
        "make sure that none of them is in this cohort",
    ):  # fmt: skip
        assert text in page, text
    assert "Chance line" not in page
    assert "age and stage alone" not in page


@pytest.mark.usefixtures("no_pictures")
def test_other_endpoints_and_kinds_of_patients_are_warned_of(cohort, bundle, bags, tmp_path):
    few = replace(cohort, file=cohort.file.model_copy(update={"endpoint": "dss", "synthetic": False}))
    drain(evaluate_bundle(few, bundle, bags, out=tmp_path, effort=QUICK))
    page = re.sub(r"\s+", " ", (tmp_path / "report.html").read_text())
    assert "trained for endpoint os, but this cohort&#39;s is dss" in page
    assert "trained on simulated patients, but these are real" in page
    assert "SYNTHETIC MODEL" in page
    assert "SYNTHETIC COHORT" not in page


def test_expression_that_the_teacher_cannot_use_leaves_the_student(cohort, bundle):
    table = cohort.expression
    few = ExpressionTable(table.patients, table.genes[:6], table.values[:, :6])
    genes, remark = usable_genes(replace(cohort, expression=few), bundle)
    assert not genes
    assert "covers 50% of the 12 genes" in remark
    assert usable_genes(replace(cohort, expression=NO_TABLE), bundle)[1].startswith(
        "The cohort has no expression"
    )
    assert "no teacher" in usable_genes(cohort, random_bundle(teacher=False))[1]
    genes, remark = usable_genes(replace(cohort, expression_scale="zscore"), bundle)
    assert not genes
    assert "it learned from logarithms, but the expression of this cohort holds z-scores" in remark
    assert usable_genes(replace(cohort, expression_scale="linear"), bundle)[0]
    check_external_expression(replace(cohort, expression_scale="linear"), cohort)
    with pytest.raises(
        CohortError, match=r"external cohort holds z-scores, expected logarithms as in cohort"
    ):
        check_external_expression(replace(cohort, expression_scale="zscore"), cohort)


def test_pathways_that_the_table_has_few_genes_of_are_told(cohort, bundle):
    table, membership = cohort.expression, bundle.membership.copy()
    membership[0] = np.arange(membership.shape[1]) == membership.shape[1] - 1
    kept = [place for place, name in enumerate(table.genes) if name != bundle.card.genes[-1]]
    few = ExpressionTable(table.patients, tuple(table.genes[place] for place in kept), table.values[:, kept])
    genes, remark = usable_genes(replace(cohort, expression=few), replace(bundle, membership=membership))
    assert genes
    n_pathways, name = len(membership), bundle.card.pathways[0]
    whole = usable_genes(cohort, replace(bundle, membership=membership))[1]
    assert remark == (
        f"{whole} The cohort's expression lacks genes: 1 of the {n_pathways} pathways have less than 50% of their "
        f"genes in it ({name} 0%); do not rely on these pathways."
    )
    assert whole.endswith(" patients without expression were scored by the student alone.")


@pytest.fixture(scope="module")
def two_floors(cohort):
    """A bundle trained on log2(x + 1) of many genes, that cohort, and the same patients as log2(x + 0.001)."""
    level = np.random.default_rng(0).normal(
        np.linspace(-6, 8, 300), 1, (len(cohort.expression.patients), 300)
    )
    linear = np.where(level < -3, 0, np.exp2(level))
    names = tuple(f"G{place}" for place in range(300))
    covered = Membership(("P1", "P2"), names, np.ones((2, 300), dtype=bool), ())
    bundle = random_bundle(covered=covered)
    scaling = GeneScaling.fit(np.log2(linear + 1))
    bundle = replace(bundle, members=tuple(replace(member, scaling=scaling) for member in bundle.members))
    found = [
        replace(
            cohort,
            expression=ExpressionTable(cohort.expression.patients, names, np.log2(linear + added)),
            pathways=(GeneSet("P1", frozenset(names)),),
        )
        for added in (1, 0.001)
    ]
    return bundle, *found


@pytest.mark.usefixtures("no_pictures")
def test_another_floor_of_a_cohort_is_said_once(two_floors, bags, tmp_path):
    bundle, own, other = two_floors
    assert "scale" not in usable_genes(own, bundle)[1]
    genes, remark = usable_genes(other, bundle)
    assert len(genes) == N - 4
    wanted = f"Warning: the expression of {N - 4} of {N - 4} patients does not stand on the model's scale ("
    assert remark.startswith(f"4 patients without expression were scored by the student alone. {wanted}")
    assert remark.count("log2(x + 0.001)") == 1
    statistics = drain(evaluate_bundle(other, bundle, bags, out=tmp_path / "evaluated", effort=QUICK))
    assert statistics.remark == remark
    assert "does not stand on the model&#39;s scale" in (tmp_path / "evaluated" / "report.html").read_text()
    explained = drain(explain_bundle(other, bundle, bags, out=tmp_path / "explained"))
    assert wanted in str(explained)
    summary = json.loads((tmp_path / "explained" / "explanation.json").read_text())
    assert summary["expression_warning"] == explained.warning


def test_another_floor_of_an_external_cohort_is_said_before_its_table(two_floors):
    _, own, other = two_floors
    assert expression_unlike(own, own) == ""
    assert expression_unlike(replace(own, expression=NO_TABLE), own) == ""
    said = expression_unlike(other, own)
    assert said.startswith(
        f"Warning: the expression of {N - 4} of {N - 4} patients does not stand on cohort Made "
    )
    genes = readable_genes(other, other.expression.genes)
    for models, wanted in ((("snn",), [said]), (("abmil",), [])):
        found = SimpleNamespace(external=other, external_genes=genes, models=models, cohort=own)
        assert [remark for remark in external_remarks(found) if "scale" in remark] == wanted
    # A cache has a row for everyone, of NaN where there is no expression.
    gaps = np.vstack([other.expression.values, np.full((1, 300), np.nan)])
    table = ExpressionTable((*other.expression.patients, "X"), other.expression.genes, gaps)
    assert expression_unlike(replace(other, expression=table), own) == said


def test_bags_of_another_encoder_are_refused(cohort, bundle, bags, tmp_path):
    foreign = {name: replace(bag, encoder=encoder_identity(16, "uni")) for name, bag in bags.items()}
    with pytest.raises(BundleMismatchError, match="uni"):
        drain(evaluate_bundle(cohort, bundle, foreign, out=tmp_path, effort=QUICK))


def test_patients_without_a_bag_are_named(cohort, tmp_path):
    for patient in cohort.patients[:3]:
        write_bag(tmp_path / f"{patient.slide_ids[0]}.h5", random_bag(slide_id=patient.slide_ids[0]))
    left = with_bags(cohort, tmp_path)
    assert len(left.patients) == 3
    assert f"{N - 3} patients kept out: no bag in the folder" in str(left.findings[-1])
    with pytest.raises(CohortError, match=f"none of the {N} patients has its bags"):
        with_bags(cohort, tmp_path / "empty")


def test_pathways_are_ranked_by_their_mean_attention():
    ranked = rank_pathways(["A", "B", "C"], np.array([[0.2, 0.5, 0.3], [0.4, 0.5, 0.1]]))
    assert [item.name for item in ranked] == ["B", "A", "C"]
    assert [item.rank for item in ranked] == [1, 2, 3]
    np.testing.assert_allclose([item.attention for item in ranked], [0.5, 0.3, 0.2])
    np.testing.assert_allclose([item.normalised for item in ranked], [1, 1 / 3, 0], atol=1e-12)
    np.testing.assert_allclose(ranked[1].std, 0.1)
    equal = rank_pathways(["A", "B"], np.full((3, 2), 0.5))
    assert [item.normalised for item in equal] == [0, 0]
    assert [item.name for item in equal] == ["A", "B"]


def test_an_explanation_is_the_mean_of_single_predictions(cohort, bundle, bags, tmp_path):
    found = drain(explain_bundle(cohort, bundle, bags, out=tmp_path))
    assert (found.n_patients, found.n_left_out) == (N - 4, 4)
    genes, _ = usable_genes(cohort, bundle)
    single = [predict_bag(bags[name], bundle, genes=genes[name]) for name in genes]
    mean = np.mean([item.teacher.pathway_importance for item in single], axis=0)
    for item in found.pathways:
        assert item.attention == pytest.approx(mean[bundle.card.pathways.index(item.name)])
    assert sum(item.attention for item in found.pathways) == pytest.approx(1)
    rho = [spearmanr(item.patch_scores, item.teacher.patch_scores).statistic for item in single]
    assert found.mean_agreement["spearman"] == pytest.approx(np.mean(rho))
    with (tmp_path / "pathways.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [item.name for item in found.pathways]
    assert float(rows[0]["normalised"]) == 1
    assert float(rows[-1]["normalised"]) == 0
    assert len(pd.read_csv(tmp_path / "agreement.csv")) == N - 4
    names = ("pathways.csv", "agreement.csv", "pathways.png", "pathways.svg", "agreement.png")
    assert [name for name in names if not says_it(tmp_path / name)] == []
    summary = json.loads((tmp_path / "explanation.json").read_text())
    assert summary["synthetic"] is True
    for name in ("pathways.png", "pathways.svg", "agreement.png", "agreement.svg"):
        assert (tmp_path / name).stat().st_size > 1000
    assert "most: SIM_PATHWAY_" in str(found)
    assert "4 without expression left out" in str(found)


def test_what_moves_the_teachers_risk_is_read_over_the_cohort(cohort, bundle, bags, tmp_path, monkeypatch):
    # A teacher of random weights follows its genes less closely than a trained one.
    monkeypatch.setattr(pathway_effects, "LEAST_EXPLAINED", 0.05)
    found = drain(explain_bundle(cohort, bundle, bags, out=tmp_path))
    genes, _ = usable_genes(cohort, bundle)
    risks = np.array([predict_bag(bags[name], bundle, genes=genes[name]).teacher.risk for name in genes])
    z_scores = np.mean(
        [
            [[(values[gene] - mean) / std for gene, mean, std in zip(bundle.card.genes, *scaling, strict=True)]
             for values in genes.values()]
            for scaling in ((member.scaling.mean, member.scaling.std) for member in bundle.members)
        ],
        axis=0,
    )  # fmt: skip
    reading = PathwayEffects.of_cohort(pathway_activities(z_scores, bundle.membership), risks)
    assert found.explained == pytest.approx(reading.explained)
    assert reading.stands_for_teacher
    expected = dict(zip(bundle.card.pathways, reading.effect, strict=True))
    assert {row.name: row.effect for row in found.effects} == pytest.approx(expected)
    sizes = [abs(row.effect) for row in found.effects]
    assert sizes == sorted(sizes, reverse=True)
    assert says_it(tmp_path / "effects.csv")
    rows = pd.read_csv(tmp_path / "effects.csv")
    assert list(rows["name"]) == [row.name for row in found.effects]
    summary = json.loads((tmp_path / "explanation.json").read_text())
    assert summary["explained_by_pathways"] == found.explained
    raised = [row.name for row in found.effects if row.effect > 0]
    assert summary["raising_risk"] == raised
    drawing = (tmp_path / "effects.svg").read_text()
    assert f"explains {found.explained:.0%} of it" in drawing
    assert f"raises: {raised[0]}" in str(found)


@pytest.mark.usefixtures("no_pictures")
def test_effects_that_were_not_read_or_do_not_stand_are_said_and_not_drawn(cohort, bundle, bags, tmp_path):
    few = cohort.keep_only(lambda patient: patient in cohort.patients[: MIN_PATIENTS - 1], "a trial")
    found = drain(explain_bundle(few, bundle, bags, out=tmp_path / "few"))
    assert f"not read, which takes {MIN_PATIENTS} patients" in str(found)
    (tmp_path / "weak").mkdir()
    (tmp_path / "weak" / "effects.csv").write_text("of an earlier reading\n")
    weak = drain(explain_bundle(cohort, bundle, bags, out=tmp_path / "weak"))
    assert 0 < weak.explained < LEAST_EXPLAINED
    assert f"explains {weak.explained:.0%} of the teacher's risk, less than 30%: not shown" in str(weak)
    for result, folder, explained in ((found, "few", None), (weak, "weak", weak.explained)):
        assert result.effects == ()
        assert not list((tmp_path / folder).glob("effects.*"))
        summary = json.loads((tmp_path / folder / "explanation.json").read_text())
        assert (summary["explained_by_pathways"], summary["raising_risk"]) == (explained, [])


def test_maps_of_several_slides_are_compared_one_by_one(cohort, bundle):
    slides = [random_bag(20, seed=1, slide_id="one"), random_bag(15, seed=2, slide_id="two")]
    bag = concatenate_bags(
        [replace(s, slide_fingerprint="a" * 16 + s.slide_id) for s in slides], patient_id="P"
    )
    genes = dict.fromkeys(bundle.card.genes, 5.0)
    prediction = predict_bag(bag, bundle, genes=genes)
    found = slide_agreements(
        replace(cohort.patients[0], patient_id="P", slide_ids=("one", "two")), prediction
    )
    assert [(item.slide_id, item.n_patches) for item in found] == [("one", 20), ("two", 15)]
    first = spearmanr(prediction.patch_scores[:20], prediction.teacher.patch_scores[:20]).statistic
    assert found[0].agreement.spearman == pytest.approx(first)


def test_an_explanation_needs_a_teacher_and_expression(cohort, bundle, bags, tmp_path):
    with pytest.raises(ModalityError, match="no teacher"):
        drain(explain_bundle(cohort, random_bundle(teacher=False), bags, out=tmp_path))
    with pytest.raises(ModalityError, match="has no expression"):
        drain(explain_bundle(replace(cohort, expression=NO_TABLE), bundle, bags, out=tmp_path))


@pytest.fixture(scope="module")
def on_disk(cohort, bundle, bags, tmp_path_factory):
    """The same cohort as files."""
    folder = tmp_path_factory.mktemp("cohort")
    clinical = ["patient_id,slide_ids,os_months,os_event"]
    for patient in cohort.patients:
        clinical.append(f"{patient.patient_id},{patient.slide_ids[0]},{patient.time},{int(patient.event)}")
        bag = replace(bags[patient.patient_id], slide_id=patient.slide_ids[0], slide_fingerprint="")
        write_bag(folder / "bags" / f"{patient.slide_ids[0]}.h5", bag)
    (folder / "clinical.csv").write_text("\n".join(clinical) + "\n")
    table = pd.DataFrame(cohort.expression.values, columns=list(cohort.expression.genes))
    table.insert(0, "patient_id", list(cohort.expression.patients))
    table.to_csv(folder / "expression.csv", index=False)
    (folder / "pathways.gmt").write_text("P1\tx\tGENE0\tGENE1\n")
    (folder / "cohort.toml").write_text(
        '[cohort]\nname = "outside"\nclinical = "clinical.csv"\nexpression = "expression.csv"\n'
        'pathways = "pathways.gmt"\nbags = "bags"\nsynthetic = true\n'
    )
    write_bundle(folder / "model.amkd", random_bundle())
    return folder


def run_on(folder, command, cohort, out):
    return run_amkd(command, "--bundle", folder / "model.amkd", "--cohort", folder / cohort, "--out", out)


@pytest.mark.usefixtures("no_pictures")
def test_amkd_evaluate_from_files(on_disk, tmp_path):
    code, output = run_on(on_disk, "evaluate", "cohort.toml", tmp_path / "out")
    assert code == 0, output
    assert "SYNTHETIC: outside" in output
    assert "student on test: C-index" in output
    assert "4 patients without expression were scored by the student alone" in output
    assert f"teacher on test ({N - 4} of {N} patients): C-index" in output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".lock", "predictions.csv", "metrics.json", "figures", "report.html",
    }  # fmt: skip


@pytest.mark.usefixtures("no_pictures")
def test_another_endpoint_and_how_the_tables_were_understood_are_said_where_the_command_runs(
    on_disk, tmp_path
):
    """The report alone said so: who reads figures off the terminal took progressions for deaths."""
    followed = pd.read_csv(on_disk / "clinical.csv").rename(columns={"os_event": "pfi_event"})
    followed["pfi_days"] = followed.pop("os_months") * 0.3
    followed.to_csv(on_disk / "progressed.csv", index=False)
    text = (on_disk / "cohort.toml").read_text().replace("clinical.csv", "progressed.csv")
    (on_disk / "progressed.toml").write_text(text + 'endpoint = "pfi"\n')
    code, output = run_on(on_disk, "evaluate", "progressed.toml", tmp_path)
    assert code == 0, output
    said = " ".join(output.split())
    assert "Warning: the model was trained for endpoint os, but this cohort's is pfi." in said
    assert (
        "Time is column pfi_days, in days (a month is 30.4375 days). Event is column pfi_event: 1 means"
        in said
    )
    assert "Warning: The longest follow-up is " in said
    code, output = run_on(on_disk, "explain", "progressed.toml", tmp_path)
    assert code == 0, output
    assert "Warning: The longest follow-up is " in " ".join(output.split())


@pytest.mark.usefixtures("no_pictures")
def test_patients_without_expression_are_read_and_scored(on_disk, tmp_path):
    assert len(read_external_cohort(on_disk / "cohort.toml").patients) == N
    text = (on_disk / "cohort.toml").read_text()
    bare = re.sub(r'(?:expression|pathways) = ".*"\n', "", text)
    (on_disk / "slides_only.toml").write_text(bare)
    cohort = read_external_cohort(on_disk / "slides_only.toml")
    assert len(cohort.patients) == N
    assert not cohort.expression.patients
    code, output = run_on(on_disk, "evaluate", "slides_only.toml", tmp_path)
    assert code == 0, output
    page = (tmp_path / "report.html").read_text()
    assert "The cohort has no expression, so the student alone was scored" in page
    assert "The cohort has no expression, so the student alone was scored" in output
    assert "also read their genes" not in page
    assert "teacher" not in json.loads((tmp_path / "metrics.json").read_text())["models"]


def test_amkd_explain_from_files(on_disk, tmp_path):
    code, output = run_on(on_disk, "explain", "cohort.toml", tmp_path / "out")
    assert code == 0, output
    assert "most: SIM_PATHWAY_" in output
    assert (tmp_path / "out" / "pathways.csv").is_file()
    assert open_bundle(on_disk / "model.amkd").has_teacher


@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_wrong_use_is_one_sentence_and_exit_code_2(on_disk, tmp_path, command):
    code, output = run_amkd(
        command, "--bundle", tmp_path / "absent.amkd", "--cohort", on_disk / "cohort.toml"
    )
    assert code == 2
    assert "no such file" in output
    bare = tmp_path / "cohort.toml"
    bare.write_text((on_disk / "cohort.toml").read_text().replace('bags = "bags"\n', "").replace(
        'clinical = "', f'clinical = "{on_disk}/').replace('expression = "', f'expression = "{on_disk}/').replace(
        'pathways = "', f'pathways = "{on_disk}/'))  # fmt: skip
    code, output = run_amkd(command, "--bundle", on_disk / "model.amkd", "--cohort", bare)
    assert code == 2
    assert "names neither slides nor bags" in output
    assert "Traceback" not in output
    absent = tmp_path / "no-bags"
    given = ("--bundle", on_disk / "model.amkd", "--cohort", on_disk / "cohort.toml", "--bags", absent)
    code, output = run_amkd(command, *given)
    assert code == 2
    assert f"--bags {absent}: no such folder" in " ".join(output.split())
    assert not absent.exists()


@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_slides_are_extracted_on_the_device_that_was_asked_for(command, tmp_path, monkeypatch) -> None:
    from amkd_core.training import slides_of_run

    write_bundle(tmp_path / "m.amkd", random_bundle())
    rows = "".join(f"P{i},S{i},{i + 5},{i % 2}\n" for i in range(12))
    (tmp_path / "c.csv").write_text("patient_id,slide_ids,os_months,os_event\n" + rows)
    (tmp_path / "slides").mkdir()
    for i in range(12):
        (tmp_path / "slides" / f"S{i}.tif").write_bytes(b"II*\0" + bytes(60))
    (tmp_path / "c.toml").write_text('[cohort]\nname = "c"\nclinical = "c.csv"\nslides = "slides"\n')
    seen = []

    def extract(cohort, out, *, jobs, weights, device):
        seen.append(device)
        raise CohortError("far enough")
        yield

    monkeypatch.setattr(slides_of_run, "extract_missing", extract)
    if command == "explain":  # which needs genes: said before any slide is encoded
        given = ("--bundle", tmp_path / "m.amkd", "--cohort", tmp_path / "c.toml", "--out", tmp_path / "o")
        code, text = run_amkd(command, *given)
        assert (code, seen) == (2, []), text
        assert "has no expression; name its table as expression under [cohort]" in " ".join(text.split())
        monkeypatch.setattr("amkd_core.training.explain.genes_to_explain", lambda *_: ({}, ""))
    code, text = run_amkd(
        command, "--bundle", tmp_path / "m.amkd", "--cohort", tmp_path / "c.toml", "--out", tmp_path / "o",
        "--device", "cuda",
    )  # fmt: skip
    assert (code, seen) == (2, ["cuda"]), text


def test_training_slides_are_refused_before_any_is_encoded(tmp_path, monkeypatch) -> None:
    from amkd_core.seen_slides import file_digest
    from amkd_core.slides.opening import fingerprint_of
    from amkd_core.training import slides_of_run

    rows = "".join(f"P{i},S{i},{i + 5},{i % 2}\n" for i in range(12))
    (tmp_path / "c.csv").write_text("patient_id,slide_ids,os_months,os_event\n" + rows)
    (tmp_path / "slides").mkdir()
    for i in range(12):
        (tmp_path / "slides" / f"S{i}.tif").write_bytes(b"II*\0" + bytes(60 + i))
    (tmp_path / "c.toml").write_text('[cohort]\nname = "c"\nclinical = "c.csv"\nslides = "slides"\n')
    bundle = random_bundle()
    known = file_digest(fingerprint_of(tmp_path / "slides" / "S3.tif"))
    card = bundle.card.model_copy(update={"training_slides": [known]})
    write_bundle(tmp_path / "m.amkd", replace(bundle, card=card))
    encoded = []
    monkeypatch.setattr(slides_of_run, "extract_missing", lambda *a, **k: encoded.append(a) or iter(()))
    code, text = run_amkd(
        "evaluate", "--bundle", tmp_path / "m.amkd", "--cohort", tmp_path / "c.toml", "--out", tmp_path / "o"
    )
    assert (code, encoded) == (2, []), text
    assert "trained on slides of 1 of the 12 patients (P3), so this is no external cohort" in " ".join(
        text.split()
    )
