"""Files that were found to crash, hang or mislead once, each made anew under a name of its own.

A file that mutation, an audit or a user finds joins here, with the sentence that it earns by now.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from bomb_files import patch_tag
from bundle_fixtures import random_bag
from cohort_fixtures import write_tiny_cohort
from scanner_files import write_mirax, write_vmu
from slide_files import halved, tissue_like, write_svs

from amkd_core.bag_file import read_bag, write_bag
from amkd_core.cohort.cohort import read_cohort
from amkd_core.slides import open_slide

IMAGE = tissue_like(700, 600, seed=5)
TILE_WIDTH, NEXT_TILE = 322, 324


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes
    ----------
    make
        Writes the file, and what it needs, into a folder.
    read
        What a user's command does with it first.
    sentence
        Pattern of the whole sentence.
    once
        What it did when it was found.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    sentence: str
    once: str


def _opened(path: Path) -> object:
    with open_slide(path) as slide:
        return slide.thumbnail(100)


def _cohort_of(table: Path) -> object:
    return read_cohort(table.with_name("cohort.toml"))


def _svs(folder: Path) -> Path:
    return write_svs(folder / "found.svs", [IMAGE, halved(IMAGE)])


def _wide_tiles(folder: Path) -> Path:
    return patch_tag(_svs(folder), TILE_WIDTH, value=218_104_048)


def _far_tile(folder: Path) -> Path:
    """The first offset of a tile lies behind the end."""
    path = _svs(folder)
    body = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", body, 4)
    (n_entries,) = struct.unpack_from("<H", body, first)
    for at in range(first + 2, first + 2 + 12 * n_entries, 12):
        tag, _, _, value = struct.unpack_from("<HHII", body, at)
        if tag == NEXT_TILE:
            struct.pack_into("<I", body, value, len(body) + 1000)
    path.write_bytes(body)
    return path


def _lost_levels(folder: Path) -> Path:
    """Cut in transfer behind the first directory and its tiles."""
    path = _svs(folder)
    body = path.read_bytes()
    (first,) = struct.unpack_from("<I", body, 4)
    (n_entries,) = struct.unpack_from("<H", body, first)
    (second,) = struct.unpack_from("<I", body, first + 2 + 12 * n_entries)
    path.write_bytes(body[:second])
    return path


def _property_of_no_text(folder: Path) -> Path:
    """A name among the vendor's properties holds a byte that is no UTF-8."""
    path = _svs(folder)
    body = path.read_bytes()
    assert body.count(b"AppMag") > 0
    path.write_bytes(body.replace(b"AppMag", b"App\xffag"))
    return path


def _vmu_of_no_kind(folder: Path) -> Path:
    path = write_vmu(folder / "found.vmu", tissue_like(512, 384, seed=5))
    path.write_text(path.read_text().replace("BitsPerPixel=36\n", ""))
    return path


def _mirax_without_data(folder: Path) -> Path:
    path = write_mirax(folder / "found.mrxs", IMAGE)
    (folder / "found" / "Data0000.dat").unlink()
    return path


def _linked_bag(folder: Path) -> Path:
    with h5py.File(folder / "other.h5", "w") as other:
        other["features"] = np.ones((4, 8), np.float32)
    path = folder / "found.h5"
    with h5py.File(path, "w") as file:
        file["features"] = h5py.ExternalLink("other.h5", "features")
    return path


def _cut_bag(folder: Path) -> Path:
    path = folder / "found.h5"
    write_bag(path, random_bag(40))
    path.write_bytes(path.read_bytes()[:-100])
    return path


def _cohort(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_tiny_cohort(
            folder, name="tiny", n_patients=20, width=4, patches=(2, 4), pathways=((0, 1, 2), (3, 4, 5))
        )
        table = folder / name
        table.write_bytes(change(table.read_bytes()))
        return table

    return make


def _too_many_cells(table: bytes) -> bytes:
    lines = table.splitlines(keepends=True)
    return b"".join([*lines[:4], lines[4].replace(b"\n", b",1,2,3\n"), *lines[5:]])


def _compressed_cut(folder: Path) -> Path:
    table = _cohort("clinical.csv", lambda table: table)(folder)
    packed = gzip.compress(table.read_bytes())
    (folder / "clinical.csv.gz").write_bytes(packed[: len(packed) // 2])
    settings = folder / "cohort.toml"
    settings.write_text(settings.read_text().replace("clinical.csv", "clinical.csv.gz"))
    return folder / "clinical.csv.gz"


_DAMAGED = r"found\.svs is truncated or damaged: {}; copy or download the file again, or export it anew\."
FOUND = {
    "tiles wider than any memory": Found(
        _wide_tiles, _opened,
        _DAMAGED.format("it claims tiles of 218104048 x 240 px, but no side may exceed 4096"),
        "OpenSlide 4.0.1 ended the process",
    ),
    "a tile behind the end": Found(
        _far_tile, _opened, _DAMAGED.format(r"1 of 18 tiles lie beyond its end at byte \d+"), "failed in mid extraction"
    ),
    "later pictures lost in transfer": Found(
        _lost_levels, _opened,
        _DAMAGED.format(r"its next directory should be at byte (\d+), but the file has \1 bytes"),
        "levels were missing without a word",
    ),
    "a property whose name is no text": Found(_property_of_no_text, _opened, "", "a KeyError"),
    "a VMU of no kind of pixels": Found(
        _vmu_of_no_kind, _opened, r"found\.vmu .*BitsPerPixel should be 36, but is missing.*",
        "OpenSlide 4.0.1 ended the process",
    ),
    "a MIRAX without its data": Found(
        _mirax_without_data, _opened,
        r"found\.mrxs is incomplete: Data0000\.dat, which holds \d+ of its pictures, is missing from its folder; copy "
        r"the folder again\.",
        "failed in mid extraction",
    ),
    "features in another file": Found(
        _linked_bag, read_bag,
        r"found\.h5: features is a link to other data, expected the data themselves; not followed",
        "the other file was read",
    ),
    "a bag cut in transfer": Found(
        _cut_bag, read_bag,
        r"found\.h5: the checksum does not match, the file is damaged; extract the slide again",
        "HDF5's own words",
    ),
    "pathways that are no UTF-8": Found(
        _cohort("pathways.gmt", lambda table: table.replace(b"G1", b"G\xff1", 1)), _cohort_of,
        r"pathways\.gmt: is no GMT file, expected text in UTF-8 \(.*0xff in position 9.*\)", "a traceback",
    ),
    "a row of too many cells": Found(
        _cohort("expression.csv", _too_many_cells), _cohort_of,
        r"expression\.csv, line 5: has 10 cells, but line 1 names 7 columns; a decimal comma, or a comma in a text "
        r"without quotation marks\?",
        "pandas' message of several lines",
    ),
    "a carriage return within a row": Found(
        _cohort("clinical.csv", lambda table: table.replace(b"P03,", b"P03\r,", 1)), _cohort_of,
        r"clinical\.csv, line 5: holds a carriage return within it, expected lines that end with a line feed; save it "
        r"as CSV again",
        "a message without the file's name",
    ),
    "a page of zeros in a table": Found(
        _cohort("expression.csv", lambda table: table[:300] + bytes(4096) + table[300:]), _cohort_of,
        r"expression\.csv, line 7: holds NUL bytes, expected UTF-8 text; the file is damaged or encoded otherwise",
        "what stood behind it was not read",
    ),
    "a gene that a spreadsheet took for a date": Found(
        _cohort("expression.csv", lambda table: table.replace(b",G1,", b",1-Mar,", 1)), _cohort_of,
        r"expression\.csv: 1 genes are named like dates \(1-Mar\): a spreadsheet has changed them; use the original "
        r"table",
        "the gene was lost",
    ),
    "a table cut while it was compressed": Found(
        _compressed_cut, _cohort_of,
        r"clinical\.csv\.gz: cannot be read as a table \(Compressed file ended before the end-of-stream marker was "
        r"reached\)",
        "a traceback",
    ),
}  # fmt: skip
"""By what is wrong with each; a pattern of no letters means that the file opens."""
