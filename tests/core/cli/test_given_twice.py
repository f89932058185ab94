"""A setting that a flag and `--set` both give is refused, and folds that are not made as asked are said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cohort_fixtures import write_tiny_cohort
from typer.testing import CliRunner, Result

from amkd_core.cli.train import app

Run = Callable[..., Result]
SPLIT = ("train", "train", "validation", "train", "test", "train")


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    pathways = ((0, 1), (2, 3))
    return write_tiny_cohort(
        tmp_path, name="t", n_patients=48, width=8, patches=(3, 4), pathways=pathways, split=SPLIT
    )


def train(cohort: Path, *words: object) -> Result:
    places = ["--cohort", cohort, "--out", cohort.parent / "run"]
    return CliRunner().invoke(app, [str(word) for word in (*places, *words)])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seed", 3, "--set", "seed=5"), "--seed and --set seed=..."),
        (("--folds", 3, "--set", "folds = 5"), "--folds and --set folds=..."),
        (("--device", "cpu", "--set", "device=cuda"), "--device and --set device=..."),
        (("--deterministic", "--set", "deterministic=false"), "--deterministic and --set deterministic=..."),
        (("--bags", "x", "--set", "cohort.bags=nix"), "--bags and --set cohort.bags=..."),
        (("--slide-mpp", 0.5, "--set", "cohort.slide_mpp=1"), "--slide-mpp and --set cohort.slide_mpp=..."),
        (("--fold-file", "f.csv", "--set", "cohort.folds=g.csv"), "--fold-file and --set cohort.folds=..."),
        (
            ("--ignore-split", "--set", "cohort.use_split=true"),
            "--ignore-split and --set cohort.use_split=...",
        ),
    ],
)
def test_a_setting_given_twice_is_refused(cohort: Path, words: tuple[object, ...], said: str) -> None:
    done = train(cohort, *words)
    assert done.exit_code == 2
    assert done.stderr == f"Error: {said} give the same setting twice; expected one of them\n"


@pytest.mark.parametrize(
    ("words", "wanted"), [(("--deterministic",), True), (("--set", "deterministic=true"), True), ((), False)]
)
def test_deterministic_is_short_for_the_setting(
    cohort: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], *, wanted: bool
) -> None:
    from amkd_core.cli import train as command

    asked = []
    monkeypatch.setattr(command, "_train", lambda checked, *_, **__: asked.append(checked.config))
    monkeypatch.setattr(command, "_report", lambda *_: None)
    done = train(cohort, *words)
    assert done.exit_code == 0, done.output
    assert [config.deterministic for config in asked] == [wanted]


def test_comparisons_refuse_it_as_well(amkd: Run, cohort: Path) -> None:
    words = ("--cohort", cohort, "--out", cohort.parent / "b", "--models", "snn", "--ignore-split")
    done = amkd("benchmark", *words, "--set", "cohort.use_split=true")
    assert done.exit_code == 2
    assert "--ignore-split and --set cohort.use_split=... give the same setting twice" in done.stderr


def test_folds_that_a_split_or_a_file_overrides_are_said(
    cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amkd_core.cli import train as command

    monkeypatch.setattr(command, "_train", lambda *_, **__: None)
    monkeypatch.setattr(command, "_report", lambda *_: None)
    unused = "the setting folds = 3 is not used"
    own = "Folds: one split, that of the clinical table's column split"
    done = train(cohort, "--folds", 3)
    assert f"{own} ({unused}; --ignore-split makes folds instead)" in done.stdout, done.output
    assert f"{own} ({unused};" in train(cohort, "--set", "folds=3").stdout
    assert f"{own}\n" in train(cohort).stdout
    assert "Folds: 3 folds, deaths shared out alike\n" in train(cohort, "--folds", 3, "--ignore-split").stdout
    table = cohort.parent / "given.csv"
    table.write_text("patient_id,fold\n" + "".join(f"P{index:02d},{index % 4}\n" for index in range(48)))
    words = ("--ignore-split", "--fold-file", table)
    assert (
        f"Folds: the folds of given.csv ({unused}); 4 folds\n" in train(cohort, *words, "--folds", 3).stdout
    )
    assert "Folds: the folds of given.csv; 4 folds\n" in train(cohort, *words).stdout


def test_a_file_of_folds_is_not_called_a_folder() -> None:
    shown = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout.split())
    assert "Table of given folds." in shown
    assert "folder of given folds" not in shown.lower()
