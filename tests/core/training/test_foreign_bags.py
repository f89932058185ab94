"""A cohort's bags of other tools: what they do not record is stated for all of them, and asked for once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from training_fixtures import overrides, run_train

from amkd_core.cli.train import _report as report_of_train
from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.table_one import bag_sizes
from amkd_core.errors import CohortError, EncoderError
from amkd_core.slides.encoders import ENCODERS
from amkd_core.training.finished_run import FinishedRun
from amkd_core.training.foreign_bags import warned_of_foreign_bags
from amkd_core.training.inputs import read_bags

STATED: dict[str, Any] = {"encoder": "texture", "bag_mpp": 0.5, "patch_size": 256, "patch_size_level0": 512}


@pytest.fixture(scope="module")
def clam(cohort_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny cohort's patients with bags as CLAM writes them."""
    folder = tmp_path_factory.mktemp("clam")
    rng = np.random.default_rng(0)
    for patient in read_cohort(cohort_toml).patients:
        with h5py.File(folder / f"{patient.slide_ids[0]}.h5", "w") as file:
            file["features"] = rng.normal(size=(4, ENCODERS["texture"].dimension)).astype(np.float32)
            file["coords"] = np.array([(x * 512, 0) for x in range(4)], dtype=np.int32)
    return folder


def stated(cohort_toml: Path, bags: Path, **keys: object) -> Cohort:
    return read_cohort(cohort_toml, {"bags": bags, **keys})


def test_everything_is_asked_for_once_by_key_and_flag(cohort_toml: Path, clam: Path, tmp_path: Path) -> None:
    words = ["--cohort", cohort_toml, "--out", tmp_path / "run", "--bags", clam, *overrides()]
    exit_code, output = run_train(*words)
    assert exit_code == 2
    assert (
        "Error: P00s.h5: the bag does not record encoder, mpp, patch_size_px, "
        "patch_size_level0; state encoder, bag_mpp, patch_size, patch_size_level0 under [cohort], or give amkd-train "
        "--encoder, --bag-mpp, --patch-size, --patch-size-level0\n"
    ) in output
    assert len({line for line in output.splitlines() if line.startswith("Error: ")}) == 1
    assert not (tmp_path / "run").exists()  # which what is stated next would find claimed
    # The flags are there: what was given is not asked for any more.
    given = ["--encoder", "texture", "--bag-mpp", 0.5, "--patch-size", 256]
    exit_code, output = run_train(*words, *given)
    assert exit_code == 2
    assert "P00s.h5: the bag does not record patch_size_level0; state patch_size_level0 under" in output
    exit_code, output = run_train(*words, *given, "--patch-size-level0", 0, "--slide-mpp", -1)
    assert exit_code == 2
    assert "[cohort] patch_size_level0: Input should be greater than 0" in output
    assert "[cohort] slide_mpp: Input should be greater than 0" in output


def test_what_a_cohort_states_completes_its_bags(cohort_toml: Path, clam: Path, tmp_path: Path) -> None:
    cohort = stated(cohort_toml, clam, **STATED)
    for bag in (read_bags(cohort, clam)["P03"], FinishedRun(tmp_path, cohort, ()).bag("P03s")):
        assert (bag.encoder.name, bag.mpp, bag.patch_size_px) == ("texture", 0.5, 256)
        assert bag.patch_size_level0 == (512, 512)
        assert not bag.verified


def test_a_run_says_what_nothing_vouches_for(
    cohort_toml: Path, clam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = stated(cohort_toml, clam, **STATED)
    warned = warned_of_foreign_bags(cohort, read_bags(cohort, clam), clam)
    (warning,) = warned.warnings[len(cohort.warnings) :]
    assert warning.startswith("The bags of 48 patients come from other tools")
    assert "no SHA-256 lies beside 48 of their 48 files" in warning
    card = SimpleNamespace(pathways=(), provenance={})
    run: Any = SimpleNamespace(
        cohort=replace(warned, warnings=("Said before.", *warned.warnings)),
        bundle=SimpleNamespace(card=card), folds=(1, 2), statistics=None, bundle_path=tmp_path / "model.amkd",
    )  # fmt: skip
    report_of_train(run, tmp_path, replace(cohort, warnings=("Said before.", *cohort.warnings)))
    said = " ".join(capsys.readouterr().out.split())
    assert f"Warning: {warning}" in said
    assert "Said before." not in said
    bags = {name: replace(bag, verified=True) for name, bag in read_bags(cohort, clam).items()}
    assert warned_of_foreign_bags(cohort, bags, clam) is cohort
    of_one = warned_of_foreign_bags(cohort, {**bags, "P03": replace(bags["P03"], verified=False)}, clam)
    assert "The bags of 1 patient come" in of_one.warnings[-1]


def test_the_encoder_of_foreign_bags_is_stated_and_known_and_no_default(
    cohort_toml: Path, clam: Path
) -> None:
    unstated = stated(cohort_toml, clam, **{key: value for key, value in STATED.items() if key != "encoder"})
    assert unstated.file.encoder == "texture"
    with pytest.raises(
        CohortError, match=r"^P00s.h5 and bags of 47 more patients: the bag does not record encoder; state"
    ):
        read_bags(unstated, clam)
    with pytest.raises(EncoderError, match=r"There is no encoder 'textur'.* Did you mean 'texture'"):
        read_bags(stated(cohort_toml, clam, **{**STATED, "encoder": "textur"}), clam)


def test_bags_of_other_layouts_are_completed_and_counted(cohort_toml: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for patient in read_cohort(cohort_toml).patients:
        with h5py.File(tmp_path / f"{patient.slide_ids[0]}.h5", "w") as file:
            file["feats"] = rng.normal(size=(3, 89)).astype(np.float32)
            file["coords"] = np.array([(x * 128.0, 0.0) for x in range(3)])
            file.attrs.update(unit="um", tile_size_um=128.0, tile_size_px=256, extractor="texture")
    with pytest.raises(
        CohortError, match=r"does not record slide_mpp; state slide_mpp under .* --slide-mpp$"
    ):
        read_bags(stated(cohort_toml, tmp_path), tmp_path)
    cohort = stated(cohort_toml, tmp_path, slide_mpp=0.25)
    assert read_bags(cohort, tmp_path)["P00"].patch_size_level0 == (512, 512)
    assert bag_sizes(cohort, tmp_path) == [3] * 48
    # A word that contradicts what the files record is one complaint as well.
    with pytest.raises(
        CohortError, match=r"^P00s.h5 and bags of 47 more patients: records mpp 0.5, but --bag-mpp"
    ):
        read_bags(stated(cohort_toml, tmp_path, slide_mpp=0.25, bag_mpp=1.0), tmp_path)


def test_a_slide_without_a_scale_is_sent_to_the_table_of_scales(tmp_path: Path) -> None:
    from amkd_core.slides.microns import missing_microns

    assert "amkd extract --mpp-table, whose bags amkd-train reads" in str(missing_microns(tmp_path / "a.tif"))
