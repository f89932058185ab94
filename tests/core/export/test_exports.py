from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import h5py
import matplotlib
import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle
from matplotlib.figure import Figure
from PIL import Image

from amkd_core.bundle_card import Measured, MeasuredSubgroups, SubgroupMeasured
from amkd_core.export import fonts
from amkd_core.export.curve_figure import draw_curve
from amkd_core.export.figures import draw_overlay, draw_scale, map_height, write_figure
from amkd_core.export.heatmap_file import write_heatmap
from amkd_core.export.pictures import SlidePictures, read_pictures
from amkd_core.export.prediction_json import prediction_record, write_prediction_json
from amkd_core.export.prediction_report import key_figures, write_report
from amkd_core.export.slide_frame import frame_of
from amkd_core.inference.maps import percentile_ranks, top_patches
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.notices import DOUBTS, Notice, NoticeCode
from amkd_core.slides.info import Bounds
from amkd_viewer.wording import curve_heading, prediction_facts, survival_facts, told_text

GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(12)}
BOX_COLOUR = (0, 229, 255)


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predict_bag(random_bag(30), random_bundle(n_members=2), genes=GENES)


@pytest.fixture
def white() -> SlidePictures:
    """Blank pictures of the slide of 6000 x 3000 px, so that whatever has a colour was drawn."""
    patch = np.full((256, 256, 3), 255, dtype=np.uint8)
    return SlidePictures(np.full((500, 1000, 3), 255, dtype=np.uint8), (patch,) * 5)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_json_is_what_was_predicted(prediction: Prediction, tmp_path: Path) -> None:
    write_prediction_json(tmp_path / "p.json", prediction)
    record = json.loads((tmp_path / "p.json").read_text())
    assert record == json.loads(json.dumps(prediction_record(prediction)))
    assert record["risk"] == prediction.risk
    assert record["member_risks"] == prediction.member_risks.tolist()
    assert record["curve"]["months"][0] == 0
    assert [patch["rank"] for patch in record["top_patches"]] == [1, 2, 3, 4, 5]
    assert record["cohort"] == {
        "size": 50,
        "events": prediction.cohort.events,
        "endpoint": "os",
        "risk_cut": -2.0,
    }
    assert {pathway["name"] for pathway in record["teacher"]["pathways"]} == {
        f"SIM_PATHWAY_{index}" for index in range(4)
    }


def test_a_result_tells_how_well_its_model_did(tmp_path: Path) -> None:
    figure = {"c_index": 0.61, "lower": 0.5, "upper": 0.72, "level": 0.95}
    own = Measured(model="student", fold=1, n_patients=30, n_events=12, **figure)
    bundle = random_bundle()
    bundle = dataclasses.replace(bundle, card=bundle.card.model_copy(update={"measured": [own]}))
    found = predict_bag(random_bag(30), bundle)
    told = "C-index 0.610 [0.500, 0.720] on 30 test patients with 12 events"
    assert ("Measured", told) in prediction_facts(found)
    write_report(tmp_path / "report.html", found, None)
    assert told in (tmp_path / "report.html").read_text()
    assert "Subgroups" not in dict(prediction_facts(found))


def test_a_result_tells_how_well_its_model_did_in_subgroups(tmp_path: Path) -> None:
    figure = {
        "model": "student",
        "n_patients": 20,
        "c_index": 0.61,
        "lower": 0.5,
        "upper": 0.72,
        "level": 0.95,
    }
    women = SubgroupMeasured(group="female", **figure)
    card = random_bundle().card.model_copy(
        update={"subgroups": [MeasuredSubgroups(by="sex", measured=[women])]}
    )
    found = predict_bag(random_bag(30), dataclasses.replace(random_bundle(), card=card))
    told = "C-index: sex female 0.61 [0.50, 0.72]; they may differ by chance"
    facts = dict(prediction_facts(found))
    assert list(facts).index("Subgroups") == list(facts).index("Measured") + 1
    assert facts["Subgroups"] == told
    write_report(tmp_path / "report.html", found, None)
    assert told in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("endpoint", "name", "label"),
    [
        ("os", "overall survival", "probability of survival"),
        ("dss", "disease-specific survival", "probability of disease-specific survival"),
        ("pfi", "progression-free interval", "probability of freedom from progression"),
    ],
)
def test_a_result_says_what_its_model_was_trained_for(endpoint: str, name: str, label: str) -> None:
    """A curve of progression that is read as one of survival is wrong, and nobody sees it."""
    bundle = random_bundle(n_members=2)
    bundle = dataclasses.replace(bundle, card=bundle.card.model_copy(update={"endpoint": endpoint}))
    found = predict_bag(random_bag(30), bundle)
    assert prediction_record(found)["cohort"]["endpoint"] == endpoint
    figure = Figure()
    draw_curve(figure.add_subplot(), found)
    assert (figure.axes[0].get_title(), figure.axes[0].get_ylabel()) == (f"Predicted {name}", label)
    texts = [f"{key.label} {key.note}" for key in key_figures(found)]
    texts += [
        *map(" ".join, (*survival_facts(found), *prediction_facts(found))),
        told_text(found),
        curve_heading(found),
    ]
    assert ("Endpoint", name) in survival_facts(found)
    assert ("Endpoint", name) in prediction_facts(found)
    assert curve_heading(found) == f"Predicted {name}"
    if endpoint == "pfi":
        assert not [text for text in texts if re.search(r"surviv|death|\b(die|died|live)\b", text)]
    elif endpoint == "dss":
        assert any("deaths from the disease" in text for text in texts)


def test_every_field_of_the_json_is_documented(prediction: Prediction) -> None:
    page = (Path(__file__).parents[3] / "docs" / "file-formats.md").read_text(encoding="utf-8")

    def names(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {name for item in value.values() for name in names(item)}
        return {name for item in value for name in names(item)} if isinstance(value, list) else set()

    missing = {name for name in names(prediction_record(prediction)) if f"`{name}`" not in page}
    # Names of libraries are values, not fields.
    assert missing - {"openslide-bin", "tifffile", "torch", "numpy", "python", "amkd"} == set()


def test_every_notice_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "file-formats.md").read_text(encoding="utf-8")
    assert [code for code in get_args(NoticeCode) if f"| `{code}` |" not in page] == []


def test_a_group_that_is_in_doubt_is_not_told_alone_in_what_is_passed_on(
    prediction: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr(Figure, "suptitle", lambda _, text, **__: titles.append(text.replace("\n", " ")))
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: Path(path).touch())
    plain = dataclasses.replace(prediction, notices=prediction.notices[:1])
    for code in (None, *DOUBTS):
        notices = plain.notices if code is None else (*plain.notices, Notice(code, "Do not rely on this."))
        found = dataclasses.replace(plain, notices=notices)
        group = found.risk_group if code is None else f"doubtful: {found.risk_group}"
        write_figure(tmp_path / "figure.png", found, None)
        assert f": {group} risk group" in titles.pop()
        key = next(key for key in key_figures(found) if key.label == "Risk group")
        assert (key.value, "in doubt" in key.note) == (group, code is not None)
        assert prediction_record(found)["risk_group"] == found.risk_group, (
            "programs read the two groups alone"
        )


def test_a_prediction_without_places_has_no_top_patches(prediction: Prediction) -> None:
    bare = dataclasses.replace(prediction, bag=dataclasses.replace(prediction.bag, coords=None), teacher=None)
    record = prediction_record(bare)
    assert record["top_patches"] == []
    assert record["teacher"] is None


def test_a_map_that_cannot_be_ranked_is_null_and_not_nan(prediction: Prediction, tmp_path: Path) -> None:
    flat = dataclasses.replace(prediction, patch_scores=np.full(30, 1 / 30))
    write_prediction_json(tmp_path / "p.json", flat)
    assert json.loads((tmp_path / "p.json").read_text())["teacher"]["agreement"]["spearman"] is None


def test_hdf5_holds_raw_scores_and_ranks(prediction: Prediction, tmp_path: Path) -> None:
    write_heatmap(tmp_path / "h.h5", prediction)
    with h5py.File(tmp_path / "h.h5") as file:
        np.testing.assert_allclose(file["scores"][()], prediction.patch_scores * 30, rtol=1e-6)
        np.testing.assert_allclose(
            file["percentiles"][()], percentile_ranks(prediction.patch_scores), rtol=1e-6
        )
        np.testing.assert_array_equal(file["coords"][()], prediction.bag.coords)
        assert file["coords"].attrs["patch_size_level0"].tolist() == [512, 512]
        assert prediction.teacher is not None
        np.testing.assert_array_equal(file["teacher/pathways"][()], prediction.teacher.coattention)
        assert json.loads(file["teacher"].attrs["pathway_names"]) == list(prediction.teacher.pathways)
        assert json.loads(file.attrs["provenance"])["slide"]["id"] == "slide"


def test_the_picture_shows_five_boxes_and_the_map(
    prediction: Prediction, white: SlidePictures, tmp_path: Path
) -> None:
    write_figure(tmp_path / "p.png", prediction, white)
    drawn = pixels(tmp_path / "p.png").astype(int)
    boxes = (np.abs(drawn - BOX_COLOUR).max(axis=2) < 40).sum()
    assert boxes > 5 * 60  # five frames of some dozens of pixels each
    # Colours of the map fill the grid's share of the second panel: 30 of 6000 x 3000 / 512^2 cells.
    middle = drawn[:, drawn.shape[1] // 3 : 2 * drawn.shape[1] // 3]
    assert ((middle.max(axis=2) - middle.min(axis=2)) > 40).mean() > 0.03


def test_the_map_in_the_picture_lies_where_the_patches_lie(
    prediction: Prediction, white: SlidePictures, tmp_path: Path
) -> None:
    # One patch in the lower right corner of the slide, on a blank slide: nothing else may have a colour.
    bag = dataclasses.replace(
        prediction.bag.subset(np.arange(1)), coords=np.array([[5000, 2400]]), patch_size_level0=(512, 512)
    )
    single = dataclasses.replace(prediction, bag=bag, patch_scores=np.ones(1), teacher=None)
    write_figure(tmp_path / "p.png", single, SlidePictures(white.thumbnail, white.patches[:1]))
    drawn = pixels(tmp_path / "p.png").astype(int)
    rows, columns = np.nonzero(np.abs(drawn - BOX_COLOUR).max(axis=2) < 40)
    frame_rows, frame_columns = _frame(drawn, columns.mean())
    share = (
        (columns.mean() - frame_columns[0]) / np.ptp(frame_columns),
        (rows.mean() - frame_rows[0]) / np.ptp(frame_rows),
    )
    np.testing.assert_allclose(share, (5256 / 6000, 2656 / 3000), atol=0.01)


def _frame(drawn: np.ndarray, near_column: float) -> tuple[np.ndarray, np.ndarray]:
    """First and last row and column of the black frame of the panel around a column."""
    black = drawn.max(axis=2) < 60
    rows = np.flatnonzero(black.sum(axis=1) > 0.6 * drawn.shape[1])  # two panels wide; no title is
    rows = rows[[0, -1]]
    columns = np.flatnonzero(black[rows[0] : rows[1]].mean(axis=0) > 0.9)
    left, right = columns[columns < near_column].max(), columns[columns > near_column].min()
    return rows, np.array([left, right])


def test_the_scanned_area_is_what_a_picture_shows(prediction: Prediction, white: SlidePictures) -> None:
    """Some scanners write a wide empty glass around it, on which tissue is a speck; its pixels need not be square."""
    bounds = Bounds(900, 450, 2400, 1800)
    framed = dataclasses.replace(white, bounds=bounds)
    bag = dataclasses.replace(prediction.bag, slide_mpp=(0.25, 0.5))
    found = dataclasses.replace(prediction, bag=bag)
    figure = Figure()
    grid = figure.add_gridspec(2, 2)
    draw_overlay(figure, grid, found, framed)
    axes = figure.axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((900, 3300), (2250, 450))
    assert axes.get_aspect() == 2
    assert list(axes.images[0].get_extent()) == [900, 3300, 2250, 450]
    assert map_height(found, framed) == pytest.approx(min(9.5, 5.1 * 1800 / 2400 * 2))
    draw_scale(axes, found)
    (line,) = axes.lines
    (left, right), (height, _) = line.get_data()
    assert 900 < left < right < 3300
    assert 450 < height < 2250
    assert (right - left) * 0.25 == 100  # about a fifth of 600 um
    assert framed.bounds_xy == (900, 450)
    # A bag of the slide alone tells where the area begins, not how large it is: up to the last patch.
    bag = dataclasses.replace(bag, slide_bounds_xy=(100, 50))
    frame = frame_of(dataclasses.replace(prediction, bag=bag), None)
    far = bag.coords.max(axis=0) + np.array(bag.patch_size_level0)
    assert (frame.corner, frame.size) == ((100, 50), tuple(far - (100, 50)))


def test_a_picture_without_slide_or_without_places(prediction: Prediction, tmp_path: Path) -> None:
    write_figure(tmp_path / "map.png", prediction)
    boxes = np.abs(pixels(tmp_path / "map.png").astype(int) - BOX_COLOUR).max(axis=2) < 40
    assert boxes.sum() > 300
    unsized = dataclasses.replace(prediction.bag, slide_size_level0=None, slide_mpp=None)
    write_figure(tmp_path / "unsized.png", dataclasses.replace(prediction, bag=unsized))
    bare = dataclasses.replace(prediction, bag=dataclasses.replace(prediction.bag, coords=None), teacher=None)
    write_figure(tmp_path / "curve.png", bare)
    assert pixels(tmp_path / "curve.png").shape[1] < pixels(tmp_path / "map.png").shape[1]


@pytest.mark.parametrize("name", ["$x^$ \\frac", "x" * 400, "Größe_切片", "{braces} %s"])
def test_odd_names_are_drawn(prediction: Prediction, tmp_path: Path, name: str) -> None:
    write_figure(tmp_path / "p.png", dataclasses.replace(prediction, slide_id=name))
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_pictures_are_read_from_the_slide_and_never_its_label(prediction: Prediction) -> None:
    asked: list[tuple[tuple[int, int], tuple[int, int]]] = []

    class Recorder:
        """A slide that remembers what was asked of it."""

        info = SimpleNamespace(bounds=Bounds(60, 40, 5000, 2500))

        def thumbnail(self, max_side_px: int, *, within: Bounds) -> np.ndarray:
            assert within == self.info.bounds
            return np.zeros((10, 20, 3), dtype=np.uint8)

        def read_region(self, xy: tuple[int, int], level: int, size: tuple[int, int]) -> np.ndarray:
            assert level == 0
            asked.append((xy, size))
            return np.zeros((*size[::-1], 3), dtype=np.uint8)

        def associated_image(self, name: str) -> np.ndarray:
            raise AssertionError(f"read {name}")

    pictures = read_pictures(Recorder(), prediction)  # type: ignore[arg-type]
    assert asked == [(patch.xy_level0, patch.size_level0) for patch in top_patches(prediction)]
    assert [patch.shape for patch in pictures.patches] == [(256, 256, 3)] * 5
    assert pictures.bounds_xy == (60, 40)


def test_names_in_scripts_that_the_first_font_lacks_are_drawn_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "_OTHERS", ("STIXGeneral", "no such font"))

    def ink(text: str) -> np.ndarray:
        figure = Figure(figsize=(1, 1), dpi=60)
        figure.text(0.1, 0.4, text, fontsize=20)
        figure.savefig(tmp_path / "text.png")
        return np.asarray(Image.open(tmp_path / "text.png").convert("L"))

    capital = "\N{MATHEMATICAL SCRIPT CAPITAL A}"  # not in DejaVu Sans
    with fonts.fonts_of_all_scripts():
        assert matplotlib.rcParams["font.family"] == ["sans-serif", "STIXGeneral"]
        drawn, nowhere = ink(capital), ink("\N{CJK UNIFIED IDEOGRAPH-5B57}")  # a box, and no warning
    assert (drawn != nowhere).any()
    with pytest.warns(UserWarning, match="missing from font"):
        assert (ink(capital) != drawn).any()
