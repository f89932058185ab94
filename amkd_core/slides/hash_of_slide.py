"""A slide is held against the SHA-256 beside its files before it is encoded, where one lies there.

Most formats of slides carry no checksum: a flipped bit within a JPEG tile is other pixels, and nothing in the file says
so. A slide's `fingerprint` tells one file from another, not the right one from a damaged one.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from amkd_core.errors import SlideError
from amkd_core.hash_beside import check_hash_in_steps, has_hash_beside
from amkd_core.progress import Progress
from amkd_core.slides.detect import files_of, main_file
from amkd_core.slides.opening import told_of_disk

if TYPE_CHECKING:
    from amkd_core.slides.slide import Slide

STAGE = "Comparing the slide with its SHA-256"


def hold_against_hashes(slide: Slide) -> Generator[Progress, None, None]:
    """Compare each file of a slide, in whole, with the hash beside it; files without one are not read.

    Yields
    ------
    Progress
        In MB, several times a second, so that closing the generator cancels.

    Raises
    ------
    SlideError
        When a file is another one than its hash says, the file of hashes does not tell, or the disk fails.
    """
    files = [file for file in files_of(main_file(slide.info.path)) if has_hash_beside(file)]
    if not files:
        return
    with told_of_disk(slide.info.path):
        total, before = sum(file.stat().st_size for file in files), 0
        for file in files:
            done = 0
            for done in check_hash_in_steps(file, SlideError):
                yield Progress(STAGE, (before + done) >> 20, total >> 20)
            before += done
