"""What all commands share: one sentence for a user's mistake, and bars for progress."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from amkd_core.errors import AmkdError, ConfigError, FolderInUseError
from amkd_core.progress import Progress
from amkd_core.settings import current_settings

if TYPE_CHECKING:
    from tqdm import tqdm

Result = TypeVar("Result")

DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps; by default the settings', else cpu.")
]


def mpp_option(what_of_it: str) -> Any:
    """The option `--mpp` of slides; `what_of_it` ends its help."""
    words = f"Micrometres per pixel (0.25, or 0.25,0.5 for x and y){what_of_it}"
    return typer.Option(parser=_parse_mpp, metavar="X[,Y]", help=words)


def _parse_mpp(text: str) -> float | tuple[float, float]:
    """Read it; a wrong one is said as typer says its own."""
    from amkd_core.slides.microns import read_mpp

    try:
        return read_mpp(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None


EXIT_PARTIAL = 1
EXIT_WRONG_INPUT = 2
EXIT_FOLDER_IN_USE = 3
EXIT_STOPPED = 130

LINE_EVERY_S = 60.0
"""Between lines of progress in a file; short work leaves none."""


# Besides control characters and separators of lines: what turns the order of the letters round it.
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def shown(text: object) -> str:
    """One line as a terminal shows it, whatever names from files stand in it.

    A name with a line break could forge a line of ours, one with an escape could repaint the terminal; such characters
    are written as in Python's text.
    """
    return "".join(
        letter.encode("unicode_escape").decode()
        if letter in _TURNING or unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        else letter
        for letter in str(text)
    )


def say(line: object, *, err: bool = False) -> None:
    """Write one line to stdout, or to stderr, as `shown`."""
    typer.echo(shown(line), err=err)


def say_lines(text: object, *, err: bool = False) -> None:
    """Write lines of ours, each as `shown`."""
    for line in str(text).split("\n"):
        say(line, err=err)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn an `AmkdError` into its sentence on stderr and exit code 2 (3: folder in use); anything else surfaces."""
    try:
        yield
    except AmkdError as error:
        say(f"Error: {error}", err=True)
        in_use = isinstance(error, FolderInUseError)
        raise typer.Exit(EXIT_FOLDER_IN_USE if in_use else EXIT_WRONG_INPUT) from None
    except OSError as error:
        # A full disk or a folder without permission is the user's to mend as well.
        say(f"Error: {error.filename or 'output'}: {error.strerror or error}", err=True)
        raise typer.Exit(EXIT_WRONG_INPUT) from None


def chosen_device(device: str | None) -> str:
    """The device that was asked for, by default the one of the settings."""
    return device or current_settings().device


def drain(steps: Generator[Progress, None, Result]) -> Result:
    """Run a generator of progress to its end with a bar on stderr, and return its result.

    The bar is drawn on a terminal only; where stderr is a file, as in batch systems, long work leaves a line a minute.
    """
    bar: tqdm | None = None
    stage = ""
    told_at = time.monotonic()
    try:
        while True:
            step = next(steps)
            if bar is None or step.stage != stage:
                if bar is not None:
                    bar.close()
                bar, stage = _bar(step), step.stage
            bar.n = step.done
            bar.set_postfix_str(shown(step.message), refresh=False)
            bar.refresh()
            if bar.disable and time.monotonic() - told_at >= LINE_EVERY_S:
                told_at = time.monotonic()
                say(_line(step), err=True)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        if bar is not None:
            bar.close()
        steps.close()


def _line(step: Progress) -> str:
    stage = f"{step.stage} {step.done}/{step.total}" if step.total else step.stage
    return f"{datetime.now():%H:%M} " + ", ".join(part for part in (stage, step.message) if part)


def _bar(step: Progress) -> tqdm:
    from tqdm import tqdm

    unknown = None if step.total else "{desc}[{elapsed}]"
    return tqdm(
        total=step.total or None, desc=shown(step.stage), file=sys.stderr, disable=None, bar_format=unknown,
        dynamic_ncols=True,
    )  # fmt: skip
