"""Code hidden in files of weights and features: refused by content, whatever the file is called, and never run."""

from __future__ import annotations

import ast
import builtins
import os
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
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
            with pytest.raises((AmkdError, OSError)) as caught:
                read(path)
            assert not canary.exists()
            # Torch proposes to run such a file, in colours; what is said is ours.
            assert "weights_only" not in str(caught.value)
            assert str(caught.value).isprintable()
            assert read is not read_weights or "convert it to safetensors yourself" in str(caught.value)


def test_the_payloads_are_live(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for value in payloads(canary).values():
        unpickled = pickle.loads(pickle.dumps(value))  # noqa: S301 - ours, to see that it would run
        getattr(unpickled, "close", lambda: None)()
        assert canary.exists()
        canary.unlink()


UNPICKLERS = {"_pickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
LOADERS = {"torch.load", "torch.jit.load", "torch.serialization.load", "torch.package.PackageImporter"}
YAML = re.compile(r"yaml\.((unsafe_|full_)?load(_all)?|(C?Unsafe|C?Full|C?)Loader)")
# Which options, and the only value of each that is safe.
OPTIONS = {"allow_pickle": False, "weights_only": True}


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """What a statement brings in: under which name, and what that is."""
    if isinstance(node, ast.Import):
        for item in node.names:
            whole = item.name if item.asname else item.name.partition(".")[0]
            yield item.asname or whole, whole
    elif isinstance(node, ast.ImportFrom):
        for item in node.names:
            yield item.asname or item.name, f"{node.module or ''}.{item.name}"


def _modules(node: ast.AST) -> Iterator[str]:
    """Modules that a statement or a call imports."""
    if isinstance(node, ast.Import):
        yield from (item.name for item in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module or ""
    elif isinstance(node, ast.Call):
        yield from (
            word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)
        )


def _dotted(node: ast.AST, names: Mapping[str, str]) -> str:
    """`t.load` as ``torch.load`` where torch was imported as t; empty for anything but names and their parts."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names) or '?'}.{node.attr}"
    return ""


def unpickling(source: str) -> list[str]:
    """All that a program has in it to unpickle with, in order of its name."""
    tree = ast.parse(source)
    names = dict(pair for node in ast.walk(tree) for pair in _imported(node))
    found = []
    for node in ast.walk(tree):
        found += [f"import {module}" for module in _modules(node) if module.partition(".")[0] in UNPICKLERS]
        dotted = _dotted(node, names)
        if dotted in LOADERS or dotted.endswith(".read_pickle") or YAML.fullmatch(dotted):
            found.append(dotted)
        if isinstance(node, ast.keyword) and node.arg in OPTIONS:
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            found += [] if value is OPTIONS[node.arg] else [f"{node.arg}={ast.unparse(node.value)}"]
    return sorted(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import pickle as p; p.loads(b'')", ["import pickle"]),
        ("from pickle import Unpickler", ["import pickle"]),
        ("import importlib; importlib.import_module('dill')", ["import dill"]),
        ("__import__('joblib.numpy_pickle')", ["import joblib.numpy_pickle"]),
        ("def f():\n    import marshal, shelve", ["import marshal", "import shelve"]),
        ("from cloudpickle import load", ["import cloudpickle"]),
        ("import torch as t; t.load(p)", ["torch.load"]),
        ("import torch.jit; read = torch.jit.load", ["torch.jit.load"]),
        ("from torch import load as l; l(p, weights_only=False)", ["torch.load", "weights_only=False"]),
        ("from torch import jit; jit.load(p)", ["torch.jit.load"]),
        ("import pandas as pd; pd.read_pickle(p)", ["pandas.read_pickle"]),
        ("numpy.load(p, allow_pickle = True)", ["allow_pickle=True"]),
        ("numpy.load(p, allow_pickle=told)", ["allow_pickle=told"]),
        ("from yaml import load_all, UnsafeLoader; load_all(t, UnsafeLoader)", ["yaml.UnsafeLoader", "yaml.load_all"]),
        ("import yaml; yaml.full_load(t)", ["yaml.full_load"]),
        ("import numpy, yaml; numpy.load(p, allow_pickle=False); yaml.safe_load(t)  # pickle.load(p)", []),
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source: str, expected: list[str]) -> None:
    assert unpickling(source) == expected


def test_nothing_of_ours_unpickles() -> None:
    """But for one place: the module that the reading child loads torch's files with, and that restricted."""
    found = {}
    for path in (file for part in ("amkd_core", "amkd_viewer") for file in (ROOT / part).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if hits := unpickling(text):
            found[path.relative_to(ROOT).as_posix()] = hits
    assert found == {"amkd_core/torch_file.py": ["import pickle", "torch.load"]}
    text = (ROOT / "amkd_core/torch_file.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    loads = [call for call in calls if _dotted(call.func, {}) == "torch.load"]
    assert [{"weights_only"} <= {word.arg for word in call.keywords} for call in loads] == [True]
    # Of what pickle offers, the one error alone.
    assert set(re.findall(r"\bpickle\.\w+", text)) == {"pickle.UnpicklingError"}
