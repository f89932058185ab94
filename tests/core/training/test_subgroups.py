"""C-indices by subgroup: what they are, when they are none, and what a card tells of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundle_fixtures import random_bundle
from statistics_fixtures import QUICK, MadeRun, made_run
from training_fixtures import draw_nothing, fold_overrides, run_amkd, run_train

from amkd_core.bundle_card import Measured
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.bundle_words import KNOWN_LIMITS, SUBGROUP_CAUTION, limits_of, subgroup_line, subgroup_rows
from amkd_core.training import statistics as run_module
from amkd_core.training.card_subgroups import card_subgroups
from amkd_core.training.estimates import Estimate
from amkd_core.training.report_run import RunStatistics, report_run
from amkd_core.training.scored import Scored, scored_models
from amkd_core.training.statistics import run_statistics
from amkd_core.training.statistics_record import Subgroup, SubgroupFigure, Subgroups
from amkd_core.training.subgroup_statistics import subgroup_statistics

Groups = dict[tuple[str, str], Subgroup]
SHORT = replace(QUICK, n_shuffles=0)


def models_of(made: MadeRun) -> dict[str, Scored]:
    return scored_models(made.cohort, made.splits, made.predictions, made.bins)


def groups_of(made: MadeRun, *, n_resamples: int = 60, seed: int = 0) -> Groups:
    found = subgroup_statistics(made.cohort, models_of(made), seed=seed, n_resamples=n_resamples)
    return {(item.by, group.name): group for item in found for group in item.groups}


def with_patients(made: MadeRun, **changes) -> MadeRun:
    """The run with other fields of its patients, each a function of the patient."""
    patients = tuple(
        replace(one, **{name: change(one) for name, change in changes.items()})
        for one in made.cohort.patients
    )
    return replace(made, cohort=replace(made.cohort, patients=patients))


@pytest.fixture(scope="module")
def made() -> MadeRun:
    return made_run(150, 3)


def slow_c_index(rows: pd.DataFrame, counts: dict[str, int]) -> float:
    """By the definition, pair by pair, each patient as often as a resample holds him."""
    concordant = comparable = 0.0
    for one in rows.itertuples():
        for other in rows.itertuples():
            sooner = one.months < other.months or (one.months == other.months and not other.event)
            if one.patient_id == other.patient_id or one.fold != other.fold or not one.event or not sooner:
                continue
            weight = counts[one.patient_id] * counts[other.patient_id]
            comparable += weight
            concordant += weight * (1.0 if one.risk > other.risk else 0.5 if one.risk == other.risk else 0.0)
    return concordant / comparable


def test_figures_and_intervals_equal_a_slow_count_of_pairs(made: MadeRun) -> None:
    coarse = made.predictions.assign(risk=made.predictions["risk"].round(1))  # with ties
    made, groups = (
        replace(made, predictions=coarse),
        groups_of(replace(made, predictions=coarse), n_resamples=8),
    )
    known = {patient.patient_id: patient for patient in made.cohort.patients}
    chosen = {
        ("age", "65 years and older"): [n for n, p in known.items() if p.age_years and p.age_years >= 65],
        ("stage", "I and II"): [n for n, p in known.items() if p.stage in (1, 2)],
        ("sex", "male"): [n for n, p in known.items() if p.sex == "male"],
    }
    for key, names in chosen.items():
        for model in ("student", "teacher"):
            rows = coarse[(coarse["model"] == model) & coarse["patient_id"].isin(names)]
            figure = groups[key].models[model]
            assert (figure.n_patients, figure.n_events) == (len(rows), rows["event"].sum())
            once = slow_c_index(rows, dict.fromkeys(names, 1))
            assert figure.c_index.value == pytest.approx(once, abs=1e-12)
            draws = np.random.default_rng([0, 1]).multinomial(
                len(rows), np.full(len(rows), 1 / len(rows)), size=8
            )
            again = [slow_c_index(rows, dict(zip(rows["patient_id"], draw, strict=True))) for draw in draws]
            lower, upper = np.quantile(again, [0.025, 0.975])
            assert (figure.c_index.lower, figure.c_index.upper) == pytest.approx((lower, upper), abs=1e-12)
            assert figure.c_index.level == 0.95


def test_a_subgroup_of_everyone_has_the_runs_own_figure(made: MadeRun) -> None:
    everyone = with_patients(made, sex=lambda one: "F", age_years=lambda one: None, stage=lambda one: None)
    found = run_statistics(everyone.cohort, made.splits, models_of(everyone), seed=3, effort=SHORT)
    (item,) = found.subgroups
    (group,) = item.groups
    assert (group.name, group.n_patients, item.unknown) == ("female", 150, 0)
    for model, figure in group.models.items():
        assert figure.c_index == found.models[model].c_index_within_folds


def test_pairs_of_two_folds_are_none(made: MadeRun) -> None:
    moved = made.predictions.assign(risk=made.predictions["risk"] + 50.0 * made.predictions["fold"])
    before, after = groups_of(made), groups_of(replace(made, predictions=moved))
    for key, group in before.items():
        assert after[key].models["student"].c_index.value == pytest.approx(
            group.models["student"].c_index.value
        )


def test_of_nine_events_there_are_counts_and_of_ten_a_figure(made: MadeRun) -> None:
    died = [patient.patient_id for patient in made.cohort.patients if patient.event]
    for few in (9, 10):
        old = set(died[:few])
        changed = with_patients(made, age_years=lambda one, old=old: 70.0 if one.patient_id in old else 40.0)
        group = groups_of(changed)["age", "65 years and older"]
        assert (group.n_patients, group.n_events) == (few, few)
        for figure in group.models.values():
            assert (figure.c_index.value is None) == (few == 9)
            assert figure.c_index.reason == ("fewer than 10 events" if few == 9 else "")


def test_a_subgroup_without_signal_is_seen_and_the_others_are_left_alone() -> None:
    made = made_run(400, 3, clinical=0.0, noise=0.3)
    women = {patient.patient_id for patient in made.cohort.patients if patient.sex == "female"}
    whole = groups_of(made)
    assert min(whole["sex", name].models["student"].c_index.lower for name in ("female", "male")) > 0.6
    blind = []
    for seed in range(10):
        table = made.predictions.copy()
        hers = table["patient_id"].isin(women)
        shuffled = np.random.default_rng(seed).permutation(table.loc[hers, "risk"].to_numpy())
        table.loc[hers, "risk"] = shuffled
        groups = groups_of(replace(made, predictions=table))
        assert groups["sex", "male"] == whole["sex", "male"]
        blind += [item.c_index for item in groups["sex", "female"].models.values()]
    assert np.mean([item.value for item in blind]) == pytest.approx(0.5, abs=0.03)
    assert sum(item.lower < 0.5 < item.upper for item in blind) >= 17  # of twenty


def test_patients_whom_only_one_model_scored_count_for_that_model(made: MadeRun) -> None:
    gone = {patient.patient_id for patient in made.cohort.patients[:12] if patient.sex == "male"}
    table = made.predictions
    table = table[~((table["model"] == "teacher") & table["patient_id"].isin(gone))]
    group = groups_of(replace(made, predictions=table))["sex", "male"]
    assert group.n_patients == group.models["student"].n_patients == 75
    assert group.models["teacher"].n_patients == 75 - len(gone)


def test_subgroups_move_no_other_figure(made: MadeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(run: MadeRun) -> dict:
        return json.loads(
            run_statistics(run.cohort, run.splits, models_of(run), seed=0, effort=SHORT).model_dump_json()
        )

    found = told(made)
    turned = told(with_patients(made, sex=lambda one: "male" if one.time > 20 else "female"))
    assert found.pop("subgroups") != turned.pop("subgroups")
    assert found == turned
    monkeypatch.setattr(run_module, "subgroup_statistics", lambda *_, **__: [])
    assert found == {name: value for name, value in told(made).items() if name != "subgroups"}


def test_the_report_has_counts_figures_and_the_caution(
    made: MadeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch, but="subgroups")
    few = {patient.patient_id for patient in made.cohort.patients[:8]}
    made = with_patients(made, stage=lambda one: 4 if one.patient_id in few else 1)
    statistics = report_run(
        made.cohort, made.splits, made.predictions, made.bins, out=tmp_path, seed=0, provenance={}, effort=SHORT
    )  # fmt: skip
    read = RunStatistics.model_validate_json((tmp_path / "metrics.json").read_text())
    assert [item.by for item in read.subgroups] == ["age", "sex", "stage"]
    page = re.sub(r"\s+", " ", (tmp_path / "report.html").read_text())
    female = read.subgroups[1].groups[0]
    cells = [str(female.n_patients), str(female.n_events)]
    cells += [figure.c_index.text() for figure in female.models.values()]
    row = "<tr><td>Sex: female</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    assert row in page
    assert "<td>Stage: III and IV</td><td>8</td>" in page
    assert "not estimable: fewer than 10 events" in page
    assert SUBGROUP_CAUTION.replace("'", "&#39;") in page
    assert "Age: not told of 9 patients." in page
    assert f"student by sex, within folds: female {female.models['student'].c_index.text()}" in str(
        statistics
    )
    drawn = (tmp_path / "figures" / "subgroups.svg").read_text()
    for text in (
        "below 65 years",
        "III and IV",
        "not estimable",
        "8 patients",
        "all test patients",
        "student",
    ):
        assert text in drawn, text


def test_names_of_hospitals_are_drawn_as_they_stand(
    made: MadeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a formula begins with in a picture's text is a letter here."""
    draw_nothing(monkeypatch, but="subgroups")
    named = with_patients(made, group=lambda one: "$north_{$" if int(one.patient_id[4:]) % 2 else "<b>south")
    file = named.cohort.file.model_copy(update={"group": "hospital"})
    cohort = replace(named.cohort, file=file)
    report_run(
        cohort, made.splits, made.predictions, made.bins, out=tmp_path, seed=0, provenance={}, effort=SHORT
    )
    assert "$north_{$" in (tmp_path / "figures" / "subgroups.svg").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "Site: &lt;b&gt;south" in page
    assert "<b>south" not in page


def figure(n_patients: int, n_events: int, reason: str = "") -> SubgroupFigure:
    found = Estimate(reason=reason) if reason else Estimate(value=0.61239, lower=0.5, upper=0.7, level=0.95)
    return SubgroupFigure(n_patients=n_patients, n_events=n_events, c_index=found)


def subgroup(name: str, n_patients: int, n_events: int, reason: str = "", **teacher) -> Subgroup:
    models = {"student": figure(n_patients, n_events, reason)}
    models |= {"teacher": figure(*teacher["teacher"])} if teacher else {}
    return Subgroup(name=name, n_patients=n_patients, n_events=n_events, models=models)


def test_a_card_tells_no_event_from_which_those_of_few_patients_could_be_worked_out() -> None:
    no_pair = "no two of the 12 patients of one fold (11 events) are comparable"
    groups = [subgroup("female", 40, 22, teacher=(38, 20)), subgroup("male", 4, 3, "fewer than 10 events")]
    large = [subgroup("I and II", 20, 11, no_pair), subgroup("III and IV", 5, 5, "fewer than 10 events")]
    sex, stage = card_subgroups(
        [Subgroups(by="sex", groups=groups, unknown=2), Subgroups(by="stage", groups=large, unknown=21)]
    )
    assert (sex.pooled_groups, sex.pooled_patients, sex.unknown) == (1, 4, 2)
    assert [(item.model, item.group, item.n_patients, item.n_events) for item in sex.measured] == [
        ("student", "female", 40, None), ("teacher", "female", 38, None),
    ]  # fmt: skip
    assert sex.measured[0].c_index == 0.61239
    assert (stage.pooled_groups, stage.pooled_patients) == (0, 0)
    assert [(item.n_events, item.reason) for item in stage.measured] == [
        (11, no_pair), (5, "fewer than 10 events"),
    ]  # fmt: skip
    hidden = [subgroup("female", 12, 11, no_pair), subgroup("male", 1, 1, "fewer than 10 events")]
    (sex,) = card_subgroups([Subgroups(by="sex", groups=hidden)])
    assert "11" not in sex.model_dump_json()


def test_a_card_goes_round_and_says_in_words_what_it_holds(tmp_path: Path) -> None:
    age = Subgroups(
        by="age",
        groups=[
            subgroup("below 65 years", 20, 11, teacher=(20, 11)),
            subgroup(
                "65 years and older", 8, 4, "fewer than 10 events", teacher=(7, 4, "fewer than 10 events")
            ),
        ],
        unknown=1,
    )
    site = Subgroups(by="site", groups=[subgroup("A2", 18, 10)], pooled_groups=2, pooled_patients=11)
    whole = {"fold": 1, "n_patients": 29, "n_events": 15, "reason": "as a test"}
    card = random_bundle().card.model_copy(
        update={
            "measured": [Measured(model=model, **whole) for model in ("student", "teacher")],
            "subgroups": card_subgroups([age, site]),
        }
    )
    path = tmp_path / "model.amkd"
    write_bundle(path, replace(random_bundle(), card=card))
    read = open_bundle(path).card
    assert read.subgroups == card.subgroups
    assert subgroup_rows(read) == [
        ("subgroups", SUBGROUP_CAUTION),
        (
            "age, below 65 years",
            "student 0.612 [0.500, 0.700], teacher 0.612 [0.500, 0.700], on 20 test patients with 11 events",
        ),
        (
            "age, 65 years and older",
            "student not estimable (fewer than 10 events), on 8 test patients with 4 events; "
            "teacher not estimable (fewer than 10 events), on 7 test patients with 4 events",
        ),
        ("age, others", "not told of 1 patient"),
        ("site, A2", "student 0.612 [0.500, 0.700], on 18 test patients with 10 events"),
        ("site, others", "2 groups with 11 patients only counted"),
    ]
    assert subgroup_line(read) == "C-index: age below 65 years 0.61 [0.50, 0.70]; they may differ by chance"
    assert SUBGROUP_CAUTION in limits_of(read)[len(KNOWN_LIMITS) - 1]
    exit_code, shown = run_amkd("model", path)
    assert exit_code == 0, shown
    for label, text in subgroup_rows(read):
        assert re.search(rf"^{re.escape(label)} +{re.escape(text)}$", shown, re.MULTILINE), label
    without = read.model_copy(update={"subgroups": []})
    assert (subgroup_rows(without), subgroup_line(without)) == ([], "")
    assert limits_of(without)[: len(KNOWN_LIMITS)] == KNOWN_LIMITS


def beside(toml: Path, folder: Path) -> Path:
    """A folder with the cohort's file and tables but the clinical one."""
    for name in ("expression.csv", "pathways.gmt", "bags"):
        (folder / name).symlink_to((toml.parent / name).resolve())
    (folder / "cohort.toml").write_text(toml.read_text())
    return folder


@pytest.fixture(scope="module")
def clinical_toml(unsplit_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny cohort with age, sex and stage in its table."""
    folder = beside(unsplit_toml, tmp_path_factory.mktemp("told"))
    rng = np.random.default_rng(2)
    table = pd.read_csv(unsplit_toml.parent / "clinical.csv")
    table["age"], table["stage"] = rng.integers(40, 90, len(table)), rng.choice(["I", "III"], len(table))
    table["GENDER"] = rng.choice(["F", "M"], len(table))
    table.to_csv(folder / "clinical.csv", index=False)
    return folder / "cohort.toml"


@pytest.fixture(scope="module")
def told_run(clinical_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        exit_code, output = run_train(
            "--cohort", clinical_toml, "--out", out, "--folds", 2, *fold_overrides()
        )
    assert exit_code == 0, output
    assert "student by sex, within folds: female " in output, output
    return out


def test_a_run_writes_them_and_its_bundles_tell_the_same(told_run: Path) -> None:
    statistics = RunStatistics.model_validate_json((told_run / "metrics.json").read_text())
    assert [item.by for item in statistics.subgroups] == ["age", "sex", "stage"]
    card = open_bundle(told_run / "model.amkd").card
    assert card.subgroups == card_subgroups(statistics.subgroups)
    assert sum(item.c_index is not None for found in card.subgroups for item in found.measured) >= 8
    assert SUBGROUP_CAUTION in " ".join(card.limits)
    assert not [sentence for sentence in card.limits if sentence == KNOWN_LIMITS[-1]]
    page = (told_run / "report.html").read_text()
    assert subgroup_rows(card)[1][1] in page
    for fold, size in enumerate(statistics.folds, start=1):
        own = open_bundle(told_run / f"fold-{fold}" / "model.amkd").card
        assert {item.n_patients("student") + item.pooled_patients for item in own.subgroups} == {
            size.n_patients
        }


@pytest.mark.usefixtures("no_pictures")
def test_no_weight_and_no_other_figure_knows_of_them(
    told_run: Path, clinical_toml: Path, tmp_path: Path
) -> None:
    """Trained once more on the same patients with their sexes exchanged."""
    folder = beside(clinical_toml, tmp_path)
    table = pd.read_csv(clinical_toml.parent / "clinical.csv")
    table["GENDER"] = np.roll(table["GENDER"], 1)
    table.to_csv(folder / "clinical.csv", index=False)
    out = tmp_path / "out"
    exit_code, output = run_train(
        "--cohort", folder / "cohort.toml", "--out", out, "--folds", 2, *fold_overrides()
    )
    assert exit_code == 0, output
    own, other = (json.loads((run / "metrics.json").read_text()) for run in (told_run, out))
    assert own.pop("subgroups") != other.pop("subgroups")
    assert own == other
    for name in ("predictions.csv", "folds.json", "bins.json"):
        assert (told_run / name).read_bytes() == (out / name).read_bytes()
    for name in ("model.amkd", "fold-1/model.amkd", "fold-2/model.amkd"):
        one, two = (open_bundle(run / name).card for run in (told_run, out))
        assert one.parts == two.parts
        assert one.measured == two.measured
