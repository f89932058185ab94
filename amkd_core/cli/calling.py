"""How every command is called: ``~`` in its paths is the home folder, and Ctrl-C ends it with a sentence."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand

from amkd_core.cli.terminal import EXIT_STOPPED, say


class Command(TyperCommand):
    """A command that begins anew when it is repeated."""

    on_ctrl_c = "Stopped. Repeat the same command to begin anew."

    def invoke(self, ctx: Any) -> Any:
        """Run it; shells expand ``~`` at the beginning of a word only, which ``--out=~/runs`` has in its middle."""
        for name, kind in get_type_hints(inspect.unwrap(self.callback)).items() if self.callback else ():
            if name in ctx.params and _of_paths(kind):
                ctx.params[name] = _expanded(ctx.params[name])
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say(self.on_ctrl_c, err=True)
            raise typer.Exit(EXIT_STOPPED) from None


class ContinuedCommand(Command):
    """A command that goes on where it was stopped when it is repeated."""

    on_ctrl_c = "Stopped. Repeat the same command to continue; what was finished is kept."


def _of_paths(kind: Any) -> bool:
    return kind is Path or any(map(_of_paths, get_args(kind)))


def _expanded(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_expanded(one) for one in value)
    return type(value)(os.path.expanduser(value)) if isinstance(value, (str, Path)) else value
