"""Weights from the Hugging Face hub, with the user's own account; the one place that ever touches the network.

A file is taken only as the hub states it: at one commit, with the SHA-256 of its content. Both are kept beside the
weights and hold from then on, so what was fetched first is what is used and what may be fetched again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from amkd_core.atomic import TEMPORARY_PREFIX, atomic_path, write_text
from amkd_core.errors import AmkdError, EncoderError, FolderInUseError, MissingExtraError
from amkd_core.file_hash import file_sha256
from amkd_core.folder_lock import hold_folder
from amkd_core.hash_beside import HASH, beside, hash_beside
from amkd_core.slides.encoders.registry import EncoderCard
from amkd_core.slides.encoders.weights import WEIGHT_FILES, check_published, own_weights_folder


class _Stated(NamedTuple):
    """What the hub says of a file: the SHA-256 of its content, and the commit at which it has it."""

    sha256: str
    commit: str


def fetch_weights(card: EncoderCard) -> Path:
    """Fetch an encoder's weights into the user's data folder, where they are found from then on.

    Parameters
    ----------
    card
        Of an encoder that takes weights. Gated ones need the user's token, as `hf auth login` or ``HF_TOKEN`` give it.

    Returns
    -------
    Path
        The file; its SHA-256 and the hub's commit lie beside it.

    Raises
    ------
    EncoderError
        If the hub cannot be reached, refuses the user, has no such file, states no hash of it or another one than was
        fetched before, or if what arrived is not what it states.
    FolderInUseError
        If another run is fetching the same weights.
    MissingExtraError
        If huggingface_hub is not installed.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Fetching weights needs huggingface_hub; install it with: pip install 'amkd-viewer[encoders]'."
        ) from error
    folder = own_weights_folder(card.name)
    # Weights under the other name must be no way round the hash that is kept.
    files = [file for file in WEIGHT_FILES if beside(folder / file).exists()] or WEIGHT_FILES
    for file in files:
        stated = _stated(card, file)
        if stated is not None:
            _hold(card, folder / file, stated)
            with hold_folder(folder, "fetches weights into", FolderInUseError):
                return _fetch(card, folder / file, stated)
    raise EncoderError(f"{card.hub_id} holds none of {', '.join(files)}.")


def _stated(card: EncoderCard, file: str) -> _Stated | None:
    """What the hub states of a file; None where it has no such file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    try:
        found = get_hf_file_metadata(hf_hub_url(card.hub_id, file))
    except EntryNotFoundError:
        return None
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code >= 500:
            raise _unreachable(error) from error
        raise _refused(card, file, error) from error
    except _without_network() as error:
        raise _unreachable(error) from error
    told = HASH.fullmatch(found.etag or "")
    if told is None or not found.commit_hash:
        raise EncoderError(
            f"{card.hub_id}: the hub states no SHA-256 of {file} (found {found.etag!r}, expected 64 hexadecimal "
            "digits), so nobody can say whether it arrives unaltered; put the weights in place by hand."
        )
    return _Stated(told.group().lower(), found.commit_hash)


def _hold(card: EncoderCard, path: Path, stated: _Stated) -> None:
    """Refuse a file that is not the published one, or not the one that was fetched first."""
    check_published(card, path, stated.sha256)
    kept = hash_beside(path, EncoderError)
    if kept is not None and kept != stated.sha256:
        raise EncoderError(
            f"{card.hub_id}: {path.name} is another file now (SHA-256 {stated.sha256[:12]}…, expected {kept[:12]}… as "
            f"it was first fetched); delete {beside(path)} if you want the new one."
        )


def _fetch(card: EncoderCard, path: Path, stated: _Stated) -> Path:
    """Download a file, and give it its name when it is what the hub states; of any other nothing is left."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    aside = path.parent / f"{TEMPORARY_PREFIX}fetch"
    shutil.rmtree(aside, ignore_errors=True)  # of a killed run
    try:
        with atomic_path(path) as temporary:
            arrived = Path(hf_hub_download(card.hub_id, path.name, revision=stated.commit, local_dir=aside))
            if (own := file_sha256(arrived)) != stated.sha256:
                raise EncoderError(
                    f"{card.hub_id}: {path.name} did not arrive as the hub states it (SHA-256 {own[:12]}…, expected "
                    f"{stated.sha256[:12]}…) and was removed; fetch it again, over another network if it happens twice."
                )
            os.replace(arrived, temporary)
            if not beside(path).exists():
                # Before the weights: a run killed in between leaves none that nothing holds.
                text = f"# {card.hub_id} at commit {stated.commit}\n{stated.sha256}  {path.name}\n"
                write_text(beside(path), text)
    except LocalEntryNotFoundError as error:
        raise _unreachable(error) from error
    except HfHubHTTPError as error:
        raise _refused(card, path.name, error) from error
    except _without_network() as error:
        if isinstance(error, AmkdError) or getattr(error, "filename", None) is not None:
            raise  # of this computer's disk
        raise EncoderError(
            f"{card.hub_id}: the download of {path.name} broke off ({_first_line(error)}) and what had come was "
            "removed; fetch it again."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return path


def _without_network() -> tuple[type[Exception], ...]:
    """What huggingface_hub's requests raise without a network: OSErrors below release 1, another library's since."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *(base for base in HfHubHTTPError.__mro__[1:2] if issubclass(base, Exception)))


def _unreachable(error: Exception) -> EncoderError:
    return EncoderError(
        f"The Hugging Face hub cannot be reached ({_first_line(error)}); put the weights in place by hand."
    )


def _refused(card: EncoderCard, file: str, error: Exception) -> EncoderError:
    return EncoderError(
        f"{card.hub_id} refused {file} ({error.__class__.__name__}); accept its licence on its page and "
        "log in with `hf auth login`."
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [error.__class__.__name__])[0]
