"""A window where numbers are written with a comma: what is typed, predicted and exported is what it is elsewhere."""

from __future__ import annotations

import locale
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QLocale, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDoubleSpinBox

from amkd_core.settings import read_settings
from amkd_viewer.number_box_widget import NumberBox
from amkd_viewer.slicing import slice_in_background

LANGUAGES = ("C", "en_US", "de_DE", "fr_FR")
EXPORTED = ("geojson", "tiff", "scores", "curve_svg", "curve_csv", "figure")
GERMAN = "de_DE.UTF-8"


@contextmanager
def language(name: str) -> Iterator[None]:
    """Fields that are made in here are of another language; what a user's computer has is read as a window opens."""
    before = QLocale()
    QLocale.setDefault(QLocale(name))
    try:
        yield
    finally:
        QLocale.setDefault(before)


@pytest.fixture
def field(screen, qtbot) -> Callable[..., Any]:
    """Makes a field of a kind in a language, on the screen."""

    def make(kind: type[QDoubleSpinBox], name: str) -> QDoubleSpinBox:
        with language(name):
            made = kind()
        qtbot.addWidget(made)
        made.show()
        return made

    return make


def type_into(field: QDoubleSpinBox, typed: str) -> None:
    """What a user does: all that is there is marked, and keys are pressed, Enter at the end."""
    line = field.lineEdit()
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, typed)
    QTest.keyClick(line, Qt.Key.Key_Return)


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize(
    ("typed", "decimals", "value"),
    [
        ("0,25", 4, 0.25), ("0.25", 4, 0.25), (",5", 2, 0.5), (".5", 2, 0.5), ("12,5", 1, 12.5), ("7", 1, 7),
        # Separators of thousands are shown by no field, and what may be meant by them is not guessed.
        ("1.234,5", 1, 3), ("1,234.5", 1, 3), ("12.5", 0, 3), ("12,5", 0, 3), ("0,,2", 1, 3),
    ],
)  # fmt: skip
def test_either_mark_is_the_decimal_one(field, name: str, typed: str, decimals: int, value: float) -> None:
    box = field(NumberBox, name)
    box.setRange(0.1, 10_000)
    box.setSuffix(" GB")
    box.setDecimals(decimals)
    box.setValue(3)
    type_into(box, typed)
    assert box.value() == value
    shown = f"{value:.{decimals}f} GB"
    assert box.text() == (shown.replace(".", ",") if name in {"de_DE", "fr_FR"} else shown)


@pytest.mark.parametrize(("name", "typed"), [("de_DE", "0.25"), ("en_US", "0,25")])
def test_qts_own_field_drops_the_other_mark(field, name: str, typed: str) -> None:
    """What ours is for; where this fails, Qt has learnt it, and ours may go."""
    box = field(QDoubleSpinBox, name)
    type_into(box, typed)
    assert box.value() == 25


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Languages of a whole process, of C's library and processes that are started; German is made where it is not."""

    @contextmanager
    def spoken(name: str) -> Iterator[None]:
        before = locale.setlocale(locale.LC_ALL)
        with language("de_DE" if name == GERMAN else name), monkeypatch.context() as patch:
            patch.setenv("LC_ALL", name)
            if name == GERMAN:
                patch.setenv("LOCPATH", str(made_german(tmp_path / "locales")))
            try:
                locale.setlocale(locale.LC_ALL, name)
                yield
            finally:
                locale.setlocale(locale.LC_ALL, before)

    return spoken


def made_german(folder: Path) -> Path:
    folder.mkdir()
    if shutil.which("localedef") is not None:
        words = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / GERMAN)]
        subprocess.run(words, capture_output=True, check=False)
    if not (folder / GERMAN).is_dir():
        pytest.skip("the locale de_DE cannot be made here")
    return folder


@pytest.mark.slow
def test_a_window_with_commas_gives_the_same_numbers(  # noqa: PLR0917 (fixtures)
    german,
    make_napari_viewer,
    bundle_path,
    slide_without_scale,
    own_cache: Path,
    own_settings: Path,
    tmp_path,
    spin,
) -> None:
    found = {}
    for name in ("C", GERMAN):
        out = tmp_path / name
        with german(name):
            assert locale.localeconv()["decimal_point"] == ("," if name == GERMAN else ".")
            slice_in_background()
            viewer = make_napari_viewer(show=True)
            found[name] = worked_with(viewer, bundle_path, slide_without_scale, out, spin)
            found[name]["settings"] = own_settings.read_text(encoding="utf-8")
            viewer.close()
        shutil.rmtree(own_cache)  # computed again
        own_settings.unlink()
    plain, commas = found["C"], found[GERMAN]
    assert (plain.pop("shown"), commas.pop("shown")) == (
        ["0.2500", "12.5 %", "1.5 GB", "45°"], ["0,2500", "12,5 %", "1,5 GB", "45°"]
    )  # fmt: skip
    assert commas.keys() == plain.keys()
    for what, value in plain.items():
        assert commas[what] == value, what
    assert "1.5" in plain["settings"]
    (scores,) = (text for file, text in commas.items() if file.endswith("-scores.csv"))
    head, *rows = scores.splitlines()
    assert len(rows) > 3
    assert {row.count(",") for row in rows} == {head.count(",")}
    assert any("." in row for row in rows)


def worked_with(
    viewer: Any, bundle_path: Path, slide: Path, out: Path, spin: Callable[..., None]
) -> dict[str, Any]:
    """What a window says after a slide's scale was asked for, its map was predicted, restyled and exported."""

    def dock(name: str) -> Any:
        return viewer.window.add_plugin_dock_widget("amkd-viewer", name)[1]

    panel, view, settings, export = map(
        dock, ("Predict survival risk", "View and heatmap", "Settings", "Export")
    )
    mark = viewer.window._qt_window.locale().decimalPoint()
    panel.bundle_path = bundle_path
    panel.open_slide(slide)
    spin(lambda: len(viewer.layers) == 1)
    type_into(panel.inputs.mpp, f"0{mark}25")
    panel.run_button.click()
    spin(lambda: panel.outcome is not None)
    assert not isinstance(panel.outcome, BaseException), panel.outcome
    type_into(view.heat.top_percent, f"12{mark}5")
    type_into(settings.cache.limit, f"1{mark}5")
    type_into(view.angle, "45")
    view.heat.opacity.setValue(65)
    look = panel.workspace.look
    assert (look.top_percent, look.opacity) == (12.5, 0.65)
    spin(lambda: read_settings().settings.cache_limit_gib == 1.5)
    for kind, box in export.kinds.items():
        box.setChecked(kind in EXPORTED)
    export.export(out)
    spin(lambda: "Written" in export.written.text() or export.error.text() != "")
    assert len(list(out.iterdir())) == len(EXPORTED), export.error.text()
    told = {
        "risk": panel.outcome.risk,
        "scores": panel.outcome.patch_scores.tolist(),
        "mpp": panel.outcome.bag.slide_mpp,
        "facts": panel.result.facts.text,
        "legend": view.heat.what.text(),
        "magnification": view.magnification.text(),
        "layers": {
            layer.name: [layer.opacity, layer.affine.affine_matrix.tolist(), layer.scale.tolist()]
            for layer in viewer.layers
        },
        "shown": [
            field.text()
            for field in (panel.inputs.mpp, view.heat.top_percent, settings.cache.limit, view.angle)
        ],
    }
    panel.session.close()
    return {**told, **{path.name: content(path) for path in sorted(out.iterdir())}}


def content(path: Path) -> Any:
    """What a file says, without the time at which it was written and matplotlib's random names of parts."""
    if path.suffix in {".png", ".tif"}:
        with Image.open(path) as image:
            return np.asarray(image).tobytes()
    return re.sub(r"\d\d:\d\d:\d\d(\.\d+)?|\b[mp][0-9a-f]{10}\b", "", path.read_text(encoding="utf-8"))
