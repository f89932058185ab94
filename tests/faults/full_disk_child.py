"""Writes files again and again where the system takes no more than so many bytes; a line of JSON for each border.

``python full_disk_child.py KINDS FOLDER N HOW``. ``size``: the kernel's own limit of file size, so that the write of a
native library fails as well, in the midst of its work. ``space``: the folder is a small disk, filled up but for a rest.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bundle_fixtures import random_bag, random_bundle
from cohort_fixtures import write_tiny_cohort

from amkd_core.atomic import write_text
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.errors import AmkdError
from amkd_core.export.cohort_figures import write_cohort_figure
from amkd_core.export.figures import write_figure
from amkd_core.export.geojson import write_geojson
from amkd_core.export.heatmap_file import write_heatmap
from amkd_core.export.ome_tiff import write_heatmap_tiff
from amkd_core.export.prediction_json import write_prediction_json
from amkd_core.export.prediction_report import write_report
from amkd_core.export.scores import write_scores_csv
from amkd_core.inference.bag_cache import BagCache
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.result_cache import ResultCache
from amkd_core.slides.info import Bounds, Level, Microns, SlideInfo

Write = Callable[[], object]


def exports(folder: Path) -> dict[str, Write]:
    prediction = predict_bag(random_bag(400), random_bundle())
    return {
        "heatmap.h5": lambda: write_heatmap(folder / "a.h5", prediction),
        "prediction.json": lambda: write_prediction_json(folder / "a.json", prediction),
        "scores.csv": lambda: write_scores_csv(folder / "a.csv", prediction),
        "geojson": lambda: write_geojson(folder / "a.geojson", prediction),
        "ome-tiff": lambda: write_heatmap_tiff(folder / "a.ome.tif", prediction),
        "png": lambda: write_figure(folder / "a.png", prediction),
        "report.html": lambda: write_report(folder / "a.html", prediction, None),
        "report.pdf": lambda: write_report(folder / "a.pdf", prediction, None),
        "svg": lambda: write_cohort_figure(folder, "a", _draw, size=(3, 3), pdf=True),
    }


def _draw(figure: Any) -> None:
    figure.add_subplot().plot(np.sin(np.arange(3000)))


def stores(folder: Path) -> dict[str, Write]:
    bag, bundle, text = random_bag(400), random_bundle(n_members=2), "0123456789" * 3000
    return {
        "bag": lambda: (write_bag(folder / "a.h5", bag), read_bag(folder / "a.h5")),
        "bundle": lambda: (write_bundle(folder / "a.amkd", bundle), open_bundle(folder / "a.amkd")),
        "text": lambda: write_text(folder / "a.txt", text),
        "kept result": kept_result(folder),
        "packed cache": packed_cache(folder),
    }


def kept_result(folder: Path) -> Write:
    """A cache that is full says so in the log, and costs nothing else."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("amkd_core.inference.result_cache").addHandler(handler)
    bag, bundle = random_bag(400), random_bundle()
    bundle = write_bundle(folder.parent / "kept.amkd", bundle)
    prediction = predict_bag(bag, bundle)
    levels, bounds = (Level(0, (6000, 3000), (1, 1)),), Bounds(0, 0, 6000, 3000)
    microns = Microns(0.25, 0.25, "vendor")
    info = SlideInfo(Path("s.tif"), "s", "f" * 16, "tifffile", "tiff", levels, microns, None, bounds)
    cache = ResultCache(folder, BagCache(None))

    def keep() -> None:
        said.clear()
        cache.keep(prediction, info, bundle)
        if said:
            raise OSError(said[0])

    return keep


def packed_cache(folder: Path) -> Write:
    from amkd_core.cohort.cohort import read_cohort
    from amkd_core.training.inputs import read_bags
    from amkd_core.training.packed_cache import pack_cohort, read_packed

    toml = write_tiny_cohort(
        folder.parent / "cohort", name="tiny", n_patients=24, width=16, patches=(50, 60),
        pathways=((0, 1, 2), (3, 4, 5)),
    )  # fmt: skip
    cohort = read_cohort(toml)
    bags = read_bags(cohort, cohort.file.bags)

    def pack() -> None:
        (folder / "cache.json").unlink(missing_ok=True)
        pack_cohort(folder, cohort, bags, key={}, dtype="float32")
        found = read_packed(folder)[1]
        assert all(np.array_equal(found[name].features, bags[name].features) for name in bags)

    return pack


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "filler"}


def limit_size(folder: Path, most: int) -> None:
    """Files may not be longer than so much."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def limit_space(folder: Path, most: int) -> None:
    """A small disk with so much left of it."""
    with (folder / "filler").open("wb") as file:
        state = os.statvfs(folder)
        os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - most))


def lift(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (folder / "filler").unlink(missing_ok=True)


def one_border(
    kind: str, write: Write, folder: Path, limit: Callable[[], None], whole: dict[str, int]
) -> dict[str, Any]:
    before, start = content_of(folder), time.monotonic()
    limit()
    try:
        write()
    except (AmkdError, OSError) as error:
        result = f"OSError {error}" if isinstance(error, OSError) else f"no OSError: {error!r}"
    except Exception as error:  # noqa: BLE001 - what else comes out is what is being counted
        result = f"{type(error).__name__}: {error}"
    else:
        result = "written"
    finally:
        lift(folder)
    left = content_of(folder)
    # A packed cache is several files, and no cache without its last one; the figures are three, each whole.
    several = kind in ("packed cache", "svg")
    parts = [name for name in left if name.startswith(".tmp-")]
    if result == "written":  # each OME-TIFF has an identifier of its own, of the same length
        kept = {name: len(content) for name, content in left.items()} == whole
    else:
        kept = left == before or (several and not parts)
    if kind == "packed cache":
        kept = kept and (result == "written") == ("cache.json" in left)
    return {
        "kind": kind, "result": result, "kept": kept, "names": sorted(left),
        "seconds": time.monotonic() - start,
    }  # fmt: skip


def clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def main() -> None:
    kinds, folder, n_borders, how = sys.argv[1].split(","), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    limits = {"size": limit_size, "space": limit_space}
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writers = {**stores(folder), **exports(folder)}
    for kind in kinds:
        write = writers[kind]
        clear(folder)
        write()
        # Of several files the longest one counts: the others pass.
        whole = {name: len(content) for name, content in content_of(folder).items()}
        size = max(whole.values())
        most = size if how == "size" else size * 3 // 2  # a disk may also be large enough
        for old in (True, False):
            for index in range(n_borders):
                if not old:
                    clear(folder)
                limit = functools.partial(limits[how], folder, most * index // n_borders)
                line = one_border(kind, write, folder, limit, whole)
                sys.stdout.write(json.dumps(line) + "\n")
        write()
        sys.stdout.write(json.dumps({"kind": kind, "result": "completed"}) + "\n")


if __name__ == "__main__":
    main()
