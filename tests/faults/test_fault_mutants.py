"""Damaged slides, bags, bundles and tables by the thousand: a sentence or the same data, and nobody dies."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from bundle_fixtures import random_bag, random_bundle
from cohort_fixtures import write_tiny_cohort
from fault_count import FaultCount
from scanner_files import write_mirax, write_ndpi, write_vms
from slide_files import halved, tissue_like, write_ome, write_striped, write_svs, write_tiff

from amkd_core.bag_file import write_bag
from amkd_core.bundle_card import Measured, MeasuredSubgroups, Sites, SubgroupMeasured
from amkd_core.bundle_file import write_bundle
from amkd_core.file_hash import file_sha256

CHILD = Path(__file__).with_name("mutant_child.py")
HANG_S, MOST_MIB = 10.0, 2048
SAMPLE, FULL = 60, 1000
HASHED = ", hashed"
MEASURED = [
    Measured(
        model="student", fold=1, n_patients=30, n_events=12, c_index=0.6, lower=0.5, upper=0.7, level=0.95
    ),
    Measured(model="teacher", fold=1, n_patients=30, n_events=0, reason="nobody died"),
]
SUBGROUPS = [
    MeasuredSubgroups(
        by="sex", pooled_groups=1, pooled_patients=3, unknown=2,
        measured=[
            SubgroupMeasured(
                model="student", group="female", n_patients=25, c_index=0.6, lower=0.5, upper=0.7, level=0.95
            )
        ],
    )
]  # fmt: skip
SITES = Sites(source="tcga_site", patients={"A2": 30, "E2": 20})
IMAGE = tissue_like(700, 600, seed=5)
IN_WHOLE_PICTURES = tissue_like(768, 512, seed=5)
"""Of 64 px, on three levels, as scanners cut that store pictures instead of tiles."""


def slide_file(name: str, folder: Path) -> Path:
    levels = [IMAGE, halved(IMAGE)]
    match name:
        case "svs":
            return write_svs(folder / "a.svs", levels)
        case "tiff":
            return write_tiff(folder / "a.tif", levels)
        case "ome":
            return write_ome(folder / "a.ome.tif", [levels])
        case "ndpi":
            return write_ndpi(folder / "a.ndpi", IN_WHOLE_PICTURES)
        case _:
            return write_striped(folder / "a.tif", IMAGE, compression="lzw", rows=50)


def real_dicom() -> Path:
    """The volume of a real slide, which lies beside the checkout; nothing of ours writes DICOM."""
    shared = Path(os.environ.get("AMKD_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    files = list((shared / "slides/real/CMU-1-Small-Region-dicom").glob("*.dcm"))
    if not files:
        pytest.skip(f"there is no real DICOM slide in {shared}")
    return max(files, key=lambda file: file.stat().st_size)


def repacked(folder: Path, name: str) -> Path:
    """A table of the cohort, in another kind of file where its name says so; the cohort's file names it then."""
    table, settings = folder / name, folder / "cohort.toml"
    plain = table.name.split(".")[0] + ".csv"
    if not table.exists():
        frame = pd.read_csv(folder / plain)
        match table.suffix:
            case ".xlsx":
                frame.to_excel(table, index=False)
            case ".parquet":
                frame.to_parquet(table, index=False)
            case _:
                frame.to_csv(table, index=False)
        settings.write_text(settings.read_text().replace(plain, name))
    return table


def foreign_file(name: str, hashed: bool, folder: Path) -> Path:
    """A bag as other tools write it; the hash of the whole one lies beside where its copies will."""
    features = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    path = folder / f"a.{name.removeprefix('foreign ')}"
    if path.suffix == ".pt":
        torch.save(torch.from_numpy(features), path)
    else:
        with h5py.File(path, "w") as file:
            file["features"], file["coords"] = features, np.arange(400).reshape(200, 2) * 512
            file["coords"].attrs.update(
                {
                    "patch_size": 256,
                    "patch_size_level0": 512,
                    "target_magnification": 20,
                    "encoder": "texture",
                }
            )
    if hashed:
        hash_of_copies(path)
    return path


def hash_of_copies(whole: Path) -> None:
    """Write the hash of a whole file beside where its damaged copies will lie."""
    copy = f"mutant{''.join(whole.suffixes)}"
    whole.with_name(f"{copy}.sha256").write_text(f"{file_sha256(whole)}  {copy}\n")


PARTS = {
    "slide mirax index": "a/Index.dat",
    "slide mirax text": "a/Slidedat.ini",
    "slide mirax data": "a/Data0000.dat",
    "slide vms text": "made.vms",
    "slide vms picture": "made(1,0).jpg",
}
"""Slides of several files, and the one that is damaged."""


def part_of_slide(name: str, folder: Path) -> tuple[str, Path]:
    if name.startswith("slide mirax"):
        write_mirax(folder / "a.mrxs", IN_WHOLE_PICTURES)
        return "mirax", folder / PARTS[name]
    write_vms(folder / "made.vms", IN_WHOLE_PICTURES)
    return "vms", folder / PARTS[name]


def source_of(name: str, folder: Path) -> tuple[str, Path]:
    """Family, and the file whose copies are damaged."""
    if name == "slide dicom":
        # A folder of its own: all DICOM files beside a copy would be looked at as its levels.
        (folder / "whole").mkdir(exist_ok=True)
        whole = folder / "whole" / "a.dcm"
        whole.write_bytes(real_dicom().read_bytes())
        return "slide", whole
    if name in PARTS:
        return part_of_slide(name, folder)
    if name.startswith("slide"):
        whole = slide_file(name.removeprefix("slide ").removesuffix(HASHED), folder)
        if name.endswith(HASHED):
            hash_of_copies(whole)
        return "slide", whole
    if name == "bag":
        bag = random_bag(40)
        write_bag(folder / "a.h5", bag)
        return "bag", folder / "a.h5"
    if name.startswith("foreign"):
        return "foreign", foreign_file(name.removesuffix(HASHED), name.endswith(HASHED), folder)
    if name == "bundle":
        bundle = random_bundle(n_members=2)
        told = {"measured": MEASURED, "subgroups": SUBGROUPS, "sites": SITES, "limits": ["Its own."]}
        card = bundle.card.model_copy(update=told)
        write_bundle(folder / "a.amkd", replace(bundle, card=card))
        return "bundle", folder / "a.amkd"
    write_tiny_cohort(
        folder, name="tiny", n_patients=20, width=4, patches=(2, 4), pathways=((0, 1, 2), (3, 4, 5))
    )
    table = repacked(folder, name.removeprefix("table ").removesuffix(HASHED))
    if name.endswith(HASHED):
        table.with_name(f"{table.name}.sha256").write_text(f"{file_sha256(table)}  {table.name}\n")
    return "cohort", table


class Child:
    """The process that reads; its lines arrive by a thread, so that waiting for one can end."""

    def __init__(self, family: str, source: Path, seeds: tuple[int, int], folder: Path) -> None:
        words = [sys.executable, str(CHILD), family, str(source), *map(str, seeds), str(folder)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def next(self, timeout_s: float) -> dict[str, Any] | str:
        try:
            line = self.lines.get(timeout=timeout_s)
        except queue.Empty:
            return "hang"
        return json.loads(line) if line else "death"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def run_mutants(
    name: str, n_cases: int, folder: Path, first: int = 0
) -> tuple[FaultCount, list[dict[str, Any]]]:
    family, source = source_of(name, folder)
    original = source.read_bytes()
    count, found, seed = FaultCount(f"mutants: {name}"), [], first
    while seed < first + n_cases:
        source.write_bytes(original)
        child = Child(family, source, (seed, first + n_cases), folder)
        assert child.next(60) == {"ready": True}
        while seed < first + n_cases:
            line = child.next(HANG_S)
            if isinstance(line, str):
                found.append(
                    {"seed": seed, "result": line, "named": False, "seconds": HANG_S, "text": "", "mib": 0}
                )
                seed += 1
                break
            found.append(line)
            seed += 1
        child.end()
    results = Counter(item["result"] for item in found)
    count.cases, count.same, count.different = len(found), results["same"], results["different"]
    count.told = results["told"]
    count.refused, count.deaths, count.hangs = results["sentence"], results["death"], results["hang"]
    count.slowest = max(item["seconds"] for item in found)
    return count, found


def check(count: FaultCount, found: list[dict[str, Any]]) -> None:
    unclean = [item for item in found if item["result"] in ("unclean", "no sentence", "death", "hang")]
    assert unclean == []
    assert [item for item in found if item["result"] == "sentence" and not item["named"]] == []
    assert count.slowest < HANG_S
    assert max(item["mib"] for item in found) < MOST_MIB


SLIDES = ("slide svs", "slide tiff", "slide ome", "slide strips", "slide ndpi", *PARTS, "slide dicom")
OURS = ("bag", "bundle")
FOREIGN = ("foreign h5", "foreign pt")
TABLES = ("table clinical.csv", "table expression.csv", "table pathways.gmt", "table cohort.toml")
PACKED = ("table clinical.xlsx", "table clinical.csv.gz", "table expression.parquet")
WITH_HASH = tuple(f"{name}{HASHED}" for name in (*TABLES, *FOREIGN, "table expression.parquet", "slide svs"))
FAMILIES = [*SLIDES, *OURS, *FOREIGN, *TABLES, *PACKED, *WITH_HASH]


def one_family(name: str, n_cases: int, folder: Path, counted: list[FaultCount]) -> FaultCount:
    count, found = run_mutants(name, n_cases, folder)
    counted.append(count)
    check(count, found)
    # Of slides, whose formats mostly carry no checksum, nothing is said; everything else is checked or told.
    assert name in SLIDES or count.different == 0
    # A workbook, a gzip and a file of torch's carry checksums as our own files do.
    if name in OURS or name.endswith((".xlsx", ".gz", " pt", HASHED)):
        assert count.told == 0
    assert count.refused > 0
    return count


@pytest.mark.parametrize("name", FAMILIES)
def test_a_sample_of_mutants(name: str, tmp_path: Path, counted: list[FaultCount]) -> None:
    # The real DICOM slide has no small levels: a copy takes ten times as long to be read.
    one_family(name, SAMPLE // 4 if name == "slide dicom" else SAMPLE, tmp_path, counted)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_thousand_mutants(name: str, tmp_path: Path, counted: list[FaultCount]) -> None:
    one_family(name, FULL, tmp_path, counted)


def wrap_child(read: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have bags read by the code of a function `read` of a path."""
    wrapped = folder / "child.py"
    wrapped.write_text(
        f"import os, sys, time; sys.path.insert(0, {str(CHILD.parent)!r}); import mutant_child\n"
        f"{read}mutant_child.READERS['bag'] = read\n"
        "mutant_child.main()\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "CHILD", wrapped)


def test_the_harness_sees_what_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader without checksums accepts other data, one that aborts dies, one that sleeps hangs."""
    wrap_child(
        "def read(path):\n"
        "    data = path.read_bytes()\n"
        "    if path.name.startswith('mutant') and len(data) % 7 == 1: os.abort()\n"
        "    if path.name.startswith('mutant') and len(data) % 7 == 2: time.sleep(60)\n"
        "    return data\n",
        tmp_path,
        monkeypatch,
    )
    monkeypatch.setattr(sys.modules[__name__], "HANG_S", 1.5)
    count, _ = run_mutants("bag", 40, tmp_path)
    assert count.cases == 40
    assert count.different > 10
    assert count.deaths > 0
    assert count.hangs > 0
    assert np.isfinite(count.slowest)


def test_a_refusal_that_names_no_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrap_child(
        "def read(path):\n"
        "    if path.name.startswith('mutant'): raise mutant_child.AmkdError('it is damaged')\n"
        "    return b''\n",
        tmp_path,
        monkeypatch,
    )
    count, found = run_mutants("bag", 5, tmp_path)
    assert count.refused == 5
    with pytest.raises(AssertionError, match="'named': False"):
        check(count, found)
