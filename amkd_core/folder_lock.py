"""One run at a time in an output folder; a second one is told which process holds it."""

from __future__ import annotations

import errno
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from amkd_core.atomic import TEMPORARY_PREFIX, write_text
from amkd_core.errors import RunFolderError

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK, HOLDER = ".lock", ".lock.holder"
# Between a holder's lock and its note lie milliseconds; whoever comes in between waits no longer than this for it.
_NOTE_S = 2.0
_POLL_S = 0.02
# What file systems say that cannot lock: network ones without a lock server, some of FUSE.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def hold_folder(folder: Path, doing: str, error: type[RunFolderError]) -> Iterator[None]:
    """Own a folder for the length of the block; it is made when missing, and goes again if nothing is put into it.

    The lock is the kernel's, so it does not outlive a killed run.

    Parameters
    ----------
    doing
        What a run does there, for the sentence ("extracts into").
    error
        Raised when another run holds the folder.

    Raises
    ------
    RunFolderError
        `error`, with the holder's process and computer; a plain one when the folder's disk cannot lock.
    """
    from filelock import FileLock, Timeout

    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    _require_locks(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise error(
            f"{folder}: another run {doing} this folder ({_holder(folder)}); wait for it, or choose another"
        ) from None
    note = folder / HOLDER
    try:
        for left_over in folder.glob(f"{TEMPORARY_PREFIX}*{note.suffix}"):
            left_over.unlink(missing_ok=True)
        with suppress(OSError):  # a courtesy to others; a full disk says so where it matters
            write_text(note, json.dumps({"process": os.getpid(), "computer": platform.node()}))
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        _release(lock, made)


def _release(lock: BaseFileLock, made: list[Path]) -> None:
    """Let go of a folder; one that was made for this run and stayed empty is removed, with parents made for it.

    A lock's file stays where there are results: whoever has it open would hold a lock that no other run sees.
    """
    path = Path(lock.lock_file)
    unused = path.parent in made and {file.name for file in path.parent.iterdir()} <= {LOCK}
    if unused:
        # On Windows it cannot be removed while it is open; there filelock does so itself.
        with suppress(OSError):
            path.unlink(missing_ok=True)
    lock.release()
    for place in made if unused else ():
        try:
            place.rmdir()
        except OSError:
            # Another run came in between.
            break


def _require_locks(folder: Path) -> None:
    """Refuse a folder whose disk cannot lock, by a file of our own that nobody else waits for.

    Releases of filelock differ in what they make of it: they wait, raise, or let a file stand for the lock, which would
    outlive a killed run.
    """
    if os.name != "posix":
        return
    import fcntl

    with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise RunFolderError(
                f"{folder}: its disk cannot lock files ({os.strerror(error.errno).lower()}), so that two runs in it "
                "would not be kept apart; choose a folder on another disk"
            ) from error


def _holder(folder: Path) -> str:
    """Who holds the folder, by its note; that of a process which is gone is from a killed run."""
    deadline = time.monotonic() + _NOTE_S
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
            process, computer = int(note["process"]), str(note["computer"])
            if computer != platform.node() or psutil.pid_exists(process):
                return f"process {process} on {computer}"
        time.sleep(_POLL_S)
    return "its process is not known"
