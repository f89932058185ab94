"""Events of layers, heard from the layers themselves, and for no longer than the hearer lives.

napari's list of layers passes on what its layers tell, but not always (0.9.2, seen with two slides open): a slide was
turned, and who listened to the list did not learn of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event
    from qtpy.QtCore import QObject


def hear_while(hearer: QObject, emitter: Any, slot: Callable[..., None]) -> None:
    """Hear one of napari's events for as long as a widget or another object of Qt lives."""
    emitter.connect(slot)
    hearer.destroyed.connect(lambda: emitter.disconnect(slot))


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
