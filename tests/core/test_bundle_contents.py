"""Bundles whose checksums are right and whose contents are wrong: made by mistake, or made to harm."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from bundle_fixtures import random_bundle
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from amkd_core.bundle import Bundle
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.errors import BundleError

STUDENT = "member0.student.safetensors"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model.amkd"
    write_bundle(path, random_bundle())
    return path


def resealed(written: Path, out: Path, change: Callable[[dict, dict[str, bytes]], None]) -> Path:
    """A changed copy whose checksums are right again."""
    with zipfile.ZipFile(written) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    card = json.loads(parts.pop("manifest.json"))
    change(card, parts)
    card["parts"] = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    with zipfile.ZipFile(out, "w") as target:
        target.writestr("manifest.json", json.dumps(card))
        for name, part in parts.items():
            target.writestr(name, part)
    return out


def student(**config: object) -> Callable[[dict, dict[str, bytes]], None]:
    return lambda card, parts: card["members"][0]["student"]["config"].update(config)


def arrays(**changes: np.ndarray | None) -> Callable[[dict, dict[str, bytes]], None]:
    """Arrays put in place of others; None leaves one out."""

    def change(card: dict, parts: dict[str, bytes]) -> None:
        held = load_arrays(parts["arrays.safetensors"])
        for name, array in changes.items():
            held.pop(name, None)
            if array is not None:
                held[name] = array
        parts["arrays.safetensors"] = save_arrays(held)

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[dict, dict[str, bytes]], None]:
    def apply(card: dict, parts: dict[str, bytes]) -> None:
        state = load_tensors(parts[STUDENT])
        change(state)
        parts[STUDENT] = save_tensors(state)

    return apply


FALLING = np.array([1.0, 0.5, 0.7])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda card, parts: card.update(cohort_events=170), "170 events among 50 patients"),
        (
            lambda card, parts: card["encoder"].update(dimension=17),
            "feature range has width 16, its encoder 17",
        ),
        (
            lambda card, parts: card["genes"].pop(),
            "membership is 4 x 12, but it names 4 pathways and 11 genes",
        ),
        (lambda card, parts: card["genes"].__setitem__(0, "GENE1"), "a gene is named twice"),
        (lambda card, parts: card["members"][0]["time_bins"].pop(), "the student has 4 bins, 3 are cut"),
        (lambda card, parts: card["members"][0].update(time_bins=[0, 5, 3, 9]), "bin edges must rise"),
        (lambda card, parts: card["members"][0]["student"].update(name="evil"), "there is no model 'evil'"),
        (student(dropout="much"), "the card's settings make no amkd_student"),
        (student(dimm=16), "has no setting 'dimm'; did you mean dim"),
        (weights(lambda state: state.popitem()), "is missing to the model that the card describes"),
        (weights(lambda state: state.update(extra=torch.ones(1))), "tensor 'extra' is unknown to the model"),
        (
            weights(lambda state: state["head.0.weight"].fill_(torch.nan)),
            "'head.0.weight' holds NaN or infinite",
        ),
        (
            weights(lambda state: state.update({"head.0.weight": state["head.0.weight"].double()})),
            "'head.0.weight' is torch.float64",
        ),
        (
            lambda card, parts: parts.update({STUDENT: b"hello"}),
            "member0.student.safetensors: is no safetensors",
        ),
        (arrays(surprise=np.ones(2)), "array 'surprise' is unknown in arrays.safetensors"),
        (arrays(**{"member0.gene_std": None}), "array 'member0.gene_std' is missing"),
        (
            arrays(**{"member0.gene_std": np.zeros(12)}),
            "gene std must be one usable number for each of 12 genes",
        ),
        (
            arrays(**{"member0.training_risks": np.array([np.nan])}),
            "training risks must be one row of finite numbers",
        ),
        (arrays(**{"kaplan_meier.low.survival": np.ones(3)}), "table 'low' differ in length"),
        (arrays(**{"feature_range.limits": None}), "the feature range lacks limits"),
        (arrays(**{"feature_range.scale": np.ones(3)}), "the feature range's arrays do not fit together"),
        (arrays(**{"feature_range.surprise": np.ones(3)}), "arrays missing or unknown: surprise"),
        (arrays(**{"feature_range.piece_surprise": np.ones(3)}), "missing or unknown: piece_surprise"),
        (arrays(**{"feature_range.piece_factors": np.ones((99, 4))}), "1 to 32 sizes and 4 factors for each"),
    ],
)
def test_contents_that_contradict_each_other_are_named(
    written: Path, tmp_path: Path, change: Callable[[dict, dict[str, bytes]], None], sentence: str
) -> None:
    with pytest.raises(BundleError, match=sentence) as caught:
        open_bundle(resealed(written, tmp_path / "x.amkd", change))
    assert "\n" not in str(caught.value)


def test_a_curve_that_rises_is_no_survival_curve(written: Path, tmp_path: Path) -> None:
    table = {
        "time": np.arange(3.0),
        "survival": FALLING,
        "lower": FALLING,
        "upper": FALLING,
        "at_risk": np.arange(3),
    }
    change = arrays(**{f"kaplan_meier.all.{name}": column for name, column in table.items()})
    with pytest.raises(BundleError, match="table 'all' is no falling curve between 1 and 0"):
        open_bundle(resealed(written, tmp_path / "x.amkd", change))


@pytest.mark.parametrize(
    "config",
    [{"dim": 20_000}, {"pool_hidden": 10**9}, {"n_bins": 10**12}, {"d_encoder": 10**8, "dim": 10**4}],
)
def test_a_card_that_asks_for_a_giant_network_costs_no_memory(
    written: Path, tmp_path: Path, config: dict
) -> None:
    path = resealed(written, tmp_path / "bomb.amkd", student(**config))
    process = psutil.Process()
    before, start = process.memory_info().rss, time.process_time()
    with pytest.raises(BundleError, match="asks for a larger network than the file holds weights of"):
        open_bundle(path)
    assert time.process_time() - start < 2
    assert process.memory_info().rss - before < 200 * 2**20


def test_parts_that_share_their_bytes_are_refused(written: Path, tmp_path: Path) -> None:
    """A zip may list one place of the file under many names: a bomb without compression."""
    path = tmp_path / "overlap.amkd"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", bytes(1000))
        for index in range(50):
            twin = zipfile.ZipInfo(f"part{index}")
            original = archive.infolist()[0]
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(twin, name, getattr(original, name))
            archive.filelist.append(twin)
        archive._didModify = True
    with pytest.raises(BundleError, match="its parts overlap"):
        open_bundle(path)


def test_a_bundle_that_could_not_be_opened_is_not_written(tmp_path: Path) -> None:
    bundle = random_bundle()
    wrong = dataclasses.replace(bundle, card=bundle.card.model_copy(update={"cohort_events": 51}))
    endless = dataclasses.replace(
        bundle, card=bundle.card.model_copy(update={"metrics": {"c_index": float("nan")}})
    )
    for broken, sentence in (
        (wrong, "51 events among 50"),
        (endless, "metrics.c_index: Input should be a finite"),
    ):
        with pytest.raises(BundleError, match=f"model.amkd: .*{sentence}"):
            write_bundle(tmp_path / "model.amkd", broken)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("attention", "sentence"),
    [
        (np.full(3, 1 / 3), r"one finite number for each of 4 pathways, found float64 \(3,\)"),
        (np.full((4, 1), 0.25), r"found float64 \(4, 1\)"),
        (np.full(4, 0.25, dtype=np.float32), r"found float32 \(4,\)"),
        (np.array([0.5, 0.5, np.nan, 0]), "one finite number for each"),
        (np.array([0.5, 0.7, -0.2, 0]), "shares that sum to 1, they sum to 1"),
        (np.full(4, 0.3), "shares that sum to 1, they sum to 1.2"),
    ],
)
def test_pathway_attention_of_a_cohort_is_one_share_a_pathway(
    written: Path, tmp_path: Path, attention: np.ndarray, sentence: str
) -> None:
    with pytest.raises(BundleError, match=sentence):
        open_bundle(resealed(written, tmp_path / "x.amkd", arrays(pathway_attention=attention)))


def test_bundles_from_before_the_pathway_attention_still_open(written: Path, tmp_path: Path) -> None:
    kept = random_bundle().pathway_attention
    np.testing.assert_array_equal(open_bundle(written).pathway_attention, kept)
    older = open_bundle(resealed(written, tmp_path / "old.amkd", arrays(pathway_attention=None)))
    assert older.pathway_attention is None
    assert older.has_teacher


def test_pathway_effects_travel_with_the_bundle_and_fit_it(written: Path, tmp_path: Path) -> None:
    kept, found = random_bundle().pathway_effects, open_bundle(written).pathway_effects
    for name, array in kept.to_arrays().items():
        np.testing.assert_array_equal(found.to_arrays()[name], array)
    without = dict.fromkeys(f"pathway_effects.{name}" for name in kept.to_arrays())
    older = open_bundle(resealed(written, tmp_path / "old.amkd", arrays(**without)))
    assert older.pathway_effects is None
    assert older.has_teacher
    with pytest.raises(
        BundleError, match=r"pathway effects need the arrays effect, .*; the bundle was made wrongly"
    ):
        open_bundle(resealed(written, tmp_path / "x.amkd", arrays(**{"pathway_effects.effect": None})))
    three = {f"pathway_effects.{name}": np.ones(3) for name in ("effect", "activity_mean", "activity_scale")}
    with pytest.raises(BundleError, match="pathway effects are of 3 pathways, it names 4"):
        open_bundle(resealed(written, tmp_path / "y.amkd", arrays(**three)))


def test_bundles_from_before_the_patch_range_still_open(tmp_path: Path) -> None:
    bundle = random_bundle()
    older: Bundle = dataclasses.replace(
        bundle, feature_range=dataclasses.replace(bundle.feature_range, patches=None)
    )
    again = write_bundle(tmp_path / "old.amkd", older)
    assert again.feature_range.patches is None


def test_limits_by_number_of_patches_travel_with_the_bundle(written: Path, tmp_path: Path) -> None:
    kept, found = random_bundle().feature_range.widening, open_bundle(written).feature_range.widening
    for name, array in kept.to_arrays().items():
        np.testing.assert_array_equal(found.to_arrays()[name], array)
    without = dict.fromkeys(f"feature_range.{name}" for name in kept.to_arrays())
    older = open_bundle(resealed(written, tmp_path / "old.amkd", arrays(**without)))
    assert older.feature_range.widening is None
    assert older.feature_range.patches is not None


def test_importing_the_bundle_type_does_not_import_torch() -> None:
    code = "import sys, amkd_core.bundle; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
