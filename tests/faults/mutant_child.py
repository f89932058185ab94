"""Reads damaged copies of one file after another, in a process that may die of it; a line of JSON for each.

``python mutant_child.py FAMILY FILE FIRST LAST FOLDER``; the parent starts it again behind a copy that killed it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mutation import mutated

from amkd_core.errors import AmkdError

if TYPE_CHECKING:
    from amkd_core.bag_formats import BagAssumptions


SAID: list[str] = []
"""What the reader said of the file that it accepted."""
BARE = "No SHA-256 lies beside"


def slide(path: Path) -> bytes:
    from amkd_core.slides import open_slide
    from amkd_core.slides.hash_of_slide import hold_against_hashes

    with open_slide(path) as found:
        deque(hold_against_hashes(found), maxlen=0)
        parts = [repr((found.info.levels, found.info.microns)).encode(), found.thumbnail(200).tobytes()]
        parts += [
            found.read_region((10, 10), level.index, (300, 300)).tobytes() for level in found.info.levels
        ]
    return b"".join(parts)


def mirax(part: Path) -> bytes:
    return slide(part.parent.with_suffix(".mrxs"))


def vms(part: Path) -> bytes:
    return slide(part.with_name("made.vms"))


def foreign(path: Path) -> bytes:
    from bundle_fixtures import encoder_identity

    from amkd_core.bag_formats import BagAssumptions

    return bag(path, BagAssumptions(encoder_identity(8), 0.5, 256, 512, slide_id="a"))


def bag(path: Path, assume: BagAssumptions | None = None) -> bytes:
    from amkd_core.bag_file import read_bag

    found = read_bag(path, assume=assume)
    SAID.extend(notice.sentence for notice in found.notices)
    coords = b"" if found.coords is None else found.coords.tobytes()
    facts = (
        found.encoder,
        found.patch_size_px,
        found.mpp,
        found.slide_id,
        found.slide_mpp,
        found.slide_fingerprint,
    )
    return found.features.tobytes() + coords + repr(facts).encode()


def bundle(path: Path) -> bytes:
    from amkd_core.bundle_file import open_bundle

    found = open_bundle(path)
    weights = b"".join(
        value.numpy().tobytes()
        for member in found.members
        for _, value in sorted(member.student.state_dict().items())
    )
    return (
        weights
        + found.card.model_dump_json().encode()
        + np.concatenate([member.training_risks for member in found.members]).tobytes()
    )


def cohort(path: Path) -> bytes:
    from amkd_core.cohort.cohort import read_cohort

    found = read_cohort(path.with_name("cohort.toml"))
    SAID.extend(note for note in found.notes if path.name in note)
    genes = (found.expression.patients, found.expression.genes, found.expression.values.tobytes())
    return repr((found.patients, genes, found.pathways)).encode()


READERS: dict[str, Callable[[Path], bytes]] = {
    "slide": slide, "mirax": mirax, "vms": vms, "bag": bag, "foreign": foreign, "bundle": bundle, "cohort": cohort,
}  # fmt: skip
IN_PLACE = {"mirax": "a.mrxs", "vms": "made.vms", "cohort": "cohort.toml"}
"""Families of several files, of which one is damaged in its place beside the others, and the file that is opened."""


def outcome(
    read: Callable[[Path], bytes], path: Path, expected: str, names: tuple[str, ...]
) -> dict[str, Any]:
    """What reading gave; `named` where a refusal holds one of the names.

    Other data are `told` where the reader said that nothing vouches for the file, `different` where it said nothing.
    """
    started, named = time.perf_counter(), False
    SAID.clear()
    try:
        found = hashlib.sha256(read(path)).hexdigest()
    except AmkdError as error:
        text = str(error)
        named = any(name in text for name in names)
        result = "sentence" if text and "\n" not in text else "no sentence"
    except MemoryError:
        text, result = "MemoryError", "unclean"
    except Exception as error:  # noqa: BLE001 - what else comes out is what is being counted
        text, result = f"{type(error).__name__}: {error}", "unclean"
    else:
        told = "told" if any(BARE in line for line in SAID) else "different"
        text, result = "", "same" if found == expected else told
    return {"result": result, "named": named, "text": text[:300], "seconds": time.perf_counter() - started}


def peak_mib() -> int:
    """The most memory of this program; ru_maxrss would count what its parent had when it made this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    family, source, first, last, folder = sys.argv[1:6]
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    read, original = READERS[family], Path(source).read_bytes()
    expected = hashlib.sha256(read(Path(source))).hexdigest()
    path = Path(source) if family in IN_PLACE else Path(folder) / f"mutant{''.join(Path(source).suffixes)}"
    names: tuple[str, ...] = (path.name,)
    if family in IN_PLACE:
        # Where an index and its data, or a file and one that it names, contradict each other, either may be named.
        names = (path.name, IN_PLACE[family], f"{path.parent}/")
    say({"ready": True})
    for seed in range(int(first), int(last)):
        kind, data = mutated(original, seed)
        path.write_bytes(data)
        found = {
            "seed": seed,
            "kind": kind,
            **outcome(read, path, expected, names),
        }
        found["mib"] = peak_mib()
        say(found)


if __name__ == "__main__":
    main()
