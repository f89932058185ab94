"""Opens bombs in a fresh process: the sentence of each, how long it took, and how much memory it grew by.

``python bomb_child.py FAMILY SOUND BOMB...``, a line of JSON for each; the sound file is read first, so that what
libraries take by themselves is there before. Processes that read for this one count as well.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil

from amkd_core.errors import AmkdError


def slide(path: Path) -> None:
    from amkd_core.slides import open_slide

    open_slide(path).close()


def bag(path: Path) -> None:
    from bundle_fixtures import encoder_identity

    from amkd_core.bag_file import read_bag
    from amkd_core.bag_formats import BagAssumptions

    read_bag(path, assume=BagAssumptions(encoder_identity(8), 0.5, 256, 512))


def weights(path: Path) -> None:
    from types import SimpleNamespace

    import torch

    from amkd_core.slides.encoders.network import fill

    fill(torch.nn.Linear(2, 2), path, SimpleNamespace(name="made", unused_weights=()))  # type: ignore[arg-type]


def bundle(path: Path) -> None:
    from amkd_core.bundle_file import open_bundle

    open_bundle(path)


def table(path: Path) -> None:
    from amkd_core.cohort.tables import read_table

    read_table(path)


READERS = {"slide": slide, "bag": bag, "bundle": bundle, "table": table, "weights": weights}


def peak_mib() -> float:
    """The most memory of this program and of those that it started, since each began."""
    own = psutil.Process()
    files = [Path(f"/proc/{process.pid}/status") for process in (own, *own.children(recursive=True))]
    lines = [line for file in files for line in file.read_text().splitlines() if line.startswith("VmHWM")]
    return sum(int(line.split()[1]) for line in lines) / 1024


def main() -> None:
    family, sound, *bombs = sys.argv[1:]
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    read = READERS[family]
    read(Path(sound))
    for bomb in bombs:
        before, started = peak_mib(), time.perf_counter()
        try:
            read(Path(bomb))
            said = ""
        except AmkdError as error:
            said = str(error)
        found = {"said": said, "seconds": time.perf_counter() - started, "grown_mib": peak_mib() - before}
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
