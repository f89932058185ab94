"""Runs a piece of work again and again, each time stopped at another place, then once to its end; a line of JSON each.

``python stopped_child.py WORK HOW FOLDER N SEED``. Everything is imported once; each run is a fork, so that hundreds of
kills take no hundreds of starts. ``HOW`` is where and how a run is stopped:

``index``   SIGKILL before the k-th opening for writing, flush, rename, removal or journal entry
``border``  the system ends the process in the midst of the write that makes a file longer than the k-th size
``moment``  SIGKILL from outside, after a time by chance, until N runs were killed
``full``    writes beyond the k-th size fail, as on a full disk
``errno``   the k-th opening for writing, flush, rename, new folder or journal entry fails, as on a full disk
``chain``   as ``index``, at steps by chance, and what follows is killed again and again until it ends by itself
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stopped_work import CHECKPOINT, Extraction, Training, unfinished_stages
from write_steps import WriteSteps, kill, refuse

from amkd_core.atomic import TEMPORARY_PREFIX
from amkd_core.errors import AmkdError

HANG_S = 600.0
SENTENCE, OTHER_ERROR = 4, 3
KILLED = (-signal.SIGKILL, -signal.SIGXFSZ)
IN_TRAINING = 0.8
"""Share of a chain's kills that are drawn among the steps after an epoch's checkpoint."""
STRIDES = 16
"""Parts of a run; one is the most that comes between such a checkpoint and its kill."""


def reported(work: Callable[[], object]) -> int:
    """Exit status of the work; what it raised is on stderr."""
    try:
        work()
    except (AmkdError, OSError) as error:
        lift_limit()
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return SENTENCE
    except Exception:  # noqa: BLE001 - what else comes out is what is being counted
        lift_limit()
        traceback.print_exc()
        return OTHER_ERROR
    return 0


def in_a_fork(work: Callable[[], object], after_s: float | None = None) -> int | str:
    """Exit status of the work in a process of its own; negative for a signal, "hang" when it never ends."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = OTHER_ERROR
        try:
            code = reported(work)
        finally:  # a fork must not run the rest of the parent's program
            os._exit(code)
    start = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        elapsed = time.monotonic() - start
        if elapsed > HANG_S or (after_s is not None and elapsed > after_s):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hang" if after_s is None else -signal.SIGKILL
        time.sleep(0.005)


def lift_limit() -> None:
    """Reports may be longer than what a limit of size leaves."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def stop_at_size(size: int, *, die: bool) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if die else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def case(work: Any, how: str, out: Path, place: float, after: str | None = None) -> int | str:
    """One run that is stopped at a place: an index, a size or seconds."""

    def stopped() -> None:
        if how == "index":
            WriteSteps(out, int(place), kill, after=after)
        elif how == "errno":
            steps = WriteSteps(out, int(place), refuse)
            try:
                work.run(out)
            finally:
                steps.over = True
            return
        elif how in ("border", "full"):
            stop_at_size(int(place), die=how == "border")
        work.run(out)

    return in_a_fork(stopped, after_s=place if how == "moment" else None)


def measured(work: Any, folder: Path, act: Callable[[str | None], None]) -> tuple[Path, dict[str, float]]:
    """The run that nothing stops, and how many steps, bytes and seconds it takes."""
    reference, counts = folder / "reference", folder / "steps"

    def counted() -> None:
        steps = WriteSteps(reference, 0, act)
        work.run(reference)
        counts.write_text(str(steps.count))

    work.begin()
    start = time.monotonic()
    assert in_a_fork(counted) == 0
    seconds = time.monotonic() - start
    largest = max(path.stat().st_size for path in reference.rglob("*") if path.is_file())
    return reference, {
        "index": float(counts.read_text()),
        "border": largest,
        "full": largest,
        "moment": seconds,
    }


def chosen(how: str, n_cases: int, most: float, chance: random.Random) -> Iterator[float]:
    """Where the cases stop: sizes of files span decades, so their places do. Moments come without end."""
    if how == "moment":
        while True:
            yield chance.uniform(0.05, 1) * most
    if how == "border":  # shorter than the longest file, so that each one kills
        yield from (most ** (index / n_cases) for index in range(n_cases))
    elif how == "full":
        yield from (most ** (index / max(1, n_cases - 1)) for index in range(n_cases))
    elif n_cases >= most:
        yield from (float(index) for index in range(1, int(most) + 1))
    else:
        yield from (1 + index / max(1, n_cases - 1) * (most - 1) for index in range(n_cases))


def compared(work: Any, out: Path, reference: Path, again: int | str) -> list[str]:
    """What is not as in the run that nothing stopped."""
    if again != 0:
        return ["unfinished"]
    try:
        return work.differs(out, reference)
    except AssertionError as error:
        return [str(error)]


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def stop_once_each(work: Any, how: str, reference: Path, places: Iterator[float], n_cases: int) -> None:
    whole, pace, kills = work.repeated(0), 1.0, 0
    for drawn in places:
        place = drawn * pace
        out = reference.with_name("out")
        work.begin()
        start = time.monotonic()
        ended, said = caught(
            lambda out=out, place=place: case(work, how, out, place), reference.with_name("said")
        )
        if how == "moment" and ended == 0:
            # It was over before: the machine is faster by now, and later moments come as much sooner.
            pace *= min(1.0, (time.monotonic() - start) / place)
        broken = work.broken(out, reference) if out.exists() else []
        left = sorted(path.name for path in out.rglob(f"{TEMPORARY_PREFIX}*"))
        again = in_a_fork(lambda out=out: work.run(out))
        differs = compared(work, out, reference, again)
        say(
            ended=ended, broken=broken, again=again, repeated=work.repeated(whole), differs=differs,
            kills=int(ended in KILLED), place=place, seconds=time.monotonic() - start, left=left, said=said,
        )  # fmt: skip
        shutil.rmtree(out, ignore_errors=True)
        kills += ended in KILLED
        if how == "moment" and kills >= n_cases:
            return


def caught(work: Callable[[], Any], log: Path) -> tuple[Any, str]:
    """What a piece of work gives back, and what it and its forks say on stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        result = work()
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
    said = log.read_text(errors="replace")
    sys.stderr.write(said)
    return result, said


def stop_in_chains(work: Any, reference: Path, most: float, n_kills: int, chance: random.Random) -> None:
    """Until so many kills are done; a line for each run that came to its end in spite of its kills.

    Most of them are within so many steps after an epoch's checkpoint, while there are stages to train, so that a run
    is killed again and again in every stage; the others are anywhere.
    """
    while n_kills > 0:
        out = reference.with_name("out")
        start, ended, broken = time.monotonic(), -signal.SIGKILL, []
        unfinished: list[list[str]] = []  # of each kill
        while ended == -signal.SIGKILL and len(unfinished) < n_kills:
            if chance.random() < IN_TRAINING and work.in_training(out):
                ended = case(work, "index", out, chance.uniform(1, most / STRIDES), after=CHECKPOINT)
            else:
                ended = case(work, "index", out, chance.uniform(1, most / 4))
            if ended == -signal.SIGKILL:
                unfinished.append(unfinished_stages(out))
            broken += work.broken(out, reference)
        again = in_a_fork(lambda out=out: work.run(out))
        differs = compared(work, out, reference, again)
        say(
            ended=-signal.SIGKILL if unfinished and ended in (0, -signal.SIGKILL) else ended, broken=broken,
            again=again, repeated=0, differs=differs, kills=len(unfinished), unfinished=unfinished,
            alone=ended == 0, seconds=time.monotonic() - start,
        )  # fmt: skip
        n_kills -= len(unfinished)
        shutil.rmtree(out, ignore_errors=True)


def main() -> None:
    name, how, folder, n_cases, seed = sys.argv[1], sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:])
    work = {"extract": Extraction, "train": Training}[name](folder)
    reference, most = measured(work, folder, refuse if how == "errno" else kill)
    chance = random.Random(seed)
    say(steps=most["index"], largest=most["border"], seconds=most["moment"])
    if how == "chain":
        stop_in_chains(work, reference, most["index"], n_cases, chance)
    else:
        places = chosen(how, n_cases, most["index" if how == "errno" else how], chance)
        stop_once_each(work, how, reference, places, n_cases)


if __name__ == "__main__":
    main()
