"""Files of another encoding, kind or name than a command expects: one sentence that says which."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from amkd_core.cli.terminal import shown
from amkd_core.cli.train import app
from amkd_core.cohort.cohort import read_cohort_file
from amkd_core.errors import AmkdError, CohortError, ConfigError, SlideError
from amkd_core.inference.extract import ExtractSettings, SlideTask, extract_slides
from amkd_core.inference.forward import check_device
from amkd_core.inference.scale_table import read_scales
from amkd_core.slides.detect import main_file
from amkd_core.training.config import load_config

Run = Callable[..., Result]
Refusal = Callable[..., str]

COHORT = '[cohort]\nclinical = "c.csv"\nexpression = "e.csv"\npathways = "p.gmt"\n'


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as text")
def test_a_name_that_is_no_utf8_text_is_a_sentence(
    amkd: Run, refusal: Refusal, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/F\xf6\xf6.tif"))
    odd.write_bytes(slide_path.read_bytes())
    sentence = (
        "F\\xf6\\xf6.tif: the name of the file holds bytes that are no UTF-8 text, so no result can name it"
    )
    said = refusal("predict", odd, "--bundle", bundle_path, "--out", tmp_path / "out")
    assert said == f"{sentence}; rename it"
    done = amkd("extract", odd, slide_path, "--out", tmp_path / "bags")
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "unexpected error" not in done.stderr
    bag = Path(os.fsdecode(os.fsencode(tmp_path) + b"/F\xf6.h5"))
    bag.write_bytes(b"no bag of ours")
    assert "F\\xf6.h5: the name of the file" in refusal(
        "predict", bag, "--bundle", bundle_path, "--out", tmp_path / "out"
    )
    assert shown("\udcf6") == "\\udcf6"


def test_settings_and_cohorts_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(COHORT, encoding="utf-8-sig")
    (tmp_path / "s.toml").write_text("seed = 7\n", encoding="utf-8-sig")
    assert read_cohort_file(tmp_path / "c.toml").clinical == tmp_path / "c.csv"
    assert load_config(tmp_path / "s.toml").seed == 7


def test_settings_and_cohorts_in_utf16_are_named_so(tmp_path: Path) -> None:
    path = tmp_path / "wide.toml"
    path.write_text(COHORT, encoding="utf-16")
    for read in (read_cohort_file, load_config):
        with pytest.raises(
            ConfigError, match=r"^wide\.toml: is UTF-16 text, expected UTF-8; save it as UTF-8$"
        ):
            read(path)


def test_settings_and_cohorts_that_were_changed_round_are_told_apart(tmp_path: Path) -> None:
    cohort, settings = tmp_path / "cohort.toml", tmp_path / "settings.toml"
    cohort.write_text(COHORT)
    settings.write_text("seed = 7\nfolds = 3\n[student]\nepochs = 2\n")
    words = ["--cohort", str(settings), "--config", str(cohort), "--out", str(tmp_path / "run")]
    said = CliRunner().invoke(app, words).stderr.splitlines()
    assert said == [
        "Error: cohort.toml: holds a table [cohort], so this is a cohort's file: --cohort",
        "Error: settings.toml: holds seed, folds, [student] and no table [cohort]; if this is a file of settings: "
        "--config",
    ]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "slide;mpp\ns;0.5\n",
            r"line 1 names slide;mpp, not slide and mpp; columns are separated by semicolons",
        ),
        ("slide,scale\ns,0.5\n", r"line 1 names slide, scale, not mpp"),
        (
            'slide,mpp\na,0.5\ns,"0,5"\n',
            r"line 3: mpp is '0,5', which is no number; write a point for the decimal",
        ),
        ("slide,mpp\ns,0,5\n", r"line 2 has more cells than line 1; a decimal comma\?"),
        ("slide,mpp\ns\n", r"line 2 has fewer cells than line 1"),
        ("slide,mpp\ns,250\n", r"line 2: mpp is 250\.0, but micrometres per pixel must lie between"),
    ],
)
def test_what_is_wrong_with_a_table_of_scales_is_said_by_its_line(
    tmp_path: Path, text: str, cause: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CohortError, match=rf"^t\.csv: expected a CSV with .* one number per slide \({cause}"):
        read_scales(tmp_path / "t.csv", [Path("s.tif")])


def test_a_table_of_scales_names_its_columns_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Slide,MPP\ns,0.5\n")
    assert read_scales(tmp_path / "t.csv", [Path("s.tif")]) == {Path("s.tif"): 0.5}
    (tmp_path / "t.csv").write_text("slide,mpp\ns,0.5\n", encoding="utf-16")
    with pytest.raises(CohortError, match="it is UTF-16 text; save it as CSV in UTF-8"):
        read_scales(tmp_path / "t.csv", [Path("s.tif")])


def test_a_run_folder_given_as_a_bundle_names_the_one_in_it(
    refusal: Refusal, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    words = ("predict", slide_path, "--out", tmp_path / "out", "--bundle", folder)
    seen = ("view", slide_path, "--bundle", folder)
    folder.mkdir()
    assert refusal(*words) == "run: is a folder, expected a model bundle (.amkd)"
    assert refusal(*seen) == f"{folder}: is a folder, expected a model bundle (.amkd)"
    inside = folder / "model.amkd"
    inside.write_bytes(bundle_path.read_bytes())
    hint = f"is a folder, expected a model bundle (.amkd); give {inside}, which is one"
    assert refusal(*words) == f"run: {hint}"
    assert refusal(*seen) == f"{folder}: {hint}"


def test_a_file_given_as_the_folder_of_results_is_named(
    refusal: Refusal, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "slide.svs").touch()
    words = ("predict", slide_path, "--bundle", bundle_path, "--out", tmp_path / "slide.svs")
    assert (
        refusal(*words) == f"{tmp_path / 'slide.svs'}: is a file, expected a folder for the results (--out)"
    )


def test_folders_without_a_slide_are_told_from_those_of_slides(tmp_path: Path) -> None:
    for expected, file in (("an empty folder", ""), ("a folder without a slide in it", "notes.txt")):
        if file:
            (tmp_path / file).touch()
        with pytest.raises(SlideError, match=rf"is {expected}; give the slide file itself"):
            main_file(tmp_path)


def test_a_device_that_is_not_there_is_one_short_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError(
            "Could not run 'aten::empty' with arguments from 'MPS'. This could be\nbecause"
        )

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(
        ConfigError, match=r"cannot be used \(Could not run 'aten::empty' with .* 'MPS'\); `amkd"
    ):
        check_device("mps")


@pytest.mark.parametrize(("one", "other"), [("S1.svs", "s1.tif"), ("Fo\u0308.svs", "F\u00f6.tif")])
def test_slides_that_are_one_file_on_some_system_are_refused(
    refusal: Refusal, bundle_path: Path, tmp_path: Path, one: str, other: str
) -> None:
    tasks = [SlideTask(Path("a") / one), SlideTask(Path("b") / other)]
    with pytest.raises(
        AmkdError, match=r"would both be written to .*, on some systems at least; extract them into"
    ):
        next(extract_slides(tasks, tmp_path, ExtractSettings()))
    said = refusal("predict", f"a/{one}", f"b/{other}", "--bundle", bundle_path, "--out", tmp_path)
    assert "would both be written to" in said
