"""What lies where a slide's bag will be written: a bag to keep, one to make again, or somebody else's work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from amkd_core.bag_apart import read_apart, read_layout_apart
from amkd_core.bag_file import is_own_bag, read_bag
from amkd_core.encoder_identity import EncoderIdentity
from amkd_core.errors import BagError, DamagedBagError

if TYPE_CHECKING:
    from amkd_core.slides.slide import Slide

# Terms are no part of what made the features.
_COMPARED = ("name", "version", "weights_sha256", "transform", "token_policy", "dimension")
_HOW = "--force overwrites it, and --out names another folder"


def patches_kept(path: Path, encoder: EncoderIdentity, slide: Slide) -> int | None:
    """Number of patches of the bag at `path` when it is whole and of this slide, image, scale and encoder.

    Returns
    -------
    int or None
        None when the bag must be made again: it is damaged, or ours of this encoder and another slide or scale.

    Raises
    ------
    BagError
        When features of another tool or encoder, of another image of the same file, a bag that this release does not
        read, or a folder lie there: they are not overwritten unasked.
    """
    if path.is_dir():
        raise BagError(f"{path} is a folder, expected a feature bag or nothing; --out names another folder")
    if not is_own_bag(path):
        if _opens(path):
            raise BagError(
                f"{path} holds {_foreign(path)}, but features of {encoder.name} were asked for; {_HOW}"
            )
        return None
    try:
        bag = read_bag(path)
    except DamagedBagError:
        return None
    except BagError as error:  # whole, so perhaps of a later release
        raise BagError(f"{error}; {_HOW}") from error
    _refuse_other_encoder(path, bag.encoder, encoder)
    if bag.slide_fingerprint == slide.info.fingerprint and (bag.slide_scene or 0) != slide.info.scene:
        raise BagError(
            f"{path} is of scene {bag.slide_scene or 0} of this slide, but scene {slide.info.scene} was asked for; "
            f"{_HOW}"
        )
    microns = slide.microns
    fits = (
        bag.encoder == encoder
        and bag.slide_fingerprint == slide.info.fingerprint
        and bag.slide_mpp == (microns.x, microns.y)
    )
    return len(bag) if fits else None


def _refuse_other_encoder(path: Path, found: EncoderIdentity, asked: EncoderIdentity) -> None:
    for field in _COMPARED:
        theirs, ours = getattr(found, field), getattr(asked, field)
        if theirs != ours:
            length = 12 if field == "weights_sha256" else 60
            which = "" if field == "name" else f" with {field} {str(theirs)[:length] or 'not recorded'}"
            wanted = "" if field == "name" else f" with {str(ours)[:length] or 'none'}"
            raise BagError(
                f"{path} holds features of encoder {found.name}{which}, but {asked.name}{wanted} was asked for; {_HOW}"
            )


def _foreign(path: Path) -> str:
    try:
        recorded = read_layout_apart(path)
    except BagError:
        return "HDF5 data that are no bag of amkd"
    maker = "" if recorded.encoder_name is None else f" of {recorded.encoder_name}"
    return f"{recorded.layout} features{maker}"


def _opens(path: Path) -> bool:
    """Whether HDF5 opens the file; a copy that was cut short does not."""
    return bool(read_apart("opens", path, BagError)[0]["opens"])
