"""A slide with secrets in its label, its macro image, its tags, its description and its name, and a search for them."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from skimage.feature import match_template
from slide_files import halved, tissue_like, write_ome

FILE_NAME = "S21-48213_MUELLER_ANNA"
SECRETS = (
    "Zacharias Quintenburg", "MRN7734120098", "QX-BARCODE-5520817", "1961-04-27", "St. Wunibald Hospital",
    "Dr. Philippa Okonjo", "SCANNER-SN-88412", "Wing C Room 417", "referring-physician-Bellweather",
    "0x0010-PatientID-60035",
)  # fmt: skip
N_PLANTED = len(SECRETS) + 2  # and the pixels of label and macro image
FULL, SAMPLE = tuple(0.15 * 1.1**step for step in range(24)), (0.25, 0.5, 1.0)
_LONGEST_PX = 500
_ALIKE = 0.6


def pattern(seed: int) -> np.ndarray:
    """Blocks as on a label's data matrix, in a green and a magenta that no stain and no colour map has."""
    blocks = np.random.default_rng(seed).random((8, 8)) < 0.5
    return np.kron(np.where(blocks[..., None], (0, 255, 0), (255, 0, 255)), np.ones((24, 24, 1))).astype(
        np.uint8
    )


LABEL, MACRO = pattern(1), np.tile(pattern(2), (1, 2, 1))


def write_planted(folder: Path, image: np.ndarray | None = None) -> Path:
    """Write an SVS whose every place for metadata holds something of a patient."""
    path = folder / f"{FILE_NAME}.svs"
    image = tissue_like(1100, 900, seed=4) if image is None else image
    height, width = image.shape[:2]
    head = f"Aperio Image Library v12.0.15\r\n{width}x{height} [0,0 {width}x{height}] (240x240) JPEG/RGB Q=70"
    text = (
        f"{head}|AppMag = 20|MPP = 0.5|Filename = {FILE_NAME}|User = {SECRETS[5]}|Date = {SECRETS[3]}|ScanScope ID = "
        f"{SECRETS[6]}|Title = {SECRETS[0]}|Barcode = {SECRETS[2]}|ImageID = {SECRETS[1]}"
    )
    xmp = f"<x:xmpmeta><dicom PatientID='{SECRETS[9]}' Physician='{SECRETS[8]}'/></x:xmpmeta>".encode()
    tags = [
        (315, "s", 0, SECRETS[0], True),
        (316, "s", 0, SECRETS[7], True),
        (33432, "s", 0, SECRETS[4], True),
        (269, "s", 0, SECRETS[1], True),
        (285, "s", 0, SECRETS[8], True),
        (700, "B", len(xmp), xmp, True),
    ]
    options = {"photometric": "rgb", "compression": "jpeg", "metadata": None}
    options["compressionargs"] = {"level": 90, "outcolorspace": "rgb"}
    with tifffile.TiffWriter(path) as writer:
        writer.write(image, tile=(240, 240), description=text, extratags=tags, software=SECRETS[6], **options)
        writer.write(
            np.asarray(Image.fromarray(image).resize((137, 112))),
            rowsperstrip=16,
            description=text,
            **options,
        )
        writer.write(halved(image), tile=(240, 240), description=text, **options)
        for name, kind, picture in (("label", 1, LABEL), ("macro", 9, MACRO)):
            rows, columns = picture.shape[:2]
            words = f"Aperio Image Library v12.0.15\r\n{name} {columns}x{rows}"
            aside = {"photometric": "rgb", "compression": "lzw", "metadata": None, "predictor": True}
            writer.write(picture, rowsperstrip=rows, description=words, subfiletype=kind, **aside)
    return path


def write_planted_ome(folder: Path) -> Path:
    """Write an OME-TIFF whose XML tells who the patient is, who scanned the slide, when and where."""
    image = tissue_like(1100, 900, seed=4)
    path = write_ome(folder / f"{FILE_NAME}.ome.tif", [[image, halved(image)]], names=[SECRETS[2]])
    xml = tifffile.tiffcomment(path)
    told = "".join(f"<CommentAnnotation><Value>{secret}</Value></CommentAnnotation>" for secret in SECRETS)
    who = (
        f'<Experimenter ID="Experimenter:0" LastName="{SECRETS[5]}" Institution="{SECRETS[4]}" '
        f'UserName="{SECRETS[8]}"/><Instrument ID="Instrument:0"><Microscope SerialNumber="{SECRETS[6]}"/></Instrument>'
        f"<StructuredAnnotations>{told}</StructuredAnnotations></OME>"
    )
    tifffile.tiffcomment(path, xml.replace("</OME>", who).encode())
    return path


_DICOM_PLACES = (
    (0x0010, 0x0010, b"PN"), (0x0010, 0x0020, b"LO"), (0x0008, 0x0050, b"SH"), (0x0020, 0x0010, b"SH"),
    (0x0008, 0x0080, b"LO"), (0x0008, 0x0090, b"PN"), (0x0018, 0x1000, b"LO"), (0x0008, 0x1090, b"LO"),
    (0x0018, 0x1020, b"LO"), (0x0040, 0x0512, b"LO"),
)  # fmt: skip
"""Name, identifier, accession, study, institution, physician, serial number, model, software and container."""


def write_planted_dicom(folder: Path, real: Path) -> Path:
    """Copy a real DICOM slide, a folder of explicit little-endian files, with the secrets in its elements."""
    path = folder / FILE_NAME
    path.mkdir()
    for file in sorted(real.glob("*.dcm")):
        data = file.read_bytes()
        for (group, element, kind), secret in zip(_DICOM_PLACES, SECRETS, strict=True):
            data = _with_element(data, (group, element), kind, secret.encode())
        (path / file.name).write_bytes(data)
    return path


def _with_element(data: bytes, tag: tuple[int, int], kind: bytes, value: bytes) -> bytes:
    """The file with a text element of its data set filled; made where it is missing, behind the manufacturer's."""
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", *tag) + kind
    place = data.find(head)
    if place < 0:
        maker = data.index(struct.pack("<HH", 0x0008, 0x0070) + b"LO")
        place = behind = maker + 8 + struct.unpack_from("<H", data, maker + 6)[0]
    else:
        behind = place + 8 + struct.unpack_from("<H", data, place + 6)[0]
    return data[:place] + head + struct.pack("<H", len(value)) + value + data[behind:]


def spellings(secret: str) -> Iterator[bytes]:
    """A secret as it may stand in a file: bytes, UTF-16, base64 at each of three offsets, escaped in HTML or JSON."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        yield secret.encode(encoding)
    raw = secret.encode()
    for offset in range(3):
        code = base64.b64encode(b"\0" * offset + raw)
        yield code[(0, 2, 3)[offset] :].rstrip(b"=")[:-1]


def contents(data: bytes) -> Iterator[bytes]:
    """A file, and what is packed in it: streams of a PDF, with the strings that it draws letter by letter joined."""
    yield data
    for packed in re.findall(rb"stream\r?\n(.*?)endstream", data, re.S):
        try:
            inner = zlib.decompress(packed)
        except zlib.error:
            continue
        yield inner
        yield b"".join(re.findall(rb"\(((?:\\.|[^()\\])*)\)", inner))


def hits(data: bytes, secrets: tuple[str, ...]) -> list[str]:
    """Which secrets a file holds in any spelling, whatever their case."""
    parts = [part.lower() for part in contents(data)]
    return [
        secret
        for secret in secrets
        if any(spelling.lower() in part for spelling in spellings(secret) for part in parts)
    ]


def pictures_in(path: Path) -> Iterator[np.ndarray]:
    """Pictures in a PNG, a TIFF, and those that HTML and PDF carry inside, (rows, columns, 3) uint8."""
    data = path.read_bytes()
    if path.suffix == ".png":
        yield _decoded(data)
    elif path.suffix == ".tif":
        image = np.nan_to_num(tifffile.imread(path).astype(np.float64))
        yield np.repeat((image / max(image.max(), 1) * 255).astype(np.uint8)[..., None], 3, axis=-1)
    elif path.suffix == ".html":
        for code in re.findall(rb"data:image/png;base64,([A-Za-z0-9+/=]+)", data):
            yield _decoded(base64.b64decode(code))
    elif path.suffix == ".pdf":
        for head, stream in re.findall(
            rb"<<((?:(?!<<|endobj).|<<(?:(?!>>).)*>>)*?/Subtype /Image.*?)>>\s*stream\r?\n(.*?)endstream",
            data,
            re.S,
        ):
            yield from _picture_of_pdf(head, stream)


def _decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _picture_of_pdf(head: bytes, stream: bytes) -> Iterator[np.ndarray]:
    """Matplotlib puts a PNG's own data into a PDF; three bytes a pixel are a picture."""
    width, height = (int(re.search(rb"/%s (\d+)" % side, head).group(1)) for side in (b"Width", b"Height"))
    rows = np.frombuffer(zlib.decompress(stream), dtype=np.uint8)
    if rows.size != height * (3 * width + 1):
        return

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    yield _decoded(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size)
        + chunk(b"IDAT", stream.strip(b"\r\n"))
        + chunk(b"IEND", b"")
    )


def shows(picture: np.ndarray, template: np.ndarray, scales: tuple[float, ...]) -> bool:
    """Whether a picture shows the template at one of the scales, by its colours or by its shapes."""
    red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
    if ((green > 200) & (red < 60) & (blue < 60)).sum() > 25 and (
        (red > 200) & (blue > 200) & (green < 60)
    ).sum() > 25:
        return True
    shrink = min(1.0, _LONGEST_PX / max(picture.shape[:2]))
    grey = _scaled(picture, shrink)
    for scale in scales:
        small = _scaled(template, scale * shrink)
        fits = all(own <= other for own, other in zip(small.shape, grey.shape, strict=True))
        if min(small.shape) >= 8 and fits and match_template(grey, small).max() > _ALIKE:
            return True
    return False


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BOX).convert("L")
    return np.asarray(small, dtype=np.float64)
