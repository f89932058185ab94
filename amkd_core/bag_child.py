"""The process that reads files of features and weights for its owner, under limits of memory.

Requests and answers are lines of JSON: a file and what to do with it; that its libraries are there; what it holds;
which of its arrays are wanted; and then follow their bytes. Nothing is pickled, so that a file that takes this process
over cannot make its owner run code.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from amkd_core.address_space import limit_address_space
from amkd_core.bag_layouts import read_layout
from amkd_core.bag_rows import has_batch_axis
from amkd_core.bag_stored import find_stored
from amkd_core.errors import AmkdError, BagError
from amkd_core.hdf5_guard import MAX_EXPANSION, open_hdf5
from amkd_core.weights_stored import read_table, unreadable

ARRAYS = ("features", "coords")
GIB = 2**30
# Copies of a file's numbers that are alive at once while they are read, converted and sent.
COPIES = 4


def limit_memory(path: Path, *, expansion: int) -> None:
    """Let this process use no more address space than it has now and the file's numbers can explain."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    page = os.sysconf("SC_PAGE_SIZE")
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * page
    explained = GIB + COPIES * expansion * path.stat().st_size
    limit_address_space(now + min(explained, page * os.sysconf("SC_PHYS_PAGES")))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


Answer = tuple[dict[str, Any], dict[str, Callable[[], NDArray[Any]]]]
"""A header, and what gives each of the arrays that it describes."""


def _layout(path: Path) -> Answer:
    recorded = asdict(read_layout(path))
    arrays = {name: recorded.pop(name) for name in ARRAYS}
    found = {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None}
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in found.items()}
    return {"recorded": recorded, "arrays": shapes}, {name: partial(_same, found[name]) for name in found}


def _stored(path: Path) -> Answer:
    return {"stored": asdict(find_stored(path))}, {}


def _weights(path: Path) -> Answer:
    import torch

    described, values = read_table(path)
    sizes = {
        name: math.prod(shape) * getattr(torch, kind).itemsize for name, (kind, shape) in described.items()
    }
    return {"weights": described, "arrays": {name: ["|u1", [size]] for name, size in sizes.items()}}, values


def _same(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _opens(path: Path) -> Answer:
    try:
        with h5py.File(path, "r", locking=False):
            return {"opens": True}, {}
    except OSError:
        return {"opens": False}, {}


def _rows(path: Path) -> Answer:
    if not h5py.is_hdf5(path):
        return {"rows": len(read_layout(path).features)}, {}
    with open_hdf5(path, BagError) as file:
        shape = file.get("features", file.get("feats")).shape
        return {"rows": int(shape[1] if has_batch_axis(shape) else shape[0])}, {}


KINDS: dict[str, Callable[[Path], Answer]] = {
    "layout": _layout,
    "stored": _stored,
    "opens": _opens,
    "rows": _rows,
    "weights": _weights,
}


def load_libraries(kind: str, path: Path) -> None:
    """Load what a file needs, before its own limits of memory and time count."""
    if kind in ("layout", "rows", "weights") and not h5py.is_hdf5(path):
        # Torch for GPUs maps several GiB when it is loaded, which the limit of the file before would not allow.
        limit_address_space(None)
        import torch  # noqa: F401 - its own libraries shall not count as the file's


def answer(path: Path, kind: str = "layout") -> Answer:
    """What the file records, as a header and its arrays; an error is a header with its sentence."""
    try:
        load_libraries(kind, path)
        # Of a bag of ours only the places of its numbers are asked for, and torch unfolds nothing.
        unfolds = kind == "layout" and h5py.is_hdf5(path)
        limit_memory(path, expansion=MAX_EXPANSION if unfolds else 1)
        return KINDS[kind](path)
    except AmkdError as error:
        return {"error": str(error)}, {}
    except MemoryError:
        return {"error": f"{path.name}: needs more memory than its size explains; it was not read"}, {}
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything; its owner says so in one sentence
        if kind == "weights":
            return {"error": str(unreadable(path, "is damaged"))}, {}
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return {"error": f"{path.name}: cannot be read as a feature file, it is damaged ({words[:300]})"}, {}


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the owner closes the pipe or is gone."""
    for line in questions:
        request = json.loads(line)
        kind, path = request["kind"], Path(request["path"])
        load_libraries(kind, path)
        _say(answers, {"loaded": True})
        header, arrays = answer(path, kind)
        _say(answers, header)
        for name in json.loads(questions.readline() or b"[]"):
            answers.write(arrays[name]().reshape(-1).view(np.uint8).data)
        answers.flush()


def _say(answers: BinaryIO, words: dict[str, Any]) -> None:
    answers.write(json.dumps(words).encode() + b"\n")
    answers.flush()


def main() -> None:
    """Serve over standard input and output; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(os.fdopen(os.dup(0), "rb"), answers)


if __name__ == "__main__":
    main()
