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
