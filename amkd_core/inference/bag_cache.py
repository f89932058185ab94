"""Bags of slides that were encoded before, so that a slide opened again is predicted at once."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.encoder_identity import EncoderIdentity
from amkd_core.errors import BagError
from amkd_core.inference.kept_files import (
    FOLDER_VARIABLE,
    NO_LIMIT,
    SUFFIXES,
    KeptFiles,
    user_folder,
    user_limit_bytes,
)
from amkd_core.private_names import private_logger
from amkd_core.slides.grid import PatchSpec
from amkd_core.slides.info import SlideInfo

__all__ = ["FOLDER_VARIABLE", "BagCache", "user_bag_cache"]

_log = private_logger(__name__)


class BagCache:
    """Bags by the content of their slide, its scale, the encoder, the patches and this release.

    Parameters
    ----------
    folder
        Where bags are kept; None keeps nothing.
    limit_bytes
        When more than this is kept, the bags that were used longest ago go.
    """

    def __init__(self, folder: Path | None, *, limit_bytes: int = NO_LIMIT) -> None:
        self._kept = KeptFiles(folder, SUFFIXES["bags"], limit_bytes=limit_bytes)

    def __repr__(self) -> str:
        return f"BagCache({self._kept.folder}, {len(self._kept)} bags)"

    def find(self, info: SlideInfo, encoder: EncoderIdentity, spec: PatchSpec) -> FeatureBag | None:
        """The bag that encoding this slide would give again, under the slide's present name; None if there is none."""
        path = self._path(info, encoder, spec)
        if path is None or not self._kept.holds(path):
            return None
        try:
            bag = read_bag(path)
            self._kept.touch(path)
        except (BagError, OSError) as error:
            _log.warning("A kept bag cannot be used and is made again: %s", error)
            return None
        return replace(bag, slide_id=info.slide_id)

    def keep(self, bag: FeatureBag, info: SlideInfo, encoder: EncoderIdentity, spec: PatchSpec) -> None:
        """Keep a bag for `find`; a disk that is full or read-only is logged and costs nothing else."""
        path = self._path(info, encoder, spec)
        if path is None:
            return
        try:
            write_bag(path, bag)
            self._kept.prune()
        except (BagError, OSError) as error:
            _log.warning("The bag of %s is not kept: %s", info.slide_id, error)

    def _path(self, info: SlideInfo, encoder: EncoderIdentity, spec: PatchSpec) -> Path | None:
        if info.fingerprint is None or info.microns is None:
            return None
        return self._kept.path_of(
            {
                **slide_key(info),
                "encoder": asdict(encoder),
                "patches": asdict(spec),
            }
        )


def slide_key(info: SlideInfo) -> dict[str, object]:
    """All of a slide that decides its bag and the notices in it; JSON-able."""
    # Contradictions and other images count only where there are any: what was kept of all other slides is still found.
    microns = None if info.microns is None else asdict(info.microns)
    if microns is not None and microns["contradicted_by"] is None:
        del microns["contradicted_by"]
    several = {} if info.n_scenes == 1 else {"scenes": info.n_scenes}
    return {"slide": info.fingerprint, "scene": info.scene, "microns": microns, **several}


def user_bag_cache() -> BagCache:
    """The cache of this user, as `FOLDER_VARIABLE` and the settings say."""
    return BagCache(user_folder("bags"), limit_bytes=user_limit_bytes("bags"))
