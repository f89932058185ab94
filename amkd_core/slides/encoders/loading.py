"""`load_encoder`: from a name and, for foundation encoders, a file of weights, to a `PatchEncoder`."""

from __future__ import annotations

from pathlib import Path

from amkd_core.errors import EncoderError
from amkd_core.slides.encoders.registry import PatchEncoder, card_of
from amkd_core.slides.encoders.weights import find_weights, missing_weights


def load_encoder(name: str, *, weights: Path | str | None = None, device: str = "cpu") -> PatchEncoder:
    """Load a patch encoder.

    Parameters
    ----------
    name
        One of `ENCODERS`.
    weights
        File or folder of its weights; by default they are looked for where `weight_places` says.
    device
        Where it runs, as torch names it ("cpu", "cuda", "cuda:1", "mps"). `texture` always runs on the CPU.

    Returns
    -------
    PatchEncoder
        Ready to encode.

    Raises
    ------
    EncoderError
        If the name is unknown, the device is not there, or the weights do not fit the network.
    EncoderWeightsMissingError
        If the weights were not found; the sentence says where they were looked for and how to get them.
    MissingExtraError
        If a package that the encoder needs is not installed.
    """
    card = card_of(name)
    if card.hub_id is None:
        if weights is not None:
            raise EncoderError(f"Encoder {name!r} is built in and takes no weights, but {weights} was given.")
        from amkd_core.slides.encoders.texture import TextureEncoder

        return TextureEncoder()
    stated = None if weights is None else Path(weights).expanduser()
    path = find_weights(name, stated)
    if path is None:
        raise missing_weights(card, stated)
    from amkd_core.slides.encoders.foundation import load_foundation

    return load_foundation(card, path, device)
