"""What leaves the machine: places are the slide's, names stay behind, nothing half-written is left."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from bundle_fixtures import N_GENES, random_bag, random_bundle

from amkd_core.errors import BagError, ConfigError, ModalityError
from amkd_core.export.figures import write_figure
from amkd_core.export.geojson import write_geojson
from amkd_core.export.ome_tiff import slide_image, write_heatmap_tiff
from amkd_core.export.pictures import SlidePictures
from amkd_core.export.prediction_report import _report as prediction_report
from amkd_core.export.prediction_report import key_figures, median_sentence, write_report
from amkd_core.export.pseudonym import shown_provenance
from amkd_core.export.report_pages import draw_pages
from amkd_core.export.scores import NoResult, write_results_table, write_scores_csv
from amkd_core.inference.maps import heatmap, percentile_ranks, top_patches
from amkd_core.inference.patient import on_slide, predict_patient
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction, SurvivalCurve
from amkd_core.inference.record import with_patient_of_genes
from amkd_core.inference.region import predict_region
from amkd_core.notices import Notice

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(N_GENES)}
NAME = "TCGA-ZZ-9999-canary"


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predict_bag(random_bag(30, slide_id=NAME), random_bundle(n_members=2), genes=GENES)


@pytest.fixture
def white() -> SlidePictures:
    patch = np.full((256, 256, 3), 255, dtype=np.uint8)
    return SlidePictures(np.full((500, 1000, 3), 255, dtype=np.uint8), (patch,) * 5)


def test_geojson_has_what_qupath_reads(prediction: Prediction, tmp_path: Path) -> None:
    write_geojson(tmp_path / "g.geojson", prediction, n_top=3)
    text = (tmp_path / "g.geojson").read_text()
    collection = json.loads(text)
    tiles = [item for item in collection["features"] if item["properties"]["objectType"] == "tile"]
    tops = [item for item in collection["features"] if item["properties"]["objectType"] == "annotation"]
    assert (collection["type"], len(tiles), len(tops)) == ("FeatureCollection", 30, 3)
    assert len({item["id"] for item in collection["features"]}) == 33
    ranks = percentile_ranks(prediction.patch_scores)
    for row, tile in enumerate(tiles):
        (ring,) = tile["geometry"]["coordinates"]
        x, y = prediction.bag.coords[row].tolist()
        assert ring == [[x, y], [x + 512, y], [x + 512, y + 512], [x, y + 512], [x, y]]
        assert tile["properties"]["measurements"]["AMKD percentile"] == pytest.approx(ranks[row])
    for feature, patch in zip(tops, top_patches(prediction, 3), strict=True):
        assert tuple(feature["geometry"]["coordinates"][0][0]) == patch.xy_level0
        assert feature["properties"]["classification"]["name"] == "AMKD most telling"
        assert feature["properties"]["isLocked"] is True
    write_geojson(tmp_path / "again.geojson", prediction, n_top=3)
    assert (tmp_path / "again.geojson").read_text() == text


def test_geojson_counts_from_the_bounds(prediction: Prediction, tmp_path: Path) -> None:
    write_geojson(tmp_path / "g.geojson", prediction, bounds_xy=(60, 40), source="teacher")
    first = json.loads((tmp_path / "g.geojson").read_text())["features"][0]
    assert first["geometry"]["coordinates"][0][0] == [100 - 60, 100 - 40]


def test_the_map_lies_on_the_slide_by_its_pixel_size(prediction: Prediction, tmp_path: Path) -> None:
    write_heatmap_tiff(tmp_path / "h.ome.tif", prediction)
    with tifffile.TiffFile(tmp_path / "h.ome.tif") as file:
        image, text = file.asarray(), file.ome_metadata
    size = [float(re.search(f'PhysicalSize{axis}="([^"]+)"', text).group(1)) for axis in "XY"]
    ranks = percentile_ranks(prediction.patch_scores)
    for row, (x, y) in enumerate(prediction.bag.coords):
        # Two level-0 pixels (of 0.25 um) inside each corner, every pixel is the patch's.
        for corner in ((x + 2, y + 2), (x + 509, y + 509)):
            column, line = (int(place * 0.25 / step) for place, step in zip(corner, size, strict=True))
            assert image[line, column] == pytest.approx(ranks[row])
    assert math.isclose(image.shape[1] * size[0], 6000 * 0.25, abs_tol=size[0])
    assert np.isnan(image[0, 0])


@pytest.mark.parametrize("bounds", [(0, 0), (37, 91), (356, 100)])
@pytest.mark.parametrize("origin", [(0, 0), (100, 100), (511, 3), (333, 77)])
def test_any_offset_is_met(prediction: Prediction, bounds, origin) -> None:
    bag = replace(prediction.bag, coords=prediction.bag.coords - 100 + np.array(origin))
    image, (width, height) = slide_image(
        heatmap(replace(prediction, bag=bag)), replace(prediction, bag=bag), bounds
    )
    seen = np.argwhere(np.isfinite(image))
    left, upper = seen[:, 1].min() * width, seen[:, 0].min() * height
    for found, expected in ((left, origin[0] - bounds[0]), (upper, origin[1] - bounds[1])):
        # A patch 3 px off the corner would need pixels of 3 px: there a 128th of the patch is what is promised.
        allowed = 512 / 128 if 0 < expected < 8 else 1.0
        assert abs(found - max(0, expected)) <= allowed + (width if expected < 0 else 0)


def test_a_slide_of_unknown_scale_is_measured_in_pixels(prediction: Prediction, tmp_path: Path) -> None:
    write_heatmap_tiff(
        tmp_path / "h.ome.tif", replace(prediction, bag=replace(prediction.bag, slide_mpp=None))
    )
    with tifffile.TiffFile(tmp_path / "h.ome.tif") as file:
        assert 'PhysicalSizeXUnit="pixel"' in file.ome_metadata


def test_scores_of_all_patches(prediction: Prediction, tmp_path: Path) -> None:
    write_scores_csv(tmp_path / "s.csv", prediction)
    table = pd.read_csv(tmp_path / "s.csv")
    np.testing.assert_allclose(table["student_weight"], prediction.patch_scores * 30)
    np.testing.assert_allclose(table["teacher_percentile"], percentile_ranks(prediction.teacher.patch_scores))
    np.testing.assert_array_equal(table[["x_level0", "y_level0"]], prediction.bag.coords)
    bare = replace(prediction, bag=replace(prediction.bag, coords=None, patch_size_level0=None), teacher=None)
    write_scores_csv(tmp_path / "s.csv", bare)
    assert "x_level0" not in pd.read_csv(tmp_path / "s.csv").columns


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)"])
def test_results_are_no_formulas(prediction: Prediction, tmp_path: Path, name: str) -> None:
    write_results_table(tmp_path / "r.csv", [prediction, replace(prediction, slide_id=name)], identified=True)
    table = pd.read_csv(tmp_path / "r.csv")
    assert table["slide"].tolist() == [NAME, f"'{name}"]
    assert table["risk"].tolist() == [prediction.risk] * 2
    assert table["survival_1_years"].between(0, 1).all()


def test_slides_without_a_result_stay_in_the_table(prediction: Prediction, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    results = [
        NoResult(NAME, "failed", f"=/data/{NAME}.svs: no tissue"),
        prediction,
        NoResult("b", "waiting"),
    ]
    write_results_table(path, results, identified=True)
    table = pd.read_csv(path, keep_default_na=False)
    assert table["outcome"].tolist() == ["failed", "predicted", "waiting"]
    assert table["reason"].tolist() == [f"'=/data/{NAME}.svs: no tissue", "", ""]
    assert table["risk"].tolist() == ["", str(prediction.risk), ""]
    write_results_table(path, results)
    assert NAME not in path.read_text(encoding="utf-8")
    write_results_table(path, results[:1], identified=True)
    assert pd.read_csv(path)["slide"].tolist() == [NAME]


def written(folder: Path, prediction: Prediction, pictures: SlidePictures, *, identified: bool) -> bytes:
    """All exports of a result, one behind the other."""
    folder.mkdir()
    write_geojson(folder / "g.geojson", prediction, identified=identified)
    write_heatmap_tiff(folder / "h.ome.tif", prediction, identified=identified)
    write_report(folder / "r.html", prediction, pictures, identified=identified)
    write_report(folder / "r.pdf", prediction, pictures, identified=identified)
    write_scores_csv(folder / "s.csv", prediction)
    write_results_table(folder / "t.csv", [prediction], identified=identified)
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_names_stay_behind_unless_asked_for(
    prediction: Prediction, white: SlidePictures, tmp_path: Path
) -> None:
    assert NAME.encode() not in written(tmp_path / "hidden", prediction, white, identified=False)
    named = written(tmp_path / "named", prediction, white, identified=True)
    assert named.count(NAME.encode()) >= 4
    assert b"slide-" in (tmp_path / "hidden" / "r.html").read_bytes()


PATIENT, OTHER = "Erika Mustermann", "SECOND-5678"


def test_a_patients_name_and_slides_stand_in_named_reports_alone(
    white: SlidePictures, tmp_path: Path
) -> None:
    bags = [random_bag(30, seed=1, slide_id=NAME), random_bag(21, seed=2, slide_id=OTHER)]
    bags[1] = replace(bags[1], slide_fingerprint="2" * 16)
    whole = predict_patient(bags, random_bundle(), patient_id=PATIENT)
    prediction = on_slide(whole, bags[1], 1)

    hidden = written(tmp_path / "hidden", prediction, white, identified=False)
    for name in (PATIENT, "Mustermann", NAME, OTHER):
        assert name.encode() not in hidden
    assert "Survival risk predicted for a patient from 2 slides" in (tmp_path / "hidden/r.html").read_text()
    written(tmp_path / "named", prediction, white, identified=True)
    page = (tmp_path / "named/r.html").read_text()
    assert f"Survival risk predicted for {PATIENT} from 2 slides" in page
    assert f"2 slides together ({NAME}, {OTHER})" in page
    assert PATIENT.encode() in (tmp_path / "named/r.pdf").read_bytes()
    # What was weighed, and how much of it is shown, is the same number wherever it stands.
    assert "of the 51 patches of the patient that were weighed, 21 are on this slide" in page
    assert "51 of 256 px at 0.5 µm, 21 of them on this slide" in page
    assert PATIENT not in repr(whole.patient)


def test_notices_name_no_slide_and_are_exported_as_they_are(tmp_path: Path) -> None:
    """Names were replaced in sentences once: of a slide "a" all words with an a were garbled."""
    bundle, bags = (
        random_bundle(),
        [random_bag(30, seed=index, slide_id=name) for index, name in enumerate("ae")],
    )
    bags = [replace(bag, slide_fingerprint=None) for bag in bags]
    corner = [np.array([(0, 0), (2000, 0), (0, 2000)])]
    patient = predict_patient(bags, bundle, patient_id="e")
    for found in (
        predict_bag(bags[0], bundle),
        predict_region(predict_bag(bags[0], bundle), bundle, corner),
        on_slide(patient, bags[1], 1),
    ):
        write_geojson(tmp_path / "g.geojson", found)
        sentences = json.loads((tmp_path / "g.geojson").read_text())["amkd"]["notices"]
        assert sentences == [notice.sentence for notice in found.notices]
        assert "Research use only" in sentences[0]
    for found in (
        predict_bag(replace(bags[0], slide_id=NAME), bundle),
        predict_region(predict_bag(replace(bags[0], slide_id=NAME), bundle), bundle, corner),
        on_slide(predict_patient(bags, bundle, patient_id=NAME), replace(bags[1], slide_id=NAME), 1),
    ):
        assert NAME not in " ".join(notice.sentence for notice in found.notices)


def test_the_hash_of_the_file_stays_behind_with_its_name(
    prediction: Prediction, white: SlidePictures, tmp_path: Path
) -> None:
    """Whoever holds the slides that it may be of could find it among them by sha256sum."""
    secret = hashlib.sha256(b"a slide").hexdigest()
    record = {**prediction.provenance["slide"], "fingerprint": f"sha256:{secret}"}
    found = replace(
        prediction,
        bag=replace(prediction.bag, slide_fingerprint=f"sha256:{secret}"),
        provenance={**prediction.provenance, "slide": record},
    )

    def written(*, identified: bool) -> dict[str, bytes]:
        write_geojson(tmp_path / "g.geojson", found, identified=identified)
        write_heatmap_tiff(tmp_path / "h.ome.tif", found, identified=identified)
        write_report(tmp_path / "r.html", found, white, identified=identified)
        rows = [
            cell
            for part in prediction_report(found, {}, identified=identified).sections
            for table in part.tables
            for row in table.rows
            for cell in row
        ]
        files = {name: (tmp_path / name).read_bytes() for name in ("g.geojson", "h.ome.tif", "r.html")}
        return files | {"r.pdf": " ".join(rows).encode()}

    hidden, named = written(identified=False), written(identified=True)
    assert [name for name, content in hidden.items() if secret.encode() in content] == []
    assert [name for name, content in named.items() if secret.encode() in content] == list(named)
    shown = re.findall(rb"keyed:[0-9a-f]{64}", b" ".join(hidden.values()))
    assert len(shown) == len(hidden)
    assert len(set(shown)) == 1
    bare = replace(found, provenance={**found.provenance, "slide": {**record, "fingerprint": None}})
    assert shown_provenance(bare, identified=False)["slide"]["fingerprint"] is None


def test_the_report_says_what_was_predicted(
    prediction: Prediction, white: SlidePictures, tmp_path: Path
) -> None:
    write_report(tmp_path / "r.html", prediction, white)
    page = (tmp_path / "r.html").read_text()
    for part in (
        f"{prediction.risk:.2f}",
        f"{prediction.risk_percentile:.0f} %",
        "Research use only. Not for diagnosis",
        prediction.notices[1].sentence,
        f"{prediction.teacher.risk:.2f} on its own scale",
        prediction.provenance["encoder"]["weights_sha256"],
    ):
        assert part in page, part
    assert page.count("data:image/png;base64,") == 3
    write_report(tmp_path / "r.pdf", prediction, white)
    raw = (tmp_path / "r.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", raw)) == 2


def test_a_single_patch_has_no_rank_correlation(tmp_path: Path) -> None:
    lone = predict_bag(random_bag(1), random_bundle(), genes=GENES)
    named = with_patient_of_genes(lone, "PATIENT-9")
    write_report(tmp_path / "r.html", named, None, identified=True)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "correlation of" not in page
    assert "One of the two maps is the same everywhere" in page
    assert "12 genes of PATIENT-9, 0 of them missing" in page
    assert "expression of a patient whose name does not begin that of the slide" in page
    write_report(tmp_path / "r.html", named, None)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "PATIENT-9" not in page
    assert "12 genes, 0 of them missing" in page
    assert named.group_text.startswith("doubtful: ")  # of one patch nobody can tell


def test_both_reports_call_the_model_simulated_and_not_the_patients(
    prediction: Prediction, white: SlidePictures, tmp_path: Path
) -> None:
    write_report(tmp_path / "r.html", prediction, white)
    page = (tmp_path / "r.html").read_text()
    report = prediction_report(prediction, {}, identified=False)
    printed = " ".join(text.get_text() for text in next(iter(draw_pages(prediction, white, report))).texts)
    for said in (page, " ".join(printed.split())):
        assert "SYNTHETIC MODEL: says nothing about people." in said
        assert "SYNTHETIC COHORT" not in said


def _with_long_names(prediction: Prediction) -> Prediction:
    names = tuple(
        f"REACTOME_SIGNALING_BY_RECEPTOR_TYROSINE_KINASES_AND_DOWNSTREAM_TARGETS_OF_EGFR_{index}"
        for index, _ in enumerate(prediction.teacher.pathways)
    )
    return replace(prediction, teacher=replace(prediction.teacher, pathways=names))


@pytest.mark.parametrize(
    ("what", "n_pages"),
    [
        ("expression", 2),
        ("long names", 3),
        ("names with a line break", 2),
        ("many notices", 4),
        ("a long name", 2),
    ],
)
def test_no_word_of_the_report_lies_off_its_pages(
    prediction: Prediction, white: SlidePictures, what: str, n_pages: int
) -> None:
    """A banner that breaks off and a provenance below the paper are as good as none."""
    found = _with_long_names(prediction) if what == "long names" else prediction
    if what == "names with a line break":
        names = tuple(f"PATHWAY\n{name}" for name in found.teacher.pathways)
        found = replace(found, teacher=replace(found.teacher, pathways=names))
    if what == "many notices":
        found = replace(found, notices=found.notices + (Notice("scale_source", "word " * 60),) * 40)
    if what == "a long name":
        named = {**found.provenance["slide"], "id": "W" * 120}
        found = replace(found, slide_id="W" * 120, provenance={**found.provenance, "slide": named})
    report = prediction_report(found, {}, identified=what == "a long name")
    pages = list(draw_pages(found, white, report))
    assert len(pages) == n_pages
    for page in pages:
        width, height = page.bbox.width, page.bbox.height
        boxes = {text.get_text(): text.get_window_extent(page.canvas.get_renderer()) for text in page.texts}
        footer = boxes.pop(report.footer)
        for words, box in boxes.items():
            assert 0.05 * width < box.x0 < box.x1 < 0.95 * width, words
            assert footer.y1 < box.y0 < box.y1 < height, words
        assert "says nothing about people." in " ".join(boxes)
    written = "".join("".join(text.get_text().split()) for page in pages for text in page.texts)
    cells = [cell for part in report.sections for table in part.tables for row in table.rows for cell in row]
    cells += [table.note for part in report.sections for table in part.tables]
    cells += [point for part in report.sections for point in part.points]
    for cell in cells:
        assert "".join(cell.split()) in written, cell


def test_a_prediction_without_a_map_is_reported_too(prediction: Prediction, tmp_path: Path) -> None:
    bare = replace(prediction, bag=replace(prediction.bag, coords=None, patch_size_level0=None), teacher=None)
    for name in ("r.html", "r.pdf"):
        write_report(tmp_path / name, bare, None)
        assert (tmp_path / name).stat().st_size > 5000
    write_figure(tmp_path / "f.png", bare, identified=False)
    for write in (write_geojson, write_heatmap_tiff):
        with pytest.raises(BagError, match="no places on one slide"):
            write(tmp_path / "x", bare)
    with pytest.raises(ModalityError, match="no teacher map"):
        write_geojson(tmp_path / "x", replace(prediction, teacher=None), source="teacher")
    with pytest.raises(ConfigError, match=r"ends in .html or .pdf, found .doc"):
        write_report(tmp_path / "x.doc", bare, None)
    # The user's folder, where the salt of pseudonyms is made at first use, lies there as well.
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["f.png", "r.html", "r.pdf"]


def test_the_median_is_read_off_the_curve(prediction: Prediction) -> None:
    curve = SurvivalCurve(np.array([0.0, 10.0, 20.0]), np.array([1.0, 0.75, 0.25]))
    assert median_sentence(replace(prediction, curve=curve)) == "median 15 months"
    late = SurvivalCurve(np.array([0.0, 20.0]), np.array([1.0, 0.6]))
    assert (
        median_sentence(replace(prediction, curve=late))
        == "median beyond the 20 months that the cohort was followed"
    )


@pytest.mark.parametrize(
    ("last_month", "half_at", "is_marked"),
    [(100.0, 80.0, False), (100.0, 95.0, True), (40.0, 30.0, True), (200.0, None, False)],
)
def test_a_median_read_off_the_open_bin_is_marked(
    prediction: Prediction, last_month: float, half_at: float | None, is_marked: bool
) -> None:
    """Years and median alike: whichever is read off where the model tells no times brings the limit along."""
    edges = (0.0, 24.0, 50.0, 90.0) if last_month > 60 else (0.0, 12.0, 24.0, 28.0)
    members = tuple(replace(member, bin_edges_months=edges) for member in prediction.members)
    months = np.array([0.0, half_at or last_month, last_month + 1])
    curve = SurvivalCurve(months, np.array([1.0, 0.5 if half_at else 0.7, 0.4 if half_at else 0.7]))
    note = key_figures(replace(prediction, members=members, curve=curve))[-1].note
    assert ("months on the curve takes its shape from the training" in note) == is_marked, note
    assert (f"from {edges[-1]:.0f} months" in note) == is_marked
