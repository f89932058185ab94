"""Bags of slides that were encoded before, so that a slide opened again is predicted at once."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from pathlib import Path

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.encoder_identity import EncoderIdentity
from amkd_core.errors import BagError
from amkd_core.inference.kept_files import FOLDER_VARIABLE, KeptFiles, user_folder
from amkd_core.slides.grid import PatchSpec
from amkd_core.slides.info import SlideInfo

__all__ = ["FOLDER_VARIABLE", "BagCache", "user_bag_cache"]

LIMIT_BYTES = 4 << 30

_log = logging.getLogger(__name__)


class BagCache:
    """Bags by the content of their slide, its scale, the encoder, the patches and this release.

    Parameters
    ----------
    folder
        Where bags are kept; None keeps nothing.
    limit_bytes
        When more than this is kept, the bags that were used longest ago go.
    """

    def __init__(self, folder: Path | None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._kept = KeptFiles(folder, ".h5", limit_bytes=limit_bytes)

    def __repr__(self) -> str:
        return f"BagCache({self.folder}, {len(self._kept)} bags)"

    @property
    def folder(self) -> Path | None:
        """Where bags are kept."""
        return self._kept.folder

    @property
    def size_bytes(self) -> int:
        """What is kept, in bytes."""
        return self._kept.size_bytes

    def find(self, info: SlideInfo, encoder: EncoderIdentity, spec: PatchSpec) -> FeatureBag | None:
        """The bag that encoding this slide would give again, under the slide's present name; None if there is none."""
        path = self._path(info, encoder, spec)
        if path is None or not path.is_file():
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

    def empty(self) -> int:
        """Remove all bags; bytes that were freed."""
        return self._kept.empty()

    def _path(self, info: SlideInfo, encoder: EncoderIdentity, spec: PatchSpec) -> Path | None:
        if info.fingerprint is None or info.microns is None:
            return None
        return self._kept.path_of(
            {
                "slide": info.fingerprint,
                "scene": info.scene,
                "microns": asdict(info.microns),
                "encoder": asdict(encoder),
                "patches": asdict(spec),
            }
        )


def user_bag_cache() -> BagCache:
    """The cache of this user, or the one that `FOLDER_VARIABLE` names."""
    return BagCache(user_folder("bags"))
