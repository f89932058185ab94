"""The process that reads feature files of other tools for its owner, under limits of memory.

Requests and answers are lines of JSON; behind an answer follow the bytes of its arrays. Nothing is pickled, so that
a file that takes this process over cannot make its owner run code.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from amkd_core.address_space import limit_address_space
from amkd_core.bag_layouts import read_layout
from amkd_core.errors import BagError
from amkd_core.hdf5_guard import MAX_EXPANSION

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


def answer(path: Path) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """What the file records, as a header and its arrays; an error is a header with its sentence."""
    try:
        if h5py.is_hdf5(path):
            limit_memory(path, expansion=MAX_EXPANSION)
        else:
            # Torch for GPUs maps several GiB when it is loaded, which the limit of the file before would not allow.
            limit_address_space(None)
            import torch  # noqa: F401 - its own libraries shall not count as the file's

            limit_memory(path, expansion=1)
        recorded = asdict(read_layout(path))
    except BagError as error:
        return {"error": str(error)}, []
    except MemoryError:
        return {"error": f"{path.name}: needs more memory than its size explains; it was not read"}, []
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything; its owner says so in one sentence
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return {"error": f"{path.name}: cannot be read as a feature file, it is damaged ({words[:300]})"}, []
    arrays = {name: recorded.pop(name) for name in ARRAYS}
    found = {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None}
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in found.items()}
    return {"recorded": recorded, "arrays": shapes}, list(found.values())


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the owner closes the pipe or is gone."""
    for line in requests:
        header, arrays = answer(Path(json.loads(line)["path"]))
        answers.write(json.dumps(header).encode() + b"\n")
        for array in arrays:
            answers.write(array.data.cast("B"))
        answers.flush()


def main() -> None:
    """Serve over standard input and output; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(os.fdopen(os.dup(0), "rb"), answers)


if __name__ == "__main__":
    main()
