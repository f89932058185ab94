"""Broken and doubled rows, doubled images and patients, empty and huge slides: found, refused or defined, never NaN."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from bundle_fixtures import N_GENES, encoder_identity, random_bag, random_bundle
from fault_count import FaultCount

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bag_formats import BagAssumptions
from amkd_core.bundle import Bundle
from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.expression import read_cohort_expression
from amkd_core.cohort.pathways import Membership
from amkd_core.cohort.patients import Patient
from amkd_core.errors import BagError, CohortError
from amkd_core.inference.predict import predict_bag
from amkd_core.slides.encoders import ENCODERS
from amkd_core.training.inputs import read_bags

MANY = 15_000
ROW = 8_123


def broken(kind: str, features: np.ndarray, coords: np.ndarray) -> None:
    if kind == "doubled":
        features[ROW], coords[ROW] = features[ROW - 7], coords[ROW - 7]
    else:
        features[ROW, 3 if kind != "zero" else slice(None)] = {
            "nan": np.nan, "infinite": np.inf, "minus infinite": -np.inf, "zero": 0.0,
        }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["nan", "infinite", "minus infinite", "zero", "doubled"])
@pytest.mark.parametrize("way", ["import", "predict"])
def test_one_broken_row_of_fifteen_thousand_is_named(
    kind: str, way: str, tmp_path: Path, counted: list[FaultCount]
) -> None:
    count = FaultCount(f"1 of 15,000 rows {kind}: {way}", cases=1)
    counted.append(count)
    whole = random_bag(MANY)
    features, coords = whole.features.copy(), whole.coords.copy()
    broken(kind, features, coords)
    if way == "import":
        with h5py.File(tmp_path / "foreign.h5", "w") as file:
            file["features"], file["coords"] = features, coords
            file["coords"].attrs.update({"patch_size_level0": 512, "patch_size": 256})
        assume = BagAssumptions(encoder_identity(), 0.5, 256, 512, 0.25)
        if (
            kind == "doubled"
        ):  # CLAM lists a patch again where contours overlap: it counts once, and that is said
            bag = read_bag(tmp_path / "foreign.h5", assume=assume)
            assert len(bag) == MANY - 1
            assert any("1 patch" in notice.sentence for notice in bag.notices)
            count.same = 1
            return
        action = partial(read_bag, tmp_path / "foreign.h5", assume=assume)
    else:
        write_bag(tmp_path / "own.h5", whole)
        action = partial(replace, read_bag(tmp_path / "own.h5"), features=features, coords=coords)
    with pytest.raises(BagError, match=rf"1 patches .*\(rows {ROW}\)") as caught:
        action()
    assert "extract" in str(caught.value)
    count.refused = 1


def test_good_rows_whose_features_sum_to_nothing_are_no_broken_ones() -> None:
    rows = np.ones((4, 16), dtype=np.float32)
    rows[:, ::2] = -1
    rows[2] = 3e38  # finite, though their sum is not
    assert len(replace(random_bag(4), features=rows)) == 4


def clinical(rng: np.random.Generator, n: int) -> list[str]:
    return [f"P{i:03d},s{i:03d},{rng.uniform(1, 90):.2f},{int(rng.integers(2))}" for i in range(n)]


def read(folder: Path, rows: list[str]) -> None:
    (folder / "clinical.csv").write_text("patient_id,slide_ids,os_months,os_event\n" + "\n".join(rows) + "\n")
    read_clinical_table(folder / "clinical.csv", ClinicalKeys())


def doubled_row(rng: np.random.Generator, rows: list[str]) -> str:
    """The same row again."""
    source = int(rng.integers(len(rows)))
    name = rows[source].split(",")[0]
    rows.insert(int(rng.integers(len(rows))), rows[source])
    return f"patient {name} stands there more than once"


def contradicting_row(rng: np.random.Generator, rows: list[str]) -> str:
    """The same patient with another outcome and slide."""
    name, _, months, event = rows[int(rng.integers(len(rows)))].split(",")
    rows.insert(int(rng.integers(len(rows))), f"{name},other,{float(months) + 1},{1 - int(event)}")
    return f"patient {name} stands there more than once"


def shared_slide(rng: np.random.Generator, rows: list[str]) -> str:
    """One slide under two patients."""
    first, second = rng.choice(len(rows), 2, replace=False)
    name, _, months, event = rows[first].split(",")
    slide = rows[second].split(",")[1]
    rows[first] = f"{name},{slide},{months},{event}"
    return f"slide {slide} belongs to patients"


def longer_barcode(rng: np.random.Generator, rows: list[str]) -> str:
    """The same patient under a barcode of another length."""
    place = int(rng.integers(len(rows)))
    rows[place] = rows[place].replace(rows[place].split(",")[0], "TCGA-AA-0001")
    rows.append("TCGA-AA-0001-01Z-00-DX1,further,5,1")
    return "patient TCGA-AA-0001 stands there more than once"


@pytest.mark.parametrize("plant", [doubled_row, contradicting_row, shared_slide, longer_barcode])
def test_a_hundred_planted_patients_are_found(
    plant: Callable[[np.random.Generator, list[str]], str], tmp_path: Path, counted: list[FaultCount]
) -> None:
    count = FaultCount(f"planted: {plant.__name__.replace('_', ' ')}")
    counted.append(count)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rows = clinical(rng, int(rng.integers(5, 40)))
        read(tmp_path, rows)
        expected = plant(rng, rows)
        count.cases += 1
        with pytest.raises(CohortError, match=expected):
            read(tmp_path, rows)
        count.refused += 1


def test_a_hundred_doubled_rows_of_expression_are_found(tmp_path: Path, counted: list[FaultCount]) -> None:
    count = FaultCount("planted: doubled row of expression")
    counted.append(count)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        names = [f"P{i}" for i in range(int(rng.integers(4, 20)))]
        rows = [f"{name},{rng.normal(5):.3f},{rng.normal(5):.3f}" for name in names]
        twice = names[int(rng.integers(len(names)))]
        rows.insert(int(rng.integers(len(rows))), f"{twice},1.0,2.0")
        (tmp_path / "e.csv").write_text("patient_id,G1,G2\n" + "\n".join(rows) + "\n")
        count.cases += 1
        with pytest.raises(CohortError, match=f"patient {twice} stands there more than once"):
            read_cohort_expression(tmp_path / "e.csv", frozenset(names))
        count.refused += 1


def plant_images(folder: Path, seeds: range, counted: list[FaultCount]) -> None:
    """The image of one patient copied under another's name: the same content, another bag, another name."""
    count = FaultCount("planted: one image under two ids")
    counted.append(count)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        names = [f"s{i}" for i in range(int(rng.integers(3, 8)))]
        first, second = rng.choice(len(names), 2, replace=False)
        for index, name in enumerate(names):
            content = f"{first if index == second else index:016x}"
            write_bag(
                folder / f"{name}.h5",
                replace(random_bag(4, seed=index), slide_id=name, slide_fingerprint=content),
            )
        patients = tuple(Patient(f"P{i}", (name,), 5.0, True) for i, name in enumerate(names))
        count.cases += 1
        with pytest.raises(
            CohortError, match=r"s\d of patient P\d and s\d of patient P\d are the same image"
        ) as caught:
            read_bags(_cohort(patients), folder)
        assert {f"P{first}", f"P{second}"} == {
            word for word in str(caught.value).split() if word.startswith("P")
        }
        count.refused += 1


def write_clam(path: Path, features: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["coords"] = np.array([(x * 512, 0) for x in range(len(features))], dtype=np.int32)


@pytest.mark.parametrize("n_cases", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_a_hundred_slides_under_two_ids_are_found_by_features_where_no_file_tells(
    tmp_path: Path, counted: list[FaultCount], n_cases: int
) -> None:
    """CLAM writes no fingerprint; one of the twins may be kept in half precision, among a patient's other slides."""
    count = FaultCount("planted: features of one slide under two ids")
    counted.append(count)
    stated = {"bag_mpp": 0.5, "patch_size": 256, "patch_size_level0": 512}
    for seed in range(n_cases):
        rng = np.random.default_rng(seed)
        owners = [int(owner) for owner in np.repeat(np.arange(4), rng.integers(1, 4, 4))]
        first, second = rng.choice(len(owners), 2, replace=False)
        while owners[first] == owners[second]:
            second = rng.integers(len(owners))
        made = [rng.normal(size=(3, ENCODERS["texture"].dimension)).astype(np.float32) for _ in owners]
        for index, features in enumerate(made):
            kept = features if seed % 2 or index == second else features.astype(np.float16)
            write_clam(tmp_path / f"s{index}.h5", made[first] if index == second else kept)
        slides = {
            owner: tuple(f"s{i}" for i, at in enumerate(owners) if at == owner) for owner in set(owners)
        }
        patients = tuple(Patient(f"P{owner}", names, 5.0, True) for owner, names in slides.items())
        cohort = _cohort(patients)
        cohort = replace(cohort, file=cohort.file.model_copy(update=stated))
        low, high = sorted((int(first), int(second)))
        count.cases += 1
        with pytest.raises(CohortError) as caught:
            read_bags(cohort, tmp_path)
        assert str(caught.value) == (
            f"s{low} of patient P{owners[low]} and s{high} of patient P{owners[high]} are the same image, by their "
            "features"
        )
        count.refused += 1
        write_clam(tmp_path / f"s{second}.h5", made[second])
        assert len(read_bags(cohort, tmp_path)) == 4


def _cohort(patients: tuple[Patient, ...]) -> Cohort:
    from amkd_core.cohort.cohort import CohortFile
    from amkd_core.cohort.genes import ExpressionTable

    file = CohortFile(
        name="planted", clinical="c.csv", expression="e.csv", pathways="p.gmt", encoder="texture"
    )
    return Cohort(None, file, patients, ExpressionTable((), (), np.zeros((0, 0))), ())


def test_ten_images_under_two_ids_are_found(tmp_path: Path, counted: list[FaultCount]) -> None:
    plant_images(tmp_path, range(10), counted)


@pytest.mark.slow
def test_a_hundred_images_under_two_ids_are_found(tmp_path: Path, counted: list[FaultCount]) -> None:
    plant_images(tmp_path, range(100), counted)


@pytest.fixture(scope="module")
def bundles() -> dict[str, Bundle]:
    genes = tuple(f"GENE{index}" for index in range(N_GENES))
    one = Membership(("ONLY",), genes, np.ones((1, N_GENES), dtype=bool), ())
    return {"one": random_bundle(covered=one, n_members=2), "four": random_bundle()}


GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(N_GENES)}
SIZES = [1, 2, MANY, pytest.param(100_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("n_patches", SIZES)
@pytest.mark.parametrize("pathways", ["one", "four"])
def test_any_number_of_patches_gives_numbers(
    n_patches: int, pathways: str, bundles: dict[str, Bundle], counted: list[FaultCount]
) -> None:
    count = FaultCount(f"{n_patches:,} patches, {pathways} pathway(s)", cases=1)
    counted.append(count)
    bag = random_bag(n_patches, seed=3)
    started = time.perf_counter()
    prediction = predict_bag(bag, bundles[pathways], genes=GENES)
    count.slowest = time.perf_counter() - started
    teacher = prediction.teacher
    assert teacher is not None
    for numbers in (
        prediction.risk, prediction.risk_percentile, prediction.hazards, prediction.survival, prediction.patch_scores,
        prediction.curve.survival, teacher.risk, teacher.patch_scores, teacher.pathway_importance, teacher.coattention,
    ):  # fmt: skip
        assert np.isfinite(numbers).all()
    for scores in (prediction.patch_scores, teacher.patch_scores, teacher.pathway_importance):
        assert scores.min() >= 0
        assert scores.sum() == pytest.approx(1, abs=1e-4)
    assert (np.diff(prediction.curve.survival) <= 1e-12).all()
    count.same = 1


def test_no_patch_is_refused(tmp_path: Path, counted: list[FaultCount]) -> None:
    counted.append(FaultCount("0 patches", cases=2, refused=2))
    with pytest.raises(BagError, match="holds no patches; extract it again or leave the slide out"):
        FeatureBag(np.zeros((0, 16), dtype=np.float32), encoder_identity(), 256, 0.5, "slide")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["features"] = np.zeros((0, 16), dtype=np.float32)
    with pytest.raises(BagError, match=r"no patches|empty"):
        read_bag(tmp_path / "empty.h5", assume=BagAssumptions(encoder_identity(), 0.5, 256, 512, 0.25))
