"""Small bags and slides that ask for a lot: of memory, of time, or of both."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from slide_files import write_gigapixel, write_ome, write_tiff

from amkd_core.slides.tiff_tags import read_tiff_tags

GLASS = np.full((520, 700, 3), 240, np.uint8)


def bag_bombs(folder: Path) -> list[Path]:
    """HDF5 that unfolds or declares too much, a deflated `.pt`, and a tensor of one number with a giant shape."""
    with h5py.File(folder / "gzip.h5", "w") as file:
        dataset = file.create_dataset(
            "features", (300_000, 256), "f4", chunks=(8192, 256), compression="gzip"
        )
        for start in range(0, 300_000, 8192):
            dataset[start : start + 8192] = 1
    with h5py.File(folder / "declared.h5", "w") as file:
        file.create_dataset("features", (1_900_000, 1024), "f4", chunks=(1024, 1024), fillvalue=1)
    with h5py.File(folder / "rows.h5", "w") as file:
        file.create_dataset("features", (2_000_001, 1), "f4", chunks=(1024, 1), fillvalue=1)
    with zipfile.ZipFile(folder / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10**8))
    torch.save(torch.ones(1).expand(10**8, 1024), folder / "stride.pt")
    return sorted(folder.iterdir())


def weights_bombs(folder: Path) -> list[Path]:
    """Weights of deflated parts, of one number with a giant shape, and of thousands of tensors over few numbers."""
    whole = io.BytesIO()
    torch.save({"weight": torch.zeros(25_000_000)}, whole)
    with (
        zipfile.ZipFile(whole) as parts,
        zipfile.ZipFile(folder / "deflated.bin", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in parts.namelist():
            packed.writestr(name, parts.read(name))
    giant = {"weight": torch.ones(1, dtype=torch.float16).expand(10**8, 1024)}
    torch.save(giant, folder / "stride.bin")
    torch.save({"state_dict": giant}, folder / "wrapped.bin")
    torch.save(giant, folder / "stride.pth", _use_new_zipfile_serialization=False)
    numbers = torch.ones(250_000)
    torch.save({f"block.{index}": numbers.view(500, 500) for index in range(3000)}, folder / "shared.bin")
    save_file({f"block.{index}": torch.zeros(9) for index in range(3000)}, folder / "many.safetensors")
    return sorted(folder.iterdir())


def slide_bombs(folder: Path) -> list[Path]:
    """TIFFs of 800 billion pixels, of four billion tiles, of a million directories, and of a million planes."""
    huge = write_gigapixel(folder / "wide.tif", (2048, 2048), factors=(1,))
    body = bytearray(huge.read_bytes())
    with read_tiff_tags(huge) as tags:
        width = tags.directories[0].tags[256].offset
        height = tags.directories[0].tags[257].offset
    struct.pack_into("<I", body, width, 2_000_000)
    struct.pack_into("<I", body, height, 400_000)
    huge.write_bytes(body)
    many = patch_tag(write_tiff(folder / "many.tif", [GLASS]), 325, count=0xFFFFFFFF)
    return [huge, many, chain_of(folder / "chain.tif", 1_000_000), of_many_planes(folder / "planes.ome.tif")]


def patch_tag(path: Path, tag: int, *, value: int | None = None, count: int | None = None) -> Path:
    """Overwrite value or count of one tag in the first directory of a little-endian classic TIFF."""
    body = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", body, 4)
    (n_entries,) = struct.unpack_from("<H", body, first)
    for at in range(first + 2, first + 2 + 12 * n_entries, 12):
        if struct.unpack_from("<H", body, at)[0] == tag:
            if value is not None:
                struct.pack_into("<HII", body, at + 2, 4, count or 1, value)
            elif count is not None:
                struct.pack_into("<I", body, at + 4, count)
    path.write_bytes(body)
    return path


def chain_of(path: Path, n: int) -> Path:
    """A TIFF of `n` directories that hold a width and a height only."""
    entries = struct.pack("<HHHII", 2, 256, 4, 1, 64) + struct.pack("<HHII", 257, 4, 1, 64)
    chain = np.zeros(n, np.dtype([("entries", "S1", len(entries)), ("next", "<u4")]))
    chain["entries"] = np.frombuffer(entries, "S1")
    chain["next"][:-1] = 8 + chain.itemsize * np.arange(1, n)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + chain.tobytes())
    return path


def of_many_planes(path: Path) -> Path:
    """An OME-TIFF whose text claims a million planes."""
    body = write_ome(path, [[GLASS]]).read_bytes()
    assert body.count(b'SizeZ="1" ') == 1
    name = b'<Image ID="Image:0" Name="scene 0"'
    assert body.count(name) == 1
    # same length, so that no offset moves: the name makes room for a larger number
    body = body.replace(b'Name="scene 0"', b'Name="s"').replace(b'SizeZ="1" ', b'SizeZ="1000000" ')
    path.write_bytes(body)
    return path
