"""Which reader takes a file: directories, frames and files are checked first, then OpenSlide, then tifffile."""

from __future__ import annotations

from pathlib import Path

from amkd_core.errors import SlideError
from amkd_core.slides.backends.base import Backend
from amkd_core.slides.backends.direct import direct_backend
from amkd_core.slides.backends.openslide import OpenSlideBackend, detect_format
from amkd_core.slides.detect import is_dicom
from amkd_core.slides.dicom_check import check_dicom
from amkd_core.slides.hamamatsu_check import check_hamamatsu
from amkd_core.slides.mirax_check import check_mirax
from amkd_core.slides.precheck import checked_tags
from amkd_core.slides.tiff_tags import DESCRIPTION, TiffFileTags, is_tiff


def open_backend(file: Path, *, scene: int = 0, seed: int = 0) -> Backend:
    """Open one file by the reader that sees most of it.

    Parameters
    ----------
    file
        An existing, readable file.
    scene
        Which image of a file with several.
    seed
        Chooses the samples by which direct decoding is checked.

    Raises
    ------
    SlideError
        If no reader takes it; one sentence says why.
    """
    with file.open("rb") as stream:
        head = stream.read(16)
    if not is_tiff(head):
        return _of_openslide(file, scene)
    with checked_tags(file) as tags:
        return _of_tiff(file, tags, scene, seed)


def _of_openslide(file: Path, scene: int) -> Backend:
    suffix = file.suffix.lower()
    if is_dicom(file):
        check_dicom(file)
    elif suffix == ".mrxs":
        check_mirax(file)
    elif suffix in (".vms", ".vmu"):
        check_hamamatsu(file)
    if detect_format(file) is None:
        raise SlideError(
            f"{file} is not a slide: neither OpenSlide nor tifffile knows its content "
            "(SVS, NDPI, MRXS, SCN, BIF, DICOM, TIFF and OME-TIFF are read); check that it is the right file."
        )
    _only_scene(file, scene)
    return OpenSlideBackend(file)


def _of_tiff(file: Path, tags: TiffFileTags, scene: int, seed: int) -> Backend:
    from amkd_core.slides.backends.tiff import TiffBackend

    vendor = detect_format(file)
    if vendor is None or _is_ome(tags):
        return TiffBackend(file, scene)
    try:
        behind = OpenSlideBackend(file)
    except SlideError as refused:
        if vendor != "generic-tiff":
            raise
        try:
            return TiffBackend(file, scene)
        except SlideError as also_refused:
            raise also_refused from refused
    _only_scene(file, scene)
    return direct_backend(behind, tags, seed) or behind


def _is_ome(tags: TiffFileTags) -> bool:
    return "<OME " in tags.directories[0].text(DESCRIPTION, 4096)


def _only_scene(file: Path, scene: int) -> None:
    if scene != 0:
        raise SlideError(f"{file} has 1 scene(s), numbered from 0; there is no scene {scene}.")
