"""A tiny cohort of bags with a planted signal, trained by the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_fixtures import encoder_identity
from typer.testing import CliRunner

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bundle_file import open_bundle
from amkd_core.cli.terminal import drain
from amkd_core.cli.train import app
from amkd_core.cohort.cohort import read_cohort
from amkd_core.cohort.folds import make_split
from amkd_core.errors import CohortError, ConfigError, RunFolderError
from amkd_core.inference.predict import predict_bag
from amkd_core.models import build_model
from amkd_core.training.config import OptimConfig, TrainingConfig, load_config
from amkd_core.training.fit import Stage, fit
from amkd_core.training.inputs import make_inputs, read_bags
from amkd_core.training.run_folder import FolderInUseError, run_folder
from amkd_core.training.stages import attach_targets, survival_objective, train_teacher

N_PATIENTS, D = 48, 6
QUICK = [
    "model.dim=8", "teacher.epochs=4", "student.epochs=4", "teacher.learning_rate=0.01", "student.learning_rate=0.01",
    "distill.inner_folds=2", "threads=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def cohort_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    danger = rng.normal(size=N_PATIENTS)
    genes = danger[:, None] + 0.3 * rng.normal(size=(N_PATIENTS, 6)) + 5
    clinical = ["patient_id,slide_ids,os_months,os_event"]
    expression = ["patient_id," + ",".join(f"G{i}" for i in range(6))]
    for index in range(N_PATIENTS):
        name = f"P{index:02d}"
        months = float(np.exp(3 - danger[index]) * rng.weibull(2)) + 0.1
        clinical.append(f"{name},{name}s,{months:.3f},{int(rng.random() < 0.8)}")
        expression.append(name + "," + ",".join(f"{value:.4f}" for value in genes[index]))
        n_patches = int(rng.integers(5, 12))
        values = rng.normal(size=(n_patches, D)).astype(np.float32)
        values[:, 0] += danger[index]
        identity = encoder_identity(D)
        write_bag(folder / "bags" / f"{name}s.h5", FeatureBag(values, identity, 256, 0.5, f"{name}s"))
    (folder / "clinical.csv").write_text("\n".join(clinical) + "\n")
    (folder / "expression.csv").write_text("\n".join(expression) + "\n")
    (folder / "pathways.gmt").write_text("P1\tx\tG0\tG1\tG2\nP2\tx\tG3\tG4\tG5\n")
    (folder / "cohort.toml").write_text(
        '[cohort]\nname = "tiny"\nclinical = "clinical.csv"\nexpression = "expression.csv"\n'
        'pathways = "pathways.gmt"\nbags = "bags"\nsynthetic = true\n'
    )
    return folder / "cohort.toml"


@pytest.fixture(scope="module")
def inputs(cohort_toml: Path):
    cohort = read_cohort(cohort_toml)
    config = load_config(None, QUICK)
    split = make_split(cohort.patients, seed=0)
    bags = read_bags(cohort, cohort.file.bags)
    return cohort, bags, split, config, make_inputs(cohort, bags, split, config)


def run_train(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output + result.stderr


def overrides() -> list[str]:
    return [word for item in QUICK for word in ("--set", item)]


@pytest.fixture(scope="module")
def run(cohort_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    exit_code, output = run_train("--cohort", cohort_toml, "--out", out, *overrides())
    assert exit_code == 0, output
    assert "SYNTHETIC cohort tiny" in output
    assert "student on test: C-index" in output
    return out


def test_a_run_leaves_a_bundle_that_predicts_what_the_run_wrote(run: Path, cohort_toml: Path) -> None:
    bundle = open_bundle(run / "model.amkd")
    assert bundle.card.synthetic
    assert bundle.has_teacher
    rows = [line.split(",") for line in (run / "predictions.csv").read_text().splitlines()[1:]]
    assert len(rows) == N_PATIENTS
    for name, _, _, _, student, _ in rows[:5]:
        bag = read_bag(cohort_toml.parent / "bags" / f"{name}s.h5")
        assert predict_bag(bag, bundle).risk == pytest.approx(float(student), abs=1e-5)
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["model"]["dim"] == 8
    assert record["environment"]["torch"] == torch.__version__


def test_the_same_command_gives_the_same_bundle_bit_by_bit(
    run: Path, cohort_toml: Path, tmp_path: Path
) -> None:
    assert run_train("--cohort", cohort_toml, "--out", tmp_path / "again", *overrides())[0] == 0
    first, second = (open_bundle(folder / "model.amkd").card.parts for folder in (run, tmp_path / "again"))
    assert first == second


def test_a_killed_run_continues_to_the_same_bundle(run: Path, cohort_toml: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    command = [sys.executable, "-c", "from amkd_core.cli.train import main; main()"]
    arguments = ["--cohort", str(cohort_toml), "--out", str(out), *overrides()]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / "teacher" / "history.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "model.amkd").exists()
    assert run_train(*arguments)[0] == 0
    assert open_bundle(out / "model.amkd").card.parts == open_bundle(run / "model.amkd").card.parts


def test_a_stage_stopped_after_any_epoch_ends_with_the_same_weights(inputs, tmp_path: Path) -> None:
    _, _, _, _, data = inputs
    config = OptimConfig(learning_rate=0.01, epochs=4, batch_patients=5, patches_per_bag=6)

    def model():
        return build_model("amkd_student", {"d_encoder": D, "dim": 8}, seed=1)

    def train(network, folder: Path, stop_after: int | None = None) -> None:
        stage = Stage("student", folder, 7)
        steps = fit(network, data.train, data.validation, survival_objective, config=config, stage=stage)
        for number, _ in enumerate(steps, start=1):
            if number == stop_after:
                steps.close()
                return

    whole = model()
    train(whole, tmp_path / "whole")
    for stop_after in (1, 2, 3):
        folder = tmp_path / f"stopped{stop_after}"
        train(model(), folder, stop_after)
        continued = model()
        train(continued, folder)
        for name, value in whole.state_dict().items():
            assert torch.equal(value, continued.state_dict()[name]), name


def test_nothing_fitted_has_seen_validation_or_test_patients(inputs) -> None:
    cohort, bags, split, config, data = inputs
    assert set(data.fitted.fitted_on) == set(split.train)
    held_out = set(split.validation) | set(split.test)
    values = cohort.expression.values.copy()
    rows = [cohort.expression.patients.index(name) for name in held_out]
    values[rows] *= 100
    patients = tuple(
        replace(patient, time=patient.time * 50, event=not patient.event)
        if patient.patient_id in held_out
        else patient
        for patient in cohort.patients
    )
    changed_bags = {
        name: replace(bag, features=bag.features * 100) if name in held_out else bag
        for name, bag in bags.items()
    }
    changed = replace(cohort, patients=patients, expression=replace(cohort.expression, values=values))
    other = make_inputs(changed, changed_bags, split, config).fitted
    assert other.time_bins == data.fitted.time_bins
    assert torch.equal(other.feature_mean, data.fitted.feature_mean)
    assert torch.equal(other.feature_scale, data.fitted.feature_scale)
    np.testing.assert_array_equal(other.scaling.mean, data.fitted.scaling.mean)
    np.testing.assert_array_equal(other.scaling.std, data.fitted.scaling.std)


def test_the_teacher_is_frozen_and_its_unseen_losses_differ_from_the_seen_ones(
    inputs, tmp_path: Path
) -> None:
    *_, config, data = inputs
    teacher = drain(train_teacher(data, config, tmp_path))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    taught = drain(attach_targets(data, teacher, config, tmp_path))
    seen_config = config.model_copy(
        update={"distill": config.distill.model_copy(update={"teacher_loss": "in_sample"})}
    )
    seen = drain(attach_targets(data, teacher, seen_config, tmp_path))
    unseen_losses = np.array([float(example.targets.survival_loss) for example in taught.train])
    seen_losses = np.array([float(example.targets.survival_loss) for example in seen.train])
    assert not np.allclose(unseen_losses, seen_losses)
    assert all(
        torch.equal(a.targets.logits, b.targets.logits) for a, b in zip(taught.train, seen.train, strict=True)
    )
    assert not any(example.targets.guided.requires_grad for example in taught.train)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_patches_drawn_for_training_keep_their_targets(inputs, tmp_path: Path) -> None:
    *_, config, data = inputs
    taught = drain(attach_targets(data, drain(train_teacher(data, config, tmp_path)), config, tmp_path))
    example = taught.train[0]
    drawn = example.drawn(torch.tensor([2, 0]))
    assert torch.equal(drawn.patches, example.patches[[2, 0]])
    assert torch.equal(drawn.targets.guided, example.targets.guided[[2, 0]])


def test_two_runs_on_one_folder_exclude_each_other(cohort_toml: Path, tmp_path: Path) -> None:
    with run_folder(tmp_path / "run", TrainingConfig(), cohort_toml):
        with pytest.raises(FolderInUseError, match="another run is working in this folder"):
            enter(tmp_path / "run", TrainingConfig(), cohort_toml)
        exit_code, output = run_train("--cohort", cohort_toml, "--out", tmp_path / "run")
    assert exit_code == 3
    assert "another run is working" in output


def test_a_folder_of_another_run_is_refused_with_the_first_difference(
    cohort_toml: Path, tmp_path: Path
) -> None:
    enter(tmp_path / "run", TrainingConfig(), cohort_toml)
    other = load_config(None, ["student.epochs=7"])
    with pytest.raises(RunFolderError, match=r"config.student.epochs = 100 where this one has 7"):
        enter(tmp_path / "run", other, cohort_toml)


def enter(*arguments: object) -> None:
    with run_folder(*arguments):
        pass


def test_missing_and_mixed_bags_are_named(cohort_toml: Path, tmp_path: Path) -> None:
    cohort = read_cohort(cohort_toml)
    with pytest.raises(CohortError, match=r"48 bags are missing in .* \(P00s, P01s"):
        read_bags(cohort, tmp_path)
    for path in (cohort_toml.parent / "bags").glob("*.h5"):
        bag = read_bag(path)
        other = replace(bag, encoder=encoder_identity(D, "other")) if path.stem == "P07s" else bag
        write_bag(tmp_path / path.name, other)
    with pytest.raises(
        CohortError, match=r"made in different ways \(other 1 256 px 0.50 um/px and texture 1"
    ):
        read_bags(cohort, tmp_path)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("student.epoch=3", r"there is no setting student.epoch; did you mean student.epochs\?"),
        ("student.epochs=0", r"setting student.epochs is 0: Input should be greater than or equal to 1"),
        ("distill.arr=loud", r"setting distill.arr is 'loud'"),
        ("epochs", r"override 'epochs' must look like section.key=value"),
        ("seed.x=1", r"setting seed is"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_config(None, [override])


def test_a_settings_file_and_overrides_join(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("seed = 4\n[student]\nepochs = 9\n")
    config = load_config(path, ["student.patience=3", "distill.arr=printed_minus"])
    assert (config.seed, config.student.epochs, config.student.patience) == (4, 9, 3)
    assert config.distill.arr == "printed_minus"
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(tmp_path / "absent.toml")


def test_wrong_use_of_the_command_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    assert run_train("--out", tmp_path)[0] == 2
    exit_code, output = run_train("--cohort", tmp_path / "absent.toml", "--out", tmp_path / "run")
    assert exit_code == 2
    assert "Error:" in output
    assert "Traceback" not in output


def test_the_printed_example_is_a_cohort_file(tmp_path: Path) -> None:
    exit_code, output = run_train("--init")
    assert exit_code == 0
    (tmp_path / "cohort.toml").write_text(output)
    from amkd_core.cohort.cohort import read_cohort_file

    assert read_cohort_file(tmp_path / "cohort.toml").encoder == "texture"
