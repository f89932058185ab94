"""Writers of small slide files for tests and benchmarks: every geometry that scanners are known to produce."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

SCN = (
    '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:0">'
    '<collection name="made" uuid="urn:uuid:1" {frame}><barcode></barcode><image name="scan" uuid="urn:uuid:2">'
    '<creationDate>2026-01-01T00:00:00Z</creationDate><device model="made" version="1"/><pixels>{pixels}</pixels>'
    "<view {size} {corner}/><scanSettings><objectiveSettings><objective>{power}</objective></objectiveSettings>"
    "<illuminationSettings><numericalAperture>0.75</numericalAperture>"
    "<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image></collection></scn>"
)
APERIO = "Aperio Image Library v11.2.1 \r\n{w}x{h} [0,0 {w}x{h}] ({t}x{t}) JPEG/RGB Q=80|AppMag = {power}|MPP = {mpp}"


def tissue_like(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth pink and violet blobs on near-white glass with fine grain; (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((max(2, height // 48), max(2, width // 48))).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))[..., None]
    glass, tissue = np.array([243, 241, 244]), np.array([176, 92, 160])
    share = np.clip((field - 0.35) * 3, 0, 1)
    grain = rng.normal(0, 1, (height // 2 + 1, width // 2 + 1)).astype(np.float32) * 14
    grain = (
        np.asarray(Image.fromarray(grain).resize((width, height), Image.Resampling.BICUBIC))[..., None]
        * share
    )
    return np.clip(glass + (tissue - glass) * share + grain, 0, 255).astype(np.uint8)


def halved(image: np.ndarray, factor: int = 2) -> np.ndarray:
    """Reduce by a whole factor, dropping what is left over, as scanners do."""
    height, width = (side // factor * factor for side in image.shape[:2])
    return np.asarray(Image.fromarray(image[:height, :width]).reduce(factor))


def write_tiff(
    path: Path,
    levels: Sequence[np.ndarray],
    *,
    tile: int = 256,
    mpp: float | tuple[float, float] | None = 0.5,
    compression: str | None = "jpeg",
    stored: str = "ycbcr",
) -> Path:
    """Write a generic pyramidal tiled TIFF, levels in the main chain; `stored` is the JPEG colour space."""
    with tifffile.TiffWriter(path) as writer:
        for index, level in enumerate(levels):
            writer.write(
                level,
                tile=(tile, tile),
                photometric="rgb",
                compression=compression,
                compressionargs={"level": 85, "outcolorspace": stored} if compression == "jpeg" else None,
                subfiletype=1 if index else 0,
                metadata=None,
                **_resolution(mpp, 2**index),
            )
    return path


def write_svs(path: Path, levels: Sequence[np.ndarray], *, mpp: float = 0.25, power: int = 40) -> Path:
    """Write an Aperio-like SVS with 240 px tiles: level 0, a thumbnail in strips, further levels."""
    height, width = levels[0].shape[:2]
    text = APERIO.format(w=width, h=height, t=240, power=power, mpp=mpp)
    options: dict[str, Any] = {
        "photometric": "rgb", "compression": "jpeg", "metadata": None,
        "compressionargs": {"level": 85, "outcolorspace": "rgb"},
    }  # fmt: skip
    with tifffile.TiffWriter(path) as writer:
        writer.write(levels[0], tile=(240, 240), description=text, **options)
        small = np.asarray(Image.fromarray(levels[0]).resize((max(16, width // 8), max(16, height // 8))))
        writer.write(small, rowsperstrip=16, description=text, **options)
        for level in levels[1:]:
            writer.write(level, tile=(240, 240), description=text, **options)
    return path


def write_ome(
    path: Path,
    scenes: Sequence[Sequence[np.ndarray]],
    *,
    mpp: tuple[float, float] | None = (0.5, 0.5),
    tile: int = 256,
    names: Sequence[str] = (),
    compression: str = "deflate",
) -> Path:
    """Write an OME-TIFF, one pyramid in SubIFDs per scene."""
    with tifffile.TiffWriter(path, ome=True) as writer:
        for index, levels in enumerate(scenes):
            metadata: dict[str, Any] = {"axes": "YXS" if levels[0].shape[-1] in (3, 4) else "CYX"}
            metadata["Name"] = names[index] if index < len(names) else f"scene {index}"
            if mpp is not None:
                metadata |= {"PhysicalSizeX": mpp[0], "PhysicalSizeY": mpp[1]}
                metadata |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
            colour = "rgb" if metadata["axes"] == "YXS" else "minisblack"
            options: dict[str, Any] = {
                "tile": (tile, tile),
                "photometric": colour,
                "compression": compression,
            }
            writer.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
            for level in levels[1:]:
                writer.write(level, subfiletype=1, metadata=None, **options)
    return path


def write_scn(
    path: Path,
    levels: Sequence[np.ndarray],
    *,
    corner: tuple[int, int],
    frame: tuple[int, int],
    mpp: float = 0.25,
    power: int = 40,
) -> Path:
    """Write a Leica SCN whose scan lies at `corner` of a `frame`, (x, y) in level-0 pixels: OpenSlide tells bounds."""

    def sides(name: str, xy: Sequence[float]) -> str:
        # The format counts in nanometres.
        return " ".join(
            f'{name}{axis}="{round(value * 1000 * mpp)}"' for axis, value in zip("XY", xy, strict=True)
        )

    dimensions = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{index}" ifd="{index}"/>'
        for index, level in enumerate(levels)
    )
    size = levels[0].shape[1::-1]
    text = SCN.format(
        frame=sides("size", frame), size=sides("size", size), corner=sides("offset", corner), pixels=dimensions,
        power=power,
    )  # fmt: skip
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for index, level in enumerate(levels):
            writer.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 85, "outcolorspace": "ycbcr"},
                description=None if index else text,
                subfiletype=1 if index else 0,
                metadata=None,
                **_resolution(mpp, size[0] / level.shape[1]),
            )
    return path


def write_striped(
    path: Path, image: np.ndarray, *, compression: str | None = None, rows: int | None = None
) -> Path:
    """Write a one-level TIFF in strips; the whole image is one strip where `rows` is None."""
    tifffile.imwrite(
        path,
        image,
        photometric="rgb",
        compression=compression,
        rowsperstrip=rows or image.shape[0],
        metadata=None,
    )
    return path


def write_gigapixel(path: Path, size_px: tuple[int, int], *, factors: Sequence[int] = (1, 4, 16, 64)) -> Path:
    """Write a huge BigTIFF pyramid whose tiles share a few encoded ones, so that the file stays small.

    A tile's content depends on its column and row: ``tile_kind`` tells which of four it is.
    """
    blocks = [tissue_like(256, 256, seed) for seed in range(4)]
    encoded = [
        imagecodecs.jpeg8_encode(block, level=85, colorspace="RGB", outcolorspace="YCBCR") for block in blocks
    ]
    body, places = bytearray(b"\0" * 16), []
    for tile in encoded:
        places.append((len(body), len(tile)))
        body += tile
    directories = []
    for factor in factors:
        width, height = (max(1, side // factor) for side in size_px)
        columns, rows = -(-width // 256), -(-height // 256)
        kinds = tile_kind(np.arange(columns)[None, :], np.arange(rows)[:, None]).ravel()
        offsets, lengths = (np.array(values, np.uint64)[kinds] for values in zip(*places, strict=True))
        directories.append(((width, height), offsets, lengths))
    path.write_bytes(_big_tiff(body, directories))
    return path


def tile_kind(column: Any, row: Any) -> Any:
    """Which of the four shared tiles lies at a place of the gigapixel pyramid."""
    return (column * 7 + row * 3 + column * row) % 4


def gigapixel_tiles() -> list[np.ndarray]:
    """The four tiles as a decoder gives them back, (256, 256, 3) uint8 each."""
    encoded = [
        imagecodecs.jpeg8_encode(
            tissue_like(256, 256, seed), level=85, colorspace="RGB", outcolorspace="YCBCR"
        )
        for seed in range(4)
    ]
    return [imagecodecs.jpeg8_decode(tile) for tile in encoded]


def _big_tiff(
    body: bytearray, directories: Sequence[tuple[tuple[int, int], np.ndarray, np.ndarray]]
) -> bytes:
    pointer_at = 8
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)
    body[:16] = header
    for index, ((width, height), offsets, lengths) in enumerate(directories):
        arrays = []
        for values in (offsets, lengths):
            arrays.append(len(body))
            body += values.astype("<u8").tobytes()
        bits_at = struct.unpack("<Q", struct.pack("<HHHH", 8, 8, 8, 0))[0]
        entries = [
            (254, 4, 1, 1 if index else 0), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits_at),
            (259, 3, 1, 7), (262, 3, 1, 6), (277, 3, 1, 3),
            (282, 5, 1, struct.unpack("<Q", struct.pack("<II", 40_000, 1))[0]),
            (283, 5, 1, struct.unpack("<Q", struct.pack("<II", 40_000, 1))[0]),
            (284, 3, 1, 1), (296, 3, 1, 3), (322, 4, 1, 256), (323, 4, 1, 256),
            (324, 16, offsets.size, arrays[0] if offsets.size > 1 else int(offsets[0])),
            (325, 16, lengths.size, arrays[1] if lengths.size > 1 else int(lengths[0])),
            (530, 3, 2, struct.unpack("<Q", struct.pack("<HHHH", 2, 2, 0, 0))[0]),
        ]  # fmt: skip
        struct.pack_into("<Q", body, pointer_at, len(body))
        body += struct.pack("<Q", len(entries)) + b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
        pointer_at = len(body)
        body += b"\0" * 8
    return bytes(body)


def _resolution(mpp: float | tuple[float, float] | None, factor: float) -> dict[str, Any]:
    if mpp is None:
        return {"resolution": (1, 1), "resolutionunit": "none"}
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    return {"resolution": (1e4 / (x * factor), 1e4 / (y * factor)), "resolutionunit": "centimeter"}
