"""Two commands at once on one folder, again and again; a line of JSON a pair.

``python pair_child.py FOLDER N``. Both are forks that wait for the same moment; the one that got the folder works on
until the other has ended, so that no pair misses each other.
"""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path
from typing import Any

from stopped_work import Extraction, finish
from typer.testing import CliRunner

from amkd_core.bag_file import read_bag
from amkd_core.cli.main import app
from amkd_core.inference import extract

SCALES = (0.5, 0.45)
WAIT_S = 60.0


def in_this_process(other_ended: int) -> Any:
    """Stands for the worker processes, and waits for the other run to end before it begins."""

    def extract_slides(tasks: Any, out: Path, settings: Any, *, jobs: int) -> Any:
        select.select([other_ended], [], [], WAIT_S)
        yield from ()
        return [finish(extract.extract_slide(task, out, settings)) for task in tasks]

    return extract_slides


def one_run(words: list[str], start: int, other_ended: int, report: Path) -> None:
    extract.extract_slides = in_this_process(other_ended)
    select.select([start], [], [])
    result = CliRunner().invoke(app, words)
    report.write_text(json.dumps({"code": result.exit_code, "said": result.stderr}))


def scale_table(folder: Path, slides: list[str], scale: float) -> Path:
    """A table that overrules what the slides record, so that their bags tell whose run made them."""
    table = folder / f"scales-{scale}.csv"
    table.write_text("slide,mpp\n" + "".join(f"{Path(slide).name},{scale}\n" for slide in slides))
    return table


def one_pair(folder: Path, slides: list[str], index: int) -> dict[str, Any]:
    out = folder / f"pair{index}"
    go_read, go_write = os.pipe()
    ends = [os.pipe() for _ in SCALES]
    children = []
    for number, scale in enumerate(SCALES):
        child = os.fork()
        if child == 0:
            try:
                os.close(go_write)
                os.close(ends[1 - number][1])
                words = [
                    "extract",
                    *slides,
                    "--out",
                    str(out),
                    "--mpp-table",
                    str(scale_table(folder, slides, scale)),
                ]
                one_run(words, go_read, ends[1 - number][0], folder / f"report{number}")
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
    reports = [json.loads((folder / f"report{number}").read_text()) for number in range(2)]
    return {
        "codes": [report["code"] for report in reports],
        "said": [report["said"] for report in reports],
        "processes": children,
        "scales": [read_bag(path).slide_mpp[0] for path in sorted(out.glob("*.h5"))],
        "others": sorted(path.name for path in out.iterdir() if path.suffix != ".h5"),
    }


def main() -> None:
    folder, n_pairs = Path(sys.argv[1]), int(sys.argv[2])
    slides = [str(task.path) for task in Extraction(folder).tasks]
    for index in range(n_pairs):
        sys.stdout.write(json.dumps(one_pair(folder, slides, index)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
