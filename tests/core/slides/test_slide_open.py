"""Every kind of file opens as one `Slide`, or gives one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_files import halved, tissue_like, write_ome, write_striped, write_svs, write_tiff

from amkd_core.errors import SlideError, SlideReadError
from amkd_core.slides import Bounds, is_slide, open_slide
from amkd_core.slides.backends.openslide import OpenSlideBackend, over_white
from amkd_core.slides.backends.tiff import TiffBackend

IMAGE = tissue_like(900, 700)
SHARED_SLIDES = {
    "real/CMU-1-Small-Region.svs": ("direct", "aperio", (2220, 2967), 1),
    "real/CMU-1-Small-Region-dicom": ("openslide", "dicom", (2220, 2967), 1),
    "real/OS-1-detail.ome.tif": ("tifffile", "ome-tiff", (1101, 1101), 1),
    "real/OS-2-ndpi.ome.tif": ("tifffile", "ome-tiff", (2202, 2202), 1),
    "real/test3-DAPI-2-(387).ndpi": ("openslide", "hamamatsu", (3968, 4864), 7),
    "derived/derived_c3l-00601-26_pyramid_nompp.tif": ("direct", "generic-tiff", (5477, 5154), 5),
    "derived/derived_cmu1_j2k33005_nompp.svs": ("openslide", "aperio", (2220, 2967), 1),
    "derived/derived_cmu1_pyramid.ome.tif": ("tifffile", "ome-tiff", (2220, 2967), 4),
    "derived/derived_emulated-philips_cmu1.tiff": ("direct", "philips", (2220, 2967), 4),
    "derived/derived_gigapixel_dedup_cmu1-c3l.tif": ("direct", "generic-tiff", (92_160, 69_632), 4),
    "malformed/boxes.tiff": ("openslide", "generic-tiff", (300, 250), 4),
    "malformed/small.svs": ("direct", "aperio", (16, 16), 1),
}


@pytest.mark.parametrize("name", SHARED_SLIDES)
def test_shared_slides_open(shared: Path, name: str) -> None:
    backend, vendor, size, n_levels = SHARED_SLIDES[name]
    path = shared / "slides" / name
    assert is_slide(path)
    with open_slide(path) as slide:
        info = slide.info
        assert (info.backend, info.vendor, slide.size_px, len(info.levels)) == (
            backend,
            vendor,
            size,
            n_levels,
        )
        assert info.bounds == Bounds(0, 0, *size)
        thumbnail = slide.thumbnail(256)
        assert max(thumbnail.shape) == min(256, max(size))
        assert thumbnail.std() > 1
        for level in info.levels:
            region = slide.read_region((0, 0), level.index, (20, 20))
            assert (region.shape, region.dtype) == ((20, 20, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken.svs", r"broken\.svs is not a slide: neither OpenSlide nor tifffile knows its content"),
        ("crash_tilewidth.svs", r"claims tiles of 218104048 x 240 px"),
        (
            "derived_cmu1_truncated60.svs",
            r"truncated or damaged: its first directory should be at byte 1275950",
        ),
        ("unopenable.tiff", r"compressed by method 52479, which neither OpenSlide nor tifffile can decode"),
        (
            "hamamatsu-vms-stub/CMU-1-40x - 2010-01-12 13.24.05.vms",
            r"cannot be opened: Can't validate JPEG 0",
        ),
        ("hamamatsu-vms-stub", r"is a folder without a DICOM slide in it; give the slide file itself"),
    ],
)
def test_malformed_slides_give_one_sentence(shared: Path, name: str, sentence: str) -> None:
    with pytest.raises(SlideError, match=sentence) as caught:
        open_slide(shared / "slides/malformed" / name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_unreadable_pixels_are_an_error_not_white(shared: Path) -> None:
    with open_slide(shared / "slides/malformed/unreadable.svs") as slide:
        with pytest.raises(SlideReadError, match="Bogus marker length"):
            slide.read_region((0, 0), 0, (16, 16))
        with pytest.raises(SlideReadError, match="Bogus marker length"):
            slide.thumbnail()


def test_paths_that_are_no_slide(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"There is no file .*nowhere\.svs\."):
        open_slide(tmp_path / "nowhere.svs")
    empty = tmp_path / "empty.svs"
    empty.touch()
    with pytest.raises(SlideError, match=r"empty\.svs is empty \(0 bytes\)"):
        open_slide(empty)
    text = tmp_path / "text.svs"
    text.write_text("patient,months\n" * 40)
    with pytest.raises(SlideError, match=r"text\.svs is not a slide"):
        open_slide(text)
    picture = tmp_path / "picture.svs"
    Image.fromarray(IMAGE).save(picture, format="PNG")
    with pytest.raises(SlideError, match=r"picture\.svs is not a slide"):
        open_slide(picture)
    with pytest.raises(SlideError, match="is a folder without a DICOM slide"):
        open_slide(tmp_path)
    assert not any(is_slide(path) for path in (tmp_path / "nowhere.svs", empty, text, picture, tmp_path))


def test_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiff(tmp_path / "secret.tif", [IMAGE])
    if os.geteuid() == 0:
        true_open = Path.open

        def refusing(self: Path, *args: object, **options: object) -> object:
            if self == path:
                raise PermissionError(13, "Permission denied", str(path))
            return true_open(self, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(Path, "open", refusing)
    else:
        path.chmod(0)
    with pytest.raises(SlideError, match=r"secret\.tif may not be read by this user"):
        open_slide(path)
    assert not is_slide(path)


def test_folder_of_two_dicom_slides_asks_which(shared: Path, tmp_path: Path) -> None:
    source = next((shared / "slides/real/CMU-1-Small-Region-dicom").glob("*.dcm"))
    body = source.read_bytes()
    (tmp_path / "one.dcm").write_bytes(body)
    at = body.find(b"\x20\x00\x0e\x00UI") + 8
    (tmp_path / "two.dcm").write_bytes(body[:at] + b"9.9.9" + body[at + 5 :])
    with pytest.raises(SlideError, match="holds 2 DICOM slides; give one file"):
        open_slide(tmp_path)


SAME_TISSUE = (
    "real/CMU-1-Small-Region.svs",
    "real/CMU-1-Small-Region-dicom",
    "derived/derived_emulated-philips_cmu1.tiff",
    "derived/derived_cmu1_pyramid.ome.tif",
)


def test_same_slide_as_svs_tiff_and_dicom_agrees(shared: Path) -> None:
    svs, *others = (open_slide(shared / "slides" / name) for name in SAME_TISSUE)
    for x, y in ((1024, 1536), (300, 1200), (200, 400)):
        expected = svs.read_region((x, y), 0, (256, 256)).mean(axis=2)
        for other in others:
            away, beside = (
                np.abs(expected - other.read_region((at, y), 0, (256, 256)).mean(axis=2)).mean()
                for at in (x, x + 1)
            )
            # encoded anew as JPEG with halved colour resolution, but not moved by a pixel
            assert away < 3
            assert beside > 2 * away or expected.std() < 4
    for slide in (svs, *others):
        slide.close()


def test_ome_level_0_is_what_openslide_reads(shared: Path) -> None:
    path = shared / "slides/derived/derived_cmu1_pyramid.ome.tif"
    ours, theirs = TiffBackend(path), OpenSlideBackend(path)
    for xy in ((0, 0), (500, 500), (1900, 2700)):
        size = (min(300, 2220 - xy[0]), min(260, 2967 - xy[1]))
        assert np.array_equal(ours.read(0, xy, size), theirs.read(0, xy, size))


def test_ome_pyramid_in_subdirectories(tmp_path: Path) -> None:
    levels = [IMAGE, halved(IMAGE), halved(IMAGE, 4)]
    with open_slide(write_ome(tmp_path / "a.ome.tif", [levels])) as slide:
        assert slide.info.slide_id == "a"
        assert [level.size_px for level in slide.info.levels] == [(900, 700), (450, 350), (225, 175)]
        for index, level in enumerate(levels):
            size = (level.shape[1], level.shape[0])
            assert np.array_equal(slide.read_region((0, 0), index, size), level)
        assert np.array_equal(slide.read_region((100, 60), 1, (40, 30)), levels[1][30:60, 50:90])


def test_scenes_are_counted_and_chosen(tmp_path: Path) -> None:
    other = tissue_like(400, 300, seed=5)
    path = write_ome(tmp_path / "a.ome.tif", [[IMAGE, halved(IMAGE)], [other]], names=["left", "right"])
    with open_slide(path) as first, open_slide(path, scene=1) as second:
        assert (first.info.scene, first.info.n_scenes, first.size_px) == (0, 2, (900, 700))
        assert (second.info.scene, second.info.n_scenes, second.size_px) == (1, 2, (400, 300))
        assert np.array_equal(second.read_region((0, 0), 0, (400, 300)), other)
    with pytest.raises(SlideError, match=r"has 2 scene\(s\), numbered from 0; there is no scene 2"):
        open_slide(path, scene=2)
    with pytest.raises(SlideError, match=r"has 1 scene\(s\), numbered from 0; there is no scene 1"):
        open_slide(write_tiff(tmp_path / "b.tif", [IMAGE]), scene=1)


def test_label_of_ome_is_no_scene_and_read_only_by_name(tmp_path: Path) -> None:
    label = tissue_like(120, 100, seed=9)
    path = write_ome(tmp_path / "a.ome.tif", [[IMAGE], [label]], names=["section", "label"])
    with open_slide(path) as slide:
        assert (slide.info.n_scenes, slide.info.associated) == (1, ("label",))
        assert np.array_equal(slide.associated_image("label"), label)


@pytest.mark.parametrize("name", ["macro", "Overview image", "LABEL"])
def test_a_first_image_named_as_an_aside_is_none_beside_a_slide(tmp_path: Path, name: str) -> None:
    macro = tissue_like(120, 100, seed=9)
    path = write_ome(tmp_path / "a.ome.tif", [[macro], [IMAGE]], names=[name, "section"])
    with open_slide(path) as slide:
        assert (slide.size_px, slide.info.n_scenes) == ((900, 700), 1)
        assert slide.info.associated == (name.lower(),)
        assert np.array_equal(slide.associated_image(name.lower()), macro)
    # Nothing else is there to open, or nothing as large: the name alone does not make an image an aside.
    with open_slide(write_ome(tmp_path / "b.ome.tif", [[IMAGE]], names=[name])) as slide:
        assert (slide.size_px, slide.info.associated) == ((900, 700), ())
    path = write_ome(tmp_path / "c.ome.tif", [[IMAGE], [macro]], names=[name, "detail"])
    with open_slide(path) as slide:
        assert (slide.size_px, slide.info.n_scenes) == ((900, 700), 2)


@pytest.mark.parametrize(
    ("compression", "rows"), [(None, None), (None, 64), (None, 50), ("lzw", 37), ("deflate", None)]
)
def test_striped_files(tmp_path: Path, compression: str | None, rows: int | None) -> None:
    path = write_striped(tmp_path / "a.tif", IMAGE, compression=compression, rows=rows)
    with open_slide(path) as slide:
        assert (slide.info.backend, len(slide.info.levels)) == ("tifffile", 1)
        assert np.array_equal(slide.read_region((0, 0), 0, (900, 700)), IMAGE)
        assert np.array_equal(slide.read_region((333, 222), 0, (100, 101)), IMAGE[222:323, 333:433])


def test_colours_stored_apart_sixteen_bits_and_opacity(tmp_path: Path) -> None:
    apart = tmp_path / "apart.tif"
    tifffile.imwrite(
        apart, np.moveaxis(IMAGE, 2, 0), photometric="rgb", planarconfig="separate", rowsperstrip=64
    )
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, IMAGE.astype(np.uint16) * 257, photometric="rgb", rowsperstrip=64)
    clear = tmp_path / "clear.tif"
    rgba = np.dstack([IMAGE, np.where(np.arange(900) < 450, 0, 255)[None, :].repeat(700, 0).astype(np.uint8)])
    tifffile.imwrite(clear, rgba, photometric="rgb", extrasamples=["unassalpha"], rowsperstrip=64)
    for path in (apart, deep):
        with open_slide(path) as slide:
            assert np.array_equal(slide.read_region((0, 0), 0, (900, 700)), IMAGE), path
    with open_slide(clear) as slide:
        region = slide.read_region((0, 0), 0, (900, 700))
        assert (region[:, :450] == 255).all()
        assert np.array_equal(region[:, 450:], IMAGE[:, 450:])


def test_fluorescence_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "dapi.ome.tif"
    stack = np.random.default_rng(0).integers(0, 4000, (5, 300, 300)).astype(np.uint16)
    tifffile.imwrite(path, stack, metadata={"axes": "CYX"}, photometric="minisblack", tile=(128, 128))
    with pytest.raises(
        SlideError, match=r"is not a brightfield slide: it holds 5 channel\(s\) of uint16 \(axes CYX\)"
    ):
        open_slide(path)


def test_a_picture_in_grey_is_not_called_fluorescence(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, np.zeros((300, 300), np.float32))
    with pytest.raises(
        SlideError, match=r"1 channel\(s\) of float32 \(axes YX\), as pictures in grey"
    ) as caught:
        open_slide(path)
    assert "fluorescence" not in str(caught.value)


def test_ome_text_cannot_name_other_files(tmp_path: Path) -> None:
    secret = write_ome(tmp_path / "secret.ome.tif", [[np.zeros((64, 64, 3), np.uint8)]])
    (tmp_path / "in").mkdir()
    path = write_ome(tmp_path / "in" / "a.ome.tif", [[tissue_like(64, 64)]], names=["x" * 160])
    body = path.read_bytes()
    first = body.index(b"<TiffData")
    element = (
        body[first : body.index(b"/>", first) + 2]
        if b"/>" in body[first : first + 80]
        else body[first : body.index(b"</TiffData>", first) + 11]
    )
    pointer = (
        b'<TiffData IFD="0" PlaneCount="1"><UUID FileName="../secret.ome.tif">urn:uuid:1</UUID></TiffData>'
    )
    room = b"x" * 160
    grown = body.replace(element, pointer).replace(room, b"x" * (160 - len(pointer) + len(element)))
    assert len(grown) == len(body)
    assert secret.exists()
    path.write_bytes(grown)
    try:
        with open_slide(path) as slide:
            region = slide.read_region((0, 0), 0, (64, 64))
    except SlideError:
        return
    assert region.any(), "pixels of another file were shown"


def test_non_square_pixels_and_odd_levels_land_right(tmp_path: Path) -> None:
    image = np.full((1400, 2100, 3), 240, np.uint8)
    image[700:840, 1050:1260] = (120, 20, 80)
    path = write_tiff(tmp_path / "a.tif", [image, halved(image, 7)], mpp=(0.25, 0.5), tile=128)
    with open_slide(path, mpp=(0.25, 0.5)) as slide:
        assert slide.info.levels[1].downsample == pytest.approx((7, 7))
        box = slide.read_region((1050, 700), 1, (30, 20))
        assert box[2:-2, 2:-2, 1].max() < 60
        around = slide.read_region((1050 - 70, 700 - 70), 1, (10, 10))
        assert around[:8, :8, 1].min() > 180


def test_associated_images_are_read_only_by_name(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    true_read = OpenSlideBackend.associated_image

    def watching(self: OpenSlideBackend, name: str) -> np.ndarray:
        asked.append(name)
        return true_read(self, name)

    monkeypatch.setattr(OpenSlideBackend, "associated_image", watching)
    with open_slide(shared / "slides/real/CMU-1-Small-Region.svs") as slide:
        slide.thumbnail(200)
        slide.read_region((0, 0), 0, (100, 100))
        assert not asked
        assert slide.associated_image("label").shape == (463, 387, 3)
        assert asked == ["label"]
        with pytest.raises(
            SlideReadError, match="no associated image 'photo'; it has: label, macro, thumbnail"
        ):
            slide.associated_image("photo")


def test_transparent_borders_are_white() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2] = (10, 20, 30, 255)
    rgba[2] = (0, 0, 0, 128)
    pixels = over_white(Image.fromarray(rgba))
    assert (pixels[:2] == (10, 20, 30)).all()
    assert (np.abs(pixels[2].astype(int) - 127) <= 1).all()
    assert (pixels[3] == 255).all()


def test_bounds_come_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openslide

    path = write_tiff(tmp_path / "a.tif", [IMAGE])
    true_properties = openslide.OpenSlide.properties.fget  # type: ignore[attr-defined]

    def with_bounds(self: openslide.OpenSlide) -> dict[str, str]:
        found = {"openslide.bounds-x": "100", "openslide.bounds-y": "50"}
        return {
            **true_properties(self),
            **found,
            "openslide.bounds-width": "600",
            "openslide.bounds-height": "9999",
        }

    monkeypatch.setattr(openslide.OpenSlide, "properties", property(with_bounds))
    with open_slide(path) as slide:
        assert slide.info.bounds == Bounds(100, 50, 600, 650)


def test_absurd_requests_are_refused(tmp_path: Path) -> None:
    with open_slide(write_svs(tmp_path / "a.svs", [IMAGE])) as slide:
        with pytest.raises(ValueError, match="not 100000 x 100000"):
            slide.read_region((0, 0), 0, (100_000, 100_000))
        with pytest.raises(ValueError, match="not 0 x 5"):
            slide.read_region((0, 0), 0, (0, 5))
        with pytest.raises(ValueError, match="has levels 0 to 0, not 1"):
            slide.read_region((0, 0), 1, (5, 5))
        with pytest.raises(ValueError, match="max_side_px is at least 1"):
            slide.thumbnail(0)


def test_thumbnail_is_the_reduced_slide(tmp_path: Path) -> None:
    image = tissue_like(2500, 1650)
    with open_slide(write_tiff(tmp_path / "a.tif", [image], compression=None)) as slide:
        small = slide.thumbnail(500)
        assert small.shape == (330, 500, 3)
        expected = np.asarray(Image.fromarray(image).resize((500, 330), Image.Resampling.BOX)).astype(int)
        assert np.abs(small - expected).max() <= 2
        assert slide.thumbnail(9000).shape == (1650, 2500, 3)


def test_slide_files_are_never_written(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes((shared / "slides/real/CMU-1-Small-Region.svs").read_bytes())
    path.chmod(0o400)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    with open_slide(path) as slide:
        slide.thumbnail(100)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_importing_slides_is_light() -> None:
    program = "import sys, amkd_core.slides; print(sorted(m for m in sys.modules if '.' not in m))"
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    loaded = set(done.stdout.replace("'", "").strip("[]\n").split(", "))
    assert not loaded & {"torch", "numpy", "openslide", "tifffile", "imagecodecs", "qtpy", "napari"}


# VmHWM is of the program alone; ru_maxrss also counts what pytest had when it made the process, and hides growth.
MEMORY_PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from amkd_core.slides import open_slide, slide_pyramid
def peak_kib():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
slide = open_slide(sys.argv[1])
slide.read_region((0, 0), 0, (512, 512))
before = peak_kib()
rng = np.random.default_rng(0)
for x, y in rng.integers(0, (99_000, 79_000), (2500, 2)):
    slide.read_region((int(x) // 256 * 256, int(y) // 256 * 256), 0, (256, 256))
slide.thumbnail(1024)
pyramid = slide_pyramid(slide)
np.asarray(pyramid[-1])
pyramid[3][2000:4000, 2000:4000]
print((peak_kib() - before) / 1024)
"""


def test_memory_is_bounded_on_a_huge_slide(tmp_path: Path) -> None:
    from slide_files import write_gigapixel

    path = write_gigapixel(tmp_path / "g.tif", (100_000, 80_000))
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    # 2,500 tiles are 490 MB decoded, the two caches hold 352 MB at most
    assert float(done.stdout) < 450


def test_a_disk_that_fails_while_a_slide_is_opened_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(files: list[Path]) -> str:
        raise OSError(5, "Input/output error", str(files[0]))

    monkeypatch.setattr("amkd_core.slides.opening.fingerprint", failing)
    path = write_tiff(tmp_path / "a.tif", [IMAGE])
    with pytest.raises(SlideError, match=r"a\.tif cannot be read: Input/output error; look after its disk"):
        open_slide(path)


def write_set(folder: Path, sizes: list[tuple[int, int]], *, names: bool = True) -> list[Path]:
    """Files of one OME set, each with the text of all, as Bio-Formats writes them; the scales are 0.25, 0.5, 0.75."""
    images = "".join(
        f'<Image ID="Image:{i}" Name="s{i}"><Pixels ID="Pixels:{i}" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="{width}" SizeY="{height}" SizeC="3" SizeZ="1" SizeT="1" PhysicalSizeX="{0.25 * (i + 1)}" '
        f'PhysicalSizeY="{0.25 * (i + 1)}"><Channel ID="Channel:{i}:0" SamplesPerPixel="3"/><TiffData IFD="0" '
        f'PlaneCount="1"><UUID{f" FileName=%ss_{i}.ome.tif%s" % (chr(34), chr(34)) if names else ""}>urn:uuid:{i}'
        "</UUID></TiffData></Pixels></Image>"
        for i, (width, height) in enumerate(sizes)
    )
    paths = []
    for i, (width, height) in enumerate(sizes):
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{i}">{images}</OME>'
        )
        paths.append(folder / f"s_{i}.ome.tif")
        tifffile.imwrite(
            paths[-1],
            tissue_like(width, height, seed=i),
            description=text.encode(),
            metadata=None,
            tile=(256, 256),
        )
    return paths


@pytest.mark.parametrize("names", [True, False])
def test_a_file_of_an_ome_set_has_its_own_scale(tmp_path: Path, names: bool) -> None:
    """Every file holds the text of all images; that of the first was taken for each."""
    for i, path in enumerate(write_set(tmp_path, [(900, 700), (800, 600), (700, 512)], names=names)):
        with open_slide(path) as slide:
            assert (slide.info.microns.x, slide.info.microns.source) == (0.25 * (i + 1), "vendor")
    # Renamed, it is known by its identifier.
    with open_slide(path.rename(tmp_path / "renamed.ome.tif")) as slide:
        assert slide.info.microns.x == 0.75


def test_a_text_that_fits_another_picture_tells_no_scale(tmp_path: Path) -> None:
    (path,) = write_set(tmp_path, [(900, 700)])
    content = path.read_bytes()
    path.write_bytes(content.replace(b'SizeX="900"', b'SizeX="901"'))
    with open_slide(path) as slide:
        assert slide.info.microns is None


@pytest.mark.parametrize("name", ["MAPK1 H&E", "Unlabelled block A", "MAP kinase, scan"])
def test_a_scene_whose_name_contains_such_a_word_is_a_scene(tmp_path: Path, name: str) -> None:
    path = write_ome(tmp_path / "a.ome.tif", [[IMAGE], [IMAGE]], names=[f"{name} 1", f"{name} 2"])
    with open_slide(path, scene=1) as slide:
        assert (slide.info.n_scenes, slide.info.associated) == (2, ())
    small = tissue_like(120, 100, seed=9)
    path = write_ome(tmp_path / "b.ome.tif", [[IMAGE], [small]], names=["slide", "slide.svs [label image]"])
    with open_slide(path) as slide:
        assert (slide.info.n_scenes, slide.info.associated) == (1, ("slide.svs [label image]",))
