"""Features of slides that are encoded once for all tests of a process."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from amkd_core.bundle_file import open_bundle
from amkd_core.inference.bag_cache import BagCache
from amkd_core.inference.predict import encode_for


def keep_features(slide: Path, bundle: Path, user_cache: Path) -> None:
    """Have a user's cache hold the features of a slide, as from an earlier session, beside what it holds."""
    shutil.copytree(_encoded(slide, bundle), user_cache, dirs_exist_ok=True)


@cache
def _encoded(slide: Path, bundle: Path) -> Path:
    folder = slide.with_name(f"{slide.stem}-encoded")
    for _ in encode_for(slide, open_bundle(bundle), cache=BagCache(folder / "bags")):
        pass
    return folder
