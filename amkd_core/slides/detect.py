"""What a path is: a slide in one file, a slide in several, or none; said in one sentence."""

from __future__ import annotations

import struct
from pathlib import Path

from amkd_core.errors import SlideError
from amkd_core.file_names import SLIDE_SUFFIXES
from amkd_core.hash_beside import SUFFIX as HASH_SUFFIX

HEAD_BYTES = 64
DICOM_HEAD_BYTES = 1 << 16
_SERIES_TAG = b"\x20\x00\x0e\x00UI"
_IMAGE_TYPE_TAG = b"\x08\x00\x08\x00CS"
_MANY_FILES = 4096
_NOT_DICOM = SLIDE_SUFFIXES - {".dcm"}


def is_dicom(path: Path) -> bool:
    """Tell by the preamble whether a file is DICOM."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def dicom_series(path: Path) -> str:
    """Find the identifier of the series that a DICOM file belongs to; empty when it is not near the beginning."""
    return dicom_text(path, _SERIES_TAG)


def dicom_image_type(path: Path) -> tuple[str, ...]:
    """What a DICOM file shows, such as ("ORIGINAL", "PRIMARY", "VOLUME", "NONE"); empty as for `dicom_series`."""
    return tuple(part.strip() for part in dicom_text(path, _IMAGE_TYPE_TAG).split("\\") if part.strip())


def dicom_text(path: Path, tag: bytes) -> str:
    """Text of an element near the beginning of a DICOM file; empty when it is not there.

    Parameters
    ----------
    tag
        As it is written, group, element and kind of value.
    """
    with path.open("rb") as stream:
        head = stream.read(DICOM_HEAD_BYTES)
    at = head.find(tag)
    if at < 0 or at + 8 > len(head):
        return ""
    length = struct.unpack_from("<H", head, at + 6)[0]
    return head[at + 8 : at + 8 + length].decode("ascii", "replace").strip("\0 ")


def main_file(path: Path) -> Path:
    """Find the file by which a slide is opened.

    Parameters
    ----------
    path
        A file, or a folder that holds the files of one DICOM slide.

    Raises
    ------
    SlideError
        If there is nothing to open: no such file, empty, not readable, a folder without a slide or with several.
    """
    try:
        if path.is_dir():
            return _file_of_folder(path)
        if path.stat().st_size == 0:
            raise SlideError(f"{path} is empty (0 bytes); copy or download the file again.")
        with path.open("rb") as stream:
            stream.read(1)
    except SlideError:
        raise
    except FileNotFoundError:
        raise SlideError(f"There is no file {path}.") from None
    except PermissionError:
        raise SlideError(f"{path} may not be read by this user; ask for read permission.") from None
    except OSError as error:
        raise SlideError(f"{path} cannot be read: {error.strerror}.") from error
    return path


def files_of(file: Path) -> list[Path]:
    """List all files that make up the slide opened by `file`: DICOM series, MIRAX folder, or the file itself."""
    if file.suffix.lower() == ".mrxs" and (folder := file.with_suffix("")).is_dir():
        return [file, *sorted(inner for inner in folder.iterdir() if inner.is_file() and _is_of_slide(inner))]
    if file.suffix.lower() in (".vms", ".vmu"):
        return sorted(
            other
            for other in file.parent.iterdir()
            if other.is_file() and other.name.startswith(file.stem) and _is_of_slide(other)
        )
    if is_dicom(file):
        series = dicom_series(file)
        return [other for other in _dicom_files(file.parent) if dicom_series(other) == series] or [file]
    return [file]


def _is_of_slide(file: Path) -> bool:
    """Whether a file beside a slide's others is one of them, and not the hash of one."""
    return file.suffix.lower() != HASH_SUFFIX


def _file_of_folder(folder: Path) -> Path:
    by_series = {dicom_series(file): file for file in reversed(_dicom_files(folder))}
    if not by_series:
        raise SlideError(f"{folder} is {_lack_of(folder)}; give the slide file itself.")
    if len(by_series) > 1:
        raise SlideError(f"{folder} holds {len(by_series)} DICOM slides; give one file of the wanted one.")
    if others := [file for file in _files_in(folder) if file.suffix.lower() in _NOT_DICOM]:
        raise SlideError(
            f"{folder} holds a DICOM slide and {len(others)} other slide file{'s' if len(others) > 1 else ''} "
            f"({others[0].name}{', …' if len(others) > 1 else ''}); give the file of the wanted one."
        )
    return next(iter(by_series.values()))


def _lack_of(folder: Path) -> str:
    names = [file.suffix.lower() for file in folder.iterdir()]
    if not names:
        return "an empty folder"
    return f"a folder without a {'DICOM ' if SLIDE_SUFFIXES.intersection(names) else ''}slide in it"


def _files_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _dicom_files(folder: Path) -> list[Path]:
    plausible = [
        file for file in _files_in(folder)[:_MANY_FILES] if file.suffix.lower() in (".dcm", ".dicom", "")
    ]
    return [file for file in plausible if is_dicom(file)]
