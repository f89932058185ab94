"""Who holds a folder is told by a note, which a killed run may have left behind."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from amkd_core import folder_lock
from amkd_core.errors import FolderInUseError, RunFolderError
from amkd_core.folder_lock import HOLDER, hold_folder


def told(folder: Path) -> str:
    """What a second run is told of the first."""
    with pytest.raises(FolderInUseError) as raised, hold_folder(folder, "works in", FolderInUseError):
        pass
    return str(raised.value)


def test_the_note_of_a_dead_process_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "_NOTE_S", 0.1)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with hold_folder(tmp_path, "works in", FolderInUseError):
        assert f"process {json.loads((tmp_path / HOLDER).read_text())['process']} on" in told(tmp_path)
        for computer, words in ((platform.node(), "its process is not known"), ("elsewhere", "on elsewhere")):
            (tmp_path / HOLDER).write_text(json.dumps({"process": ended.pid, "computer": computer}))
            assert words in told(tmp_path)


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path: Path) -> None:
    place = tmp_path / "new" / "out"
    for _ in range(2):
        with hold_folder(place, "works in", FolderInUseError):
            assert "another run works in this folder" in told(place)
        assert list(tmp_path.iterdir()) == []
    with hold_folder(place, "works in", FolderInUseError):
        (place / "result").touch()
    assert sorted(path.name for path in place.iterdir()) == [".lock", "result"]
    (place / "result").unlink()
    with hold_folder(place, "works in", FolderInUseError):
        pass
    assert place.is_dir()  # it was there before


@pytest.mark.skipif(os.name != "posix", reason="as POSIX locks")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_that_cannot_lock_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """And nothing in place of the kernel's lock: a file that stands for one would outlive a killed run."""
    import fcntl

    def refusing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    entered = []
    monkeypatch.setattr(fcntl, "flock", refusing)
    with (
        pytest.raises(
            RunFolderError, match=r"its disk cannot lock files .*; choose a folder on another disk$"
        ) as raised,
        hold_folder(tmp_path, "works in", FolderInUseError),
    ):
        entered.append(True)
    assert str(raised.value).startswith(f"{tmp_path}: ")
    assert os.strerror(number).lower() in str(raised.value)
    assert not isinstance(raised.value, FolderInUseError)
    assert entered == []
    monkeypatch.undo()
    with hold_folder(tmp_path, "works in", FolderInUseError):
        assert HOLDER in {path.name for path in tmp_path.iterdir()}
