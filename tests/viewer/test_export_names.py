"""Names under which results are offered and written; no window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle

from amkd_core.inference.predict import predict_bag
from amkd_core.inference.region import predict_region
from amkd_core.notices import Notice
from amkd_viewer import exports
from amkd_viewer.wording import result_title


@pytest.fixture(scope="module")
def prediction():
    bundle = random_bundle()
    genes = dict.fromkeys(bundle.card.genes, 5.0)
    return predict_bag(random_bag(57), bundle, genes=genes)


def test_a_pathway_whose_name_holds_a_slash_stays_in_the_folder(prediction, tmp_path: Path) -> None:
    name = "PI3K/AKT signalling"
    teacher = replace(prediction.teacher, pathways=(name, *prediction.teacher.pathways[1:]))
    order = exports.ExportOrder(
        tmp_path / "out", ("geojson", "tiff"), name, 5, identified=False, info=_info()
    )
    written = exports.write_all(order, replace(prediction, teacher=teacher))
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == sorted(written)
    assert all(path.is_file() for path in (tmp_path / "out").iterdir())


def test_results_of_two_models_lie_beside_each_other(prediction, tmp_path: Path) -> None:
    order = exports.ExportOrder(
        tmp_path, ("scores", "curve_csv"), "student", 5, identified=False, info=_info()
    )
    written: list[str] = []
    for sha256 in ("0123456789abcdef", "fedcba9876543210", "0123456789abcdef"):
        model = {"name": "same", "sha256": sha256, "synthetic": False}
        result = replace(prediction, provenance={**prediction.provenance, "bundle": model})
        written += exports.write_all(order, result)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(set(written))
    assert len(set(written)) == 4, "the same result anew takes its own place, another model's none"
    assert all("-01234567-" in name or "-fedcba98-" in name for name in written)


@pytest.mark.parametrize(
    ("codes", "scope", "title"),
    [
        ((), "", "Student: "),
        (("region",), "-region", ", region, "),
        (("several_slides",), "-patient", ", patient, "),
        (("region", "several_slides"), "-patient-region", ", patient, region, "),
    ],
)
def test_results_of_less_and_of_more_than_a_slide_have_names_of_their_own(
    prediction, codes: tuple[str, ...], scope: str, title: str
) -> None:
    noted = replace(prediction, notices=(*prediction.notices, *(Notice(code, "x") for code in codes)))
    assert exports.scope_of(noted) == scope
    assert title in result_title(noted, "student")


def test_two_regions_of_a_slide_lie_beside_each_other(tmp_path: Path) -> None:
    bundle = random_bundle()
    whole = predict_bag(random_bag(57), bundle)
    side = np.array(whole.bag.patch_size_level0)
    squares = [whole.bag.coords[place] + side * [[0, 0], [1, 0], [1, 1], [0, 1]] for place in (0, 9)]
    order = exports.ExportOrder(tmp_path, ("scores",), "student", 5, identified=False, info=_info())
    regions = [
        predict_region(whole, bundle, [square], exclude=exclude)
        for square, exclude in (
            (squares[0], False),
            (squares[1], False),
            (squares[1], True),
            (squares[0], False),
        )
    ]
    written = [name for region in regions for name in exports.write_all(order, region)]
    assert len(set(written)) == 3, "the same region anew takes its own place, another region's none"
    assert written[0] == written[3]
    assert all("-region-" in name for name in written)


def _info():
    from types import SimpleNamespace

    return SimpleNamespace(bounds=SimpleNamespace(x=0, y=0))
