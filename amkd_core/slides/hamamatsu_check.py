"""A look at a Hamamatsu VMS or VMU slide before OpenSlide opens it, whether all its pictures are there and whole.

A small text names the pictures: JPEG files whose parts OpenSlide reads when they are first shown (VMS), or raw pixels
(VMU).
"""

from __future__ import annotations

import struct
from pathlib import Path

from amkd_core.errors import SlideError
from amkd_core.slides.scanner_text import inside, read_ini

_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_TAIL_BYTES = 4096
"""Within so many bytes before its end a JPEG must be over: padding may follow, more than this does not."""
_RAW = b"GN"
_RAW_HEADER = struct.Struct("<2sxxiii8xi")
_RAW_PIXEL_BYTES = 6
_PICTURES = ("ImageFile", "MapFile", "MacroImage")
_RAW_KINDS = {"BitsPerPixel": "36", "PixelOrder": "RGB"}
"""What OpenSlide reads; 4.0.1 ends the process with a segmentation fault where a VMU says something else."""


def check_hamamatsu(file: Path) -> None:
    """Refuse a VMS or VMU slide of which a picture was cut off or is missing.

    Parameters
    ----------
    file
        The `.vms` or `.vmu` file; its pictures are looked for beside it.

    Raises
    ------
    SlideError
        Naming the file that is missing or cut, or that lies in another folder.
    """
    settings = read_ini(file)
    if file.suffix.lower() == ".vmu":
        for key, expected in _RAW_KINDS.items():
            found = [settings[section][key] for section in settings.sections() if key in settings[section]]
            if found != [expected]:
                raise SlideError(
                    f"{file} is cut off, or of a kind that is not read: {key} should be {expected}, but is "
                    f"{' and '.join(found) or 'missing'}; copy the file again, or export the slide anew."
                )
    names = [
        inside(value, file)
        for section in settings.sections()
        for key, value in settings[section].items()
        if key.split("(")[0] in _PICTURES and value
    ]
    for part in (file.parent / name for name in names):
        if not part.is_file():
            raise SlideError(
                f"{file} is incomplete: {part.name} is not beside it; copy all files of the slide."
            )
        if problem := _problem(part):
            raise SlideError(
                f"{part} is truncated or damaged: {problem}; copy or download the file again, or export the slide anew."
            )


def _problem(part: Path) -> str:
    """What is wrong with one picture, in words; empty when it is whole."""
    size = part.stat().st_size
    with part.open("rb") as stream:
        head = stream.read(_RAW_HEADER.size)
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read()
    if head.startswith(_RAW) and len(head) == _RAW_HEADER.size:
        _, width, height, _, start = _RAW_HEADER.unpack(head)
        missing = start + width * height * _RAW_PIXEL_BYTES - size
        return f"{missing} bytes of its pixels lie beyond its end at byte {size}" if missing > 0 else ""
    if head.startswith(_JPEG) and _JPEG_END in tail[len(_JPEG) :]:
        return ""
    if not head.startswith((_JPEG, _RAW)) and size > len(head):
        return "it is neither a JPEG nor a picture of raw pixels"
    return f"it ends at byte {size}, within its picture"
