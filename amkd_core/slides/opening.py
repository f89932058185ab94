"""From a path to an open reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amkd_core.errors import SlideError
from amkd_core.file_names import OTHER_SUFFIXES, TIFF_SUFFIXES, fault_of_encoding
from amkd_core.private_names import remember_name
from amkd_core.slides.backends.base import Backend
from amkd_core.slides.detect import HEAD_BYTES, files_of, is_dicom, main_file
from amkd_core.slides.fingerprint import fingerprint
from amkd_core.slides.info import SlideInfo, slide_id_of
from amkd_core.slides.microns import is_in_doubt, user_microns
from amkd_core.slides.tiff_tags import is_tiff


def open_checked(
    path: Path,
    *,
    mpp: float | tuple[float, float] | None,
    default_mpp: float | tuple[float, float] | None,
    scene: int,
    isolated: bool,
) -> tuple[SlideInfo, Backend]:
    """Find out what `path` is and open it; the parts of a `Slide`. See `open_slide` for the parameters."""
    given = None if mpp is None else user_microns(mpp)
    default = None if default_mpp is None else user_microns(default_mpp)
    remember_name(path, slide_id_of(path))
    if fault := fault_of_encoding(path):
        raise SlideError(fault)
    file = main_file(path)
    content = _content_of(path, file)
    remember_name(path, slide_id_of(path), content)
    backend = _open_backend(file, scene, int(content[-8:], 16), isolated)
    facts = backend.facts
    found = facts.microns
    certain = None if found is None or is_in_doubt(found, facts.vendor) else found
    # A nominal power is a guess: it counts where nobody knows better.
    is_guess = certain is not None and certain.source == "objective_power"
    microns = given or (default or certain if is_guess else certain or default)
    info = SlideInfo(
        path=path,
        slide_id=slide_id_of(path),
        fingerprint=content,
        backend=facts.backend,
        vendor=facts.vendor,
        levels=facts.levels(),
        microns=microns,
        objective_power=facts.objective_power,
        bounds=facts.bounds,
        tile_size_px=facts.tile_size_px,
        compression=facts.compression,
        scene=facts.scene,
        n_scenes=facts.n_scenes,
        associated=facts.associated,
        recorded=None if microns is found else found,
    )
    return info, backend


def fingerprint_of(path: Path) -> str:
    """Hash of a slide's content as `SlideInfo` has it, without opening a reader.

    Raises
    ------
    SlideError
        When it is no slide, or its disk fails.
    """
    return _content_of(path, main_file(path))


def _content_of(path: Path, file: Path) -> str:
    with told_of_disk(path):
        return fingerprint(files_of(file))


@contextmanager
def told_of_disk(path: Path) -> Iterator[None]:
    """Reads files of a slide: what goes wrong with its disk or network is a `SlideError` that says so."""
    try:
        yield
    except SlideError:  # which is an OSError as well
        raise
    except OSError as error:  # a disk or a network that fails while it is read
        cause = error.strerror or str(error)
        raise SlideError(
            f"{path} cannot be read: {cause}; look after its disk or network, and try again."
        ) from error


def _open_backend(file: Path, scene: int, seed: int, isolated: bool) -> Backend:
    if isolated:
        from amkd_core.slides.isolate import IsolatedBackend

        return IsolatedBackend(file, scene=scene, seed=seed)
    from amkd_core.slides.backends.choose import open_backend

    return open_backend(file, scene=scene, seed=seed)


def looks_like_slide(path: Path) -> bool:
    """See `is_slide`."""
    try:
        file = main_file(path)
        if path.is_dir() or is_dicom(file):
            return True
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except (SlideError, OSError):
        return False
    suffix = file.suffix.lower()
    return suffix in OTHER_SUFFIXES or (suffix in TIFF_SUFFIXES and is_tiff(head))
