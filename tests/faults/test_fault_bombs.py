"""Small files that unfold to, or claim, far more than they are: refused at once, by a sentence, without memory."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from bomb_files import GLASS, bag_bombs, slide_bombs
from bundle_fixtures import random_bundle
from fault_count import FaultCount
from slide_files import write_tiff
from table_bombs import FRAME, table_bombs

from amkd_core.bundle_file import write_bundle

CHILD = Path(__file__).with_name("bomb_child.py")
MOST_S, MOST_MIB = 2.0, 200.0
NAMES = {
    "bag": ("declared.h5", "deflated.pt", "gzip.h5", "rows.h5", "stride.pt"),
    "slide": ("wide.tif", "many.tif", "chain.tif", "planes.ome.tif"),
    "table": ("a.csv.gz", "a.xlsx", "a.parquet"),
    "bundle": ("deflated.amkd",),
}
SAMPLE = {family: (names[0],) for family, names in NAMES.items()}


def bundle_bombs(folder: Path) -> list[Path]:
    """A bundle with a part of a gigabyte of zeros."""
    path = write_sound("bundle", folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("member0.extra.safetensors", bytes(10**9))
    return [path.rename(folder / "deflated.amkd")]


MAKERS = {"bag": bag_bombs, "slide": slide_bombs, "table": table_bombs, "bundle": bundle_bombs}


def write_sound(family: str, folder: Path) -> Path:
    """A file of the same kind that nothing is wrong with."""
    match family:
        case "bag":
            path = folder / "sound.pt"
            torch.save(torch.rand(6, 8) + 1, path)
        case "slide":
            path = write_tiff(folder / "sound.tif", [GLASS])
        case "table":
            path = folder / "sound.csv"
            FRAME.to_csv(path, index=False)
        case _:
            path = folder / "sound.amkd"
            write_bundle(path, random_bundle())
    return path


@pytest.mark.parametrize("names", [SAMPLE, pytest.param(NAMES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_bombs_take_neither_time_nor_memory(names, tmp_path: Path, counted: list[FaultCount]) -> None:
    for family, wanted in names.items():
        count, folder = FaultCount(f"bombs: {family}"), tmp_path / family
        counted.append(count)
        (folder / "bombs").mkdir(parents=True)
        bombs = {path.name: path for path in MAKERS[family](folder / "bombs")}
        assert set(bombs) == set(NAMES[family])
        sound = write_sound(family, folder)
        for name in wanted:
            words = [sys.executable, str(CHILD), family, str(sound), str(bombs[name])]
            done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
            count.cases += 1
            count.deaths += done.returncode != 0
            found = json.loads(done.stdout)
            count.refused += bool(found["said"])
            count.slowest = max(count.slowest, found["seconds"])
            assert found["said"].startswith((name, str(bombs[name]))), found
            assert "\n" not in found["said"]
            assert found["seconds"] < MOST_S, (name, found)
            assert found["grown_mib"] < MOST_MIB, (name, found)
        assert (count.refused, count.deaths) == (len(wanted), 0)


def test_there_are_twelve() -> None:
    assert sum(map(len, NAMES.values())) >= 12
