from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from amkd_core.atomic import TEMPORARY_PREFIX, atomic_path, write_bytes, write_text
from amkd_core.errors import DiskFullError


def test_the_final_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "new folder" / "result.json"
    with atomic_path(final) as temporary:
        temporary.write_text("half")
        assert not final.exists()
        assert temporary.suffix == ".json"
    assert final.read_text() == "half"
    assert list(final.parent.iterdir()) == [final]


def test_an_error_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    final = tmp_path / "result.json"
    write_text(final, "old")

    def write_and_fail() -> None:
        with atomic_path(final) as temporary:
            temporary.write_text("new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_and_fail()
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_an_error_before_anything_was_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="early"), atomic_path(tmp_path / "result.bin"):
        raise RuntimeError("early")
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_replaced_whole(tmp_path: Path) -> None:
    final = tmp_path / "payload"
    write_bytes(final, b"a" * 100)
    write_bytes(final, b"b")
    assert final.read_bytes() == b"b"


def _write_forever(final: Path) -> None:
    content = 0
    while True:
        write_bytes(final, bytes([content]) * 2_000_000)
        content = (content + 1) % 256


def test_a_killed_writer_never_leaves_a_partial_final_file(tmp_path: Path) -> None:
    final = tmp_path / "payload"
    for pause_s in (0.05, 0.11, 0.17):
        writer = multiprocessing.get_context("spawn").Process(target=_write_forever, args=(final,))
        writer.start()
        while not final.exists():
            time.sleep(0.01)
        time.sleep(pause_s)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        payload = final.read_bytes()
        assert len(payload) == 2_000_000
        assert len(set(payload)) == 1
        leftovers = [path.name for path in tmp_path.iterdir() if path != final]
        assert all(name.startswith(TEMPORARY_PREFIX) for name in leftovers)


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX alone")
@pytest.mark.parametrize(
    ("number", "is_failure"),
    [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EACCES, False), (errno.EIO, True)],
)
def test_a_file_system_that_flushes_no_folders_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_failure: bool
) -> None:
    flush = os.fsync

    def refusing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
    if is_failure:
        with pytest.raises(OSError, match=os.strerror(number)):
            write_text(tmp_path / "file", "whole")
    else:
        write_text(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX alone")
def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves a name without content; a file of another folder cannot be renamed in one step."""
    final, steps = tmp_path / "results" / "file.json", []
    flush, rename = os.fsync, os.replace

    def flushing(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        steps.append(("flush", path, path.stat().st_size if path.is_file() else 0))
        flush(descriptor)

    def renaming(source: Path, target: Path) -> None:
        steps.append(("rename", Path(source), Path(target)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "replace", renaming)
    write_text(final, "whole")
    temporary = steps[0][1]
    assert steps == [
        ("flush", temporary, len("whole")),
        ("rename", temporary, final),
        ("flush", final.parent, 0),
    ]
    assert temporary.parent == final.parent
    assert temporary.name.startswith(TEMPORARY_PREFIX)


def _refuse(monkeypatch: pytest.MonkeyPatch, where: str, number: int) -> None:
    """One call that fails, with what the system names of it: a path, but of no open file."""
    flush = os.fsync

    def refusing(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    def flushing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (where == "flush of the folder"):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    if where == "write":
        monkeypatch.setattr(Path, "write_text", refusing)
    elif where == "rename":
        monkeypatch.setattr(os, "replace", refusing)
    else:
        monkeypatch.setattr(os, "fsync", flushing)


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX alone")
@pytest.mark.parametrize("where", ["write", "flush", "rename", "flush of the folder"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_no_more_is_a_sentence_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, where: str
) -> None:
    final = tmp_path / "result.json"
    write_text(final, "old")
    _refuse(monkeypatch, where, number)
    with pytest.raises(OSError, match=f"(?i){os.strerror(number)}") as raised:
        write_text(final, "new")
    monkeypatch.undo()
    full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    assert isinstance(raised.value, DiskFullError) == full
    if full:
        assert str(raised.value).startswith(f"{final}: {os.strerror(number).lower()} after ")
        assert str(raised.value).endswith(" are free; make room there and repeat, or choose another folder")
    else:
        assert raised.value.errno == number
        assert raised.value.filename == str(tmp_path if where == "flush of the folder" else final)
    assert final.read_text() == ("new" if where == "flush of the folder" else "old")
    assert list(tmp_path.iterdir()) == [final]
