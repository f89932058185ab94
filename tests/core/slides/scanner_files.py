"""Writers of slides in several files and of one beyond 4 GiB, as scanners make them; OpenSlide reads them all."""

from __future__ import annotations

import io
import struct
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image
from slide_files import halved

MIRAX_ID = "0123456789ABCDEF0123456789ABCDEF"
VMS_NAME = "made"
_SIDE_PX = 64
_DATA_FILES = 2
_STRIP_OFFSETS = 273
_BYTES_OF_KIND = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def write_mirax(
    path: Path, image: np.ndarray, *, levels: int = 3, mpp: float = 0.25, without: Collection[int] = ()
) -> Path:
    """Write a MIRAX slide, the file and its folder, without overlaps and associated images.

    Parameters
    ----------
    image
        (height, width, 3), sides that all levels can halve into whole pictures of 64 px.
    without
        Numbers of pictures of the finest level that were not taken, row by row: glass, transparent when read.
    """
    across, down = image.shape[1] // _SIDE_PX, image.shape[0] // _SIDE_PX
    folder = path.with_suffix("")
    folder.mkdir()
    data = [bytearray(b"head") for _ in range(_DATA_FILES)]
    pages: list[list[tuple[int, int, int, int]]] = []
    for level in range(levels):
        step, page = 1 << level, []
        for number in range(across * down):
            column, row = number % across, number // across
            if column % step or row % step or (level == 0 and number in without):
                continue
            left, top = column // step * _SIDE_PX, row // step * _SIDE_PX
            picture = jpeg(image[top : top + _SIDE_PX, left : left + _SIDE_PX])
            file = (number + level) % _DATA_FILES
            page.append((number, len(data[file]), len(picture), file))
            data[file] += picture
        pages.append(page)
        image = halved(image)
    for number, content in enumerate(data):
        (folder / f"Data{number:04d}.dat").write_bytes(content)
    (folder / "Index.dat").write_bytes(_mirax_index(pages))
    (folder / "Slidedat.ini").write_text(_mirax_text(across, down, levels, mpp), encoding="utf-8-sig")
    path.write_bytes(jpeg(image))
    return path


def jpeg(image: np.ndarray, **options: int) -> bytes:
    """One picture, JPEG of good quality."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=95, subsampling=0, **options)
    return stream.getvalue()


def _mirax_index(pages: list[list[tuple[int, int, int, int]]]) -> bytes:
    """Two roots, a table of lists by level, and each list with its records on two pages."""
    start = len("01.02" + MIRAX_ID)
    table = start + 8
    body, lists = bytearray(), []
    at = table + 4 * len(pages)
    for page in pages:
        lists.append(at + len(body))
        first = at + len(body) + 8
        body += struct.pack("<ii", 0, first)
        half = len(page) // 2
        body += struct.pack("<ii", half, first + 8 + 16 * half) + _records(page[:half])
        body += struct.pack("<ii", len(page) - half, 0) + _records(page[half:])
    roots = struct.pack("<ii", table, 0)
    return ("01.02" + MIRAX_ID).encode() + roots + struct.pack(f"<{len(lists)}i", *lists) + bytes(body)


def _records(page: list[tuple[int, int, int, int]]) -> bytes:
    return b"".join(struct.pack("<4i", *record) for record in page)


def _mirax_text(across: int, down: int, levels: int, mpp: float) -> str:
    lines = [
        "[GENERAL]", "SLIDE_VERSION = 01.02", f"SLIDE_ID = {MIRAX_ID}", f"IMAGENUMBER_X = {across}",
        f"IMAGENUMBER_Y = {down}", "OBJECTIVE_MAGNIFICATION = 40",
        "[HIERARCHICAL]", "INDEXFILE = Index.dat", "HIER_COUNT = 1", "NONHIER_COUNT = 0",
        "HIER_0_NAME = Slide zoom level", f"HIER_0_COUNT = {levels}",
        *(f"HIER_0_VAL_{level}_SECTION = LAYER_0_LEVEL_{level}_SECTION" for level in range(levels)),
        "[DATAFILE]", f"FILE_COUNT = {_DATA_FILES}", *(f"FILE_{n} = Data{n:04d}.dat" for n in range(_DATA_FILES)),
    ]  # fmt: skip
    for level in range(levels):
        lines += [
            f"[LAYER_0_LEVEL_{level}_SECTION]", "OVERLAP_X = 0.0", "OVERLAP_Y = 0.0",
            f"MICROMETER_PER_PIXEL_X = {mpp * (1 << level)}", f"MICROMETER_PER_PIXEL_Y = {mpp * (1 << level)}",
            f"IMAGE_CONCAT_FACTOR = {min(level, 1)}", "IMAGE_FORMAT = JPEG", "IMAGE_FILL_COLOR_BGR = 16777215",
            f"DIGITIZER_WIDTH = {_SIDE_PX}", f"DIGITIZER_HEIGHT = {_SIDE_PX}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def write_vms(path: Path, image: np.ndarray) -> Path:
    """Write a Hamamatsu VMS slide of two JPEG files beside each other, and its map; sides in whole 32 px."""
    half = image.shape[1] // 16 * 8
    names = {"": image[:, :half], "(1,0)": image[:, half:]}
    lines = ["[Virtual Microscope Specimen]", "NoLayers=1", "NoJpegColumns=2", "NoJpegRows=1"]
    for place, content in names.items():
        name = f"{path.stem}{place}.jpg"
        # OpenSlide reads from one mark to the next: here as many blocks of 8 px as fill a row
        (path.parent / name).write_bytes(jpeg(content, restart_marker_blocks=content.shape[1] // 8))
        lines.append(f"ImageFile{place}={name}")
    reduced = halved(image, 4)
    (path.parent / f"{path.stem}_map2.jpg").write_bytes(
        jpeg(reduced, restart_marker_blocks=reduced.shape[1] // 8)
    )
    (path.parent / f"{path.stem}_macro.jpg").write_bytes(jpeg(reduced))
    lines += [
        f"MapFile={path.stem}_map2.jpg",
        f"OptimisationFile={path.stem}.opt",
        *_hamamatsu_end(path, image),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def write_vmu(path: Path, image: np.ndarray) -> Path:
    """Write a Hamamatsu VMU slide: raw pixels of twelve bits, and a map of them; width in whole 64 px."""
    for name, content in (("", image), ("_map2", halved(image, 4))):
        height, width = content.shape[:2]
        columns = content.reshape(height, width // 16, 16, 3).transpose(1, 0, 2, 3).astype("<u2") << 4
        head = struct.pack("<2s2xiii8xi4x", b"GN", width, height, 16, 32)
        (path.parent / f"{path.stem}{name}.ngr").write_bytes(head + columns.tobytes())
    (path.parent / f"{path.stem}_macro.jpg").write_bytes(jpeg(halved(image, 4)))
    lines = [
        "[Uncompressed Virtual Microscope Specimen]", "NoLayers=1", f"ImageFile={path.stem}.ngr",
        f"MapFile={path.stem}_map2.ngr", "BitsPerPixel=36", "PixelOrder=RGB", *_hamamatsu_end(path, image),
    ]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def _hamamatsu_end(path: Path, image: np.ndarray) -> list[str]:
    size = [f"PhysicalWidth={image.shape[1] * 460}", f"PhysicalHeight={image.shape[0] * 460}"]
    return ["SourceLens=20", *size, f"MacroImage={path.stem}_macro.jpg", "Reference=made"]


def write_ndpi(path: Path, image: np.ndarray, *, levels: int = 2) -> Path:
    """Write a Hamamatsu NDPI: a JPEG for each level, of half the size, and a macro image; sides in whole 32 px."""
    body, pointer_at = bytearray(b"II*\0" + bytes(8)), 4
    pictures = [(image, 20.0)]
    for _ in range(levels - 1):
        pictures.append((halved(pictures[-1][0]), pictures[-1][1] / 2))
    for content, lens in [*pictures, (halved(image, 4), -1.0)]:
        height, width = content.shape[:2]
        picture_at, picture = len(body), jpeg(content, restart_marker_blocks=width // 8)
        body += picture
        rational_at = len(body)
        body += struct.pack("<II", round(20_000 * lens / 20) if lens > 0 else 1000, 1)
        bits_at = len(body)
        body += struct.pack("<3H", 8, 8, 8)
        make_at = len(body)
        body += b"Hamamatsu\0"
        entries = [
            (254, 4, 1, 0), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits_at), (259, 3, 1, 7),
            (262, 3, 1, 6), (271, 2, 10, make_at), (273, 4, 1, picture_at), (277, 3, 1, 3), (278, 4, 1, height),
            (279, 4, 1, len(picture)), (282, 5, 1, rational_at), (283, 5, 1, rational_at), (296, 3, 1, 3),
            (65420, 4, 1, 1), (65421, 11, 1, struct.unpack("<I", struct.pack("<f", lens))[0]), (65424, 9, 1, 0),
        ]  # fmt: skip
        struct.pack_into("<Q", body, pointer_at, len(body))
        body += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
        pointer_at = len(body)
        # Upper halves of the values, one for each entry, lie behind the pointer to the next directory.
        body += bytes(8 + 4 * len(entries))
    path.write_bytes(body)
    return path


def write_wide_ndpi(path: Path, source: Path) -> Path:
    """Write an NDPI with a hole of 4 GiB behind its header, which takes no place on the disk.

    All offsets grow by 2**32: those of directories have 64 bits, of the others the upper halves lie behind each
    directory.
    """
    body, shift = bytearray(source.read_bytes()), 1 << 32
    (at,) = struct.unpack_from("<Q", body, 4)
    struct.pack_into("<Q", body, 4, at + shift)
    while at:
        (n_entries,) = struct.unpack_from("<H", body, at)
        end = at + 2 + 12 * n_entries
        (following,) = struct.unpack_from("<Q", body, end)
        if following:
            struct.pack_into("<Q", body, end, following + shift)
        for number in range(n_entries):
            tag, kind, count = struct.unpack_from("<HHI", body, at + 2 + 12 * number)
            if _BYTES_OF_KIND[kind] * count > 4 or tag == _STRIP_OFFSETS:
                struct.pack_into("<I", body, end + 8 + 4 * number, 1)
        at = following
    with path.open("wb") as stream:
        stream.write(body[:16])
        stream.seek(shift + 16)
        stream.write(body[16:])
    return path
