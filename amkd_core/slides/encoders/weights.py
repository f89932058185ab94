"""Where the weights of foundation encoders are found on this computer; imports no torch, never touches the network."""

from __future__ import annotations

import os
from pathlib import Path

from amkd_core.errors import EncoderError, EncoderWeightsMissingError
from amkd_core.file_hash import file_sha256
from amkd_core.hash_beside import beside, hash_beside
from amkd_core.settings import current_settings
from amkd_core.slides.encoders.registry import EncoderCard, card_of

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


def weight_places(name: str) -> tuple[Path, ...]:
    """Folders, or a file, in which the weights of an encoder are looked for, in order.

    ``$AMKD_WEIGHTS/<name>`` where that variable is set, then what the user's settings name, then ``weights/<name>`` in
    the user's data folder.
    """
    stated, chosen = os.environ.get("AMKD_WEIGHTS"), current_settings().weights.get(name)
    places = [Path(stated).expanduser() / name] if stated else []
    places += [] if chosen is None else [chosen]
    return (*places, own_weights_folder(name))


def own_weights_folder(name: str) -> Path:
    """The last of the places: where weights lie that were fetched for the user."""
    from platformdirs import user_data_path

    return user_data_path("amkd", appauthor=False) / "weights" / name


def find_weights(name: str, weights: Path | None = None) -> Path | None:
    """Find the file of an encoder's weights.

    Parameters
    ----------
    name
        Name of the encoder.
    weights
        A file, or a folder with one of `WEIGHT_FILES`; when given nothing else is looked at.

    Returns
    -------
    Path or None
        None when there is no such file.
    """
    places = weight_places(name) if weights is None else (weights,)
    candidates = (path for place in places for path in (place, *(place / file for file in WEIGHT_FILES)))
    return next((path for path in candidates if path.is_file()), None)


def check_weights(name: str, path: Path) -> Path:
    """Look whether a file or folder may be named as an encoder's weights; whether they fit is seen when it is loaded.

    Raises
    ------
    EncoderError
        When the encoder takes none, or there are none.
    """
    if card_of(name).hub_id is None:
        raise EncoderError(f"Encoder {name!r} is built in and takes no weights.")
    if find_weights(name, path) is None:
        raise EncoderError(
            f"{path}: there is neither {WEIGHT_FILES[0]} nor {WEIGHT_FILES[1]}; choose the folder or file with the "
            f"weights of {name}."
        )
    if path.is_file() and path.suffix not in WEIGHT_SUFFIXES:
        raise EncoderError(
            f"{path.name}: expected a file of weights ({', '.join(WEIGHT_SUFFIXES)}), found "
            f"{path.suffix or 'no suffix'}."
        )
    return path


def held_sha256(card: EncoderCard, path: Path) -> str:
    """Hash a file of weights and hold it against what is known of it.

    That is the hash which lies beside it, as `amkd fetch-weights` and `sha256sum` write it, and those in the encoder's
    card.

    Returns
    -------
    str
        Its SHA-256.

    Raises
    ------
    EncoderError
        When it is another file.
    """
    own = file_sha256(path)
    expected = hash_beside(path, EncoderError)
    if expected is not None and own != expected:
        name = beside(path).name
        raise EncoderError(
            f"{path}: is not the file of {name} (SHA-256 {own[:12]}…, expected {expected[:12]}…); delete both and get "
            f"the weights again, or delete {name} alone where they were changed on purpose."
        )
    check_published(card, path, own)
    return own


def check_published(card: EncoderCard, path: Path, sha256: str) -> None:
    """Refuse weights that are none of those which the encoder's card states; where it states none, all pass.

    Raises
    ------
    EncoderError
        With both hashes.
    """
    if card.sha256 and sha256 not in card.sha256:
        expected = " or ".join(f"{hash_[:12]}…" for hash_ in card.sha256)
        raise EncoderError(
            f"{path.name}: is not what {card.hub_id} published as the weights of {card.name} (SHA-256 "
            f"{sha256[:12]}…, expected {expected}); get the published file."
        )


def missing_weights(card: EncoderCard, weights: Path | None = None) -> EncoderWeightsMissingError:
    """Build the error that names where the weights were looked for and how to get them."""
    looked = [weights] if weights is not None else list(weight_places(card.name))
    places = " and ".join(str(place) for place in looked)
    return EncoderWeightsMissingError(
        f"The weights of encoder {card.name!r} were not found at {places}; get {WEIGHT_FILES[0]} or "
        f"{WEIGHT_FILES[1]} from {card.hub_id} on the Hugging Face hub with your own account "
        f"(licence: {card.licence}) and put it there, or name it in the window's settings or with --weights; "
        f"`amkd fetch-weights {card.name}` fetches it with your own token."
    )
