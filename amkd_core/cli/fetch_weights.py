"""`amkd fetch-weights`: an encoder's weights from the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated

import typer

from amkd_core.cli.terminal import say, user_errors


def fetch_weights_command(
    encoder: Annotated[str, typer.Argument(help="Encoder with published weights; `amkd doctor` lists them.")],
) -> None:
    """Fetch an encoder's weights from the Hugging Face hub, with your own account where it asks for one.

    Nothing else in AMKD Viewer touches the network. What arrives is held against the SHA-256 that the hub states, which
    is kept beside it; weights that are found on this computer are held against the one beside them.
    """
    from amkd_core.errors import EncoderError
    from amkd_core.slides.encoders.hub import fetch_weights
    from amkd_core.slides.encoders.registry import card_of
    from amkd_core.slides.encoders.weights import find_weights, held_sha256

    with user_errors():
        card = card_of(encoder)
        if card.hub_id is None:
            raise EncoderError(f"Encoder {encoder!r} is built in and has no weights to fetch.")
        say(f"{encoder}: {card.hub_id}; licence: {card.licence}")
        found = find_weights(encoder)
        if found is not None:
            held_sha256(card, found)
        say(f"found at {found}" if found else f"fetched to {fetch_weights(card)}")
