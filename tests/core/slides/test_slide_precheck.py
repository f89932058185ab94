"""Directories of TIFF files are checked before a native library sees them; bombs cost neither time nor memory."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from bomb_files import of_many_planes, patch_tag
from slide_files import tissue_like, write_gigapixel, write_ome, write_striped, write_svs, write_tiff

from amkd_core.errors import AmkdError, SlideError
from amkd_core.slides import open_slide
from amkd_core.slides.precheck import checked_tags
from amkd_core.slides.tiff_tags import read_tiff_tags

IMAGE = tissue_like(700, 520)


def test_crash_file_is_refused(shared: Path) -> None:
    with pytest.raises(SlideError, match="claims tiles of 218104048 x 240 px, but no side may exceed 4096"):
        open_slide(shared / "slides/malformed/crash_tilewidth.svs")


def test_truncated_directory_names_the_cut(shared: Path) -> None:
    with pytest.raises(
        SlideError, match=r"truncated or damaged: its first directory should be at byte 1275950"
    ):
        open_slide(shared / "slides/malformed/derived_cmu1_truncated60.svs")


def test_sound_files_pass(shared: Path, tmp_path: Path) -> None:
    files = [
        file for file in (shared / "slides").glob("*/*") if file.suffix in (".svs", ".tif", ".tiff", ".ndpi")
    ]
    sound = [file for file in files if file.parent.name != "malformed"]
    sound += [
        write_svs(tmp_path / "a.svs", [IMAGE]),
        write_ome(tmp_path / "b.ome.tif", [[IMAGE, IMAGE[::2, ::2]]]),
    ]
    assert len(sound) >= 10
    for file in sound:
        with checked_tags(file) as tags:
            assert tags.directories


@pytest.mark.parametrize(
    ("tag", "value", "sentence"),
    [
        (256, 2_000_000, r"claims to be 2000000 x 520 px"),
        (257, 0, r"claims to be 700 x 0 px"),
        (322, 65_536, r"claims tiles of 65536 x 256 px"),
        (323, 0, r"claims tiles of 256 x 0 px"),
        (322, 16, r"needs \d+ tiles, but its directory lists 9 offsets"),
        (277, 60_000, r"60000 samples per pixel"),
    ],
)
def test_impossible_tags_are_refused(tmp_path: Path, tag: int, value: int, sentence: str) -> None:
    path = patch_tag(write_tiff(tmp_path / "a.tif", [IMAGE]), tag, value=value)
    with pytest.raises(SlideError, match=rf"a\.tif is truncated or damaged: .*{sentence}"):
        open_slide(path)


@pytest.mark.parametrize("tag", [258, 270])
def test_tags_beyond_the_end_are_refused(tmp_path: Path, tag: int) -> None:
    path = write_svs(tmp_path / "a.svs", [IMAGE])
    patch_tag(path, tag, count=1 << 20)
    with pytest.raises(SlideError, match=rf"tag {tag} lies beyond its end"):
        open_slide(path)


MUTATIONS = 120


def test_mutants_give_pixels_or_one_sentence(tmp_path: Path) -> None:
    """Flipped bits, overwritten directories, cuts: nothing but a slide or an `AmkdError` comes out."""
    rng = np.random.default_rng(11)
    image = IMAGE[:260, :300]
    sources = [
        write_svs(tmp_path / "a.svs", [image, image[::4, ::4]]),
        write_tiff(tmp_path / "a.tif", [image, image[::2, ::2]]),
        write_ome(tmp_path / "a.ome.tif", [[image, image[::2, ::2]]]),
        write_striped(tmp_path / "strips.tif", image, compression="lzw", rows=50),
    ]
    outcomes = {"opened": 0, "refused": 0}
    for number in range(MUTATIONS):
        source = sources[number % len(sources)]
        mutant = tmp_path / f"mutant{''.join(source.suffixes)}"
        mutant.write_bytes(mutate(source, rng))
        try:
            with open_slide(mutant) as slide:
                slide.thumbnail(200)
                for level in slide.info.levels:
                    slide.read_region((10, 10), level.index, (100, 100))
        except AmkdError as error:
            assert "\n" not in str(error)  # noqa: PT017 - whether it raises is not known beforehand
            outcomes["refused"] += 1
        else:
            outcomes["opened"] += 1
    assert min(outcomes.values()) > MUTATIONS // 10, outcomes


def mutate(source: Path, rng: np.random.Generator) -> bytes:
    body = bytearray(source.read_bytes())
    with read_tiff_tags(source) as tags:
        directory = int(rng.choice([directory.offset for directory in tags.directories]))
    match int(rng.integers(4)):
        case 0:
            body[int(rng.integers(len(body)))] ^= 1 << int(rng.integers(8))
        case 1:
            for at in rng.integers(directory, directory + 200, 3):
                body[min(int(at), len(body) - 1)] = int(rng.integers(256))
        case 2:
            del body[int(rng.integers(1, len(body))) :]
        case _:
            at = directory + 2 + 12 * int(rng.integers(12)) + 8
            body[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(body)


def test_impossible_counts_are_refused(tmp_path: Path) -> None:
    path = patch_tag(write_tiff(tmp_path / "a.tif", [IMAGE]), 324, count=12_000_000)
    with pytest.raises(SlideError, match="tag 324 claims 12000000 values"):
        open_slide(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "whole.tif"
    return write_tiff(path, [IMAGE, IMAGE[::2, ::2]]).read_bytes()


@pytest.mark.parametrize("share", np.linspace(0.02, 0.999, 50))
def test_every_cut_is_noticed(tmp_path: Path, whole: bytes, share: float) -> None:
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SlideError, match=r"cut\.tif is (truncated or damaged|not a slide)"):
        open_slide(cut)


def test_tiles_beyond_the_end_are_counted(tmp_path: Path) -> None:
    path = write_gigapixel(tmp_path / "giga.tif", (4096, 2048), factors=(1,))
    with checked_tags(path) as tags:
        offsets = tags.directories[0].numbers(324)
        where = tags.directories[0].tags[324].offset
    body = bytearray(path.read_bytes())
    offsets[:3] = len(body) + 10
    body[where : where + offsets.nbytes] = offsets.astype("<u8").tobytes()
    path.write_bytes(body)
    with pytest.raises(SlideError, match="3 of 128 tiles lie beyond its end"):
        open_slide(path)


def test_no_more_tiles_are_read_than_all_directories_may_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each directory alone keeps to the limit; a thousand of them would not."""
    path = write_tiff(tmp_path / "two.tif", [IMAGE, IMAGE[::2, ::2]])
    with checked_tags(path) as tags:
        counts = [directory.numbers(324).size for directory in tags.directories]
    assert max(counts) < sum(counts) - 1
    monkeypatch.setattr("amkd_core.slides.precheck.MAX_VALUES", sum(counts) - 1)
    with pytest.raises(SlideError, match=f"its images claim more than {sum(counts) - 1} tiles together"):
        checked_tags(path)


def test_directory_loop_ends(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "loop.tif", [IMAGE])
    body = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", body, 4)
    (n_entries,) = struct.unpack_from("<H", body, first)
    struct.pack_into("<I", body, first + 2 + 12 * n_entries, first)
    path.write_bytes(body)
    with read_tiff_tags(path) as tags:
        assert len(tags.directories) == 1
        assert tags.bad_next == first


def test_ome_text_with_millions_of_planes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="claims 3000000 image planes in its OME-XML"):
        open_slide(of_many_planes(tmp_path / "planes.ome.tif"))


def test_big_slide_is_checked_fast(tmp_path: Path) -> None:
    path = write_gigapixel(tmp_path / "giga.tif", (100_000, 80_000))
    started = time.process_time()
    with checked_tags(path) as tags:
        assert tags.directories[0].numbers(324).size == 391 * 313
    assert time.process_time() - started < 1
