"""`amkd model`: the card of a bundle, to be read before its predictions are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amkd_core.cli.terminal import say, say_lines, user_errors


def model_command(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="Model bundle (.amkd); by default the settings', else the synthetic demo's."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the card as JSON for other programs.")
    ] = False,
) -> None:
    """Tell whom a model was trained on, how well it did on patients it had not seen, and what it was not tried on."""
    from amkd_core.bundle_words import card_rows, limits_of
    from amkd_core.cli.predict import load_bundle

    with user_errors():
        found = load_bundle(bundle)
    if as_json:
        say_lines(found.card.model_dump_json(indent=1))
        return
    rows = card_rows(found.card)
    width = max(len(label) for label, _ in rows)
    for label, text in rows:
        say(f"{label:<{width}}  {text}")
    say("Known limits:")
    for sentence in limits_of(found.card):
        say(f"  - {sentence}")
