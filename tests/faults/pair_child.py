"""Two commands at once on one folder, again and again; a line of JSON a pair.

``python pair_child.py extract|predict FOLDER N``. Both are forks that wait for the same moment; the one that got the
folder works on until the other has ended, so that no pair misses each other.
"""

from __future__ import annotations

import json
import os
import select
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
from bundle_fixtures import random_bag, random_bundle
from stopped_work import Extraction, finish
from typer.testing import CliRunner

from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bundle_file import write_bundle
from amkd_core.cli.main import app
from amkd_core.export import heatmap_file
from amkd_core.inference import extract

SCALES = (0.5, 0.45)
N_PATCHES = (31, 32)
WAIT_S = 60.0


def in_this_process(other_ended: int) -> Any:
    """Stands for the worker processes, and waits for the other run to end before it begins."""

    def extract_slides(tasks: Any, out: Path, settings: Any, *, jobs: int) -> Any:
        select.select([other_ended], [], [], WAIT_S)
        yield from ()
        return [finish(extract.extract_slide(task, out, settings)) for task in tasks]

    return extract_slides


def after_the_other(other_ended: int) -> Any:
    """Writes its map, and the rest once the other run has ended."""
    write_heatmap = heatmap_file.write_heatmap

    def waiting(*given: Any) -> None:
        write_heatmap(*given)
        select.select([other_ended], [], [], WAIT_S)

    return waiting


class ExtractPair:
    """The same slides, at the scale of each run."""

    def __init__(self, folder: Path) -> None:
        self.slides = [str(task.path) for task in Extraction(folder).tasks]
        self.folder = folder

    def words(self, number: int) -> list[str]:
        table = scale_table(self.folder, self.slides, SCALES[number])
        return ["extract", *self.slides, "--mpp-table", str(table)]

    def hold_on(self, other_ended: int) -> None:
        extract.extract_slides = in_this_process(other_ended)

    def found(self, out: Path) -> dict[str, Any]:
        """Whose the files are, by number."""
        paths = sorted(out.glob("*.h5"))
        return {path.name: SCALES.index(read_bag(path).slide_mpp[0]) for path in paths}


class PredictPair:
    """A bag for each run, of another number of patches."""

    def __init__(self, folder: Path) -> None:
        self.bundle = str(folder / "random.amkd")
        write_bundle(folder / "random.amkd", random_bundle())
        bags = [replace(random_bag(n, seed=n), slide_id=str(n)) for n in N_PATCHES]
        self.bags = [str(folder / f"{bag.slide_id}.h5") for bag in bags]
        for path, bag in zip(self.bags, bags, strict=True):
            write_bag(Path(path), bag)

    def words(self, number: int) -> list[str]:
        return ["predict", self.bags[number], "--bundle", self.bundle]

    def hold_on(self, other_ended: int) -> None:
        heatmap_file.write_heatmap = after_the_other(other_ended)

    def found(self, out: Path) -> dict[str, Any]:
        """Whose the files are, by number."""
        record = json.loads((out / "prediction.json").read_text())
        with h5py.File(out / "heatmap.h5") as file:
            in_map = len(file["scores"])
        return {
            "prediction.json": N_PATCHES.index(int(record["slide_id"])),
            "heatmap.h5": N_PATCHES.index(in_map),
        }


def one_run(pair: Any, number: int, out: Path, report: Path, ends: tuple[int, int]) -> None:
    start, other_ended = ends
    pair.hold_on(other_ended)
    select.select([start], [], [])
    result = CliRunner().invoke(app, [*pair.words(number), "--out", str(out)])
    report.write_text(json.dumps({"code": result.exit_code, "said": result.stderr}))


def scale_table(folder: Path, slides: list[str], scale: float) -> Path:
    """A table that overrules what the slides record, so that their bags tell whose run made them."""
    table = folder / f"scales-{scale}.csv"
    table.write_text("slide,mpp\n" + "".join(f"{Path(slide).name},{scale}\n" for slide in slides))
    return table


def one_pair(pair: Any, folder: Path, index: int) -> dict[str, Any]:
    out = folder / f"pair{index}"
    reports = [folder / f"report{number}" for number in range(2)]
    go_read, go_write = os.pipe()
    ends = [os.pipe() for _ in reports]
    children = []
    for number, report in enumerate(reports):
        child = os.fork()
        if child == 0:
            try:
                os.close(go_write)
                os.close(ends[1 - number][1])
                one_run(pair, number, out, report, (go_read, ends[1 - number][0]))
            finally:
                os._exit(0)
        children.append(child)
    for _, write in ends:
        os.close(write)
    os.close(go_write)  # both begin
    for child in children:
        os.waitpid(child, 0)
    for read in (go_read, *(read for read, _ in ends)):
        os.close(read)
    said = [json.loads(report.read_text()) for report in reports]
    found = pair.found(out)
    return {
        "codes": [report["code"] for report in said],
        "said": [report["said"] for report in said],
        "processes": children,
        "found": found,
        "others": sorted(path.name for path in out.iterdir() if path.name not in found),
    }


def main() -> None:
    kind, folder, n_pairs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    pair = {"extract": ExtractPair, "predict": PredictPair}[kind](folder)
    for index in range(n_pairs):
        sys.stdout.write(json.dumps(one_pair(pair, folder, index)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
