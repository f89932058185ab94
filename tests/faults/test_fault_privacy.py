"""What is written about a slide holds nothing of the patient that its label, its metadata and its name tell of."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle
from fault_count import FaultCount
from planted_slide import (
    FILE_NAME,
    FULL,
    LABEL,
    MACRO,
    N_PLANTED,
    SAMPLE,
    SECRETS,
    hits,
    pictures_in,
    shows,
    write_planted,
    write_planted_dicom,
    write_planted_ome,
)
from typer.testing import CliRunner

from amkd_core.bundle import Bundle
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.cli.main import app
from amkd_core.errors import SlideError
from amkd_core.inference.expression import read_genes
from amkd_core.inference.predict import predict_bag
from amkd_core.private_names import hide_names, looks_like_accession, private_logger, pseudonym
from amkd_core.slides import open_slide
from amkd_core.slides.encoders import load_encoder

EVERYTHING = (*SECRETS, FILE_NAME)
PATIENT = "Quirinius-Vandermeulen"


class Lines(logging.Handler):
    """All lines of all loggers, formatted as a file would hold them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    handler = Lines()
    caplog.set_level(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle()


def bundle_file(folder: Path) -> Path:
    write_bundle(folder / "model.amkd", random_bundle(encoder=load_encoder("texture").identity))
    return folder / "model.amkd"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def predict(slide: Path, bundle: Path, out: Path, *options: str) -> str:
    words = ["predict", slide, "--bundle", bundle, "--out", out, "--report", *options]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_slide_holds_what_is_looked_for(tmp_path: Path) -> None:
    path = write_planted(tmp_path)
    assert hits(path.read_bytes(), EVERYTHING) == list(EVERYTHING)
    with open_slide(path) as slide:
        assert {"label", "macro"} <= set(slide.info.associated)
        for name, planted in (("label", LABEL), ("macro", MACRO)):
            np.testing.assert_array_equal(slide.associated_image(name), planted)


@pytest.mark.parametrize(
    ("scale", "scales"),
    [(0.5, SAMPLE), *(pytest.param(scale, FULL, marks=pytest.mark.slow) for scale in (0.2, 0.3, 0.67, 0.93))],
)
def test_the_search_finds_what_is_there(scale: float, scales: tuple[float, ...]) -> None:
    from PIL import Image

    page = np.full((600, 900, 3), 240, dtype=np.uint8)
    side = round(len(LABEL) * scale)
    grey = np.asarray(Image.fromarray(LABEL).convert("L").resize((side, side)))[..., None]
    assert not shows(page, LABEL, scales)
    page[40 : 40 + side, 60 : 60 + side] = grey  # without its colours the shapes are found
    assert shows(page, LABEL, scales)
    for secret in SECRETS:
        for form in (secret.encode(), secret.upper().encode("utf-16-le")):
            assert hits(b"xx" + form + b"yy", SECRETS) == [secret]


def test_nothing_planted_reaches_results_exports_or_logs(
    tmp_path: Path, lines: Lines, counted: list[FaultCount]
) -> None:
    search_everything(tmp_path, lines, counted, SAMPLE)


@pytest.mark.parametrize("kind", ["ome-tiff", "dicom"])
def test_nothing_planted_in_other_formats_or_in_the_expression_reaches_what_is_written(
    kind: str, tmp_path: Path, lines: Lines, counted: list[FaultCount], request: pytest.FixtureRequest
) -> None:
    (tmp_path / "in").mkdir()
    if kind == "dicom":
        real = request.getfixturevalue("shared") / "slides" / "real" / "CMU-1-Small-Region-dicom"
        slide = write_planted_dicom(tmp_path / "in", real)
    else:
        slide = write_planted_ome(tmp_path / "in")
    bundle, table = bundle_file(tmp_path), tmp_path / "in" / f"{SECRETS[0]}.csv"
    genes = open_bundle(bundle).card.genes
    table.write_text(
        "\n".join([f"gene,{PATIENT},{SECRETS[1]}", *(f"{gene},5.5,4" for gene in genes)]), encoding="utf-8"
    )
    before = {path: digest(path) for path in (tmp_path / "in").rglob("*") if path.is_file()}
    assert table in before
    for path in before.keys() - {table}:
        assert hits(path.read_bytes(), SECRETS) == list(SECRETS)
    before[bundle] = digest(bundle)
    predict(slide, bundle, tmp_path / "out", "--expression", str(table), "--patient", PATIENT)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    exports = [path for path in files if path.parent.name == "export"]
    assert len(exports) >= 5
    found = {path.name: hits(path.read_bytes(), SECRETS) for path in files}
    named = (FILE_NAME, PATIENT)  # as the local record has them
    found |= {f"export {path.name}": hits(path.read_bytes(), named) for path in exports}
    count = FaultCount(f"planted in a slide: {kind}", cases=len(SECRETS) + 2)
    counted.append(count)
    count.different = sum(map(len, found.values())) + len(hits(lines.text.encode(), (*EVERYTHING, PATIENT)))
    count.same = count.cases - count.different
    assert {name: what for name, what in found.items() if what} == {}
    assert "patches encoded by texture" in lines.text
    assert hits(lines.text.encode(), (*EVERYTHING, PATIENT)) == []
    assert {path: digest(path) for path in before} == before


@pytest.mark.slow
def test_no_picture_shows_the_label_at_any_scale(
    tmp_path: Path, lines: Lines, counted: list[FaultCount]
) -> None:
    search_everything(tmp_path, lines, counted, FULL)


def search_everything(
    folder: Path, lines: Lines, counted: list[FaultCount], scales: tuple[float, ...]
) -> None:
    (folder / "in").mkdir()
    slide, bundle = write_planted(folder / "in"), bundle_file(folder)
    before = {path: digest(path) for path in (slide, bundle)}
    predict(slide, bundle, folder / "out")
    files = [path for path in (folder / "out").rglob("*") if path.is_file()]
    count = FaultCount("planted in a slide", cases=N_PLANTED)
    counted.append(count)
    assert len(files) >= 8
    found = {path.name: hits(path.read_bytes(), SECRETS) for path in files}
    found |= {
        f"export {path.name}": hits(path.read_bytes(), (FILE_NAME,))
        for path in files
        if path.parent.name == "export"
    }
    pictures = [picture for path in files for picture in pictures_in(path)]
    assert len(pictures) >= 5
    seen = [
        name
        for name, planted in (("label", LABEL), ("macro", MACRO))
        for picture in pictures
        if shows(picture, planted, scales)
    ]
    count.different = sum(map(len, found.values())) + len(seen) + len(hits(lines.text.encode(), EVERYTHING))
    count.same = N_PLANTED - count.different
    assert {name: what for name, what in found.items() if what} == {}
    assert seen == []
    assert "patches encoded by texture" in lines.text
    assert hits(lines.text.encode(), EVERYTHING) == []
    assert {path: digest(path) for path in before} == before


@pytest.mark.slow
def test_the_search_would_find_the_name_in_every_format(tmp_path: Path) -> None:
    """Asked for, the name is in each export that names slides: so its absence elsewhere means something."""
    slide, bundle = write_planted(tmp_path), bundle_file(tmp_path)
    predict(slide, bundle, tmp_path / "out", "--identified")
    named = [
        path.name
        for path in sorted((tmp_path / "out" / "export").iterdir())
        if hits(path.read_bytes(), (FILE_NAME,))
    ]
    assert named == ["heatmap.ome.tif", "patches.geojson", "report.html", "report.pdf"]


def test_a_traceback_in_the_log_names_no_slide(tmp_path: Path, lines: Lines) -> None:
    from amkd_viewer.session import _fault

    path = write_planted(tmp_path)
    with open_slide(path) as slide:
        shown = pseudonym(slide.info.fingerprint.encode())
    try:
        raise RuntimeError(f"cannot make sense of {path} ({FILE_NAME})")
    except RuntimeError as error:
        _fault(path, error)
    assert "RuntimeError: cannot make sense of" in lines.text
    assert shown in lines.text
    assert hits(lines.text.encode(), EVERYTHING) == []


def test_a_slide_that_cannot_be_opened_is_not_named_in_logs_either(tmp_path: Path, lines: Lines) -> None:
    path = tmp_path / f"{FILE_NAME}.svs"
    path.write_bytes(b"II*\0")
    with pytest.raises(SlideError):
        open_slide(path)
    private_logger("amkd_core.test").warning("%s failed", path)
    assert " failed" in lines.text
    assert FILE_NAME not in lines.text


def test_all_loggers_that_see_slides_leave_names_out() -> None:
    root = Path(__file__).resolve().parents[2]
    files = [
        path for folder in ("amkd_core", "amkd_viewer") for path in sorted((root / folder).rglob("*.py"))
    ]
    plain = [
        path.relative_to(root).as_posix()
        for path in files
        for called in re.findall(
            r"getLogger\(([^)]*)\)|logging\.(?:debug|info|warning|error|exception)\(",
            path.read_text(encoding="utf-8"),
        )
        if called != '"tifffile"'  # which is told to be silent
    ]
    assert plain == [
        "amkd_core/private_names.py",
        "amkd_core/settings.py",  # it names the file of settings, and lies below the names
        "amkd_core/slides/reader_process.py",  # it tells numbers of processes and nothing else
    ]


def test_a_task_that_fails_names_no_slide_and_no_table(tmp_path: Path, lines: Lines) -> None:
    from amkd_viewer.tasks import Tasks

    slide, table = write_planted(tmp_path), tmp_path / f"{SECRETS[4]} {SECRETS[1]}.csv"
    table.write_text("gene,p\nA,1\n", encoding="utf-8")
    open_slide(slide).close()
    read_genes(table)

    def fail() -> None:
        raise RuntimeError(f"{slide} and {table} do not go together ({slide.name}, {table.name})")

    told: SimpleQueue[object] = SimpleQueue()
    tasks = Tasks(told.put)
    try:
        tasks.submit("export", fail)
        told.get(timeout=20)
    finally:
        tasks.close()
    assert "task export failed" in lines.text
    assert "RuntimeError: slide-" in lines.text
    assert hits(lines.text.encode(), (*EVERYTHING, str(tmp_path))) == []


def test_what_was_asked_for_names_no_patient_in_the_log(tmp_path: Path, lines: Lines) -> None:
    """Of files that nobody has opened yet: those have no pseudonym."""
    from amkd_viewer.events import Expression, PredictionRequest, QueueRequest
    from amkd_viewer.session import _fault

    slide = write_planted(tmp_path)
    open_slide(slide).close()
    table = tmp_path / f"{SECRETS[0]}.csv"
    one = PredictionRequest(slide, "f", Path("m.amkd"), expression=Expression(table, SECRETS[1], {}))
    for request in (one, QueueRequest((tmp_path / f"{SECRETS[2]}.svs",), Path("m.amkd"))):
        _fault(request, RuntimeError("a fault of ours"))
    assert "PredictionRequest" in lines.text
    assert "QueueRequest" in lines.text
    assert hits(lines.text.encode(), EVERYTHING) == []


def test_a_saved_picture_of_the_window_is_not_named_in_the_log(tmp_path: Path, lines: Lines) -> None:
    from amkd_viewer.launch import _save

    window = SimpleNamespace(screenshot=lambda **_: np.zeros((30, 40, 4), np.uint8))
    out = tmp_path / f"{FILE_NAME}.png"
    assert _save(SimpleNamespace(window=window), out).is_file()
    assert "window saved, 40 x 30 pixels" in lines.text
    assert hits(lines.text.encode(), (FILE_NAME, str(tmp_path))) == []


def test_pseudonyms_need_the_users_salt(tmp_path: Path) -> None:
    program = "from amkd_core.private_names import pseudonym; print(pseudonym(b'same'))"

    def in_folder(name: str) -> str:
        environment = {**os.environ, "AMKD_CONFIG_DIR": str(tmp_path / name)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    first, again, other = in_folder("one"), in_folder("one"), in_folder("two")
    assert first == again != other
    assert first.startswith("slide-")
    if os.name == "posix":
        assert (tmp_path / "one" / "pseudonyms.key").stat().st_mode & 0o077 == 0


def test_short_names_do_not_garble_the_log(tmp_path: Path) -> None:
    with pytest.raises(SlideError):
        open_slide(tmp_path / "a.svs")
    with pytest.raises(SlideError):
        open_slide(tmp_path / "region.svs")
    assert hide_names("a kept bag of a regional slide") == "a kept bag of a regional slide"
    assert hide_names("region was read") != "region was read"


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (FILE_NAME, True), ("S21-12345", True), ("SP-2019_001234", True), ("2021:S1234", True), ("19-H-00123", True),
        ("H2012345", True), ("7734120098", True), ("scan_19610427", True), ("born 1961-04-27", True),
        ("TCGA-A2-A0T2-01Z-00-DX1", False), ("GTEX-1117F-0126", False), ("CMU-1-Small-Region", False),
        ("slide_003", False), ("sim-7-0001", False), ("demo", False), ("OS-1", False), ("P00", False),
        ("test_005", False),
    ],
)  # fmt: skip
def test_names_that_point_to_a_patient_are_warned_of(name: str, is_one: bool, bundle: Bundle) -> None:
    assert looks_like_accession(name) == is_one
    prediction = predict_bag(replace(random_bag(), slide_id=name), bundle)
    sentences = [item.sentence for item in prediction.notices if item.code == "identifying_name"]
    assert bool(sentences) == is_one
    assert all("wsi-anon" in sentence and name not in sentence for sentence in sentences)


SCREENSHOT = "import sys; from amkd_viewer.launch import screenshot; screenshot(*sys.argv[1:4])"


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform == "linux" and not os.environ.get("DISPLAY"), reason="no display; install xvfb"
)
def test_the_window_shows_neither_label_nor_macro_image(tmp_path: Path) -> None:
    slide, bundle = write_planted(tmp_path), bundle_file(tmp_path)
    words = [sys.executable, "-c", SCREENSHOT, str(slide), str(bundle), str(tmp_path / "window.png")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    (picture,) = pictures_in(tmp_path / "window.png")
    assert not shows(picture, LABEL, FULL)
    assert not shows(picture, MACRO, FULL)
    assert hits((tmp_path / "window.png").read_bytes() + done.stderr.encode(), EVERYTHING) == []
