"""Feature files and weights are read apart: one that kills, hangs or fills its reader costs one sentence."""

from __future__ import annotations

import io
import os
import pickle
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
import torch
from bundle_fixtures import encoder_identity, random_bag
from endless_bag import write_endless

from amkd_core import bag_apart
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.bag_formats import BagAssumptions
from amkd_core.bundle_file import open_bundle
from amkd_core.errors import AmkdError, BagError
from amkd_core.inference.kept_bag import _opens

STATED = BagAssumptions(encoder_identity(8), 0.5, 256, 512)
ROOT = Path(__file__).resolve().parents[2]


def plain(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["features"] = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    return path


WRAPPED = """
import os, resource, signal, sys, time
import numpy as np
from amkd_core import bag_child
real = bag_child.read_layout

def layout(path):
    if "abort" in path.name: os.abort()
    if "kill" in path.name: os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in path.name: os._exit(7)
    if "sleep" in path.name: time.sleep(100)
    if "memory" in path.name: np.zeros(4 * 2**30, np.uint8)
    if "odd" in path.name: raise LookupError("two\\nlines")
    return real(path)

bag_child.read_layout = layout
bag_child.main()
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    script = tmp_path / "child.py"
    script.write_text(WRAPPED)
    bag_apart._close()
    monkeypatch.setattr(bag_apart, "CHILD", (str(script),))
    monkeypatch.setattr(bag_apart, "TIMEOUT_S", 6.0)
    yield
    bag_apart._close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("abort", "the process that read it was ended by SIGABRT; the file is probably damaged"),
        ("kill", "the process that read it was ended by SIGKILL; the file is probably damaged"),
        ("exit", "the process that read it ended with status 7; the file is probably damaged"),
        ("sleep", "the process that read it did not answer within 6 s and was stopped"),
        ("memory", "needs more memory than its size explains; it was not read"),
        ("odd", r"cannot be read as a feature file, it is damaged \(LookupError: two lines\)"),
    ],
)
def test_a_file_that_takes_its_reader_down_costs_one_sentence(
    hostile: None, name: str, words: str, tmp_path: Path
) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(BagError, match=f"^{name}.h5: {words}"):
        read_bag(plain(tmp_path / f"{name}.h5"), assume=STATED)
    # The next file is read as if nothing had been, and no more than one reader is left.
    assert len(read_bag(plain(tmp_path / "good.h5"), assume=STATED)) == 6
    left = [child for child in psutil.Process().children() if child.pid not in before]
    assert len(left) == 1


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "foreign"])
def test_a_bag_that_the_library_never_comes_back_from_is_stopped(
    ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forged bag with a checksum that fits hung the process that read it once."""
    assert bag_apart.TIMEOUT_S < 10
    monkeypatch.setattr(bag_apart, "TIMEOUT_S", 2.0)
    path = write_endless(tmp_path / "endless.h5", ours=ours)
    with pytest.raises(
        BagError, match=r"^endless\.h5: the process that read it did not answer within 2 s and was stopped"
    ):
        read_bag(path, assume=STATED)
    write_bag(tmp_path / "good.h5", random_bag(5))
    assert len(read_bag(tmp_path / "good.h5")) == 5


def test_no_hdf5_is_opened_in_the_process_that_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = plain(tmp_path / "foreign.h5")
    write_bag(tmp_path / "ours.h5", random_bag(5))
    monkeypatch.delattr(h5py, "File")
    assert len(read_bag(foreign, assume=STATED)) == 6
    assert len(read_bag(tmp_path / "ours.h5")) == 5
    assert _opens(foreign)
    assert [
        bag_apart.read_apart("rows", path, BagError)[0]["rows"] for path in (foreign, tmp_path / "ours.h5")
    ] == [
        6,
        5,
    ]


def test_an_answer_that_was_given_up_is_not_taken_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between a question and its answer: the reader's next words would be those of another file."""
    write_bag(tmp_path / "first.h5", random_bag(7))
    write_bag(tmp_path / "second.h5", random_bag(5))
    read_bag(tmp_path / "first.h5")
    with monkeypatch.context() as patched:

        def interrupted(_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(bag_apart._Reader, "_receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_bag(tmp_path / "first.h5")
    assert len(read_bag(tmp_path / "second.h5")) == 5


def test_the_reader_is_kept_and_what_it_reads_arrives_whole(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(3000, 8))
    places = np.arange(6000).reshape(3000, 2)
    pids = set()
    for index, kind in enumerate((np.float16, np.float32, np.float64)):
        with h5py.File(tmp_path / f"{index}.h5", "w") as file:
            file["features"], file["coords"] = values.astype(kind), places
        bag = read_bag(tmp_path / f"{index}.h5", assume=STATED)
        np.testing.assert_array_equal(bag.features, values.astype(kind).astype(np.float32))
        np.testing.assert_array_equal(bag.coords, places)
        pids.add(bag_apart._readers[0]._process.pid)
    assert len(pids) == 1
    assert not pids & {os.getpid()}


class Command:
    """A pickle of it runs a command."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def commands(canary: Path) -> dict[str, Command]:
    text = f"open({str(canary)!r}, 'w').close()"
    return {
        "system": Command(os.system, f"touch {canary}"),
        "eval": Command(eval, f"open({str(canary)!r}, 'w')"),  # noqa: S307 - never called here
        "exec": Command(exec, text),
        "open": Command(open, str(canary), "w"),
        "mkdir": Command(os.mkdir, str(canary)),
    }


def tar_of(payload: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            info = tarfile.TarInfo(name)
            info.size = len(payload)
            archive.addfile(info, io.BytesIO(payload))
    return buffer.getvalue()


def zip_of(payload: bytes, name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, payload)
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def saved(content: Any, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def npy_of(content: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([content], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def payloads(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Twenty ways to hide code, by the name of the file that would be given."""
    for name, command in commands(canary).items():
        yield f"{name}.pt", saved({"features": command})
        yield f"{name}.pth", saved([torch.ones(2, 8), {"nested": [command]}], legacy=True)
        yield f"{name}.h5", pickle.dumps(command)
    command = commands(canary)["open"]
    yield "object.npy", npy_of(command)
    yield "renamed.safetensors", saved(command)
    yield "old.tar.pt", tar_of(pickle.dumps(command, protocol=2))
    yield "bare.pt", zip_of(pickle.dumps(command), "archive/data.pkl")
    yield "model.amkd", zip_of(pickle.dumps(command), "manifest.json")


def test_hidden_code_never_runs(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    n_payloads = 0
    for name, content in payloads(canary):
        n_payloads += 1
        path = tmp_path / name
        path.write_bytes(content)
        for read in (lambda path: read_bag(path, assume=STATED), open_bundle):
            with pytest.raises(AmkdError) as caught:
                read(path)
            assert str(caught.value).startswith(f"{name}: ")
            assert "\n" not in str(caught.value)
        assert not canary.exists(), name
    assert n_payloads == 20
    # The payloads are live: what loads pickles would have run them.
    pickle.loads(pickle.dumps(commands(canary)["mkdir"]))  # noqa: S301 - our own
    assert canary.exists()


FORBIDDEN = re.compile(
    r"pickle\.loads?\(|pickle\.Unpickler|joblib|allow_pickle\s*=\s*True|yaml\.(unsafe_)?load\(|weights_only\s*=\s*False"
)
# With the restricted unpickler only, and in the child that reads such files.
TORCH_LOAD = {"torch_file.py"}


def test_no_code_of_the_product_loads_pickles() -> None:
    used: dict[str, list[str]] = {}
    for path in [*(ROOT / "amkd_core").rglob("*.py"), *(ROOT / "amkd_viewer").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert not FORBIDDEN.search(text), path
        calls = re.findall(r"torch\.load\((?:[^()]|\([^()]*\))*\)", text)
        if calls:
            used[path.name] = calls
    assert all("weights_only=True" in call for calls in used.values() for call in calls), used
    assert set(used) <= TORCH_LOAD, used


def test_bombs_cost_neither_time_nor_memory_of_the_reader(tmp_path: Path) -> None:
    """As `test_bag_foreign` for this process; here of the process that reads."""
    read_bag(plain(tmp_path / "warm.h5"), assume=STATED)
    torch.save(torch.ones(2, 8), tmp_path / "warm.pt")
    read_bag(tmp_path / "warm.pt", assume=STATED)
    child = psutil.Process(bag_apart._readers[0]._process.pid)
    before = child.memory_info().rss
    torch.save(torch.ones(1).expand(10**8, 1024), tmp_path / "stride.pt")
    with h5py.File(tmp_path / "declared.h5", "w") as file:
        file.create_dataset("features", (1_900_000, 1024), "f4", chunks=(1024, 1024), fillvalue=1)
    for name in ("stride.pt", "declared.h5"):
        computed = sum(child.cpu_times()[:2])
        with pytest.raises(BagError, match="it was not read"):
            read_bag(tmp_path / name, assume=STATED)
        assert sum(child.cpu_times()[:2]) - computed < 2  # of the processor, whatever else the machine does
    assert child.is_running()
    assert child.memory_info().rss - before < 200 * 2**20


def test_the_reader_ends_with_its_owner(tmp_path: Path) -> None:
    import subprocess

    path = plain(tmp_path / "a.h5")
    code = (
        "import sys, time; from pathlib import Path; from amkd_core import bag_apart\n"
        f"bag_apart.read_layout_apart(Path({str(path)!r}))\n"
        "print(bag_apart._readers[0]._process.pid, flush=True); time.sleep(100)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    reader = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    _, alive = psutil.wait_procs([reader], timeout=5)
    assert not alive
