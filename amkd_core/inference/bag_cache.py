"""Bags of slides that were encoded before, so that a slide opened again is predicted at once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, replace
from pathlib import Path

from platformdirs import user_cache_path

from amkd_core import __version__
from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag, write_bag
from amkd_core.encoder_identity import EncoderIdentity
from amkd_core.errors import BagError
from amkd_core.slides.grid import PatchSpec
from amkd_core.slides.info import SlideInfo

FOLDER_VARIABLE = "AMKD_CACHE_DIR"
"""Environment variable that names another folder than the user's cache; empty keeps nothing."""

LIMIT_BYTES = 4 << 30

_log = logging.getLogger(__name__)


class BagCache:
    """Bags by the content of their slide, its scale, the encoder, the patches and this release.

    Patient identifiers stay where they are: the files lie in the user's own cache, named by hashes.

    Parameters
    ----------
    folder
        Where bags are kept; None keeps nothing.
    limit_bytes
        When more than this is kept, the bags that were used longest ago go.
    """

    def __init__(self, folder: Path | None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def __repr__(self) -> str:
        return f"BagCache({self.folder}, {len(self._files())} bags)"

    def find(self, info: SlideInfo, encoder: EncoderIdentity, spec: PatchSpec) -> FeatureBag | None:
        """The bag that encoding this slide would give again, under the slide's present name; None if there is none."""
        path = self._path(info, encoder, spec)
        if path is None or not path.is_file():
            return None
        try:
            bag = read_bag(path)
            os.utime(path)
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
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bag(path, bag)
            self._prune()
        except (BagError, OSError) as error:
            _log.warning("The bag of %s is not kept: %s", info.slide_id, error)

    def empty(self) -> int:
        """Remove all bags; bytes that were freed."""
        freed = 0
        for path in self._files():
            freed += path.stat().st_size
            path.unlink(missing_ok=True)
        return freed

    def _path(self, info: SlideInfo, encoder: EncoderIdentity, spec: PatchSpec) -> Path | None:
        if self.folder is None or info.fingerprint is None or info.microns is None:
            return None
        key = {
            "slide": info.fingerprint,
            "scene": info.scene,
            "microns": asdict(info.microns),
            "encoder": asdict(encoder),
            "patches": asdict(spec),
            "release": __version__,
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
        return self.folder / f"{digest[:40]}.h5"

    def _files(self) -> list[Path]:
        return [] if self.folder is None else sorted(self.folder.glob("*.h5"))

    def _prune(self) -> None:
        files = [(path.stat(), path) for path in self._files()]
        total = sum(status.st_size for status, _ in files)
        for status, path in sorted(files, key=lambda item: item[0].st_mtime_ns)[:-1]:
            if total <= self.limit_bytes:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size


def user_bag_cache() -> BagCache:
    """The cache of this user, or the one that `FOLDER_VARIABLE` names."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return BagCache(Path(named) / "bags" if named else None)
    return BagCache(Path(user_cache_path("amkd-viewer")) / "bags")
