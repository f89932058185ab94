"""A real window, a real slide file and a real bundle for the viewer's tests."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kept_slides import keep_features
from one_window import OneWindow, at_rest, opened

# The writers of small slides and bundles stand with the tests of the core.
for folder in ("core", "core/slides"):
    sys.path.append(str(Path(__file__).resolve().parents[1] / folder))

SIZE_PX = (3072, 2304)


def pytest_configure(config: pytest.Config) -> None:
    """Tests of a file may share a window."""
    config.addinivalue_line(
        "markers",
        "one_window(last=False): looks at a predicted or taught window that tests of its file share, and leaves it as "
        "it was; of those that do not, one may come last.",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Windows need a screen; tests that share one stand together, last in their file."""
    here = Path(__file__).parent
    has_screen = sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))
    files = list(dict.fromkeys(item.path for item in items))
    items.sort(key=lambda item: (files.index(item.path), _place_in_file(item)))
    for item in items:
        needs_screen = {"viewer", "screen"} & set(getattr(item, "fixturenames", ()))
        if here in item.path.parents and needs_screen and not has_screen:
            item.add_marker(pytest.mark.skip(reason="no display; install xvfb"))


def _place_in_file(item: pytest.Item) -> tuple[str, bool]:
    mark = item.get_closest_marker("one_window")
    return ("", False) if mark is None else (_kind_of(item), mark.kwargs.get("last", False))


def _kind_of(item: pytest.Item) -> str:
    """Which window a test shares."""
    return next((kind for kind in ("taught", "two") if kind in item.fixturenames), "predicted")


@pytest.fixture(scope="session", autouse=True)
def loaded() -> None:
    """All modules are loaded before the first window, as the program does it."""
    from many_windows import spare_work

    from amkd_viewer.warm_up import keep_loaded, warm_up_layers, warm_up_prediction

    warm_up_layers()
    warm_up_prediction()
    keep_loaded()
    spare_work()


@pytest.fixture(autouse=True)
def little_to_search(one_window: OneWindow) -> Iterator[None]:
    """What outlives a test is spared from searches for garbage; napari makes nine of a tenth of a second per window."""
    yield
    if not one_window.is_open:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramidal TIFF at 0.5 um per pixel, pink blobs on glass."""
    from slide_files import halved, tissue_like, write_tiff

    image = tissue_like(*SIZE_PX, seed=3)
    return write_tiff(tmp_path_factory.mktemp("slides") / "first.tif", [image, halved(image)])


@pytest.fixture(scope="session")
def second_slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another slide, with other content and of another size."""
    from slide_files import tissue_like, write_tiff

    return write_tiff(tmp_path_factory.mktemp("slides") / "second.tif", [tissue_like(2048, 1536, seed=8)])


@pytest.fixture(scope="session")
def slide_without_scale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide that does not tell its micrometres per pixel."""
    from slide_files import tissue_like, write_tiff

    return write_tiff(
        tmp_path_factory.mktemp("slides") / "unscaled.tif", [tissue_like(1536, 1536, seed=5)], mpp=None
    )


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bundle for the built-in encoder; its weights are random."""
    from bundle_fixtures import random_bundle

    from amkd_core.bundle_file import write_bundle
    from amkd_core.slides.encoders import load_encoder

    path = tmp_path_factory.mktemp("bundles") / "random.amkd"
    write_bundle(path, random_bundle(encoder=load_encoder("texture").identity))
    return path


@pytest.fixture(scope="session")
def other_bundle_path(bundle_path: Path) -> Path:
    """Another model for the same encoder."""
    from bundle_fixtures import random_bundle

    from amkd_core.bundle_file import write_bundle
    from amkd_core.slides.encoders import load_encoder

    path = bundle_path.with_name("other.amkd")
    write_bundle(path, random_bundle(encoder=load_encoder("texture").identity, n_members=2))
    return path


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory):
    """Slides of many scanner geometries, with predictions that see the mark on them."""
    from planted_window import PlantedSlides

    return PlantedSlides(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def screen() -> None:
    """For tests whose child processes open windows."""


@pytest.fixture(scope="module")
def one_window(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OneWindow]:
    """The window that tests of a file which are marked ``one_window`` share; it does not outlive them."""
    window = OneWindow(request.config, tmp_path_factory.mktemp("one-window"), after=_no_threads_left)
    yield window
    window.close()


@pytest.fixture(scope="session")
def begun(slide_path, second_slide_path, bundle_path, tmp_path_factory) -> Callable[..., object]:
    """Give a window that is to be shared its kept features, its panel and its result."""
    expression_path = write_expression(bundle_path, tmp_path_factory.mktemp("expression"))

    def begin(window, kind: str, cache: Path, spin: Callable[..., None]) -> object:
        keep_features(slide_path, bundle_path, cache)
        _, widget = window.window.add_plugin_dock_widget("amkd-viewer", "Predict survival risk")
        widget.bundle_path = bundle_path
        predict(widget, slide_path, spin, expression_path if kind == "taught" else None)
        if kind == "two":
            open_second(widget, second_slide_path, spin)
        return widget

    return begin


@pytest.fixture
def viewer(request, one_window, monkeypatch, qtbot):
    """A real napari window, asynchronous as in use."""
    if request.node.get_closest_marker("one_window") is not None:
        begin = request.getfixturevalue("begun")
        with one_window.lent(_kind_of(request.node), begin, request.node, monkeypatch) as window:
            yield window
        return
    one_window.close()
    window = opened(request.getfixturevalue("make_napari_viewer"), monkeypatch)
    yield window
    # A slice that is cut when the window closes is told to it later, and holds it as long; so says napari's fixture.
    at_rest(window, qtbot)


@pytest.fixture
def spin(qtbot) -> Callable[..., None]:
    """Let the window live until a condition holds."""

    def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
        qtbot.waitUntil(condition, timeout=int(1000 * timeout_s))

    return until


@pytest.fixture
def panel(viewer, bundle_path, one_window) -> Iterator:
    """The docked prediction panel; its threads must be gone after it."""
    if one_window.is_open:
        yield one_window.panel
        return
    _, widget = viewer.window.add_plugin_dock_widget("amkd-viewer", "Predict survival risk")
    widget.bundle_path = bundle_path
    yield widget
    widget.session.close()
    _no_threads_left()


@pytest.fixture
def dock(viewer) -> Callable[[str], object]:
    """Open a panel by its name in the menu."""

    def open_panel(name: str):
        return viewer.window.add_plugin_dock_widget("amkd-viewer", name)[1]

    return open_panel


@pytest.fixture
def expression_path(bundle_path: Path, tmp_path: Path) -> Path:
    """Expression of three patients; the second is the one of the slide "first"."""
    return write_expression(bundle_path, tmp_path)


def write_expression(bundle_path: Path, folder: Path) -> Path:
    """Write the expression of three patients."""
    import numpy as np

    from amkd_core.bundle_file import open_bundle

    rng = np.random.default_rng(4)
    genes = open_bundle(bundle_path).card.genes
    rows = [f"{gene},{','.join(f'{value:.3f}' for value in rng.normal(5, 1.5, 3))}" for gene in genes]
    path = folder / "expression.csv"
    path.write_text("\n".join(["gene,patient-a,first,patient-b", *rows]) + "\n")
    return path


@pytest.fixture
def kept(slide_path: Path, bundle_path: Path, own_cache: Path) -> None:
    """The user's cache holds the features of the first slide, as from an earlier session."""
    keep_features(slide_path, bundle_path, own_cache)


@pytest.fixture
def predicted(kept, panel, one_window, slide_path, spin):
    """The prediction panel with a predicted slide."""
    if not one_window.is_open:
        predict(panel, slide_path, spin)
    return panel


@pytest.fixture
def taught(kept, panel, one_window, slide_path, expression_path, spin):  # noqa: PLR0917 (fixtures)
    """The prediction panel with a slide that was predicted with expression."""
    if not one_window.is_open:
        predict(panel, slide_path, spin, expression_path)
    return panel


@pytest.fixture
def two(predicted, one_window, second_slide_path, spin):
    """The prediction panel with a predicted slide, and another that is looked at."""
    if not one_window.is_open:
        open_second(predicted, second_slide_path, spin)
    return predicted


def open_second(panel, path: Path, spin: Callable[..., None]) -> None:
    """Open another slide, which is looked at from then on."""
    panel.open_slide(path)
    spin(lambda: panel.workspace.slide.name == path.stem)


def predict(panel, slide_path: Path, spin: Callable[..., None], expression_path: Path | None = None) -> None:
    """Open and predict a slide, with expression if there is a table of it."""
    from amkd_core.inference.expression import read_genes
    from amkd_viewer.events import Expression

    if expression_path is not None:
        given = Expression(expression_path, "first", read_genes(expression_path, "first"))
        panel.workspace.set_inputs(expression=given)
    panel.open_slide(slide_path, run=True)
    spin(lambda: panel.outcome is not None)
    assert not isinstance(panel.outcome, BaseException), panel.outcome
    assert (panel.outcome.teacher is None) == (expression_path is None)


def own_threads() -> list[str]:
    """Names of our threads that are alive."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("amkd-")]


def _no_threads_left(within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    working = ("amkd-prediction", "amkd-opening", "amkd-recall", "amkd-task")
    while any(name.startswith(working) for name in own_threads()):
        assert time.monotonic() < deadline, f"threads outlive their window: {own_threads()}"
        time.sleep(0.02)
