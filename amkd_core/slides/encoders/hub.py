"""Weights from the Hugging Face hub, with the user's own account; the one place that ever touches the network."""

from __future__ import annotations

from pathlib import Path

from amkd_core.errors import EncoderError, MissingExtraError
from amkd_core.slides.encoders.registry import EncoderCard
from amkd_core.slides.encoders.weights import WEIGHT_FILES, own_weights_folder


def fetch_weights(card: EncoderCard) -> Path:
    """Fetch an encoder's weights into the user's data folder, where they are found from then on.

    Parameters
    ----------
    card
        Of an encoder that takes weights. Gated ones need the user's token, as `hf auth login` or ``HF_TOKEN`` give it.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    EncoderError
        If the hub cannot be reached, refuses the user, or has no such file.
    MissingExtraError
        If huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError(
            "Fetching weights needs huggingface_hub; install it with: pip install 'amkd-viewer[encoders]'."
        ) from error
    for file in WEIGHT_FILES:
        try:
            return Path(hf_hub_download(card.hub_id, file, local_dir=own_weights_folder(card.name)))
        except LocalEntryNotFoundError as error:
            raise EncoderError(
                f"The Hugging Face hub cannot be reached ({error}); put the weights in place by hand."
            ) from error
        except EntryNotFoundError:
            continue
        except HfHubHTTPError as error:
            raise EncoderError(
                f"{card.hub_id} refused {file} ({error.__class__.__name__}); accept its licence on its page and "
                "log in with `hf auth login`."
            ) from error
    raise EncoderError(f"{card.hub_id} holds none of {', '.join(WEIGHT_FILES)}.")
