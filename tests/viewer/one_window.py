"""A window with a predicted slide that several tests of a file look at, one after another.

Opening it and predicting takes seconds of a processor, several times what most tests do with it. After each test what
the user himself could put back is put back; if anything is then not as the test found it, the window is ended, and the
next test gets a new one.
"""

from __future__ import annotations

import gc
import inspect
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.utils import _testsupport
from pytestqt.qtbot import QtBot

from amkd_viewer import slide_layers
from amkd_viewer.layers import MapLook

SIZE = (1100, 750)


class OneWindow:
    """Opens the window when the first test asks for it, and ends it when one asks for another, fails or changed it.

    Parameters
    ----------
    config
        Of the run of tests.
    folder
        For the cache and the settings of the window.
    after
        What must hold once it is gone.
    """

    def __init__(self, config: pytest.Config, folder: Path, *, after: Callable[[], None]) -> None:
        self._config, self._folder, self._after = config, folder, after
        self._open: ExitStack | None = None
        self._kind = ""
        self._node: Any = None
        self._found: Any = None
        self._put_back: Callable[[], None] | None = None
        self.viewer: Any = None
        self.panel: Any = None

    @property
    def is_open(self) -> bool:
        return self._open is not None

    @contextmanager
    def lent(
        self, kind: str, begin: Callable[..., Any], node: pytest.Item, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Any]:
        """The window of a kind for one test; `begin` opens the slide and the panel in a new one."""
        for name, value in self._places().items():
            monkeypatch.setenv(name, value)
        if self._kind != kind:
            self.close()
            self._begin(kind, begin)
        yield self.viewer
        # What is taken back is taken back as the product does it.
        monkeypatch.undo()
        failed = getattr(getattr(node, "rep_call", None), "failed", True)
        if failed or not self._is_as_found():
            self.close(failed=failed)

    def close(self, *, failed: bool = False) -> None:
        """End the window, with napari's search for what outlives it."""
        if self._open is None:
            return
        stack, self._open, self._kind = self._open, None, ""
        self._node.rep_call = SimpleNamespace(failed=failed)
        self.viewer = self.panel = self._found = self._put_back = None
        # Tests of this window froze nothing, those before it may have.
        gc.unfreeze()
        with self._at_home():
            stack.close()
        gc.collect()
        gc.freeze()

    def _begin(self, kind: str, begin: Callable[..., Any]) -> None:
        shutil.rmtree(self._folder)
        self._node = SimpleNamespace()
        self._open, self._kind = ExitStack(), kind
        try:
            self._open_in(self._open, begin)
        except BaseException:
            self.close(failed=True)
            raise
        self._found, self._put_back = self._state(), _putting_back(self.viewer, self.panel)

    def _open_in(self, stack: ExitStack, begin: Callable[..., Any]) -> None:
        request: Any = SimpleNamespace(
            config=self._config, node=self._node, module=SimpleNamespace(__name__=__name__), keywords={}
        )
        qtbot, patch = QtBot(request), stack.enter_context(pytest.MonkeyPatch.context())
        stack.callback(self._after)
        model = stack.enter_context(_made_by(_testsupport.mock_app_model))
        make = stack.enter_context(
            _made_by(
                _testsupport.make_napari_viewer,
                qtbot=qtbot,
                request=request,
                mock_app_model=model,
                monkeypatch=patch,
            )
        )
        self.viewer = viewer = opened(make, patch)
        stack.callback(at_rest, viewer, qtbot)
        self.panel = begin(viewer, self._kind, self._folder / "cache", _spin(qtbot))
        stack.callback(self.panel.session.close)
        qtbot.waitUntil(lambda: viewer.canvas.overlays.scale_bar.visible, timeout=20_000)
        at_rest(viewer, qtbot)

    def _is_as_found(self) -> bool:
        with self._at_home():
            self._put_back()
            at_rest(self.viewer, QtBot(SimpleNamespace()))
            return self._state() == self._found

    def _state(self) -> dict[str, Any]:
        """All of a window that a test of it may rest on."""
        viewer, workspace = self.viewer, self.panel.workspace
        return {
            "panels": set(viewer.window.dock_widgets),
            "layers": [_of_layer(layer) for layer in viewer.layers],
            "selected": {id(layer) for layer in viewer.layers.selection},
            "dims": (viewer.dims.ndisplay, viewer.dims.order),
            "bar": viewer.canvas.overlays.scale_bar.visible,
            "slide": id(workspace.slide),
            "inputs": (workspace.bundle_path, workspace.device, workspace.expression),
            "result": [id(workspace.prediction), id(workspace.outcome)],
            "history": [id(result) for _, result in workspace.session._results._history],
            "look": workspace.look,
            "said": (self.panel.error.text(), self.panel.error.isVisible(), viewer.theme),
        }

    def _places(self) -> dict[str, str]:
        return {
            "AMKD_CACHE_DIR": str(self._folder / "cache"),
            "AMKD_CONFIG_DIR": str(self._folder / "config"),
        }

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        """Between tests, too, the user's cache and settings stay his own."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._places().items():
                patch.setenv(name, value)
            yield


def opened(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A real window by napari's fixture, asynchronous as in use."""
    from amkd_viewer.slicing import slice_in_background

    monkeypatch.delenv("NAPARI_ASYNC", raising=False)
    slice_in_background()
    viewer = make(show=True)
    assert not viewer._layer_slicer._force_sync
    viewer.window.resize(*SIZE)
    return viewer


@contextmanager
def _made_by(fixture: Any, **given: Any) -> Iterator[Any]:
    """What a fixture of napari gives, for longer than a test."""
    yield from inspect.unwrap(fixture)(**given)


def _spin(qtbot: QtBot) -> Callable[[Callable[[], bool]], None]:
    return lambda condition: qtbot.waitUntil(condition, timeout=60_000)


def at_rest(viewer: Any, qtbot: QtBot) -> None:
    """Wait until nothing is sliced or drawn any more: what is drawn last may have other tiles sliced."""
    calm = 0
    while calm < 2:
        qtbot.waitUntil(lambda: _is_loaded(viewer), timeout=20_000)
        qtbot.wait(50)
        calm = calm + 1 if _is_loaded(viewer) else 0


def _is_loaded(viewer: Any) -> bool:
    return (
        all(layer.loaded for layer in viewer.layers if layer.visible)
        and not viewer._layer_slicer._layers_to_task
    )


def _take_away_others(viewer: Any, docked: set[str], layers: list[Any]) -> None:
    for name, widget in list(viewer.window.dock_widgets.items()):
        if name not in docked:
            viewer.window.remove_dock_widget(widget)
            widget.deleteLater()
    # A slide takes what lies on it along.
    while others := [layer for layer in viewer.layers if layer not in layers]:
        viewer.layers.remove(others[-1])


def _putting_back(viewer: Any, panel: Any) -> Callable[[], None]:
    """What puts back, as a user can, what a test may have changed in a window that is now as it is found."""
    layers, docked = list(viewer.layers), set(viewer.window.dock_widgets)
    (slide, *_), workspace = layers, panel.workspace
    looked_at = workspace.slide
    own = [(layer, layer.name, layer.mode, layer.visible) for layer in layers]
    camera, selected = viewer.scene.camera, set(viewer.layers.selection)
    scene = (camera.center, camera.zoom)
    order, place, outcome = viewer.dims.order, (slide.scale, slide.translate, slide.affine), workspace.outcome

    def put_back() -> None:
        _take_away_others(viewer, docked, layers)
        if list(viewer.layers) != layers:
            return
        if workspace.slide is not looked_at:
            workspace.choose(looked_at)
        viewer.dims.ndisplay, viewer.dims.order = 2, order
        slide.rotate = 0
        slide.scale, slide.translate, slide.affine = place
        for layer, name, mode, visible in own:
            layer.name, layer.mode, layer.visible = name, mode, visible
        for drawn in (slide_layers.overlay(viewer, slide, "map"), slide):
            drawn.gamma = 1.0
        if workspace.look != MapLook():
            workspace.set_look(**asdict(MapLook()))
        viewer.layers.selection = selected
        panel._show_error("")
        workspace.outcome = outcome
        viewer.window.resize(*SIZE)
        camera.center, camera.zoom = scene

    return put_back


def _of_layer(layer: Any) -> tuple[Any, ...]:
    """Everything of a layer that is drawn or read."""
    role = slide_layers.role_of(layer)
    data = [id(level) for level in layer.data] if role == "slide" else [part.tobytes() for part in layer.data]
    drawn = [getattr(layer, name, None) for name in ("gamma", "contrast_limits", "mode", "colormap")]
    return (
        id(layer),
        (layer.name, layer.visible, layer.opacity, str(layer.blending), layer.units),
        [str(one) for one in drawn],
        # Of zero there are two.
        [
            (np.asarray(getattr(layer, name)) + 0.0).tolist()
            for name in ("scale", "translate", "rotate", "shear")
        ],
        slide_layers.affine_of(layer).tolist(),
        data,
        sorted(slide_layers.entry_of(layer)),
    )
