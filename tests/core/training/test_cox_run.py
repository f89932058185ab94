"""A run under the Cox loss, from the command to the viewer's panel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from training_fixtures import fold_overrides, run_amkd, run_train

from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.errors import BundleError
from amkd_core.export.prediction_json import prediction_record
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.survival_summary import member_curves, summarise
from amkd_core.training.fold_record import read_predictions
from amkd_viewer.colours import window_colours
from amkd_viewer.events import Finished, PredictionRequest
from amkd_viewer.plots import draw_survival, survival_table
from amkd_viewer.session import PredictionSession
from amkd_viewer.wording import survival_facts


@pytest.fixture(scope="module")
def cox_run(unsplit_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cox") / "out"
    exit_code, output = run_train(
        "--cohort", unsplit_toml, "--out", out, "--folds", 2, *fold_overrides(), "--set", "survival_loss=cox"
    )  # fmt: skip
    assert exit_code == 0, output
    return out


def test_predictions_and_report_hold_survival_in_months(cox_run: Path) -> None:
    table = read_predictions(cox_run / "predictions.csv")
    bins = json.loads((cox_run / "bins.json").read_text())
    for fold, rows in table.groupby("fold"):
        hazards = rows[[f"hazard_{index}" for index in range(1, len(bins[str(fold)]))]].to_numpy()
        assert np.isfinite(hazards).all()
        lived = np.cumprod(1 - hazards, axis=1)[:, -1]
        for name in ("student", "teacher"):  # each has a baseline of its own
            own = (rows["model"] == name).to_numpy()
            assert (np.argsort(-lived[own]) == np.argsort(rows["risk"][own])).all()
    metrics = json.loads((cox_run / "metrics.json").read_text())
    for name in ("student", "teacher"):
        found = metrics["models"][name]
        assert 0 < found["integrated_brier"]["value"] < 0.5
        assert found["calibration"]["points"]
        assert found["c_index"]["mean"] > 0.5
    fitted = json.loads((cox_run / "fold-1" / "fitted.json").read_text())
    assert set(fitted["baseline_hazard"]) == {"student", "teacher"}
    assert len(fitted["baseline_hazard"]["student"]) == len(fitted["time_bins_months"]) - 1


def test_the_bundle_predicts_what_the_folds_predicted(cox_run: Path, unsplit_toml: Path) -> None:
    rows = read_predictions(cox_run / "fold-1" / "predictions.csv")
    rows = rows[rows["model"] == "student"].set_index("patient_id")
    bundle = open_bundle(cox_run / "fold-1" / "model.amkd")
    bag = read_bag(unsplit_toml.parent / "bags" / "P03s.h5")
    prediction = predict_bag(bag, bundle)
    row = rows.loc["P03"]
    assert prediction.risk == pytest.approx(row["risk"], abs=1e-6)
    assert prediction.risk_group == ("high" if row["high_risk"] else "low")
    hazards = row[[f"hazard_{index}" for index in range(1, len(prediction.hazards) + 1)]].to_numpy(float)
    np.testing.assert_allclose(prediction.hazards, hazards, atol=1e-6)
    # Median risk of the training patients, in the middle between 0 and 100.
    assert np.mean(bundle.members[0].training_risks) == pytest.approx(0, abs=1e-6)


def test_the_viewers_session_opens_it_and_shows_survival(cox_run: Path, unsplit_toml: Path) -> None:

    bag = read_bag(unsplit_toml.parent / "bags" / "P03s.h5")

    def predict(request, bundle) -> Generator:
        yield from ()
        return predict_bag(bag, bundle)

    events: list = []
    session = PredictionSession(events.append, predict=predict)
    session.start(PredictionRequest(Path("a.svs"), bag.slide_fingerprint, cox_run / "model.amkd"))
    assert session.wait(30)
    session.close()
    assert isinstance(events[-1], Finished), events[-1]
    prediction = events[-1].prediction
    assert len(prediction.members) == 2
    assert len({member.bin_edges_months for member in prediction.members}) == 2
    # Survival at the first member's edges is that of the drawn curve.
    edges = prediction.bin_edges_months[1:]
    drawn = np.interp(edges, prediction.curve.time_months, prediction.curve.survival)
    np.testing.assert_allclose(prediction.survival[:-1], drawn)
    np.testing.assert_allclose(np.cumprod(1 - prediction.hazards), prediction.survival)
    curves = member_curves(prediction)
    mean = [np.interp(24.0, curve.time_months, curve.survival) for curve in curves]
    assert np.interp(24.0, prediction.curve.time_months, prediction.curve.survival) == pytest.approx(
        np.mean(mean)
    )
    assert summarise(prediction.curve).at_years[0][1] is not None
    facts = dict(survival_facts(prediction))
    assert any("%" in text for text in facts.values())
    figure = Figure()
    draw_survival(figure, window_colours("dark"), prediction=prediction)
    assert len(survival_table(prediction)) > 10
    assert json.dumps(prediction_record(prediction))


@pytest.mark.usefixtures("no_pictures")
def test_evaluate_and_explain_take_the_bundle(cox_run: Path, unsplit_toml: Path, tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(unsplit_toml.parent, cohort)
    for path in (cohort / "bags").glob("*.h5"):  # other slides than those that it was trained on
        bag = read_bag(path)
        write_bag(path, replace(bag, features=bag.features + 0.01))
    told = "--bundle", cox_run / "model.amkd", "--cohort", cohort / "cohort.toml", "--out"
    exit_code, output = run_amkd("evaluate", *told, tmp_path / "E")
    assert exit_code == 0, output
    found = json.loads((tmp_path / "E" / "metrics.json").read_text())["models"]["student"]
    assert found["c_index_pooled"]["value"] > 0.5
    assert 0 < found["integrated_brier"]["value"] < 0.5
    exit_code, output = run_amkd("explain", *told, tmp_path / "X")
    assert exit_code == 0, output


def test_a_bundle_whose_head_and_baseline_contradict_is_refused(
    cox_run: Path, run: Path, tmp_path: Path
) -> None:
    cox, nll = open_bundle(cox_run / "fold-1" / "model.amkd"), open_bundle(run / "model.amkd")

    def swapped(bundle, **changes):
        return write_bundle(
            tmp_path / "model.amkd", replace(bundle, members=(replace(bundle.members[0], **changes),))
        )

    with pytest.raises(BundleError, match=r"array 'member0.baseline_hazard' is missing"):
        swapped(cox, baseline=None)
    with pytest.raises(BundleError, match=r"array 'member0.baseline_hazard' is unknown"):
        swapped(nll, baseline=cox.members[0].baseline)
    shorter = nll.members[0].time_bins
    with pytest.raises(BundleError, match=r"member 0: a baseline hazard needs one finite increment"):
        swapped(cox, time_bins=shorter)
