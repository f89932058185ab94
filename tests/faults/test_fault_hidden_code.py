"""Code hidden in files of weights and features: refused by content, whatever the file is called, and never run."""

from __future__ import annotations

import builtins
import os
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundle_fixtures import encoder_identity

from amkd_core.bag_file import read_bag
from amkd_core.bag_formats import BagAssumptions
from amkd_core.bundle_file import open_bundle
from amkd_core.errors import AmkdError
from amkd_core.slides.encoders.network import read_weights

ROOT = Path(__file__).resolve().parents[2]
STATED = BagAssumptions(encoder_identity(8), 0.5, 256, 512)


class Payload:
    """Runs a call when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def payloads(canary: Path) -> dict[str, Any]:
    touch = f"touch {canary}"
    return {
        "system": Payload(os.system, touch),
        "exec": Payload(builtins.exec, f"open({str(canary)!r}, 'w').close()"),
        "open": Payload(builtins.open, str(canary), "w"),
        "nested": {"features": torch.zeros(6, 8), "more": [{"deep": Payload(os.system, touch)}]},
    }


def write_zip_pt(path: Path, value: Any) -> None:
    torch.save(value, path)


def write_legacy_pt(path: Path, value: Any) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def write_pickle(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value))


def write_npy(path: Path, value: Any) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([value], dtype=object), allow_pickle=True)


def write_tar(path: Path, value: Any) -> None:
    inner = path.with_suffix(".inner")
    inner.write_bytes(pickle.dumps(value))
    with tarfile.open(path, "w") as archive:
        archive.add(inner, "pickle")
    inner.unlink()


def write_zip(path: Path, value: Any) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr("archive/data.pkl", pickle.dumps(value))


# How it is written, and under which name: 7 x 4 payloads.
FORMS = [
    (write_zip_pt, "x.pt"), (write_legacy_pt, "x.pth"), (write_pickle, "x.joblib"), (write_npy, "x.npy"),
    (write_tar, "x.pt"), (write_zip, "x.amkd"), (write_zip_pt, "x.safetensors"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
@pytest.mark.parametrize(("write", "name"), FORMS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("kind", ["system", "exec", "open", "nested"])
def test_it_is_refused_everywhere_and_leaves_no_trace(
    write: Callable[[Path, Any], None], name: str, kind: str, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    for suffix in ("", ".h5", ".pt"):
        path = tmp_path / (name + suffix)
        write(path, payloads(canary)[kind])
        for read in (lambda p: read_bag(p, assume=STATED), open_bundle, read_weights):
            with pytest.raises((AmkdError, OSError)):
                read(path)
            assert not canary.exists()


def test_the_payloads_are_live(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for value in payloads(canary).values():
        unpickled = pickle.loads(pickle.dumps(value))  # noqa: S301 - ours, to see that it would run
        getattr(unpickled, "close", lambda: None)()
        assert canary.exists()
        canary.unlink()


def test_nothing_of_ours_unpickles() -> None:
    """`torch.load` stands in two places, with ``weights_only=True`` in both."""
    calls_of = (
        r"pickle\.loads?\(",
        "joblib",
        "allow_pickle=True",
        r"yaml\.(?:unsafe_)?load\(",
        "weights_only=False",
        "shelve",
    )
    unsafe = re.compile("|".join(calls_of))
    found, loads = {}, {}
    for path in (file for part in ("amkd_core", "amkd_viewer") for file in (ROOT / part).rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        found |= {name: hits} if (hits := unsafe.findall(text)) else {}
        calls = [text[match.start() :].partition(")")[0] for match in re.finditer(r"torch\.load\(", text)]
        loads |= {name: calls} if calls else {}
    assert found == {}
    assert len(loads) <= 2
    assert all("weights_only=True" in call for calls in loads.values() for call in calls)
