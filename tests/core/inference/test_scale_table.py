"""Scales by slide from a table: names as people write them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from amkd_core.errors import CohortError
from amkd_core.inference.scale_table import read_scales

SLIDES = [Path("in/a.svs"), Path("in/b.ome.tif"), Path("in/c.tif")]


def table(folder: Path, *rows: str, heads: str = "slide,mpp") -> Path:
    path = folder / "scales.csv"
    path.write_text("\n".join((heads, *rows)) + "\n")
    return path


def test_names_are_taken_as_people_write_them(tmp_path: Path) -> None:
    rows = (" a.svs ,0.25", "C:\\slides\\b.ome.tif,0.5", "", "/data/scans/c,1")
    assert read_scales(table(tmp_path, *rows, heads="slide , mpp"), SLIDES) == dict(
        zip(SLIDES, (0.25, 0.5, 1.0), strict=True)
    )
    assert read_scales(table(tmp_path, "a,0.25", "a.svs,0.25"), SLIDES) == {SLIDES[0]: 0.25}
    assert read_scales(table(tmp_path), SLIDES) == {}


def test_rows_that_name_no_slide_are_refused_by_name(tmp_path: Path) -> None:
    sentence = (
        r"^scales\.csv: A\.svs, b\.tif in the column slide match none of the 3 slides given, and a\.svs has no row; "
        r"correct the names, or take those rows out$"
    )
    with pytest.raises(CohortError, match=sentence):
        read_scales(table(tmp_path, "A.svs,0.5", "b.tif,0.5", "c,0.5", "A.svs,0.5"), SLIDES)
    with pytest.raises(CohortError, match=r"n0, n1, n2, n3, n4 and 2 more in the column slide"):
        read_scales(table(tmp_path, *(f"n{index},0.5" for index in range(7))), SLIDES)


def test_a_table_of_a_whole_cohort_goes_with_a_part_of_its_slides(tmp_path: Path) -> None:
    whole = table(tmp_path, "a.svs,0.25", "b.ome.tif,0.5", "c.tif,1", "d.svs,0.25")
    assert read_scales(whole, SLIDES[1:]) == {SLIDES[1]: 0.5, SLIDES[2]: 1.0}


@pytest.mark.parametrize("second", ["a.svs", "a", "elsewhere/a.svs"])
def test_two_scales_of_one_slide_are_refused(tmp_path: Path, second: str) -> None:
    with pytest.raises(
        CohortError, match=r"a\.svs has mpp 0\.25 in line 2 and 0\.5 in line 4; expected one scale"
    ):
        read_scales(table(tmp_path, "a.svs,0.25", "b,0.5", f"{second},0.5"), SLIDES)


@pytest.mark.parametrize("heads", ["slide,mpp, mpp", "slide,slide,mpp"])
def test_a_column_twice_is_refused(tmp_path: Path, heads: str) -> None:
    with pytest.raises(
        CohortError, match=r"scales\.csv: column (mpp|slide) stands there twice, expected once"
    ):
        read_scales(table(tmp_path, "a,0.25,0.5", heads=heads), SLIDES)


@pytest.mark.parametrize("row", ["a,half", "a", "a,", "a,250", "a,nan"])
def test_what_is_no_scale_is_refused(tmp_path: Path, row: str) -> None:
    with pytest.raises(
        CohortError, match=r"scales\.csv: expected a CSV with the columns slide and mpp, one number"
    ):
        read_scales(table(tmp_path, row), SLIDES)
