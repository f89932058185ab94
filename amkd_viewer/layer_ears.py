"""Events of layers, heard from the layers themselves, and for no longer than the hearer lives.

napari's list of layers passes on what its layers tell, but not always (0.9.2, see `have_list_hear`): a slide was
turned, and who listened to the list did not learn of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from amkd_core.private_names import private_logger
from amkd_viewer.slide_layers import own_viewer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event
    from qtpy.QtCore import QObject

_log = private_logger(__name__)


def hear_while(hearer: QObject, emitter: Any, slot: Callable[..., None]) -> None:
    """Hear one of napari's events for as long as a widget or another object of Qt lives."""
    emitter.connect(slot)
    hearer.destroyed.connect(lambda: emitter.disconnect(slot))


def have_list_hear(viewer: ViewerModel, layer: Layer) -> None:
    """Have napari's list of layers hear a layer that it tells of.

    It connects itself (0.9.2) only after it has told everybody. Who selects a layer in between has napari copy the
    list, and since equal lists count as the same hearer, the list itself never hears the layer: its eye, name and
    thumbnail stay as they were, and each event of the layer costs a search for the copy that is gone.
    """
    layers: Any = own_viewer(viewer).layers
    try:
        layer.events.connect(layers._reemit_child_event)
    except AttributeError:
        _log.debug("napari's list hears its layers in another way", exc_info=True)


class LayerEars:
    """Hears some events of some layers.

    Parameters
    ----------
    hearer
        Nothing is heard any more when it is gone.
    names
        Of the events, such as "affine" or "visible".
    slot
        Called with the event; its `source` is the layer.
    """

    def __init__(self, hearer: QObject, names: Iterable[str], slot: Callable[[Event], None]) -> None:
        self._names, self._slot = tuple(names), slot
        self._heard: list[Layer] = []
        hearer.destroyed.connect(lambda: self.hear(()))

    def hear(self, layers: Iterable[Layer | None]) -> None:
        """Hear these layers from now on, and no others."""
        wanted = list({id(layer): layer for layer in layers if layer is not None}.values())
        for layer in self._heard:
            if not any(layer is one for one in wanted):
                for name in self._names:
                    getattr(layer.events, name).disconnect(self._slot)
        for layer in wanted:
            if not any(layer is one for one in self._heard):
                for name in self._names:
                    getattr(layer.events, name).connect(self._slot)
        self._heard = wanted
