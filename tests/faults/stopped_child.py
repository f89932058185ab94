"""Runs a piece of work again and again, each time stopped at another place, then once to its end; a line of JSON each.

``python stopped_child.py WORK HOW FOLDER N SEED``. Everything is imported once; each run is a fork, so that hundreds of
kills take no hundreds of starts. ``HOW`` is where and how a run is stopped:

``index``   SIGKILL before the k-th opening for writing, flush, rename, removal or journal entry
``border``  the system ends the process in the midst of the write that makes a file longer than the k-th size
``moment``  SIGKILL from outside, after a time by chance
``full``    writes beyond the k-th size fail, as on a full disk
``chain``   as ``index``, at steps by chance, and what follows is killed again and again until it ends by itself
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cohort_fixtures import write_tiny_cohort
from slide_files import tissue_like, write_tiff
from training_fixtures import assert_same_results, fold_overrides

from amkd_core.atomic import TEMPORARY_PREFIX
from amkd_core.errors import AmkdError, DiskFullError

BATCH, HANG_S = 2, 600.0
SENTENCE, OTHER_ERROR = 4, 3


class Extraction:
    """Two slides of a few patches, two patches a batch; every encoded patch leaves a byte in `encoded`."""

    def __init__(self, folder: Path) -> None:
        from amkd_core.inference import extract
        from amkd_core.slides import encoders
        from amkd_core.slides.encoders import texture
        from amkd_core.slides.encoders.encode import encode_slide

        self.encoded = folder / "encoded"
        encoders.encode_slide = functools.partial(encode_slide, batch_size=BATCH)
        paths = [write_tiff(folder / f"s{i}.tif", [tissue_like(768, 768, seed=i)]) for i in (1, 2)]
        self.tasks = [extract.SlideTask(path) for path in paths]
        self.module = extract
        self.settings = extract.ExtractSettings(workers=1)
        kind = texture.TextureEncoder
        encode = kind.encode

        def counting(encoder: Any, images: Any) -> Any:
            features = encode(encoder, images)
            if len(images) <= BATCH:  # the golden patches come all at once
                with self.encoded.open("ab") as file:
                    file.write(b"." * len(images))
            return features

        kind.encode = counting
        self.begin()
        self.run(folder / "warm")  # what is imported and kept by now is not made in each fork

    def run(self, out: Path) -> None:
        with self.module.bag_folder(out):
            for task in self.tasks:
                steps = self.module.extract_slide(task, out, self.settings)
                outcome = finish(steps)
                if outcome.state == "failed":
                    raise (
                        DiskFullError(outcome.reason)
                        if "after" in outcome.reason
                        else ValueError(outcome.reason)
                    )

    def broken(self, out: Path, reference: Path) -> list[str]:
        """Final files of a stopped run that are not what they shall be."""
        names = [path.name for path in out.glob("*.h5") if not path.name.startswith(TEMPORARY_PREFIX)]
        return [name for name in names if (out / name).read_bytes() != (reference / name).read_bytes()]

    def differs(self, out: Path, reference: Path) -> list[str]:
        left, right = ({path.name for path in run.iterdir()} for run in (out, reference))
        return sorted(left ^ right) + self.broken(out, reference)

    def repeated(self, whole: int) -> int:
        """Patches that were encoded twice."""
        return len(self.encoded.read_bytes()) - whole

    def begin(self) -> None:
        self.encoded.write_bytes(b"")


class Training:
    """Two folds of a tiny cohort."""

    def __init__(self, folder: Path) -> None:
        import torch

        from amkd_core.cohort.cohort import read_cohort
        from amkd_core.training.config import load_config
        from amkd_core.training.run import train_run

        torch.set_num_threads(1)
        for module in (
            "matplotlib.backends.backend_agg",
            "sklearn",
            "lifelines",
            "amkd_core.training.report_figures",
        ):
            importlib.import_module(module)  # once, and not in each fork
        toml = write_tiny_cohort(
            folder / "cohort", name="tiny", n_patients=30, width=6, patches=(5, 12), pathways=((0, 1, 2), (3, 4, 5))
        )  # fmt: skip
        words = [word for word in fold_overrides() if word != "--set"]
        self.config = load_config(None, [*words, "folds=2", "report.resamples=10"])
        self.cohort = read_cohort(toml)
        self.train_run = train_run

    def run(self, out: Path) -> None:
        finish(self.train_run(self.cohort, out, self.config))

    def broken(self, out: Path, reference: Path) -> list[str]:
        from amkd_core.bundle_file import open_bundle

        for path in out.rglob("*.amkd"):
            if not path.name.startswith(TEMPORARY_PREFIX):
                open_bundle(path)
        return []

    def differs(self, out: Path, reference: Path) -> list[str]:
        assert_same_results(out, reference)
        names = ("metrics.json", "bins.json", "folds.json", "data.json")
        left, right = (
            {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
            for run in (out, reference)
        )
        return sorted(left ^ right) + [
            name for name in names if (out / name).read_bytes() != (reference / name).read_bytes()
        ]

    def repeated(self, whole: int) -> int:
        return 0

    def begin(self) -> None:
        pass


def finish(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def count_writes(folder: Path, at: int) -> Callable[[], int]:
    """Kill this process before the `at`-th step that changes something in a folder; 0 only counts."""
    prefix, count = str(folder), 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in ("os.rename", "os.remove", "os.mkdir")
        if event == "open" and isinstance(arguments[2], int):
            writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if writes and str(arguments[0]).startswith(prefix):
            step()

    sys.addaudithook(hook)
    flush = os.fsync

    def counting_flush(descriptor: int) -> None:
        step()
        flush(descriptor)

    os.fsync = counting_flush
    from amkd_core.slides.encoders.journal import EncodingJournal

    append = EncodingJournal.append

    def counting_append(journal: Any, features: Any, valid: Any) -> None:
        step()
        append(journal, features, valid)

    EncodingJournal.append = counting_append  # type: ignore[method-assign]
    return lambda: count


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


def case(work: Any, how: str, out: Path, place: float) -> int | str:
    """One run that is stopped at a place: an index, a size or seconds."""

    def stopped() -> None:
        if how == "index":
            count_writes(out, int(place))
        elif how in ("border", "full"):
            stop_at_size(int(place), die=how == "border")
        work.run(out)

    return in_a_fork(stopped, after_s=place if how == "moment" else None)


def measured(work: Any, folder: Path) -> tuple[Path, dict[str, float]]:
    """The run that nothing stops, and how many steps, bytes and seconds it takes."""
    reference, steps = folder / "reference", folder / "steps"

    def counted() -> None:
        total = count_writes(reference, 0)
        work.run(reference)
        steps.write_text(str(total()))

    work.begin()
    start = time.monotonic()
    assert in_a_fork(counted) == 0
    seconds = time.monotonic() - start
    largest = max(path.stat().st_size for path in reference.rglob("*") if path.is_file())
    return reference, {
        "index": float(steps.read_text()),
        "border": largest,
        "full": largest,
        "moment": seconds,
    }


def chosen(how: str, n_cases: int, total: float, chance: random.Random) -> list[float]:
    """Where the cases stop: sizes of files span decades, so their places do."""
    share = [index / max(1, n_cases - 1) for index in range(n_cases)]
    if how == "moment":
        return [chance.uniform(0.05, 1) * total for _ in share]
    if how in ("border", "full"):
        return [total**part for part in share]
    if n_cases >= total:
        return [float(index) for index in range(1, int(total) + 1)]
    return [1 + part * (total - 1) for part in share]


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


def stop_once_each(work: Any, how: str, reference: Path, places: list[float], whole: int) -> None:
    pace = 1.0
    for drawn in places:
        place = drawn * pace
        out = reference.with_name("out")
        work.begin()
        start = time.monotonic()
        ended = case(work, how, out, place)
        if how == "moment" and ended == 0:
            # It was over before: the machine is faster by now, and later moments come as much sooner.
            pace *= min(1.0, (time.monotonic() - start) / place)
        broken = work.broken(out, reference) if out.exists() else []
        again = in_a_fork(lambda out=out: work.run(out))
        differs = compared(work, out, reference, again)
        say(
            ended=ended, broken=broken, again=again, repeated=work.repeated(whole), differs=differs, kills=1,
            place=place, seconds=time.monotonic() - start,
        )  # fmt: skip
        shutil.rmtree(out, ignore_errors=True)


def stop_in_chains(work: Any, reference: Path, most: float, n_kills: int, chance: random.Random) -> None:
    """Until so many kills are done; a line for each run that came to its end in spite of its kills."""
    while n_kills > 0:
        out = reference.with_name("out")
        start, ended, kills, broken = time.monotonic(), -signal.SIGKILL, 0, []
        while ended == -signal.SIGKILL and n_kills - kills > 0:
            ended = case(work, "index", out, chance.uniform(1, most / 4))
            kills += ended == -signal.SIGKILL
            broken += work.broken(out, reference)
        again = in_a_fork(lambda out=out: work.run(out))
        differs = compared(work, out, reference, again)
        say(
            ended=-signal.SIGKILL if kills and ended in (0, -signal.SIGKILL) else ended, broken=broken, again=again,
            repeated=0, differs=differs, kills=kills, seconds=time.monotonic() - start,
        )  # fmt: skip
        n_kills -= kills
        shutil.rmtree(out, ignore_errors=True)


def main() -> None:
    name, how, folder, n_cases, seed = sys.argv[1], sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:])
    work = {"extract": Extraction, "train": Training}[name](folder)
    reference, most = measured(work, folder)
    whole = work.repeated(0)
    chance = random.Random(seed)
    say(steps=most["index"], largest=most["border"], seconds=most["moment"])
    if how == "chain":
        stop_in_chains(work, reference, most["index"], n_cases, chance)
    else:
        stop_once_each(work, how, reference, chosen(how, n_cases, most[how], chance), whole)


if __name__ == "__main__":
    main()
