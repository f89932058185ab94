"""From a path to an open reader: what the path is, which reader takes it, and one sentence where none does."""

from __future__ import annotations

from pathlib import Path

from amkd_core.errors import SlideError
from amkd_core.slides.backends.base import Backend
from amkd_core.slides.fingerprint import fingerprint
from amkd_core.slides.info import SlideInfo
from amkd_core.slides.microns import user_microns


def open_checked(
    path: Path, *, mpp: float | tuple[float, float] | None, scene: int, isolated: bool
) -> tuple[SlideInfo, Backend]:
    """Find out what `path` is and open it; the parts of a `Slide`. See `open_slide` for the parameters."""
    from amkd_core.slides.backends.openslide import OpenSlideBackend

    given = None if mpp is None else user_microns(mpp)
    if not path.exists():
        raise SlideError(f"There is no file {path}.")
    file = sorted(path.glob("*.dcm"))[0] if path.is_dir() else path
    backend = OpenSlideBackend(file)
    facts = backend.facts
    info = SlideInfo(
        path=path,
        slide_id=path.stem,
        fingerprint=fingerprint([file]),
        backend=facts.backend,
        vendor=facts.vendor,
        levels=facts.levels(),
        microns=given or facts.microns,
        objective_power=facts.objective_power,
        bounds=facts.bounds,
        tile_size_px=facts.tile_size_px,
        compression=facts.compression,
        scene=facts.scene,
        n_scenes=facts.n_scenes,
        associated=facts.associated,
    )
    return info, backend


def looks_like_slide(path: Path) -> bool:
    """See `is_slide`."""
    from amkd_core.slides.backends.openslide import detect_format

    return path.is_file() and detect_format(path) is not None
