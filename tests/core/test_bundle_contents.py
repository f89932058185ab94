"""Bundles whose checksums are right and whose contents are wrong: made by mistake, or made to harm."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
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
from amkd_core.bundle_listing import (
    MAX_FILE_BYTES,
    MAX_HEADER_BYTES,
    MAX_MANIFEST_BYTES,
    MAX_PARTS,
    check_listing,
)
from amkd_core.cli.view import check_bundle_file
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


UNDEFINED = {"model": "student", "fold": 1, "n_patients": 30, "n_events": 0, "reason": "nobody died"}


def measured(**changes: object) -> Callable[[dict, dict[str, bytes]], None]:
    item = {name: value for name, value in UNDEFINED.items() if name != "reason"} | changes
    return lambda card, parts: card.update(measured=[item])


def sites(**patients: int) -> Callable[[dict, dict[str, bytes]], None]:
    return lambda card, parts: card.update(sites={"source": "tcga_site", "patients": patients})


FEMALE = {
    "model": "student", "group": "female", "n_patients": 20, "n_events": 12, "c_index": 0.6, "lower": 0.5,
    "upper": 0.7, "level": 0.95,
}  # fmt: skip
BY_SEX = {"by": "sex", "measured": [FEMALE], "pooled_groups": 1, "pooled_patients": 4, "unknown": 6}


def subgroups(figure: dict | None = None, **changes: object) -> Callable[[dict, dict[str, bytes]], None]:
    """Of 30 tested patients by sex, with changes of the one figure that is told or of what stands around it."""
    item = BY_SEX | {"measured": [FEMALE | (figure or {})]} | changes
    return lambda card, parts: card.update(measured=[UNDEFINED], subgroups=[item])


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
        (lambda card, parts: card.update(research_use_only=False), "research_use_only: Input should be True"),
        (measured(c_index=0.5, reason="nobody died"), "or a reason why there is none"),
        (measured(c_index=0.5, lower=0.4, upper=0.6), "or a reason why there is none"),
        (measured(), "or a reason why there is none"),
        (measured(reason="nobody died", n_events=31), "31 events among 30 patients"),
        (measured(c_index=0.5, lower=0.6, upper=0.4, level=0.95), "its interval goes from 0.6 to 0.4"),
        (
            measured(c_index=1.5, lower=0.4, upper=0.6, level=0.95),
            "measured.0.c_index: Input should be less than",
        ),
        (measured(reason="nobody died", hospital="A2"), "measured.0.hospital: Extra inputs"),
        (measured(reason="x" * 501), "measured.0.reason: String should have at most 500"),
        (lambda card, parts: card.update(measured=[UNDEFINED] * 2), "a C-index is given twice"),
        (
            subgroups({"n_patients": 4, "n_events": 1}),
            "measured.0.n_patients: Input should be greater than or",
        ),
        (subgroups({"n_events": 9}), "a C-index of 9 events, expected 10 or more"),
        (subgroups({"n_events": 21}), "21 events among 20 patients"),
        (subgroups({"c_index": 1.01}), "subgroups.0.measured.0.c_index: Input should be less than"),
        (subgroups({"lower": 0.8}), "its interval goes from 0.8 to 0.7"),
        (subgroups({"level": None}), "or a reason why there is none"),
        (subgroups({"reason": "none"}), "or a reason why there is none"),
        (subgroups({"patient": "S3"}), "subgroups.0.measured.0.patient: Extra inputs"),
        (subgroups({"group": "x" * 65}), "measured.0.group: String should have at most 64"),
        (subgroups({"group": "Jane Doe"}), "'Jane Doe' is none of its subgroups, female and male"),
        (subgroups({"model": "clinic"}), "measured.0.model: Input should be 'student' or 'teacher'"),
        (subgroups(by="race"), "subgroups.0.by: Input should be 'age', 'sex', 'stage' or 'site'"),
        (subgroups(by="site", measured=[FEMALE] * 25), "measured: List should have at most 24 items"),
        (subgroups(measured=[FEMALE] * 2), "a C-index is given twice"),
        (subgroups(unknown=-1), "subgroups.0.unknown: Input should be greater than"),
        (subgroups(pooled_groups=0), "4 patients in 0 groups that are only counted"),
        (subgroups(pooled_groups=5), "4 patients in 5 groups that are only counted"),
        (subgroups(unknown=7), "its subgroups by sex have 31 patients, 30 were tested"),
        (lambda card, parts: card.update(subgroups=[BY_SEX]), "have 30 patients, 0 were tested"),
        (
            subgroups(measured=[FEMALE, FEMALE | {"model": "teacher"}]),
            "have 20 patients of the teacher, it scored 0",
        ),
        (
            lambda card, parts: card.update(measured=[UNDEFINED], subgroups=[BY_SEX, BY_SEX]),
            "its subgroups by one property are given twice",
        ),
        (
            lambda card, parts: card.update(measured=[UNDEFINED], subgroups=[BY_SEX] * 5),
            "subgroups: List should have at most 4 items",
        ),
        (sites(A2=49), "its sites have 49 patients, its cohort 50"),
        (sites(A2=50, E2=0), "sites.patients.E2: Input should be greater than"),
        (lambda card, parts: card.update(limits=["x" * 501]), "limits.0: String should have at most 500"),
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


def test_the_subgroups_that_the_refused_ones_were_made_of_are_read(written: Path, tmp_path: Path) -> None:
    for change in (subgroups(), subgroups({"n_events": None}), subgroups({"group": "male"})):
        (found,) = open_bundle(resealed(written, tmp_path / "x.amkd", change)).card.subgroups
        assert (found.by, found.pooled_patients, found.unknown) == ("sex", 4, 6)
        assert found.measured[0].c_index == 0.6


def test_a_card_of_before_has_no_subgroups_and_is_read(written: Path, tmp_path: Path) -> None:
    def older(card: dict, parts: dict[str, bytes]) -> None:
        del card["subgroups"]

    bundle = open_bundle(resealed(written, tmp_path / "x.amkd", older))
    assert bundle.card == open_bundle(written).card
    assert bundle.card.subgroups == []


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


def refused_cheaply(path: Path, sentence: str) -> None:
    """By whoever opens it and by the look before a window opens, in little time and memory."""
    process = psutil.Process()
    for look in (open_bundle, check_bundle_file):
        before, start = process.memory_info().rss, time.process_time()
        with pytest.raises(BundleError, match=sentence):
            look(path)
        assert time.process_time() - start < 2
        assert process.memory_info().rss - before < 50 * 2**20


def test_a_file_of_more_than_two_gigabytes_is_not_read(written: Path, tmp_path: Path) -> None:
    """A sparse file, which takes no room on the disk."""
    path = tmp_path / "large.amkd"
    for size, sentence in (
        (MAX_FILE_BYTES + 1, f"{MAX_FILE_BYTES + 1} bytes, expected a model bundle of at most 2 GiB"),
        (MAX_FILE_BYTES, "is not a model bundle"),
    ):
        with path.open("wb") as file:
            file.truncate(size)
        with pytest.raises(BundleError, match=sentence):
            check_listing(path, path.name)
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    refused_cheaply(path, "expected a model bundle of at most 2 GiB")


def test_a_card_of_more_than_a_mebibyte_is_not_read(written: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(written) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    card = parts["manifest.json"]
    for surplus in (0, 1):
        parts["manifest.json"] = card + b" " * (MAX_MANIFEST_BYTES - len(card) + surplus)
        path = tmp_path / f"{surplus}.amkd"
        with zipfile.ZipFile(path, "w") as target:
            for name, part in parts.items():
                target.writestr(name, part)
    assert open_bundle(tmp_path / "0.amkd").card == open_bundle(written).card
    with pytest.raises(BundleError, match=r"manifest\.json has 1048577 bytes, expected at most 1 MiB"):
        open_bundle(tmp_path / "1.amkd")


@pytest.mark.parametrize("part", ["arrays.safetensors", STUDENT])
def test_a_part_whose_header_is_larger_than_a_mebibyte_is_not_parsed(
    written: Path, tmp_path: Path, part: str
) -> None:
    """Its checksum fits, and safetensors itself would take a header of up to 100 MB."""

    def padded(surplus: int) -> Callable[[dict, dict[str, bytes]], None]:
        def change(card: dict, parts: dict[str, bytes]) -> None:
            length = int.from_bytes(parts[part][:8], "little")
            header = parts[part][8 : 8 + length].ljust(MAX_HEADER_BYTES + surplus)
            parts[part] = len(header).to_bytes(8, "little") + header + parts[part][8 + length :]

        return change

    assert open_bundle(resealed(written, tmp_path / "most.amkd", padded(0))).members
    with pytest.raises(
        BundleError,
        match=f"the header of {part} claims 1048584 bytes, expected at most 1 MiB; it was not read",
    ):
        open_bundle(resealed(written, tmp_path / "more.amkd", padded(8)))


def test_a_header_of_400000_arrays_is_not_parsed(written: Path, tmp_path: Path) -> None:
    entries = ",".join(f'"a{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(400_000))
    header = f"{{{entries}}}".encode()

    def change(card: dict, parts: dict[str, bytes]) -> None:
        parts["arrays.safetensors"] = len(header).to_bytes(8, "little") + header

    path = resealed(written, tmp_path / "x.amkd", change)
    process = psutil.Process()
    before, start = process.memory_info().rss, time.process_time()
    with pytest.raises(BundleError, match=r"the header of arrays\.safetensors claims \d+ bytes"):
        open_bundle(path)
    assert time.process_time() - start < 2
    assert process.memory_info().rss - before < 100 * 2**20


def test_a_list_of_400000_parts_is_not_read(tmp_path: Path) -> None:
    """Of the kind for more than 65,535 parts, with one that claims fewer, and with a comment behind its end."""
    entry = b"PK\1\2" + bytes(24) + (4).to_bytes(2, "little") + bytes(16) + b"abcd"
    body = entry * 400_000
    end = struct.Struct("<4s4H2LH")
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 400_000, 400_000, len(body), 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1)
    path = tmp_path / "many.amkd"
    for n_parts, list_bytes, between, comment, sentence in (
        (0xFFFF, 0xFFFFFFFF, large + locator, b"", "lists more than 1024 parts"),
        (1, 50, large + locator, b"", "lists more than 1024 parts"),
        (1, len(body), b"", b"", "lists more than 1024 parts"),
        (MAX_PARTS + 1, 50, b"", b"", "lists more than 1024 parts"),
        (1, len(body), b"", b"hello", "is not a model bundle, or is damaged"),
    ):
        last = end.pack(b"PK\5\6", 0, 0, n_parts, n_parts, list_bytes, 0, len(comment))
        path.write_bytes(body + between + last + comment)
        refused_cheaply(path, sentence)


def test_a_short_list_of_many_parts_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "many.amkd"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(MAX_PARTS):
            archive.writestr(f"{index}", b"")
        archive.writestr("manifest.json", b"{}")
    refused_cheaply(path, "lists more than 1024 parts")
    content = bytearray(path.read_bytes())
    content[-14:-10] = struct.pack("<2H", 1, 1)
    path.write_bytes(content)
    with pytest.raises(BundleError, match="lists 1025 parts, expected at most 1024"):
        open_bundle(path)


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        (
            "lower",
            [1.0, np.nan, 0.1],
            "the band of its Kaplan-Meier table 'all' must be finite and between 0 and 1",
        ),
        ("lower", [9.0, 0.5, 0.1], "the band of its Kaplan-Meier table 'all'"),
        ("upper", [1.0, 0.9, -0.2], "the band of its Kaplan-Meier table 'all'"),
        ("upper", [1.0, np.inf, 0.5], "the band of its Kaplan-Meier table 'all'"),
        ("survival", [1.0, np.nan, 0.5], "table 'all' is no falling curve between 1 and 0"),
        ("time", [0.0, np.inf, np.inf], "the columns of its Kaplan-Meier table 'all'"),
        (
            "at_risk",
            [3.0, 2.5, 1.0],
            "patients at risk in its Kaplan-Meier table 'all' must be whole numbers",
        ),
        ("at_risk", [3, 2, -1], "table 'all' grow in number or are below 0"),
    ],
)
def test_a_kaplan_meier_table_of_impossible_numbers_is_refused(
    written: Path, tmp_path: Path, column: str, values: list[float], sentence: str
) -> None:
    table = {
        "time": np.arange(3.0),
        "survival": np.array([1.0, 0.7, 0.5]),
        "lower": np.array([1.0, 0.5, 0.3]),
        "upper": np.array([1.0, 0.9, 0.8]),
        "at_risk": np.array([3, 2, 1]),
    }
    sound = arrays(**{f"kaplan_meier.all.{name}": values for name, values in table.items()})
    assert open_bundle(resealed(written, tmp_path / "sound.amkd", sound)).kaplan_meier["all"].at_risk[0] == 3
    table[column] = np.array(values)
    change = arrays(**{f"kaplan_meier.all.{name}": values for name, values in table.items()})
    with pytest.raises(BundleError, match=sentence):
        open_bundle(resealed(written, tmp_path / "x.amkd", change))


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
