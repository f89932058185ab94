from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer import Typer
from typer.testing import CliRunner

from amkd_core.cli.simulate import simulate_command
from amkd_core.cohort.cohort import read_cohort
from amkd_core.errors import RunFolderError
from amkd_core.progress import Progress
from amkd_core.simulate.biology import draw_patients, make_pathways
from amkd_core.simulate.cohorts import simulate_cohort, slide_spec
from amkd_core.simulate.config import SimulationConfig
from amkd_core.simulate.demo import demo_config, demo_patient, demo_slide
from amkd_core.simulate.slides import SlideSpec
from amkd_core.simulate.tissue_map import Region
from amkd_core.simulate.truth import read_truth

CONFIG = SimulationConfig(n_patients=6, seed=2, width_px=640, height_px=512)


def _run(config: SimulationConfig, out: Path, jobs: int) -> tuple[list[Progress], Path]:
    steps = simulate_cohort(config, out, jobs=jobs)
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return seen, stop.value


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort")
    seen, toml = _run(CONFIG, out, 2)
    assert [step.done for step in seen] == list(range(7))
    assert toml == out / "cohort.toml"
    return out


def test_number_of_processes_and_of_patients_changes_nothing(cohort: Path, tmp_path: Path) -> None:
    _run(CONFIG.model_copy(update={"n_patients": 4}), tmp_path, 1)
    for name in ("slides/SIM-0001.tif", "slides/SIM-0004.tif", "truth/SIM-0003.png"):
        assert (tmp_path / name).read_bytes() == (cohort / name).read_bytes()
    few, many = (pd.read_parquet(folder / "expression.parquet") for folder in (tmp_path, cohort))
    pd.testing.assert_frame_equal(few, many.iloc[:4])
    few, many = (pd.read_csv(folder / "clinical.csv").drop(columns="split") for folder in (tmp_path, cohort))
    pd.testing.assert_frame_equal(few, many.iloc[:4])


def test_only_missing_slides_are_rendered(cohort: Path) -> None:
    before = {path.name: path.read_bytes() for path in (cohort / "slides").iterdir()}
    kept = {path.name: path.stat().st_mtime_ns for path in (cohort / "slides").iterdir()}
    (cohort / "slides" / "SIM-0002.tif").unlink()
    (cohort / "truth" / "SIM-0005.json").unlink()
    seen, _ = _run(CONFIG, cohort, 1)
    assert [step.done for step in seen] == [4, 5, 6]
    assert {path.name: path.read_bytes() for path in (cohort / "slides").iterdir()} == before
    touched = {
        path.name for path in (cohort / "slides").iterdir() if path.stat().st_mtime_ns != kept[path.name]
    }
    assert touched == {"SIM-0002.tif", "SIM-0005.tif"}


def test_the_cohort_is_one_that_training_reads(cohort: Path) -> None:
    found = read_cohort(cohort / "cohort.toml")
    assert len(found.patients) == 6
    assert found.file.synthetic
    clinical = pd.read_csv(cohort / "clinical.csv")
    assert list(clinical.patient_id) == [f"SIM-{index:04d}" for index in range(1, 7)]
    assert (clinical.os_months > 0).all()
    assert set(clinical.os_event) <= {0, 1}
    assert "SYNTHETIC" in (cohort / "README.md").read_text(encoding="utf-8")
    assert "SYNTHETIC" in (cohort / "cohort.toml").read_text(encoding="utf-8")


def test_truth_table_tells_what_was_drawn(cohort: Path) -> None:
    truth = pd.read_csv(cohort / "truth.csv").set_index("patient_id")
    patients = draw_patients(CONFIG, make_pathways(CONFIG))
    np.testing.assert_allclose(truth.log_hazard, patients.log_hazard, atol=1e-5)
    np.testing.assert_allclose(truth.SIM_DNA_REPAIR, patients.activities[:, 3], atol=1e-5)
    for index, name in enumerate(truth.index):
        labels = read_truth(cohort / "truth" / f"{name}.png").labels
        tissue = (labels != Region.BACKGROUND) & (labels != Region.PEN)
        share = (labels == Region.HIGH_GRADE).sum() / tissue.sum()
        assert truth.share_high_grade[name] == pytest.approx(share, abs=1e-5)
        look = slide_spec(CONFIG, patients, index).look
        assert truth.loc[name, "shown_SIM_HYPOXIA"] == pytest.approx(look.hypoxia, abs=1e-5)


def test_age_and_stage_are_weakly_prognostic(tmp_path: Path) -> None:
    from amkd_core.simulate.tables import write_tables

    config = SimulationConfig(n_patients=1000)
    pathways = make_pathways(config)
    patients = draw_patients(config, pathways)
    write_tables(tmp_path, config, pathways, patients)
    clinical = pd.read_csv(tmp_path / "clinical.csv")
    stage = clinical.ajcc_stage.map({"Stage I": 1, "Stage II": 2, "Stage III": 3, "Stage IV": 4})
    assert 0.2 < np.corrcoef(clinical.age_years, patients.log_hazard)[0, 1] < 0.45
    assert 0.3 < np.corrcoef(stage, patients.log_hazard)[0, 1] < 0.55
    shares = clinical.split.value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, abs=0.01)
    assert shares["validation"] == pytest.approx(0.16, abs=0.01)
    events = clinical.groupby("split").os_event.mean()
    assert np.ptp(events) < 0.02


def test_a_folder_of_another_cohort_is_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"a cohort of other settings \(seed \d there, 3 asked for\)"):
        next(simulate_cohort(CONFIG.model_copy(update={"seed": 3}), cohort))
    tables = (cohort / "clinical.csv").read_bytes()
    fewer = CONFIG.model_copy(update={"n_patients": CONFIG.n_patients - 1})
    with pytest.raises(
        RunFolderError, match=r"holds \d+ patients, but \d+ were asked for, and the tables would lose"
    ):
        next(simulate_cohort(fewer, cohort))
    assert (cohort / "clinical.csv").read_bytes() == tables
    (tmp_path / "slides").mkdir()
    with pytest.raises(RunFolderError, match="not simulated here"):
        next(simulate_cohort(CONFIG, tmp_path))
    (tmp_path / "simulation.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RunFolderError, match="of another version, or damaged"):
        next(simulate_cohort(CONFIG, tmp_path))


def test_closing_the_generator_stops_the_work_and_leaves_whole_slides(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"n_patients": 40})
    steps = simulate_cohort(config, tmp_path, jobs=1)
    assert next(steps).done == 0
    assert next(steps).done == 1
    steps.close()
    finished = list((tmp_path / "slides").glob("*.tif"))
    assert 1 <= len(finished) < 12
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_fifth_of_the_slides_has_a_pen_mark() -> None:
    config = SimulationConfig(n_patients=400)
    patients = draw_patients(config, make_pathways(config))
    specs = [slide_spec(config, patients, index) for index in range(400)]
    assert np.mean([spec.pen for spec in specs]) == pytest.approx(0.2, abs=0.05)
    assert len({spec.seed for spec in specs}) == 400


def test_demo_slide_is_drawn_once_with_truth_and_expression(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "demo.tif"
    assert demo_slide(path, size_px=(640, 512)) == path
    drawn = path.stat().st_mtime_ns
    labels = read_truth(tmp_path / "cache" / "demo-truth.png").labels
    assert (labels == Region.PEN).any()
    lines = (tmp_path / "cache" / "demo-expression.csv").read_text(encoding="utf-8").splitlines()
    genes = demo_patient()
    assert lines[0] == "gene,synthetic-demo-patient"
    assert {line.split(",")[0]: float(line.split(",")[1]) for line in lines[1:]} == pytest.approx(
        genes, abs=1e-4
    )
    demo_slide(path, size_px=(640, 512))
    assert path.stat().st_mtime_ns == drawn
    sidecar = tmp_path / "cache" / "demo-truth.json"
    old = json.loads(sidecar.read_text(encoding="utf-8")) | {"simulation_version": 0}
    sidecar.write_text(json.dumps(old), encoding="utf-8")
    demo_slide(path, size_px=(640, 512))
    assert path.stat().st_mtime_ns != drawn


def test_demo_patient_is_none_of_a_training_cohort() -> None:
    config = demo_config()
    assert config.n_patients > 1000
    assert isinstance(slide_spec(config, draw_patients(config, make_pathways(config)), 1118), SlideSpec)


def test_command_says_what_is_there_and_that_it_is_synthetic(cohort: Path, tmp_path: Path) -> None:
    app = Typer()
    app.command()(simulate_command)
    options = ["--patients", "6", "--slide-size", "640", "512", "--jobs", "1"]
    done = CliRunner().invoke(app, ["--out", str(cohort), "--seed", "2", *options])
    assert done.exit_code == 0, done.output
    assert "SYNTHETIC cohort of 6 patients" in done.output
    assert str(cohort / "cohort.toml") in done.output
    refused = CliRunner().invoke(app, ["--out", str(cohort), "--seed", "9", *options])
    assert refused.exit_code == 2
    assert "other settings" in refused.output
    small = CliRunner().invoke(app, ["--out", str(tmp_path), "--slide-size", "100", "512"])
    assert small.exit_code == 2
    assert "--slide-size: the width is 100" in small.output
