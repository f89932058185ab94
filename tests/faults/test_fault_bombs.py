"""Small files that unfold to, or claim, far more than they are: refused at once, by a sentence, without memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from bomb_files import GLASS, bag_bombs, slide_bombs, weights_bombs
from bundle_fixtures import random_bundle
from fault_count import FaultCount
from slide_files import write_tiff
from table_bombs import FRAME, table_bombs

from amkd_core.bundle_file import write_bundle

CHILD = Path(__file__).with_name("bomb_child.py")
MOST_S, MOST_MIB = 2.0, 200.0
UNREAD, CUT = r"it was not read|at most 2000000 rows", "is truncated or damaged: "
SENTENCES = {
    "bag": dict.fromkeys(("declared.h5", "deflated.pt", "gzip.h5", "rows.h5", "stride.pt"), UNREAD),
    "slide": {
        **dict.fromkeys(("wide.tif", "many.tif", "chain.tif"), CUT),
        "planes.ome.tif": "claims 3000000 image planes in its OME-XML",
    },
    "table": dict.fromkeys(("a.csv.gz", "a.xlsx", "a.parquet"), "unfolds to more than "),
    "weights": {
        "deflated.bin": "is compressed, as in no .pt file; it was not read",
        **dict.fromkeys(
            ("stride.bin", "stride.pth", "wrapped.bin"), "over fewer bytes than that; it was not read"
        ),
        **dict.fromkeys(
            ("shared.bin", "many.safetensors"), r"does not hold the weights of 'made': .* unknown"
        ),
    },
    "bundle": {"deflated.amkd": "is compressed, bundles are stored"},
}


def bundle_bombs(folder: Path) -> list[Path]:
    """A bundle with a part of a gigabyte of zeros."""
    path = write_sound("bundle", folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("member0.extra.safetensors", bytes(10**9))
    return [path.rename(folder / "deflated.amkd")]


MAKERS = {
    "bag": bag_bombs,
    "slide": slide_bombs,
    "table": table_bombs,
    "weights": weights_bombs,
    "bundle": bundle_bombs,
}


def write_sound(family: str, folder: Path) -> Path:
    """A file of the same kind that nothing is wrong with."""
    match family:
        case "bag":
            path = folder / "sound.pt"
            torch.save(torch.rand(6, 8) + 1, path)
        case "weights":
            path = folder / "sound.bin"
            torch.save(torch.nn.Linear(2, 2).state_dict(), path)
        case "slide":
            path = write_tiff(folder / "sound.tif", [GLASS])
        case "table":
            path = folder / "sound.csv"
            FRAME.to_csv(path, index=False)
        case _:
            path = folder / "sound.amkd"
            write_bundle(path, random_bundle())
    return path


@pytest.mark.parametrize("alone", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", SENTENCES)
def test_bombs_take_neither_time_nor_memory(
    family: str, alone: bool, tmp_path: Path, counted: list[FaultCount]
) -> None:
    """One after another in one process, or each in a process of its own."""
    (tmp_path / "bombs").mkdir()
    bombs = MAKERS[family](tmp_path / "bombs")
    assert {path.name for path in bombs} == set(SENTENCES[family])
    sound = write_sound(family, tmp_path)
    count = FaultCount(f"bombs: {family}", cases=len(bombs))
    counted.append(count)
    found = []
    for several in [[path] for path in bombs] if alone else [bombs]:
        words = [sys.executable, str(CHILD), family, str(sound), *map(str, several)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        count.deaths += done.returncode != 0
        found += map(json.loads, done.stdout.splitlines())
    assert count.deaths == 0
    for path, one in zip(bombs, found, strict=True):
        count.refused += bool(one["said"])
        count.slowest = max(count.slowest, one["seconds"])
        assert one["said"].startswith((path.name, str(path))), one
        assert re.search(SENTENCES[family][path.name], one["said"]), one
        assert "\n" not in one["said"]
        assert one["seconds"] < MOST_S, (path.name, one)
        assert one["grown_mib"] < MOST_MIB, (path.name, one)


def test_there_are_twelve() -> None:
    assert sum(map(len, SENTENCES.values())) >= 12
